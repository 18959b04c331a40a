// What the encoder knows of a group before it encodes it: docs/spec/format.md, "Groups".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "entropy/coding_tables.hpp"
#include "entropy/group.hpp"
#include "entropy/rans_format.hpp"
#include "entropy/simd/path.hpp"

namespace cca {

/// One step of the coder.
struct Step {
    Interval interval;
    std::uint8_t precision;
};

/// The step that codes the `bits` low bits of `value`, 1 <= bits <= 16.
inline Step raw_step(std::uint64_t value, int bits) {
    const int shift = kMaxPrecision - bits;
    const auto start = static_cast<std::uint16_t>(value << shift);
    return {{start, static_cast<std::uint16_t>(1U << shift)}, kMaxPrecision};
}

/// A sequence of units. Each has a first step; few have more. First steps are given as such or, if
/// there are `tables`, by tables and kinds of symbols.
struct Run {
    struct Extra {
        std::size_t unit;
        Step step;
    };

    explicit Run(std::size_t most_units)
        : intervals(std::make_unique_for_overwrite<Interval[]>(most_units + simd::kSlack)),
          precisions(std::make_unique_for_overwrite<std::uint8_t[]>(most_units + simd::kSlack)) {}

    Run(std::size_t most_units, std::shared_ptr<const CodingTables> tables)
        : tables(std::move(tables)),
          indexes(std::make_unique_for_overwrite<std::uint8_t[]>(most_units + simd::kSlack)),
          kinds(std::make_unique_for_overwrite<std::uint8_t[]>(most_units + simd::kSlack)) {}

    Step first_step(std::size_t unit) const {
        if (tables == nullptr) {
            return {intervals[unit], precisions[unit]};
        }
        const FirstStep& step =
            tables->first_steps[FirstStep::kKinds * indexes[unit] + kinds[unit]];
        return {step.interval, step.precision};
    }

    void begin_unit(Step step) {
        intervals[units] = step.interval;
        precisions[units++] = step.precision;
    }
    void continue_unit(Step step) { extras.push_back({units - 1, step}); }

    std::unique_ptr<Interval[]> intervals;
    std::unique_ptr<std::uint8_t[]> precisions;
    std::shared_ptr<const CodingTables> tables;
    std::unique_ptr<std::uint8_t[]> indexes;
    std::unique_ptr<std::uint8_t[]> kinds;  // FirstStep::Kind
    std::size_t units = 0;
    std::vector<Extra> extras;  // unit by unit, in their order
};

/// Turns groups of symbols into runs.
class RunBuilder {
  public:
    explicit RunBuilder(const simd::Path& path) : path_(path) {}

    /// The runs of a group; none is empty.
    ///
    /// @throws std::invalid_argument as Encoder::push() does.
    std::vector<Run> build(std::span<const std::int32_t> symbols,
                           std::span<const std::uint8_t> indexes,
                           const std::shared_ptr<const CodingTables>& tables);
    std::vector<Run> build(std::span<const std::int32_t> symbols,
                           std::span<const std::uint16_t> indexes,
                           const std::shared_ptr<const CodingTables>& tables);

  private:
    // A sparse symbol that is not its table's mode.
    struct Exception {
        std::size_t rank;
        std::int32_t symbol;
    };
    struct FarSymbol {
        std::int32_t symbol;
        const CodingTable* table;
    };
    // What is left to say of a symbol: low bits, or the distance of an escaped one.
    struct Tail {
        std::uint32_t value;
        int low_bits;  // 0: an escape
    };

    template <typename Index, typename Found>
    std::vector<Run> build_runs(std::span<const std::int32_t> symbols,
                                std::span<const Index> indexes, Scratch<Index>& far_indexes,
                                Run ordinary, const CodingTables& tables);
    template <typename Index, typename Found>
    void look_up(std::span<const std::int32_t> symbols, std::span<const Index> indexes,
                 const CodingTables& tables, Found& found);
    template <typename Index, typename Found>
    void look_up_one(std::int32_t symbol, Index index, const CodingTables& tables, Found& found);
    Run sparse_run(std::span<const std::uint8_t> indexes, const CodingTables& tables);
    void add_block(Run& run, std::span<const std::uint8_t> indexes, std::size_t rank,
                   std::span<const Exception>& exceptions, const CodingTables& tables);
    Interval far_step(std::int32_t symbol, const CodingTable& table, const CodingTables& tables);
    static Run tail_run(std::span<const Tail> tails);

    const simd::Path& path_;
    Scratch<std::uint8_t> bytes_;
    Scratch<std::uint16_t> words_;
    Scratch<std::uint8_t> sparse_;
    Scratch<std::int32_t> far_;
    Scratch<std::uint8_t> far_bytes_;
    Scratch<std::uint16_t> far_words_;
    std::vector<Exception> exceptions_;
    std::vector<FarSymbol> far_exceptions_;
    std::vector<Tail> near_tails_;  // low bits of modes and near bins
    std::vector<Tail> tails_;       // of far bins
};

}  // namespace cca
