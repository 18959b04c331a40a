// Any calls of the C API in any order, with any arguments that a C program could pass by mistake.
//
// The input is a script: a byte chooses a function, those that follow its arguments. What no
// library can survive is left out: wild or freed pointers.
#include <array>
#include <cmath>
#include <vector>

#include "calls.hpp"
#include "tiny_bundle.hpp"

namespace {

using cca::fuzz::Calls;
using cca::fuzz::check;
using cca::fuzz::Input;

constexpr int kMaxSteps = 300;
constexpr std::size_t kMaxSymbols = 2'000;
constexpr std::size_t kMaxBytes = 4'096;

class Script {
  public:
    Script(const std::uint8_t* data, std::size_t size) : input_(data, size), calls_(input_) {}
    Script(const Script&) = delete;
    Script& operator=(const Script&) = delete;
    ~Script() {
        cca_model_free(model_);
        cca_rans_decoder_free(decoder_);
        cca_rans_encoder_free(encoder_);
        cca_bytes_free(stream_bytes_);
        cca_bytes_free(payload_);
    }

    void run() {
        using Step = void (Script::*)();
        static constexpr std::array<Step, 16> kSteps{
            &Script::parse,          &Script::write,        &Script::choose_padding,
            &Script::open_model,     &Script::describe,     &Script::graphs,
            &Script::check_file,     &Script::check_stream, &Script::averages,
            &Script::create_decoder, &Script::pull,         &Script::finish_decoder,
            &Script::create_encoder, &Script::push,         &Script::finish_encoder,
            &Script::the_rest,
        };
        for (int step = 0; step < kMaxSteps && !input_.at_end(); ++step) {
            (this->*kSteps[input_.number<std::uint8_t>() % kSteps.size()])();
        }
    }

  private:
    template <typename T>
    T* nullable(T* pointer) {
        return calls_.pointer_or_null(pointer);
    }

    bool coin() { return input_.number<std::uint8_t>() % 2 != 0; }

    void parse() {
        // The stream written last, or any bytes.
        const cca_view stream = coin() ? cca_bytes_view(stream_bytes_) : calls_.view(kMaxBytes);
        const auto max_pixels = input_.number<std::uint64_t>();
        cca_stream_info info{};
        if (calls_.ok(
                cca_stream_parse(stream, max_pixels, nullable(&info)),
                {CCA_ERROR_ARGUMENT, CCA_ERROR_STREAM, CCA_ERROR_UNSUPPORTED, CCA_ERROR_LIMIT})) {
            check_views(info, stream);
            check_tiles(info, stream);
        } else {
            check(info.width == 0 && info.payload.data == nullptr, "a failure writes nothing");
        }
    }

    // Reads every byte of the views, which tools check, and finds them inside the stream.
    static void check_views(const cca_stream_info& info, cca_view stream) {
        for (const cca_view view : {info.payload, info.icc, info.exif, info.xmp}) {
            if (view.size == 0) {
                continue;
            }
            check(view.data >= stream.data && view.data + view.size <= stream.data + stream.size,
                  "views point into the stream");
        }
    }

    // Tiles have all of the picture and of the payload between them, and make the stream again.
    void check_tiles(const cca_stream_info& info, cca_view stream) {
        std::size_t count = 0;
        check(calls_.ok(cca_stream_tile_count(&info, &count), {}), "a parsed stream has tiles");
        std::vector<cca_tile> tiles(count);
        calls_.fails(cca_stream_tiles(&info, tiles.data(), count + 1), CCA_ERROR_ARGUMENT);
        check(calls_.ok(cca_stream_tiles(&info, tiles.data(), count), {}), "and tells them");
        const auto& padding = info.padding;
        std::uint64_t pixels = (std::uint64_t{info.width} + padding.left + padding.right) *
                               (std::uint64_t{info.height} + padding.top + padding.bottom);
        const std::uint8_t* position = info.payload.data;
        std::vector<cca_view> payloads;
        for (const cca_tile& tile : tiles) {
            pixels -= std::uint64_t{tile.width} * tile.height;
            check(tile.payload.data == position, "payloads are side by side");
            position += tile.payload.size;
            payloads.push_back(tile.payload);
        }
        check(pixels == 0 && position == info.payload.data + info.payload.size,
              "nothing is left out");
        cca_bytes* again = nullptr;
        check(calls_.ok(cca_stream_write_tiles(&info, payloads.data(), count, &again), {}) &&
                  same(cca_bytes_view(again), stream),
              "tiles make the stream again");
        cca_bytes_free(again);
        again = nullptr;
        check(calls_.ok(cca_stream_write(&info, &again), {}) && same(cca_bytes_view(again), stream),
              "what was parsed can be written again");
        cca_bytes_free(again);
    }

    static bool same(cca_view a, cca_view b) {
        return std::equal(a.data, a.data + a.size, b.data, b.data + b.size);
    }

    void write() {
        cca_stream_info info{};
        info.width = coin() ? 64 : input_.number<std::uint32_t>();
        info.height = coin() ? 128 : input_.number<std::uint32_t>();
        const auto padding = input_.number<std::uint32_t>();
        if (padding % 2 != 0) {
            info.padding = {
                static_cast<std::uint8_t>(padding), static_cast<std::uint8_t>(padding >> 8),
                static_cast<std::uint8_t>(padding >> 16), static_cast<std::uint8_t>(padding >> 24)};
        }
        const auto mode = input_.number<std::uint8_t>();
        info.entropy_mode = mode % 3;
        const bool tiled = mode >= 192;
        if (tiled) {
            info.tiling = {64, 64, mode % 4U, 1U + mode % 2U};
        }
        info.payload = coin() ? cca_bytes_view(payload_) : calls_.view(kMaxBytes);
        info.icc = coin() ? calls_.view(64) : cca_view{};
        info.exif = coin() ? calls_.view(64) : cca_view{};
        info.xmp = coin() ? calls_.view(64) : cca_view{};
        cca_bytes* written = nullptr;
        const auto* const from = nullable(&info);
        std::size_t count = 0;
        calls_.ok(cca_stream_tile_count(&info, &count), {CCA_ERROR_ARGUMENT});
        const std::vector<cca_view> payloads(std::min<std::size_t>(count, 64), info.payload);
        const cca_status status =
            tiled
                ? cca_stream_write_tiles(from, payloads.data(), payloads.size(), nullable(&written))
                : cca_stream_write(from, nullable(&written));
        if (calls_.ok(status, {CCA_ERROR_ARGUMENT})) {
            cca_bytes_free(stream_bytes_);
            stream_bytes_ = written;
        } else {
            check(written == nullptr, "a failure writes nothing");
        }
    }

    void choose_padding() {
        const auto width = input_.number<std::uint32_t>() % 70'000;
        const auto height = input_.number<std::uint32_t>() % 70'000;
        cca_padding padding{};
        if (calls_.ok(cca_choose_padding(width, height, nullable(&padding)),
                      {CCA_ERROR_ARGUMENT})) {
            check((width + padding.left + padding.right) % CCA_HYPER_SCALE == 0 &&
                      (height + padding.top + padding.bottom) % CCA_HYPER_SCALE == 0,
                  "padding reaches the grid");
        }
    }

    void open_model() {
        static const std::array kBundles{cca::fuzz::make_tiny_bundle(true),
                                         cca::fuzz::make_tiny_bundle(false)};
        cca::fuzz::TinyBundle bundle = kBundles[coin() ? 1 : 0];
        const bool damage = coin();
        if (damage) {
            const std::size_t place = input_.number<std::uint16_t>();
            bundle.manifest[place % bundle.manifest.size()] = input_.number<char>();
        }
        const cca_view manifest{reinterpret_cast<const std::uint8_t*>(bundle.manifest.data()),
                                bundle.manifest.size()};
        const cca_view tables{nullable(bundle.tables.data()), bundle.tables.size()};
        cca_model* opened = nullptr;
        if (calls_.ok(cca_model_open(manifest, tables, nullable(&opened)),
                      {CCA_ERROR_ARGUMENT, CCA_ERROR_BUNDLE, CCA_ERROR_UNSUPPORTED})) {
            cca_model_free(model_);
            model_ = opened;
            model_sound_ = !damage;
        } else {
            check(opened == nullptr, "a failure writes nothing");
        }
    }

    void describe() {
        cca_model_info info{};
        const auto* const model = nullable(model_);
        if (calls_.ok(cca_model_describe(model, nullable(&info)), {CCA_ERROR_ARGUMENT})) {
            check(info.group_count == 2 && info.group_sizes[0] + info.group_sizes[1] == 3,
                  "the tiny model is described");
        }
    }

    void graphs() {
        cca_graph graph{};
        const auto which = input_.number<std::uint8_t>();
        const auto* const model = nullable(model_);
        cca_graph* const out = nullable(&graph);
        if (calls_.ok(cca_model_graph(model, which, out), {CCA_ERROR_ARGUMENT}) && model_sound_) {
            check(which < cca_model_graph_count(model_), "graphs are numbered from 0");
            check(graph.takes_averages == (which == 1), "the tiny model's graphs are described");
            // A tiny graph contains nothing but its name.
            const cca_view content{reinterpret_cast<const std::uint8_t*>(graph.name),
                                   std::strlen(graph.name)};
            check(calls_.ok(cca_file_check(&graph.file, content), {}), "the file is the right one");
            calls_.fails(cca_file_check(&graph.file, {content.data, content.size - 1}),
                         CCA_ERROR_BUNDLE);
        }
    }

    void check_file() {
        const cca_file file{nullable("a.onnx"), nullable("0123456789abcdef"),
                            input_.number<std::uint64_t>()};
        const cca_view content = calls_.view(64);
        calls_.ok(cca_file_check(nullable(&file), content), {CCA_ERROR_ARGUMENT, CCA_ERROR_BUNDLE});
    }

    void check_stream() {
        cca_stream_info info{};
        cca_model_info model_info{};
        if (coin() && cca_model_describe(model_, &model_info) == CCA_OK) {
            std::ranges::copy(model_info.model_id, info.model_id);
        }
        info.entropy_mode = input_.number<std::uint8_t>() % 3;
        const std::array<std::uint8_t, CCA_IDENTIFIER_BYTES> fingerprint{
            input_.number<std::uint8_t>()};
        const auto* const model = nullable(model_);
        const auto* const stream = nullable(&info);
        calls_.ok(cca_model_check_stream(model, stream, nullable(fingerprint.data())),
                  {CCA_ERROR_ARGUMENT, CCA_ERROR_MODEL});
    }

    void averages() {
        std::array<float, 4> factors{};
        const auto height = input_.number<std::uint32_t>() % 70'000;
        const auto width = input_.number<std::uint32_t>() % 70'000;
        if (calls_.ok(cca_averages(height, width, nullable(factors.data())),
                      {CCA_ERROR_ARGUMENT})) {
            check(std::ranges::all_of(factors, [](float x) { return std::isfinite(x) && x > 0; }),
                  "averages are positive numbers");
        }
    }

    const cca_tables* tables() {
        return coin() ? cca_model_gaussian_tables(model_) : cca_model_hyper_tables(model_);
    }

    // Indexes of up to one table more than there are.
    template <typename Index>
    std::vector<Index> take_indexes(const cca_tables* tables) {
        std::vector<Index> indexes(input_.number<std::uint16_t>() % kMaxSymbols);
        const std::size_t choices = cca_tables_count(tables) + (coin() ? 1 : 0);
        for (std::size_t i = 0; i < indexes.size() && choices > 0; ++i) {
            indexes[i] = static_cast<Index>(i % choices);
        }
        return indexes;
    }

    void create_decoder() {
        const cca_view payload = coin() ? cca_bytes_view(payload_) : calls_.view(kMaxBytes);
        cca_rans_decoder* created = nullptr;
        if (calls_.ok(cca_rans_decoder_create(payload, nullable(&created)),
                      {CCA_ERROR_ARGUMENT, CCA_ERROR_STREAM})) {
            cca_rans_decoder_free(decoder_);
            decoder_ = created;
            decoder_open_ = true;
        } else {
            check(created == nullptr, "a failure writes nothing");
        }
    }

    template <typename Index, typename Pull>
    void pull_with(Pull function) {
        cca_rans_decoder* const decoder = nullable(decoder_);
        const cca_tables* const set = tables();
        const auto indexes = take_indexes<Index>(set);
        std::vector<std::int32_t> symbols(indexes.size());
        const Index* const chosen = nullable(indexes.data());
        const cca_status status =
            function(decoder, set, chosen, indexes.size(), nullable(symbols.data()));
        settle(status, decoder, decoder_open_, {CCA_ERROR_ARGUMENT, CCA_ERROR_STREAM});
        decoder_open_ = decoder_open_ && (decoder == nullptr || status == CCA_OK);
    }

    // A null coder is an argument's error, a closed one a state's; an open one may fail as
    // documented.
    void settle(cca_status status, const void* coder, bool open,
                std::initializer_list<cca_status> documented) {
        if (coder == nullptr) {
            calls_.fails(status, CCA_ERROR_ARGUMENT);
        } else if (!open) {
            calls_.fails(status, CCA_ERROR_STATE);
        } else {
            calls_.ok(status, documented);
        }
    }

    void pull() {
        coin() ? pull_with<std::uint8_t>(cca_rans_decoder_pull_u8)
               : pull_with<std::uint16_t>(cca_rans_decoder_pull_u16);
    }

    void finish_decoder() {
        cca_rans_decoder* const decoder = nullable(decoder_);
        settle(cca_rans_decoder_finish(decoder), decoder, decoder_open_, {CCA_ERROR_STREAM});
        decoder_open_ = decoder_open_ && decoder == nullptr;
    }

    void create_encoder() {
        cca_rans_encoder* created = nullptr;
        if (calls_.ok(cca_rans_encoder_create(nullable(&created)), {CCA_ERROR_ARGUMENT})) {
            cca_rans_encoder_free(encoder_);
            encoder_ = created;
            encoder_open_ = true;
        }
    }

    template <typename Index, typename Push>
    void push_with(Push function) {
        cca_rans_encoder* const encoder = nullable(encoder_);
        const cca_tables* const set = tables();
        const auto indexes = take_indexes<Index>(set);
        std::vector<std::int32_t> symbols(indexes.size());
        for (std::int32_t& symbol : symbols) {
            symbol = input_.number<std::int8_t>();
        }
        if (!symbols.empty() && coin()) {
            symbols.back() = input_.number<std::int32_t>();
        }
        // A failure for its arguments leaves the encoder open.
        const Index* const chosen = nullable(indexes.data());
        const cca_status status =
            function(encoder, set, chosen, nullable(symbols.data()), indexes.size());
        settle(status, encoder, encoder_open_, {CCA_ERROR_ARGUMENT});
        check(status != CCA_OK || symbols.empty() ||
                  symbols.back() == static_cast<std::int16_t>(symbols.back()),
              "symbols have 16 bits");
    }

    void push() {
        coin() ? push_with<std::uint8_t>(cca_rans_encoder_push_u8)
               : push_with<std::uint16_t>(cca_rans_encoder_push_u16);
    }

    void finish_encoder() {
        cca_rans_encoder* const encoder = nullable(encoder_);
        if (coin()) {
            calls_.fails(cca_rans_encoder_finish(encoder, nullptr), CCA_ERROR_ARGUMENT);
        }
        cca_bytes* made = nullptr;
        settle(cca_rans_encoder_finish(encoder, &made), encoder, encoder_open_, {});
        encoder_open_ = encoder_open_ && encoder == nullptr;
        if (made != nullptr) {
            cca_bytes_free(payload_);
            payload_ = made;
        }
    }

    void the_rest() {
        std::array<float, 8> latents{};
        std::array<float, 8> means{};
        for (float& latent : latents) {
            latent = input_.number<std::int8_t>() == 0 ? INFINITY : input_.number<std::int32_t>();
        }
        std::array<std::int32_t, 8> symbols{};
        const float* const from = nullable(latents.data());
        const float* const minus = nullable(means.data());
        const std::size_t count = input_.number<std::uint8_t>() % 9;
        calls_.ok(cca_quantise(from, minus, count, nullable(symbols.data())), {CCA_ERROR_ARGUMENT});
        check(cca_status_name(input_.number<std::int32_t>()) != nullptr, "every status has a name");
        const auto version = input_.number<std::uint32_t>() % 3;
        const cca_status status = cca_check_abi(version);
        check((status == CCA_OK) == (version == CCA_ABI_VERSION), "only this ABI will do");
        calls_.ok(status, {CCA_ERROR_ABI});
    }

    Input input_;
    Calls calls_;
    cca_model* model_ = nullptr;
    bool model_sound_ = false;
    cca_rans_decoder* decoder_ = nullptr;
    cca_rans_encoder* encoder_ = nullptr;
    cca_bytes* stream_bytes_ = nullptr;
    cca_bytes* payload_ = nullptr;
    bool decoder_open_ = false;
    bool encoder_open_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script(data, size).run();
    return 0;
}
