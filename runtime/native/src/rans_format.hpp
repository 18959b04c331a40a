// Constants of the payload that encoder and decoder share; docs/format.md explains each.
#pragma once

#include <cstdint>

#include "cca/tables.hpp"

namespace cca {

inline constexpr std::uint32_t kSlotMask = (1U << kPrecisionBits) - 1;

// A working state x satisfies 2^28 <= x < 2^60. With 32-bit words the lower bound costs less than
// 0.001 bit a symbol at a precision of 16 bits, and the upper one lets a state fit in 15 nibbles.
inline constexpr int kWordBits = 32;
inline constexpr int kLowerBits = 28;
inline constexpr std::uint64_t kLower = std::uint64_t{1} << kLowerBits;
inline constexpr std::uint64_t kUpper = kLower << kWordBits;

// Where the encoder starts lane 0. Decoding never raises a state, so one below this, with no word
// left to read, shows that the payload is exhausted.
inline constexpr std::uint64_t kInitialState = std::uint64_t{1} << kPrecisionBits;

// The other lanes start at 2^32 + w, where w is a word that lane 0 had to write anyway: so they
// cost one bit each instead of four bytes.
inline constexpr std::uint64_t kLaneStart = std::uint64_t{1} << kWordBits;

// A nibble is a symbol of a uniform distribution over 16.
inline constexpr int kNibbleBits = 4;
inline constexpr int kNibbleShift = kPrecisionBits - kNibbleBits;

// The distance of an escaped symbol from its table: below it 1, 3, 5, ..., above it 0, 2, 4, ...
// At most 17 bits, since symbols have 16.
inline constexpr unsigned kMaxDistanceNibbles = 5;
inline constexpr unsigned kMaxStateNibbles = 15;

// The payload's first byte: log2 of the lane count, then the bytes of lane 0's state minus one.
inline constexpr int kStateBytesShift = 2;

}  // namespace cca
