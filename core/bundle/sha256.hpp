// SHA-256, by which a bundle's manifest names its files.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace cca {

using Sha256 = std::array<std::uint8_t, 32>;

/// SHA-256 of `bytes` (FIPS 180-4).
Sha256 sha256(std::span<const std::uint8_t> bytes) noexcept;

/// `bytes` as lower-case hexadecimal digits.
std::string to_hex(std::span<const std::uint8_t> bytes);

}  // namespace cca
