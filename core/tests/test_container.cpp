#include "format/container.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "format/crc32c.hpp"
#include "format/error.hpp"
#include "format/little_endian.hpp"

using namespace cca;

namespace {

// CRC-32C bit by bit, as docs/spec/format.md describes it.
std::uint32_t slow_crc32c(BytesView bytes) {
    std::uint32_t crc = 0xFFFFFFFF;
    for (const std::uint8_t byte : bytes) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
        }
    }
    return ~crc;
}

Bytes bytes_of(std::string_view text) {
    return {text.begin(), text.end()};
}

StreamInfo sample_info() {
    StreamInfo info;
    info.width = 100;
    info.height = 50;
    info.padding = {14, 7, 14, 7};
    info.model_id = {1, 2, 3, 4, 5, 6, 7, 8};
    info.digests = {0x04030201};
    return info;
}

StreamInfo full_info() {
    StreamInfo info = sample_info();
    info.digests.clear();
    info.fingerprint = Identifier{9, 9, 9, 9, 9, 9, 9, 9};
    info.icc = bytes_of("colour");
    info.exif = Bytes(200, 7);
    info.xmp = bytes_of("<x/>");
    return info;
}

const Bytes kPayload = bytes_of("payload");

// Three windows by five, two by two in a tile.
StreamInfo tiled_info() {
    StreamInfo info = sample_info();
    info.width = 164;
    info.height = 306;
    info.tiling =
        Tiling{.window_width = 64, .window_height = 64, .columns = 2, .rows = 2, .tile_sizes = {}};
    info.tiling->tile_sizes = {1, 2, 0, 2, 1, 1};
    info.digests = {1, 2, 3, 4, 5, 6};
    return info;
}

constexpr std::size_t kVersionByte = 4;
constexpr std::size_t kFlagsByte = 5;
constexpr std::size_t kStepByte = 22;
constexpr std::size_t kHeaderBytes = 32;  // magic to payload entry, of a payload below 128 bytes

// Makes the header's checksum fit again, as a forger would.
Bytes resealed(Bytes stream, std::size_t header_bytes = kHeaderBytes) {
    const std::uint32_t crc = slow_crc32c(std::span(stream).first(header_bytes));
    for (int i = 0; i < 4; ++i) {
        stream.at(header_bytes + static_cast<std::size_t>(i)) =
            static_cast<std::uint8_t>(crc >> (8 * i));
    }
    return stream;
}

void refused(const Bytes& stream, const char* why) {
    CHECK_THROWS_WITH_AS(parse_stream(stream), doctest::Contains(why), StreamError);
}

}  // namespace

TEST_CASE("CRC-32C of the document's example and of every length") {
    CHECK(crc32c(bytes_of("123456789")) == 0xE3069283);
    Bytes bytes;
    for (int i = 0; i < 100; ++i) {
        CHECK(crc32c(bytes) == slow_crc32c(bytes));
        bytes.push_back(static_cast<std::uint8_t>(i * 41));
    }
}

TEST_CASE("a header is where the document says") {
    const Bytes stream = write_stream(sample_info(), kPayload);
    Bytes expected{0x89, 'C', 'C', 'A', stream.at(kVersionByte), 0};
    expected.insert(expected.end(), {1, 2, 3, 4, 5, 6, 7, 8, 100, 0, 50, 0, 14, 7, 14, 7, 0, 7});
    append_bytes(expected, slow_crc32c(kPayload), 4);
    expected.insert(expected.end(), {1, 2, 3, 4});
    append_bytes(expected, slow_crc32c(expected), 4);
    expected.insert(expected.end(), kPayload.begin(), kPayload.end());
    CHECK(stream == expected);
}

TEST_CASE("what is written is read") {
    for (const StreamInfo& info : {sample_info(), full_info()}) {
        const Bytes stream = write_stream(info, kPayload);
        const ParsedStream parsed = parse_stream(stream);
        CHECK(parsed.info == info);
        CHECK(Bytes(parsed.payload.begin(), parsed.payload.end()) == kPayload);
        CHECK(parsed.payload.data() >= stream.data());
    }
    CHECK(parse_stream(write_stream(sample_info(), {})).payload.empty());
}

TEST_CASE("no truncation and no changed bit goes unnoticed") {
    const Bytes stream = write_stream(full_info(), kPayload);
    for (std::size_t size = 0; size < stream.size(); ++size) {
        CHECK_THROWS_AS(parse_stream(std::span(stream).first(size)), StreamError);
    }
    for (std::size_t bit = 0; bit < 8 * stream.size(); ++bit) {
        Bytes changed = stream;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        CHECK_THROWS_AS(parse_stream(changed), StreamError);
    }
}

TEST_CASE("what is wrong with a stream is said") {
    const Bytes stream = write_stream(sample_info(), kPayload);
    const auto with = [&](std::size_t position, std::uint8_t value) {
        Bytes changed = stream;
        changed.at(position) = value;
        return resealed(changed);
    };
    refused({}, "it is empty");
    refused(bytes_of("PNG"), "does not begin with");
    refused(with(14, 101), "width 101 with padding 14 + 14 is not a multiple of 64");
    refused(with(16, 51), "height 51 with padding 7 + 7 is not a multiple of 64");
    refused(with(14, 0), "width is 0");
    CHECK_THROWS_AS(parse_stream(with(kVersionByte, 255)), UnsupportedStreamError);
    CHECK_THROWS_AS(parse_stream(with(kFlagsByte, 32)), UnsupportedStreamError);
    CHECK(parse_stream(with(kStepByte, 0xFF)).info.step == -1);
    refused(with(23, 8), "truncated: the payload has");
    Bytes trailing = stream;
    trailing.push_back(0);
    refused(trailing, "trailing bytes");
    // Section lengths that are not canonical: a last byte of 0, and one beyond 32 bits.
    for (const Bytes& length : {Bytes{0x87, 0x00}, Bytes{0x80, 0x80, 0x80, 0x80, 0x10},
                                Bytes{0x80, 0x80, 0x80, 0x80, 0x80, 0x01}}) {
        Bytes changed = stream;
        changed.erase(changed.begin() + 23);
        changed.insert(changed.begin() + 23, length.begin(), length.end());
        refused(changed, "invalid section length");
    }
}

TEST_CASE("metadata sections have one byte at least") {
    StreamInfo info = sample_info();
    info.xmp = bytes_of("x");
    Bytes stream = write_stream(info, {});
    // The second entry of the section table, after the payload's nine bytes.
    stream.at(32) = 0;
    stream.pop_back();
    refused(resealed(stream, 37), "XMP metadata must have 1 to 16777216 bytes");
}

TEST_CASE("tiles are told apart, and a damaged one is named") {
    StreamInfo info = tiled_info();
    CHECK(tile_grid(info).columns == 2);
    CHECK(tile_grid(info).rows == 3);
    Bytes stream = write_stream(info, kPayload);
    const ParsedStream parsed = parse_stream(stream);
    CHECK(parsed.info == info);
    CHECK(Bytes(parsed.payload.begin(), parsed.payload.end()) == kPayload);
    stream.at(stream.size() - 3) ^= 1;  // of the two bytes of the fourth tile
    refused(stream, "tile in column 1, row 1 checksum mismatch");
    stream.resize(stream.size() - 1);
    refused(stream, "tile in column 1, row 1 checksum");
    for (std::size_t size = 0; size < stream.size(); ++size) {
        CHECK_THROWS_AS(parse_stream(BytesView(stream).first(size)), StreamError);
    }
}

TEST_CASE("of a stream that is cut, all that is there is read") {
    StreamInfo info = tiled_info();
    info.icc = Bytes{1, 2, 3};
    info.xmp = Bytes{4, 5};
    const Bytes stream = write_stream(info, kPayload);
    const std::size_t header = stream.size() - kPayload.size() - 5;
    for (std::size_t size = 0; size <= stream.size(); ++size) {
        CAPTURE(size);
        const BytesView there = BytesView(stream).first(size);
        if (size < header) {
            CHECK_THROWS_AS(parse_start(there), StreamError);
            continue;
        }
        const ParsedStream start = parse_start(there);
        CHECK(start.missing == stream.size() - size);
        CHECK(start.payload_size == kPayload.size());
        CHECK(start.payload.size() == std::min(size - header, kPayload.size()));
        CHECK(start.info.tiling == info.tiling);
        CHECK(start.info.icc.has_value() == (size >= stream.size() - 2));
        CHECK(start.info.xmp.has_value() == (size == stream.size()));
    }
}

TEST_CASE("tiles that are not there may not claim 2^32 bytes together") {
    Bytes stream = write_stream(tiled_info(), kPayload);
    const Bytes most{0xF9, 0xFF, 0xFF, 0xFF, 0x0F};  // 2^32 - 7; the others have 6
    constexpr std::size_t entry = 9;
    const auto claim = [&](std::size_t position) {
        const auto at = stream.begin() + static_cast<std::ptrdiff_t>(position);
        stream.insert(stream.erase(at), most.begin(), most.end());
    };
    claim(27);
    const std::size_t header = 27 + 6 * entry + 4;
    Bytes one = resealed(stream, header);
    one.resize(header + 4);
    CHECK(parse_start(one).payload_size == UINT32_MAX);
    claim(27 + entry + 4);
    Bytes two = resealed(stream, header + 4);
    two.resize(header + 8);
    CHECK_THROWS_WITH_AS(parse_start(two), doctest::Contains("2^32 bytes or more"), StreamError);
}

TEST_CASE("a division that makes no sense is refused") {
    const Bytes stream = write_stream(tiled_info(), kPayload);
    constexpr std::size_t at = 23;
    const auto with = [&](std::size_t position, std::uint8_t value, std::size_t entries) {
        Bytes changed = stream;
        changed.at(position) = value;
        return resealed(changed, at + 4 + 9 * entries);
    };
    for (std::size_t field = 0; field < 4; ++field) {
        refused(with(at + field, 0, 6), "a tile or a window has no size");
    }
    refused(with(at + 2, 5, 3), "5 windows along a tile's width: the picture has 3");
    refused(with(at + 3, 6, 2), "6 windows along a tile's height: the picture has 5");
    // A header of few bytes may claim a million tiles.
    Bytes claim = with(at + 2, 1, 6);
    for (const std::size_t side : {14, 16}) {
        claim.at(side) = claim.at(side + 1) = 0xFF;
    }
    refused(claim, "truncated: the header ends");
}

TEST_CASE("a division that a stream cannot carry is not written") {
    const auto refuse = [](auto change, const char* why) {
        StreamInfo info = tiled_info();
        change(*info.tiling);
        CHECK_THROWS_WITH_AS(write_stream(info, kPayload), doctest::Contains(why),
                             std::invalid_argument);
    };
    refuse([](Tiling& t) { t.window_width = 65; }, "window width 65 is not a multiple of 64");
    refuse([](Tiling& t) { t.window_height = 0; }, "window height 0");
    refuse([](Tiling& t) { t.window_width = 16'384; }, "window width 16384");
    refuse([](Tiling& t) { t.columns = 4; }, "4 windows along a tile's width");
    refuse([](Tiling& t) { t.rows = 0; }, "0 windows along a tile's height");
    refuse([](Tiling& t) { t = {192, 320, 1, 1, {7}}; }, "a picture in one window is not tiled");
    refuse([](Tiling& t) { t.tile_sizes.pop_back(); }, "sizes of 5 tiles: the picture has 6");
    refuse([](Tiling& t) { t.tile_sizes[1] = 9; }, "more bytes than the payload");
    refuse([](Tiling& t) { t.tile_sizes[1] = 0; }, "more bytes than the tiles");
}

TEST_CASE("what a stream cannot carry is not written") {
    const auto refuse = [](auto change, const char* why, Bytes payload = {}) {
        StreamInfo info = sample_info();
        change(info);
        CHECK_THROWS_WITH_AS(write_stream(info, payload), doctest::Contains(why),
                             std::invalid_argument);
    };
    refuse([](StreamInfo& i) { i.width = 0; }, "width is 0");
    refuse([](StreamInfo& i) { i.padding.top = 8; }, "height 50 with padding 8 + 7");
    refuse([](StreamInfo& i) { i.digests.clear(); }, "0 digests: the stream takes 1");
    refuse([](StreamInfo& i) { i.fingerprint.emplace(); }, "1 digests: the stream takes 0");
    refuse([](StreamInfo& i) { i.icc = Bytes(); }, "ICC metadata of 0 bytes");
    refuse([](StreamInfo& i) { i.exif = Bytes(kMaxMetadata + 1); }, "EXIF metadata of 16777217");
}

TEST_CASE("a picture beyond the limit is refused, and one at it is not") {
    const Bytes stream = write_stream(sample_info(), kPayload);  // 128 x 64 with padding
    CHECK_NOTHROW(parse_stream(stream, {.max_pixels = 128 * 64}));
    CHECK_THROWS_AS(parse_stream(stream, {.max_pixels = 128 * 64 - 1}), LimitError);
    StreamInfo huge = sample_info();
    huge.width = huge.height = 65'535;
    huge.padding = {0, 0, 1, 1};
    CHECK_THROWS_AS(parse_stream(write_stream(huge, kPayload)), LimitError);
}
