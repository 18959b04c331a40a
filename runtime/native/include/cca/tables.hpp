// The quantised cumulative distributions (CDFs) symbols are coded with.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cca {

/// Probabilities are multiples of 2^-16.
inline constexpr int kPrecisionBits = 16;

/// One interval of a CDF: the slots [start, start + last] of the 65,536.
struct Interval {
    std::uint16_t start;
    std::uint16_t last;    ///< frequency - 1, so that a certain symbol (65,536) fits
    std::int16_t value;    ///< the symbol; meaningless for the escape
    std::uint16_t escape;  ///< 1 for the table's last interval, which says "outside the table"
};

/// An immutable set of validated CDFs; safe to share between threads.
class EntropyTables {
  public:
    /// Checks and copies the tables.
    ///
    /// @param cdfs     rows of `row_length` values, one row a table. Of row t the first
    ///                 `lengths[t]` count: they start at 0, increase strictly, end at 65,536.
    ///                 Interval i stands for the symbol `offsets[t] + i`, the last for an escape.
    /// @param lengths  2 to 65,536, and at most `row_length`.
    /// @param offsets  such that every symbol of the table fits in an int16.
    /// @throws std::invalid_argument naming the table and what is wrong with it.
    EntropyTables(std::span<const std::int32_t> cdfs, std::size_t row_length,
                  std::span<const std::int32_t> lengths, std::span<const std::int32_t> offsets);

    /// Number of tables.
    std::size_t size() const noexcept { return tables_.size(); }

    /// Throws std::invalid_argument unless `index` names a table.
    void check_index(std::size_t index) const {
        if (index >= tables_.size()) [[unlikely]] {
            refuse_index(index);
        }
    }

    /// Symbols of table `index`, its escape excluded.
    std::int32_t symbol_count(std::size_t index) const noexcept { return tables_[index].symbols; }

    /// The lowest symbol of table `index`.
    std::int32_t offset(std::size_t index) const noexcept { return tables_[index].offset; }

    /// Interval number `position`, 0 <= position <= symbol_count(index), of table `index`.
    const Interval& interval(std::size_t index, std::size_t position) const noexcept {
        return intervals_[tables_[index].first + position];
    }

    /// The interval of table `index` that holds `slot`, 0 <= slot < 65,536.
    const Interval& find(std::size_t index, std::uint32_t slot) const noexcept {
        const Interval* found = &intervals_[buckets_[index][slot >> kBucketShift]];
        while (slot - found->start > found->last) {
            ++found;
        }
        return *found;
    }

  private:
    struct Table {
        std::uint32_t first;  // its first interval in intervals_
        std::int32_t symbols;
        std::int32_t offset;
    };

    // A full look-up of 65,536 slots for each of 64 tables would not stay in any cache. Instead,
    // each 256th slot knows its interval and the rest is a short walk: most slots lie in
    // intervals wider than a bucket, where the walk is empty and well predicted.
    static constexpr int kBucketShift = 8;
    using Buckets = std::array<std::uint32_t, 1 << (kPrecisionBits - kBucketShift)>;

    [[noreturn]] void refuse_index(std::size_t index) const;
    void add_table(std::span<const std::int32_t> cdf, std::int32_t offset);

    std::vector<Table> tables_;
    std::vector<Interval> intervals_;
    std::vector<Buckets> buckets_;
};

}  // namespace cca
