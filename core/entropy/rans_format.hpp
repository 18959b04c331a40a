// Constants of the payload that encoder and decoder share; docs/spec/format.md explains each.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cca {

/// A payload has one lane or this many.
inline constexpr std::size_t kLanes = 64;

/// A state x satisfies 2^16 <= x < 2^32; words have 16 bits.
inline constexpr int kWordBits = 16;
inline constexpr int kWordBytes = 2;
inline constexpr std::uint32_t kLowerBound = std::uint32_t{1} << kWordBits;

/// Where the encoder starts lane 0. The other lanes start at 2^16 + w, where w is a word that lane
/// 0 had to write anyway: so they cost one bit each instead of two bytes.
inline constexpr std::uint32_t kInitialState = kLowerBound;

/// Symbols of sparse tables that one unit codes.
inline constexpr std::size_t kBlock = 64;

/// Bits that give the length of a number, and the exponent of a state.
inline constexpr int kLengthBits = 5;
inline constexpr int kExponentBits = 4;

/// The payload's first byte.
inline constexpr std::uint8_t kManyLanesFlag = 1;
inline constexpr std::uint8_t kLongStateFlag = 2;
inline constexpr int kShortStateBytes = 3;

}  // namespace cca
