// CRC-32C (Castagnoli), the checksum of RFC 3720 (iSCSI), appendix B.4.
#pragma once

#include <cstdint>
#include <span>

namespace cca {

/// CRC-32C of `bytes`: reflected polynomial 0x82F63B78, initial value and final xor 0xFFFFFFFF.
std::uint32_t crc32c(std::span<const std::uint8_t> bytes) noexcept;

}  // namespace cca
