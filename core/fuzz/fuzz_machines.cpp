// Pictures through the machines, with any options, hosts that err, and streams that are damaged.
#include <array>
#include <string>
#include <vector>

#include "calls.hpp"
#include "hostile_host.hpp"
#include "reseal.hpp"
#include "tiny_bundle.hpp"

namespace {

using cca::fuzz::Calls;
using cca::fuzz::check;
using cca::fuzz::Faults;
using cca::fuzz::HostileHost;
using cca::fuzz::Input;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kMaxPixels = 1 << 18;  // of a decoded picture: a damaged stream claims more
constexpr std::uint32_t kMaxSide = 200;
constexpr std::array<std::uint8_t, CCA_IDENTIFIER_BYTES> kFingerprint{1, 2, 3};

const cca_model* model(bool exact) {
    static const auto kOpen = [](bool which) {
        const cca::fuzz::TinyBundle bundle = cca::fuzz::make_tiny_bundle(which);
        cca_model* opened = nullptr;
        check(cca_model_open({reinterpret_cast<const std::uint8_t*>(bundle.manifest.data()),
                              bundle.manifest.size()},
                             {bundle.tables.data(), bundle.tables.size()}, &opened) == CCA_OK,
              "the tiny bundle is sound");
        return opened;
    };
    static const cca_model* const kExact = kOpen(true);
    static const cca_model* const kNative = kOpen(false);
    return exact ? kExact : kNative;
}

// All of a machine's steps. True if the last one was the last.
template <typename Next>
bool drive(Calls& calls, HostileHost& host, Next next) {
    const cca_step* step = nullptr;
    for (;;) {
        if (!calls.ok(next(&step), {CCA_ERROR_STREAM, CCA_ERROR_BUNDLE, CCA_ERROR_LATENTS,
                                    CCA_ERROR_INEXACT, CCA_ERROR_LIMIT})) {
            calls.fails(next(&step), CCA_ERROR_STATE);
            return false;
        }
        if (step->kind == CCA_STEP_DONE) {
            check(host.empty(), "all tensors are freed at the end");
            return true;
        }
        if (!host.do_step(*step)) {
            return false;
        }
    }
}

class Script {
  public:
    Script(const std::uint8_t* data, std::size_t size) : input_(data, size), calls_(input_) {}

    void run() {
        exact_ = byte() % 8 != 0;
        width_ = 1 + byte() % kMaxSide;
        height_ = 1 + byte() % kMaxSide;
        std::vector<Bytes> streams;
        std::vector<Bytes> expected;
        const bool sound = encode(streams, expected);
        const bool damaged = damage(streams);
        decode(streams, expected, sound && !damaged);
    }

  private:
    std::uint8_t byte() { return input_.number<std::uint8_t>(); }

    Faults faults() {
        const std::uint8_t which = byte();
        return {static_cast<std::uint8_t>(which % 4 == 1 ? byte() : 0),
                static_cast<std::uint8_t>(which % 4 == 2 ? byte() : 0)};
    }

    cca_limits limits() {
        const std::uint8_t which = byte();
        cca_limits limits{};
        limits.max_pixels = kMaxPixels;
        if (which % 8 == 1) {
            limits.max_tensor_bytes = std::uint64_t{64} * input_.number<std::uint16_t>();
        } else if (which % 8 == 2) {
            limits.max_tiles = byte();
        }
        return limits;
    }

    // Returns whether the streams are those of a sound host.
    bool encode(std::vector<Bytes>& streams, std::vector<Bytes>& expected) {
        const std::size_t count = 1 + byte() % 3U;
        static constexpr std::array<std::uint32_t, 5> kSides{CCA_TILE_NONE, 64, 128,
                                                             CCA_TILE_BY_SIZE, 65};
        cca_encode_options options{};
        options.struct_size = sizeof options;
        options.tile_side = kSides[byte() % kSides.size()];
        options.reconstruct = byte() % 2U;
        options.limits = limits();
        options.workers = byte() % 3U;
        options.fingerprint = kFingerprint.data();
        const Faults wrong = faults();
        Bytes pixels(std::size_t{3} * width_ * height_);
        for (std::size_t i = 0; i < pixels.size(); ++i) {
            pixels[i] = static_cast<std::uint8_t>(i * i);
        }
        cca_picture picture{};
        picture.pixels = pixels.data();
        picture.width = width_;
        picture.height = height_;
        const std::vector<cca_picture> pictures(count, picture);
        cca_encoder* encoder = nullptr;
        if (!calls_.ok(
                cca_encoder_create(model(exact_), pictures.data(), count, &options, &encoder),
                {CCA_ERROR_ARGUMENT, CCA_ERROR_LIMIT})) {
            return false;
        }
        HostileHost host(input_, wrong);
        const bool done =
            drive(calls_, host,
                  [&](const cca_step** step) { return cca_encoder_next(encoder, 0, step); }) &&
            finish_others(options.workers, [&](std::uint32_t worker, const cca_step** step) {
                return cca_encoder_next(encoder, worker, step);
            });
        for (std::size_t i = 0; i < count && done; ++i) {
            cca_view view{};
            check(calls_.ok(cca_encoder_stream(encoder, i, &view), {}), "there is a stream");
            streams.emplace_back(view.data, view.data + view.size);
            if (options.reconstruct != 0) {
                check(calls_.ok(cca_encoder_reconstruction(encoder, i, &view), {}), "and pixels");
                expected.emplace_back(view.data, view.data + view.size);
            }
        }
        cca_encoder_free(encoder);
        return done && wrong.download == 0;
    }

    // What was done by one thread leaves nothing to do for the other workers.
    template <typename Next>
    bool finish_others(std::uint32_t workers, Next next) {
        for (std::uint32_t worker = 1; worker < workers; ++worker) {
            const cca_step* step = nullptr;
            check(calls_.ok(next(worker, &step), {}) && step->kind == CCA_STEP_DONE,
                  "nothing is left to do");
        }
        return true;
    }

    // Bytes of the first stream changed, or all of it what the input says.
    bool damage(std::vector<Bytes>& streams) {
        const std::size_t changes = byte() % 8U;
        if (streams.empty() && changes != 0) {
            const auto rest = input_.take(64 + byte());
            streams.emplace_back(rest.begin(), rest.end());
        }
        if (streams.empty() || changes == 0 || streams.front().empty()) {
            return false;
        }
        Bytes& stream = streams.front();
        const Bytes before = stream;
        for (std::size_t i = 0; i < changes; ++i) {
            const std::size_t place = input_.number<std::uint16_t>() % stream.size();
            stream[place] = byte();
        }
        if (byte() % 8 != 0) {
            cca::fuzz::reseal(stream);
        }
        return stream != before;
    }

    void decode(const std::vector<Bytes>& streams, const std::vector<Bytes>& expected, bool sound) {
        cca_decode_options options{};
        options.struct_size = sizeof options;
        options.limits = limits();
        options.workers = byte() % 3U;
        options.fingerprint = kFingerprint.data();
        const bool all = byte() % 2 == 0;
        if (!all) {
            options.region = {byte(), byte(), byte(), byte()};
        }
        const bool unlimited =
            options.limits.max_tensor_bytes == 0 && options.limits.max_tiles == 0;
        const Faults wrong = faults();
        std::vector<cca_view> views;
        for (const Bytes& stream : streams) {
            views.push_back({stream.data(), stream.size()});
        }
        cca_decoder* decoder = nullptr;
        if (!calls_.ok(
                cca_decoder_create(model(exact_), views.data(), views.size(), &options, &decoder),
                {CCA_ERROR_ARGUMENT, CCA_ERROR_STREAM, CCA_ERROR_UNSUPPORTED, CCA_ERROR_LIMIT,
                 CCA_ERROR_MODEL})) {
            check(decoder == nullptr, "a failure writes nothing");
            check(!sound || !all || !unlimited, "a sound stream is accepted");
            return;
        }
        HostileHost host(input_, wrong);
        const bool done =
            drive(calls_, host,
                  [&](const cca_step** step) { return cca_decoder_next(decoder, 0, step); }) &&
            finish_others(options.workers, [&](std::uint32_t worker, const cca_step** step) {
                return cca_decoder_next(decoder, worker, step);
            });
        check(done || !sound || !unlimited || wrong.download != 0 || wrong.give_up != 0,
              "a sound stream decodes");
        for (std::size_t i = 0; i < streams.size() && done; ++i) {
            cca_picture picture{};
            check(calls_.ok(cca_decoder_picture(decoder, i, &picture), {}), "there is a picture");
            const std::size_t bytes = std::size_t{3} * picture.width * picture.height;
            const Bytes pixels(picture.pixels, picture.pixels + bytes);  // tools check the reads
            if (sound && all && wrong.download == 0 && !expected.empty()) {
                check(pixels == expected[i], "pixels are those that the encoder foretold");
            }
        }
        cca_decoder_free(decoder);
    }

    Input input_;
    Calls calls_;
    bool exact_ = true;
    std::uint32_t width_ = 1;
    std::uint32_t height_ = 1;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script(data, size).run();
    return 0;
}
