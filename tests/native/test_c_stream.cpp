#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "cca/container.hpp"
#include "sample_bundle.hpp"

using namespace cca::test;

namespace {

const Bytes kPayload{1, 2, 3, 4, 5};

cca_stream_info sample_info() {
    cca_stream_info info{};
    info.width = 100;
    info.height = 50;
    info.padding = {14, 7, 14, 7};
    std::memcpy(info.model_id, "\1\2\3\4\5\6\7\10", CCA_IDENTIFIER_BYTES);
    info.payload = view(kPayload);
    return info;
}

OwnedBytes write(const cca_stream_info& info) {
    cca_bytes* stream = nullptr;
    REQUIRE(cca_stream_write(&info, &stream) == CCA_OK);
    return OwnedBytes(stream);
}

std::string text(cca_view bytes) {
    return {reinterpret_cast<const char*>(bytes.data), bytes.size};
}

void refused(cca_stream_info info, const char* why) {
    cca_bytes* stream = nullptr;
    CHECK(cca_stream_write(&info, &stream) == CCA_ERROR_ARGUMENT);
    CHECK(std::string(cca_last_error()).find(why) != std::string::npos);
    CHECK(stream == nullptr);
}

}  // namespace

TEST_CASE("a stream is written and parsed, and the views point into it") {
    cca_stream_info info = sample_info();
    info.entropy_mode = CCA_ENTROPY_NATIVE;
    std::memcpy(info.fingerprint, "engine 1", CCA_IDENTIFIER_BYTES);
    info.icc = view("colour");
    info.xmp = view("<x/>");
    const OwnedBytes stream = write(info);
    const cca_view bytes = cca_bytes_view(stream.get());

    cca_stream_info parsed;
    REQUIRE(cca_stream_parse(bytes, 0, &parsed) == CCA_OK);
    CHECK(parsed.width == 100);
    CHECK(parsed.height == 50);
    CHECK(parsed.padding.left == 14);
    CHECK(parsed.padding.bottom == 7);
    CHECK(parsed.entropy_mode == CCA_ENTROPY_NATIVE);
    CHECK(std::equal(parsed.model_id, parsed.model_id + 8, info.model_id));
    CHECK(std::equal(parsed.fingerprint, parsed.fingerprint + 8, info.fingerprint));
    CHECK(text(parsed.payload) == text(info.payload));
    CHECK(text(parsed.icc) == "colour");
    CHECK(text(parsed.xmp) == "<x/>");
    CHECK(parsed.exif.data == nullptr);
    CHECK(parsed.exif.size == 0);
    CHECK(parsed.xmp.data + parsed.xmp.size == bytes.data + bytes.size);
    CHECK(parsed.payload.data > bytes.data);

    // What was parsed can be written again, to the same bytes.
    CHECK(text(cca_bytes_view(write(parsed).get())) == text(bytes));
}

TEST_CASE("the C API writes what the core writes") {
    const OwnedBytes stream = write(sample_info());
    cca::StreamInfo info;
    info.width = 100;
    info.height = 50;
    info.padding = {14, 7, 14, 7};
    info.model_id = {1, 2, 3, 4, 5, 6, 7, 8};
    const cca::Bytes expected = cca::write_stream(info, kPayload);
    const cca_view bytes = cca_bytes_view(stream.get());
    CHECK(Bytes(bytes.data, bytes.data + bytes.size) == expected);
    // In exact mode the fingerprint is not read.
    cca_stream_info other = sample_info();
    other.fingerprint[3] = 9;
    CHECK(text(cca_bytes_view(write(other).get())) == text(bytes));
}

TEST_CASE("fields beyond their limits are not written") {
    const auto with = [](auto change) {
        cca_stream_info info = sample_info();
        change(info);
        return info;
    };
    refused(with([](auto& i) { i.width = 0; }), "width 0 is not in 1..65535");
    refused(with([](auto& i) { i.height = 65'536; }), "height 65536");
    refused(with([](auto& i) { i.padding.left = 15; }), "is not a multiple of 64");
    refused(with([](auto& i) { i.entropy_mode = 2; }), "entropy_mode 2");
    refused(with([](auto& i) { i.payload = {nullptr, 5}; }), "payload is null");
    refused(with([](auto& i) { i.icc = {nullptr, 1}; }), "icc is null");
    refused(with([](auto& i) { i.payload.size = SIZE_MAX; }), "payload: more than memory can hold");
    const Bytes large((std::size_t{1} << 24) + 1);
    refused(with([&](auto& i) { i.exif = view(large); }), "exif has more than 16777216 bytes");
    cca_bytes* stream = nullptr;
    CHECK(cca_stream_write(nullptr, &stream) == CCA_ERROR_ARGUMENT);
    const cca_stream_info info = sample_info();
    CHECK(cca_stream_write(&info, nullptr) == CCA_ERROR_ARGUMENT);
}

TEST_CASE("tiles are written, told and written again") {
    cca_stream_info info = sample_info();
    info.tiling = {64, 64, 1, 1};
    std::size_t count = 0;
    REQUIRE(cca_stream_tile_count(&info, &count) == CCA_OK);
    REQUIRE(count == 2);
    const Bytes first{1, 2, 3};
    const Bytes second{4};
    const std::array payloads{view(first), view(second)};
    cca_bytes* made = nullptr;
    REQUIRE(cca_stream_write_tiles(&info, payloads.data(), 2, &made) == CCA_OK);
    const OwnedBytes stream(made);
    cca_stream_info parsed{};
    REQUIRE(cca_stream_parse(cca_bytes_view(made), 0, &parsed) == CCA_OK);
    CHECK(parsed.tiling.window_width == 64);
    CHECK(parsed.tiling.columns == 1);
    std::array<cca_tile, 2> tiles{};
    CHECK(cca_stream_tiles(&parsed, tiles.data(), 3) == CCA_ERROR_ARGUMENT);
    CHECK(cca_stream_tiles(&parsed, nullptr, 2) == CCA_ERROR_ARGUMENT);
    REQUIRE(cca_stream_tiles(&parsed, tiles.data(), 2) == CCA_OK);
    CHECK(tiles[0].left == 0);
    CHECK(tiles[1].left == 64);
    CHECK(tiles[1].top == 0);
    CHECK(tiles[1].width == 64);
    CHECK(tiles[1].height == 64);
    CHECK(text(tiles[0].payload) == text(view(first)));
    CHECK(text(tiles[1].payload) == text(view(second)));
    CHECK(text(cca_bytes_view(write(parsed).get())) == text(cca_bytes_view(made)));

    made = nullptr;
    CHECK(cca_stream_write_tiles(&info, payloads.data(), 1, &made) == CCA_ERROR_ARGUMENT);
    CHECK(cca_stream_write_tiles(&info, nullptr, 2, &made) == CCA_ERROR_ARGUMENT);
    CHECK(made == nullptr);
    refused(info, "sizes of 0 tiles: the picture has 2");  // a payload, but not which is whose
    info.tiling.rows = 0;
    refused(info, "a tiling has no zero, or nothing else");
    info.tiling.rows = 256;
    refused(info, "rows 256 is more than 255");
    parsed.payload.size -= 2;
    CHECK(cca_stream_tiles(&parsed, tiles.data(), 2) == CCA_ERROR_ARGUMENT);
    parsed.tile_table.size -= 1;
    CHECK(cca_stream_tiles(&parsed, tiles.data(), 2) == CCA_ERROR_ARGUMENT);
}

TEST_CASE("a picture that is coded as a whole is one tile") {
    const cca_stream_info info = sample_info();
    std::size_t count = 0;
    REQUIRE(cca_stream_tile_count(&info, &count) == CCA_OK);
    REQUIRE(count == 1);
    cca_tile tile{};
    REQUIRE(cca_stream_tiles(&info, &tile, 1) == CCA_OK);
    CHECK(tile.width == 128);
    CHECK(tile.height == 64);
    CHECK(tile.payload.data == info.payload.data);
    CHECK(tile.payload.size == info.payload.size);
}

TEST_CASE("what is wrong with a stream has a status, and the output stays as it was") {
    const OwnedBytes stream = write(sample_info());
    const cca_view bytes = cca_bytes_view(stream.get());
    cca_stream_info parsed{};
    parsed.width = 77;
    CHECK(cca_stream_parse(bytes, 128 * 64, &parsed) == CCA_OK);
    parsed.width = 77;
    CHECK(cca_stream_parse(bytes, 128 * 64 - 1, &parsed) == CCA_ERROR_LIMIT);
    CHECK(cca_stream_parse({bytes.data, bytes.size - 1}, 0, &parsed) == CCA_ERROR_STREAM);
    CHECK(cca_stream_parse({nullptr, 0}, 0, &parsed) == CCA_ERROR_STREAM);
    CHECK(cca_stream_parse({nullptr, 5}, 0, &parsed) == CCA_ERROR_ARGUMENT);
    CHECK(cca_stream_parse(bytes, 0, nullptr) == CCA_ERROR_ARGUMENT);
    Bytes newer(bytes.data, bytes.data + bytes.size);
    newer[4] = 255;
    CHECK(cca_stream_parse(view(newer), 0, &parsed) == CCA_ERROR_UNSUPPORTED);
    CHECK(parsed.width == 77);
}

TEST_CASE("the padding that our encoder chooses") {
    cca_padding padding{};
    CHECK(cca_choose_padding(100, 50, &padding) == CCA_OK);
    CHECK(padding.left == 14);
    CHECK(padding.top == 7);
    CHECK(padding.right == 14);
    CHECK(padding.bottom == 7);
    CHECK(cca_choose_padding(0, 50, &padding) == CCA_ERROR_ARGUMENT);
    CHECK(cca_choose_padding(100, 65'536, &padding) == CCA_ERROR_ARGUMENT);
    CHECK(cca_choose_padding(100, 50, nullptr) == CCA_ERROR_ARGUMENT);
}
