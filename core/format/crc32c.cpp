#include "format/crc32c.hpp"

#include <array>
#include <cstddef>

#include "format/little_endian.hpp"

namespace cca {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;
constexpr std::size_t kSlices = 8;

using SliceTables = std::array<std::array<std::uint32_t, 256>, kSlices>;

// tables[k][b] is the effect of byte b followed by k zero bytes: eight look-ups advance the
// checksum by eight bytes without waiting for one another ("slicing by eight").
constexpr SliceTables make_tables() {
    SliceTables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
        }
        tables[0][byte] = crc;
    }
    for (std::size_t slice = 1; slice < kSlices; ++slice) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t crc = tables[slice - 1][byte];
            tables[slice][byte] = (crc >> 8) ^ tables[0][crc & 0xFF];
        }
    }
    return tables;
}

constexpr SliceTables kTables = make_tables();

}  // namespace

std::uint32_t crc32c(std::span<const std::uint8_t> bytes) noexcept {
    std::uint32_t crc = 0xFFFFFFFF;
    while (bytes.size() >= kSlices) {
        const std::uint32_t low = crc ^ load_u32(bytes.data());
        const std::uint32_t high = load_u32(bytes.data() + 4);
        crc = kTables[7][low & 0xFF] ^ kTables[6][(low >> 8) & 0xFF] ^
              kTables[5][(low >> 16) & 0xFF] ^ kTables[4][low >> 24] ^ kTables[3][high & 0xFF] ^
              kTables[2][(high >> 8) & 0xFF] ^ kTables[1][(high >> 16) & 0xFF] ^
              kTables[0][high >> 24];
        bytes = bytes.subspan(kSlices);
    }
    for (const std::uint8_t byte : bytes) {
        crc = (crc >> 8) ^ kTables[0][(crc ^ byte) & 0xFF];
    }
    return ~crc;
}

}  // namespace cca
