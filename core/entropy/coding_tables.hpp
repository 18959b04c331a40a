// The tables as the coder uses them: docs/spec/format.md, "Coding tables".
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "entropy/tables.hpp"

namespace cca {

/// The first step of a symbol takes its state modulo 2^precision, 12 <= precision <= 16.
inline constexpr int kMinPrecision = 12;
inline constexpr int kMaxPrecision = 16;

/// The slots that are not the mode's are fewer than this in every table.
inline constexpr std::uint32_t kMaxRareSlots = 4096;

/// The step of a far symbol takes its state modulo 2^12.
inline constexpr int kFarPrecision = 12;
inline constexpr std::uint32_t kFarSlots = 1U << kFarPrecision;

/// The neighbours of the mode are *near* if their frequencies differ by at most this part of the
/// greater one.
inline constexpr std::uint32_t kNearTolerance = 16;

/// The farthest bins from the mode that have an interval.
inline constexpr int kFirstBin = -96;
inline constexpr int kLastBin = 95;

/// A sparse table's mode has all but this many of the 65,536 slots, or more.
inline constexpr std::uint32_t kMaxSparseSlots = 64;
/// Only leading tables are sparse, and at most so many: a vector register holds a byte of each.
inline constexpr std::size_t kMaxSparseTables = 16;

/// Stands among bins for a symbol that has none, and between the steps of a far one.
inline constexpr std::int8_t kEscape = -128;
inline constexpr std::int8_t kFar = -128;

/// A step of the coder: take the slots [start, start + frequency) of 2^precision.
struct Interval {
    std::uint16_t start;
    std::uint16_t frequency;
};

/// One table. A *bin* is a run of 2^low_bits values; it is named by its distance from the mode,
/// the most frequent bin. The slots are the mode's, then bin -1's and bin 1's if these are near,
/// then those of all others, which are *far*.
struct CodingTable {
    std::int32_t mode;          ///< lowest value of the mode's bin
    std::uint32_t mode_slots;   ///< at least 1
    std::uint32_t near;         ///< slots of bin -1 and of bin 1, or 0
    std::uint32_t far_slots;    ///< at least 1
    std::size_t far_intervals;  ///< number in CodingTables::far_intervals of first_bin's
    std::uint8_t precision;
    std::uint8_t low_bits;
    std::int8_t first_bin;  ///< what is not in bins first_bin .. last_bin is escaped
    std::int8_t last_bin;

    /// Whether a bin, or kEscape, is far.
    bool is_far(std::int32_t bin) const { return near > 0 ? bin < -1 || bin > 1 : bin != 0; }

    /// The interval of a bin's first step.
    Interval first_interval(std::int32_t bin) const {
        if (bin == 0) {
            return {0, static_cast<std::uint16_t>(mode_slots)};
        }
        return is_far(bin) ? Interval{static_cast<std::uint16_t>(mode_slots + 2 * near),
                                      static_cast<std::uint16_t>(far_slots)}
                           : Interval{static_cast<std::uint16_t>(mode_slots + (bin > 0 ? near : 0)),
                                      static_cast<std::uint16_t>(near)};
    }
};

/// What a far symbol's slot says: its bin, the frequency of that, and the slot's place in it.
struct FarSlot {
    static constexpr int kPlaceShift = 12;
    static constexpr int kBinShift = 24;
    static constexpr std::uint32_t kMask = kFarSlots - 1;

    static std::uint32_t pack(std::int8_t bin, std::uint32_t frequency, std::uint32_t place) {
        return (frequency - 1) | place << kPlaceShift |
               static_cast<std::uint32_t>(static_cast<std::uint8_t>(bin)) << kBinShift;
    }
    static std::int8_t bin(std::uint32_t slot) {
        return static_cast<std::int8_t>(slot >> kBinShift);
    }
    static std::uint32_t frequency(std::uint32_t slot) { return (slot & kMask) + 1; }
    static std::uint32_t place(std::uint32_t slot) { return slot >> kPlaceShift & kMask; }
};

/// A table's first step in 32 bits: mode_slots 16 | precision - 12, 3 | near 13.
struct PackedTable {
    static constexpr std::uint32_t kModeMask = 0xFFFF;
    static constexpr int kPrecisionShift = 16;
    static constexpr std::uint32_t kPrecisionMask = 7;
    static constexpr int kNearShift = 19;
};

/// A first step as it is looked up by table and kind of symbol. The kinds are in the order of the
/// slots. Bins -1 and 1 that are not near are of the kind kFarKind.
struct FirstStep {
    static constexpr std::size_t kKinds = 4;
    enum Kind : std::uint8_t { kModeKind, kBelowKind, kAboveKind, kFarKind };

    /// The kinds of the bins -1, 0, 1 and any other: first where bins -1 and 1 are near, then from
    /// kNotNear on where they are not.
    static constexpr std::uint8_t kNotNear = 4;
    alignas(16) static constexpr std::uint8_t kKindRows[16] = {
        kBelowKind, kModeKind, kAboveKind, kFarKind, kFarKind, kModeKind, kFarKind, kFarKind};

    Interval interval;
    std::uint8_t precision;
    std::int8_t bin;  ///< or kFar
};

/// (1 - 2^-21) / frequency stands for the inverse where a quotient below 2^20 is estimated: the
/// factor makes up for the roundings, at most 2^-22 in all, so that the estimate is never above the
/// quotient, and at most one below it.
inline constexpr float kInverseFactor = 1.0F - 0x1p-21F;

/// A first step as encoders with vectors look it up, like a FirstStep.
struct EncoderStep {
    static constexpr std::uint32_t kInverseMask = 0x0FFF'FFFF;
    static constexpr std::uint32_t kInverseTop = 0x3000'0000;
    static constexpr int kPrecisionShift = 28;

    static EncoderStep pack(Interval interval, std::uint8_t precision) {
        const float inverse = kInverseFactor / static_cast<float>(interval.frequency);
        return {interval, (std::bit_cast<std::uint32_t>(inverse) & kInverseMask) |
                              static_cast<std::uint32_t>(precision - kMinPrecision)
                                  << kPrecisionShift};
    }

    Interval interval;
    /// The inverse as a float. Since it is in 2^-17 .. 1, its top bits are kInverseTop; here they
    /// make room for precision - 12.
    std::uint32_t inverse;
};

/// Where the slots of the kinds 1, 2 and 3 begin.
struct KindBounds {
    std::uint32_t below;
    std::uint32_t above;
    std::uint32_t far;
    std::uint32_t precision;
};

/// All tables of a set, in arrays that loops over many symbols look things up in.
struct CodingTables {
    static constexpr std::size_t kPacked = 256;

    std::vector<CodingTable> tables;
    std::vector<std::uint32_t> far;       ///< FarSlot, kFarSlots a table
    std::vector<Interval> far_intervals;  ///< of bins first_bin .. last_bin, then the escape
    std::array<std::uint32_t, kPacked> packed{};  ///< PackedTable of the first tables
    std::array<FirstStep, FirstStep::kKinds * kPacked> first_steps{};
    std::array<EncoderStep, FirstStep::kKinds * kPacked> encoder_steps{};
    std::array<KindBounds, kPacked> kind_bounds{};
    std::array<std::uint8_t, kPacked / 8> not_near{};  ///< a bit a table: bins -1 and 1 are far
    std::array<std::uint8_t, kMaxSparseTables> sparse_slots{};  ///< all but the mode's
    std::size_t sparse = 0;               ///< how many of the leading tables are sparse
    std::size_t first_wide = kMaxTables;  ///< the first table with low_bits, if there is one
    bool plain = true;                    ///< every mode is 0, but for wide tables
};

/// Rounds a validated CDF (see EntropyTables) to a coding table and appends it to `set`.
void append_table(CodingTables& set, std::span<const std::int32_t> cdf, std::int32_t offset);

}  // namespace cca
