// Little-endian numbers in bytes, on a machine of either byte order.
#pragma once

#include <cstdint>
#include <vector>

namespace cca {

inline std::uint16_t load_u16(const std::uint8_t* bytes) noexcept {
    return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}

// Compilers turn this into one load where the machine allows it.
inline std::uint32_t load_u32(const std::uint8_t* bytes) noexcept {
    return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
           static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

/// Appends the `count` lowest bytes of `value`, lowest first.
inline void append_bytes(std::vector<std::uint8_t>& out, std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) {
        out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    }
}

}  // namespace cca
