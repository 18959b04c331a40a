// Any calls of the C API in any order, with any arguments that a C program could pass by mistake.
//
// The input is a script: a byte chooses a function, those that follow its arguments. What no
// library can survive is left out: wild or freed pointers.
#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "calls.hpp"
#include "format/container.hpp"
#include "tests/graph_file.hpp"
#include "tiny_bundle.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;
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
        cca_bytes_free(payload_);
    }

    void run() {
        using Step = void (Script::*)();
        static constexpr std::array<Step, 14> kSteps{
            &Script::parse,  &Script::open_model,     &Script::describe,
            &Script::graphs, &Script::check_file,     &Script::create_decoder,
            &Script::pull,   &Script::finish_decoder, &Script::create_encoder,
            &Script::push,   &Script::finish_encoder, &Script::the_rest,
            &Script::steps,  &Script::choose_tables,
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

    // A sound stream of the payload made last.
    Bytes sound_stream() {
        cca::StreamInfo info;
        info.width = info.height = CCA_HYPER_SCALE;
        info.digests = {0};
        info.xmp = Bytes{'<', 'x', '/', '>'};
        const cca_view payload = cca_bytes_view(payload_);
        return cca::write_stream(info, {payload.data, payload.size});
    }

    void parse() {
        const Bytes sound = sound_stream();
        const bool whole = coin();
        const cca_view stream =
            whole ? cca_view{sound.data(), sound.size()} : calls_.view(kMaxBytes);
        cca_limits limits{};
        limits.max_pixels = input_.number<std::uint64_t>();
        cca_stream_info info{};
        const cca_limits* const chosen = nullable(&limits);
        if (calls_.ok(
                cca_stream_parse(stream, chosen, nullable(&info)),
                {CCA_ERROR_ARGUMENT, CCA_ERROR_STREAM, CCA_ERROR_UNSUPPORTED, CCA_ERROR_LIMIT})) {
            check_views(info, stream);
            check(!whole || info.payload_count == 1, "the sound stream has one payload");
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
            const std::string file = cca::test::graph_file(graph.name);
            const cca_view content{reinterpret_cast<const std::uint8_t*>(file.data()), file.size()};
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

    // Any number as a quality: infinite, and none at all, too.
    void steps() {
        const auto quality = std::bit_cast<double>(input_.number<std::uint64_t>());
        std::int32_t step = input_.number<std::int16_t>();
        if (calls_.ok(cca_step_of_quality(quality, nullable(&step)), {CCA_ERROR_ARGUMENT})) {
            check(quality >= 0 && quality <= 100, "qualities are 0 to 100");
            check(step >= -128 && step <= 127, "steps are -128 to 127");
        }
        float value = 0;
        if (calls_.ok(cca_step_value(step, nullable(&value)), {CCA_ERROR_ARGUMENT})) {
            check(value > 0.1F && value < 8, "steps are between 18/128 and 903/128");
        }
    }

    void choose_tables() {
        const auto* const model = nullable(model_);
        const std::int32_t step = input_.number<std::int16_t>();
        const auto given = input_.take(input_.number<std::uint8_t>());
        Bytes tables(given.size());
        const std::uint8_t* const indexes = nullable(given.data());
        if (calls_.ok(cca_model_choose_tables(model, step, indexes, given.size(),
                                              nullable(tables.data())),
                      {CCA_ERROR_ARGUMENT, CCA_ERROR_BUNDLE})) {
            const std::size_t count = cca_tables_count(cca_model_gaussian_tables(model));
            check(std::ranges::all_of(tables, [&](std::uint8_t table) { return table < count; }),
                  "tables are the model's");
        }
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
    cca_bytes* payload_ = nullptr;
    bool decoder_open_ = false;
    bool encoder_open_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script(data, size).run();
    return 0;
}
