#include "reseal.hpp"

#include <bit>
#include <optional>
#include <vector>

#include "format/container.hpp"
#include "format/crc32c.hpp"

namespace cca::fuzz {
namespace {

constexpr std::size_t kFlagsPosition = 5;
constexpr std::size_t kWidthPosition = 14;
constexpr std::size_t kFixedBytes = 23;
constexpr unsigned kTiledFlag = 16;
constexpr std::size_t kTilingBytes = 4;
constexpr std::size_t kFingerprintBytes = 8;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kDigestBytes = 4;
constexpr int kMaxLengthBytes = 5;

struct Section {
    std::size_t size;
    std::size_t checksum_position;
};

// The entry at `position`, which moves behind it.
std::optional<Section> take_entry(std::span<const std::uint8_t> stream, std::size_t& position) {
    std::size_t size = 0;
    for (int i = 0; i < kMaxLengthBytes && position < stream.size(); ++i) {
        const std::uint8_t byte = stream[position++];
        size |= std::size_t{byte & 0x7FU} << (7 * i);
        if (byte < 0x80) {
            const Section section{size, position};
            position += kChecksumBytes;
            return section;
        }
    }
    return std::nullopt;
}

// How many tiles the header claims, whose division into tiles is at `position`; 0 if it is none.
std::size_t count_tiles(std::span<const std::uint8_t> stream, std::size_t position) {
    if (stream.size() - position < kTilingBytes) {
        return 0;
    }
    std::size_t tiles = 1;
    for (std::size_t axis = 0; axis < 2; ++axis) {
        const std::size_t side = kWidthPosition + 2 * axis;
        const std::size_t padding = kWidthPosition + 4 + axis;
        const std::size_t pixels =
            stream[side] + 256U * stream[side + 1] + stream[padding] + stream[padding + 2];
        const std::size_t tile =
            std::size_t{kSideMultiple} * stream[position + axis] * stream[position + 2 + axis];
        tiles *= tile == 0 ? 0 : (pixels + tile - 1) / tile;
    }
    return tiles;
}

void store(std::span<std::uint8_t> stream, std::size_t position, std::uint32_t checksum) {
    for (std::size_t i = 0; i < kChecksumBytes; ++i) {
        stream[position + i] = static_cast<std::uint8_t>(checksum >> (8 * i));
    }
}

}  // namespace

void reseal(std::span<std::uint8_t> stream) {
    if (stream.size() < kFixedBytes) {
        return;
    }
    const unsigned flags = stream[kFlagsPosition];
    std::size_t position = kFixedBytes + ((flags & 1U) != 0 ? kFingerprintBytes : 0);
    std::size_t payloads = 1;
    if ((flags & kTiledFlag) != 0) {
        payloads = count_tiles(stream, position);
        position += kTilingBytes;
    }
    std::vector<Section> sections;
    const auto metadata = static_cast<std::size_t>(std::popcount(flags & 0xEU));
    for (std::size_t left = payloads + metadata; left > 0; --left) {
        const auto section = take_entry(stream, position);
        if (!section) {
            return;
        }
        sections.push_back(*section);
        if (left > metadata && (flags & 1U) == 0) {  // a payload's, in exact mode
            position += kDigestBytes;
        }
    }
    if (position + kChecksumBytes > stream.size()) {
        return;
    }
    std::size_t body = position + kChecksumBytes;
    for (const Section& section : sections) {
        if (stream.size() - body < section.size) {
            break;
        }
        store(stream, section.checksum_position, crc32c(stream.subspan(body, section.size)));
        body += section.size;
    }
    store(stream, position, crc32c(stream.first(position)));
}

}  // namespace cca::fuzz
