#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "format/container.hpp"
#include "sample_bundle.hpp"

using namespace cca::test;

namespace {

const Bytes kPayload{1, 2, 3, 4, 5};

cca::StreamInfo sample_info() {
    cca::StreamInfo info;
    info.width = 100;
    info.height = 50;
    info.padding = {14, 7, 14, 7};
    info.model_id = {1, 2, 3, 4, 5, 6, 7, 8};
    info.digests = {0x12345678};
    return info;
}

std::string text(cca_view bytes) {
    return {reinterpret_cast<const char*>(bytes.data), bytes.size};
}

cca::Bytes bytes_of(std::string_view text) {
    return {text.begin(), text.end()};
}

}  // namespace

TEST_CASE("a stream is parsed, and the views point into it") {
    cca::StreamInfo info = sample_info();
    info.digests.clear();
    info.fingerprint = cca::Identifier{9, 8, 7, 6, 5, 4, 3, 2};
    info.icc = bytes_of("colour");
    info.xmp = bytes_of("<x/>");
    const Bytes stream = cca::write_stream(info, kPayload);
    cca_stream_info parsed;
    REQUIRE(cca_stream_parse(view(stream), nullptr, &parsed) == CCA_OK);
    CHECK(parsed.width == 100);
    CHECK(parsed.height == 50);
    CHECK(parsed.padding.left == 14);
    CHECK(parsed.padding.bottom == 7);
    CHECK(parsed.step == 0);
    CHECK(parsed.entropy_mode == CCA_ENTROPY_NATIVE);
    CHECK(std::equal(parsed.model_id, parsed.model_id + 8, info.model_id.begin()));
    CHECK(std::equal(parsed.fingerprint, parsed.fingerprint + 8, info.fingerprint->begin()));
    CHECK(parsed.payload_count == 1);
    CHECK(parsed.tiling.columns == 0);
    CHECK(text(parsed.payload) == text(view(kPayload)));
    CHECK(text(parsed.icc) == "colour");
    CHECK(text(parsed.xmp) == "<x/>");
    CHECK(parsed.exif.data == nullptr);
    CHECK(parsed.exif.size == 0);
    CHECK(parsed.xmp.data + parsed.xmp.size == stream.data() + stream.size());
    CHECK(parsed.payload.data > stream.data());
}

TEST_CASE("a stream says how it is tiled") {
    cca::StreamInfo info = sample_info();
    info.tiling = cca::Tiling{
        .window_width = 64, .window_height = 64, .columns = 1, .rows = 1, .tile_sizes = {3, 2}};
    info.digests = {1, 2};
    const Bytes stream = cca::write_stream(info, kPayload);
    cca_stream_info parsed{};
    REQUIRE(cca_stream_parse(view(stream), nullptr, &parsed) == CCA_OK);
    CHECK(parsed.entropy_mode == CCA_ENTROPY_EXACT);
    CHECK(parsed.tiling.window_width == 64);
    CHECK(parsed.tiling.window_height == 64);
    CHECK(parsed.tiling.columns == 1);
    CHECK(parsed.tiling.rows == 1);
    CHECK(parsed.payload_count == 2);
    CHECK(text(parsed.payload) == text(view(kPayload)));
    cca_limits limits{};
    limits.max_tiles = 2;
    CHECK(cca_stream_parse(view(stream), &limits, &parsed) == CCA_OK);
    limits.max_tiles = 1;
    CHECK(cca_stream_parse(view(stream), &limits, &parsed) == CCA_ERROR_LIMIT);
}

TEST_CASE("steps have values, from the finest to the coarsest") {
    float value = 77;
    for (const auto& [step, expected] :
         {std::pair{-128, 18.0F}, {-45, 64.0F}, {0, 128.0F}, {45, 256.0F}, {127, 903.0F}}) {
        REQUIRE(cca_step_value(step, &value) == CCA_OK);
        CHECK(value == expected / 128);
    }
    for (const std::int32_t step : {-129, 128, INT32_MIN, INT32_MAX}) {
        CHECK(cca_step_value(step, &value) == CCA_ERROR_ARGUMENT);
    }
    CHECK(cca_step_value(0, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(value == 903.0F / 128);
    CHECK(cca_step_of_quality(50, nullptr) == CCA_ERROR_ARGUMENT);
}

TEST_CASE("what is wrong with a stream has a status, and the output stays as it was") {
    const Bytes stream = cca::write_stream(sample_info(), kPayload);
    cca_stream_info parsed{};
    cca_limits limits{};
    limits.max_pixels = 128 * 64;
    CHECK(cca_stream_parse(view(stream), &limits, &parsed) == CCA_OK);
    parsed.width = 77;
    --limits.max_pixels;
    CHECK(cca_stream_parse(view(stream), &limits, &parsed) == CCA_ERROR_LIMIT);
    CHECK(cca_stream_parse({stream.data(), stream.size() - 1}, nullptr, &parsed) ==
          CCA_ERROR_STREAM);
    CHECK(cca_stream_parse({nullptr, 0}, nullptr, &parsed) == CCA_ERROR_STREAM);
    CHECK(cca_stream_parse({nullptr, 5}, nullptr, &parsed) == CCA_ERROR_ARGUMENT);
    CHECK(cca_stream_parse(view(stream), nullptr, nullptr) == CCA_ERROR_ARGUMENT);
    Bytes newer = stream;
    newer[4] = 255;
    CHECK(cca_stream_parse(view(newer), nullptr, &parsed) == CCA_ERROR_UNSUPPORTED);
    CHECK(parsed.width == 77);
}
