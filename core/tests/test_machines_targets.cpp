// Targets of the encoder, and the bytes of groups.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "codec/part_coders.hpp"
#include "reference_codec.hpp"

using namespace cca::test;

namespace {

cca_encode_options aim(cca_target target, double value, std::uint32_t tile_side = CCA_TILE_NONE) {
    cca_encode_options options = encode_options();
    options.target = target;
    options.target_value = value;
    options.tile_side = tile_side;
    return options;
}

cca_stream_info info_of(const Bytes& stream) {
    cca_stream_info info{};
    succeed(cca_stream_parse(view(stream), nullptr, &info));
    return info;
}

Bytes at_step(const Codec& codec, const Picture& picture, int step, std::uint32_t tile_side) {
    cca_encode_options options = encode_options();
    options.step = step;
    options.tile_side = tile_side;
    return codec.encode({picture}, options).streams.front();
}

std::vector<std::uint64_t> group_bytes(const cca_encoder* encoder) {
    const std::uint64_t* bytes = nullptr;
    succeed(cca_encoder_group_bytes(encoder, 0, &bytes));
    return {bytes, bytes + 3};
}

}  // namespace

TEST_CASE("a target gives the stream of some step, and analyses a picture once") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(1'024, 768);
    for (const std::uint32_t tile_side : {CCA_TILE_NONE, 512U}) {
        for (const int step : {-60, 3, 40}) {
            const auto size = static_cast<double>(at_step(codec, picture, step, tile_side).size());
            for (const std::uint32_t workers : {1U, 3U}) {
                cca_encode_options options = aim(CCA_TARGET_FILE_BYTES, size, tile_side);
                options.workers = workers;
                const Encoded encoded = codec.encode({picture}, options);
                const Bytes& stream = encoded.streams.front();
                CHECK(std::fabs(static_cast<double>(stream.size()) - size) <= 0.01 * size);
                CHECK(stream == at_step(codec, picture, info_of(stream).step, tile_side));
                std::size_t analyses = 0;
                for (const FakeHost& host : encoded.hosts) {
                    analyses += static_cast<std::size_t>(
                        std::ranges::count(host.runs, std::string("analysis")));
                    CHECK(std::ranges::count(host.runs, std::string("synthesis")) == 0);
                }
                CHECK(analyses == (tile_side == CCA_TILE_NONE ? 1 : 4));
            }
        }
    }
}

TEST_CASE("sizes with and without metadata are two targets") {
    const Codec codec(sample_family());
    Picture picture = make_picture(1'024, 768);
    const Bytes bare = at_step(codec, picture, 0, CCA_TILE_NONE);
    picture.icc = Bytes(3'000, 7);
    const Bytes stream = at_step(codec, picture, 0, CCA_TILE_NONE);
    const auto size_for = [&](cca_target target, double value) {
        return codec.encode({picture}, aim(target, value)).streams.front();
    };
    CHECK(size_for(CCA_TARGET_FILE_BYTES, static_cast<double>(stream.size())) == stream);
    const Bytes without = size_for(CCA_TARGET_PAYLOAD_BYTES, static_cast<double>(bare.size() + 9));
    CHECK(without == stream);
}

TEST_CASE("a PSNR is that of what the decoder shows") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(100, 70);
    const auto psnr = [&](const std::vector<std::uint8_t>& pixels) {
        double sum = 0;
        for (std::size_t i = 0; i < pixels.size(); ++i) {
            sum += std::pow(int{picture.pixels[i]} - int{pixels[i]}, 2);
        }
        return 10 * std::log10(255.0 * 255.0 * double(pixels.size()) / sum);
    };
    for (const std::uint32_t tile_side : {CCA_TILE_NONE, 64U}) {
        // The toy's pictures are noise, whatever the step: only what a step gives can be met.
        const Bytes plain = at_step(codec, picture, 0, tile_side);
        const double wanted = psnr(codec.decode({plain}).pictures.front().pixels);
        cca_encode_options options = aim(CCA_TARGET_PSNR, wanted, tile_side);
        const Encoded silent = codec.encode({picture}, options);
        CHECK(silent.streams.front() == plain);
        CHECK(silent.reconstructions.empty());
        options.reconstruct = 1;
        const Encoded shown = codec.encode({picture}, options);
        CHECK(psnr(shown.reconstructions.front()) == doctest::Approx(wanted));
        CHECK(std::ranges::count(shown.hosts.front().runs, std::string("synthesis")) ==
              std::ranges::count(silent.hosts.front().runs, std::string("synthesis")));
    }
}

TEST_CASE("the pixels of a target's stream are those of its step") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(1'024, 768);
    for (const std::uint32_t tile_side : {CCA_TILE_NONE, 512U}) {
        const auto size = static_cast<double>(at_step(codec, picture, 21, tile_side).size());
        cca_encode_options options = aim(CCA_TARGET_FILE_BYTES, size, tile_side);
        options.reconstruct = 1;
        const Encoded encoded = codec.encode({picture}, options);
        const Bytes& stream = encoded.streams.front();
        CHECK(codec.decode({stream}).pictures.front().pixels == encoded.reconstructions.front());
        CHECK(reference_codec(codec, picture, stream).picture.pixels ==
              encoded.reconstructions.front());
    }
}

TEST_CASE("targets that cannot be met, or are none, are refused") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(64, 64);
    const auto status = [&](const std::vector<Picture>& pictures, cca_encode_options options) {
        try {
            codec.encode(pictures, options);
            return CCA_OK;
        } catch (const Failure& failure) {
            return failure.status();
        }
    };
    CHECK(status({picture}, aim(CCA_TARGET_FILE_BYTES, 50)) == CCA_ERROR_TARGET);
    CHECK(std::string(cca_last_error()).starts_with("the target of 50 bytes cannot be met"));
    CHECK(status({picture}, aim(CCA_TARGET_FILE_BYTES, 1e9)) == CCA_ERROR_TARGET);
    CHECK(status({picture}, aim(CCA_TARGET_PSNR, 90)) == CCA_ERROR_TARGET);
    CHECK(status({picture}, aim(CCA_TARGET_FILE_BYTES, 0)) == CCA_ERROR_ARGUMENT);
    CHECK(status({picture}, aim(CCA_TARGET_PSNR, NAN)) == CCA_ERROR_ARGUMENT);
    CHECK(status({picture, picture}, aim(CCA_TARGET_FILE_BYTES, 500)) == CCA_ERROR_ARGUMENT);
    CHECK(status({picture}, aim(static_cast<cca_target>(4), 500)) == CCA_ERROR_ARGUMENT);
}

TEST_CASE("the bytes of groups are those that a decoder reads, and all there are") {
    for (const ToyFamily& family : {sample_family(), checkerboard_family()}) {
        const Codec codec(family);
        // Payloads of one lane, and of many.
        for (const std::uint32_t side : {64U, 200U, 1'536U}) {
            for (const std::uint32_t tile_side : {CCA_TILE_NONE, 64U * (side / 128 + 1)}) {
                const std::vector<Picture> pictures{make_picture(side, side)};
                cca_encode_options options = encode_options();
                options.tile_side = tile_side;
                options.step = -100;
                const OwnedEncoderMachine encoder = codec.encoder(pictures, options);
                drive(family, 1, [&](std::uint32_t worker, const cca_step** step) {
                    return cca_encoder_next(encoder.get(), worker, step);
                });
                cca_view stream{};
                succeed(cca_encoder_stream(encoder.get(), 0, &stream));
                const std::vector<Bytes> streams{{stream.data, stream.data + stream.size}};
                const auto written = group_bytes(encoder.get());
                CHECK(std::accumulate(written.begin(), written.end(), std::uint64_t{0}) ==
                      info_of(streams.front()).payload.size);
                cca_decode_options symbols_only = decode_options();
                symbols_only.skip_pixels = 1;
                const OwnedDecoderMachine decoder = codec.decoder(streams, symbols_only);
                const auto hosts =
                    drive(family, 1, [&](std::uint32_t worker, const cca_step** step) {
                        return cca_decoder_next(decoder.get(), worker, step);
                    });
                CHECK(std::ranges::count(hosts.front().runs, std::string("synthesis")) == 0);
                const std::int32_t* groups = nullptr;
                std::size_t payloads = 0;
                const std::uint64_t* read = nullptr;
                succeed(cca_decoder_groups(decoder.get(), 0, &groups, &payloads, &read));
                CHECK(std::vector<std::uint64_t>(read, read + 3) == written);
                CHECK(groups[0] == 2);
            }
        }
    }
}
