// Pictures through the machines, with any options, hosts that err, and streams that are damaged or
// cut short.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <numeric>
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
constexpr std::uint32_t kGroups = 2;  // of the tiny bundle
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

// All of a machine's steps, which may fail as is `documented`. True if the last one was the last.
template <typename Next>
bool drive(Calls& calls, HostileHost& host, std::initializer_list<cca_status> documented,
           Next next) {
    const cca_step* step = nullptr;
    for (;;) {
        if (!calls.ok(next(&step), documented)) {
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

// PSNR of all samples, in dB.
double psnr(const Bytes& first, const Bytes& second) {
    double squares = 0;
    for (std::size_t i = 0; i < first.size(); ++i) {
        squares += std::pow(int{first[i]} - int{second[i]}, 2);
    }
    return 10 * std::log10(255.0 * 255.0 * static_cast<double>(first.size()) / squares);
}

// That a target is met, if there is one.
void check_target(const cca_encode_options& options, const Bytes& stream, const Bytes& pixels,
                  const Bytes* decoded) {
    const auto found = static_cast<double>(stream.size());
    if (options.target == CCA_TARGET_PSNR) {
        check(decoded == nullptr ||
                  std::fabs(psnr(pixels, *decoded) - options.target_value) <= 0.0501,
              "a PSNR is met within 0.05 dB");
    } else if (options.target != CCA_TARGET_NONE) {  // there are no metadata
        check(std::fabs(found - options.target_value) <= 0.01 * options.target_value,
              "a size is met within 1 %");
    }
}

// That all of a payload is some group's.
void check_group_bytes(const Bytes& stream, const std::uint64_t* bytes) {
    cca_stream_info info{};
    check(cca_stream_parse({stream.data(), stream.size()}, nullptr, &info) == CCA_OK,
          "an encoder's stream is sound");
    check(std::accumulate(bytes, bytes + kGroups + 1, std::uint64_t{0}) == info.payload.size,
          "all bytes are some group's");
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

    void choose_step(cca_encode_options& options) {
        static constexpr std::array<std::uint32_t, 8> kTargets{
            CCA_TARGET_NONE,
            CCA_TARGET_NONE,
            CCA_TARGET_NONE,
            CCA_TARGET_NONE,
            CCA_TARGET_FILE_BYTES,
            CCA_TARGET_PAYLOAD_BYTES,
            CCA_TARGET_PSNR,
            4,  // there is none
        };
        options.step = input_.number<std::int8_t>();
        options.target = kTargets[byte() % kTargets.size()];
        if (options.target != CCA_TARGET_NONE) {
            // What may be had, or any number: infinite, and none at all, too.
            options.target_value = byte() % 4 != 0
                                       ? input_.number<std::uint16_t>() / 16.0
                                       : std::bit_cast<double>(input_.number<std::uint64_t>());
        }
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
        choose_step(options);
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
                  {CCA_ERROR_BUNDLE, CCA_ERROR_LATENTS, CCA_ERROR_INEXACT, CCA_ERROR_TARGET,
                   CCA_ERROR_LIMIT},
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
            check_target(options, streams.back(), pixels,
                         options.reconstruct != 0 ? &expected.back() : nullptr);
            const std::uint64_t* bytes = nullptr;
            check(calls_.ok(cca_encoder_group_bytes(encoder, i, &bytes), {}), "and sizes");
            check_group_bytes(streams.back(), bytes);
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

    // Bytes of the first stream changed, or all of it what the input says; then cut somewhere.
    bool damage(std::vector<Bytes>& streams) {
        const bool changed = change(streams);
        cut_ = !streams.empty() && byte() % 4 == 1;
        if (cut_) {
            Bytes& stream = streams.front();
            stream.resize(input_.number<std::uint16_t>() % (stream.size() + 1));
        }
        return changed || cut_;
    }

    bool change(std::vector<Bytes>& streams) {
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
        options.preview = cut_ ? byte() % 4 != 0 : byte() % 2U;
        options.leave_out = byte() % 2 == 0 ? 0 : byte() % (kGroups + 2);
        options.skip_pixels = byte() % 4 == 1;
        const bool allowed =
            options.leave_out <= kGroups && (options.preview == 0 || streams.size() == 1);
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
            check(!sound || !all || !unlimited || !allowed, "a sound stream is accepted");
            return;
        }
        HostileHost host(input_, wrong);
        const bool done =
            drive(calls_, host,
                  {CCA_ERROR_STREAM, CCA_ERROR_BUNDLE, CCA_ERROR_INEXACT, CCA_ERROR_LIMIT},
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
            check(options.skip_pixels == 0 || pixels.empty(), "pixels are not asked for");
            if (sound && all && wrong.download == 0 && !expected.empty() &&
                options.leave_out == 0 && options.skip_pixels == 0) {
                check(pixels == expected[i], "pixels are those that the encoder foretold");
            }
            const std::uint64_t* const group_bytes = check_groups(decoder, i, options);
            if (sound && all && options.leave_out == 0) {
                check_group_bytes(streams[i], group_bytes);
            }
        }
        cca_decoder_free(decoder);
    }

    // Which groups there are: of a stream that is not cut, all that were asked for. Returns what
    // they take.
    const std::uint64_t* check_groups(const cca_decoder* decoder, std::size_t index,
                                      const cca_decode_options& options) {
        const std::int32_t* groups = nullptr;
        std::size_t count = 0;
        const std::uint64_t* bytes = nullptr;
        check(calls_.ok(cca_decoder_groups(decoder, index, &groups, &count, &bytes), {}),
              "there are groups");
        const auto wanted = static_cast<std::int32_t>(kGroups - options.leave_out);
        for (const std::int32_t found : std::vector<std::int32_t>(groups, groups + count)) {
            // What a region does not need counts as whole.
            check(found == wanted || found == std::int32_t{kGroups} ||
                      (cut_ && found >= -1 && found < wanted),
                  "groups are those that are asked for, or that are there");
        }
        return bytes;
    }

    Input input_;
    Calls calls_;
    bool exact_ = true;
    bool cut_ = false;  // the first stream
    std::uint32_t width_ = 1;
    std::uint32_t height_ = 1;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script(data, size).run();
    return 0;
}
