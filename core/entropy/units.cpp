#include "entropy/units.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

namespace cca {
namespace {

constexpr std::uint32_t kTotal = std::uint32_t{1} << kMaxPrecision;

// simd::Found for indexes of 16 bits.
struct WideFound {
    Interval* intervals;
    std::uint8_t* precisions;
    std::uint8_t* sparse;
    std::int32_t* far;
    std::uint16_t* far_indexes;
};

// Where the first steps of ordinary symbols go.
void set_target(simd::Found& found, Run& run) {
    found.indexes = run.indexes.get();
    found.kinds = run.kinds.get();
}

void set_target(WideFound& found, Run& run) {
    found.intervals = run.intervals.get();
    found.precisions = run.precisions.get();
}

void add_first_step(simd::Found& found, std::uint8_t index, const CodingTable& table,
                    std::int32_t bin) {
    *found.indexes++ = index;
    *found.kinds++ = table.is_far(bin) ? FirstStep::kFarKind
                     : bin == 0        ? FirstStep::kModeKind
                     : bin < 0         ? FirstStep::kBelowKind
                                       : FirstStep::kAboveKind;
}

void add_first_step(WideFound& found, std::uint16_t /*index*/, const CodingTable& table,
                    std::int32_t bin) {
    *found.intervals++ = table.first_interval(bin);
    *found.precisions++ = table.precision;
}

void check_symbol(std::int32_t symbol) {
    if (symbol != static_cast<std::int16_t>(symbol)) {
        throw std::invalid_argument("symbol " + std::to_string(symbol) +
                                    " does not fit in 16 bits");
    }
}

Interval interval(std::uint32_t start, std::uint32_t frequency) {
    return {static_cast<std::uint16_t>(start), static_cast<std::uint16_t>(frequency)};
}

// The bin of a symbol, which may be outside the table, by its distance from the mode.
std::int32_t bin_of(const CodingTable& table, std::int32_t symbol) {
    return (symbol - table.mode) >> table.low_bits;
}

std::uint32_t low_bits(const CodingTable& table, std::int32_t symbol) {
    return static_cast<std::uint32_t>(symbol - table.mode) & ((1U << table.low_bits) - 1);
}

// docs/spec/format.md, "Tails".
std::uint32_t escape_distance(const CodingTable& table, std::int32_t symbol) {
    const std::int32_t rank = symbol - table.mode;
    const std::int32_t width = 1 << table.low_bits;
    return static_cast<std::uint32_t>(rank < 0 ? 2 * (table.first_bin * width - rank) - 1
                                               : 2 * (rank - (table.last_bin + 1) * width));
}

std::uint32_t sum_slots(const CodingTables& tables, std::span<const std::uint8_t> indexes) {
    return std::accumulate(indexes.begin(), indexes.end(), 0U,
                           [&tables](std::uint32_t sum, std::uint8_t index) {
                               return sum + tables.sparse_slots[index];
                           });
}

void add_number(Run& run, std::uint32_t value) {
    const int length = std::bit_width(value);
    run.begin_unit(raw_step(static_cast<std::uint32_t>(length), kLengthBits));
    for (int done = 0; done < length - 1; done += kWordBits) {
        run.continue_unit(raw_step(value >> done, std::min(kWordBits, length - 1 - done)));
    }
}

}  // namespace

std::vector<Run> RunBuilder::build(std::span<const std::int32_t> symbols,
                                   std::span<const std::uint8_t> indexes,
                                   const std::shared_ptr<const CodingTables>& tables) {
    return build_runs<std::uint8_t, simd::Found>(symbols, copy_indexes(indexes, *tables, bytes_),
                                                 far_bytes_, Run(indexes.size(), tables), *tables);
}

std::vector<Run> RunBuilder::build(std::span<const std::int32_t> symbols,
                                   std::span<const std::uint16_t> indexes,
                                   const std::shared_ptr<const CodingTables>& tables) {
    return build_runs<std::uint16_t, WideFound>(symbols, copy_indexes(indexes, *tables, words_),
                                                far_words_, Run(indexes.size()), *tables);
}

template <typename Index, typename Found>
std::vector<Run> RunBuilder::build_runs(std::span<const std::int32_t> symbols,
                                        std::span<const Index> indexes, Scratch<Index>& far_indexes,
                                        Run ordinary, const CodingTables& tables) {
    if (symbols.size() != indexes.size()) {
        throw std::invalid_argument("symbols and indexes differ in number");
    }
    exceptions_.clear();
    far_exceptions_.clear();
    near_tails_.clear();
    tails_.clear();
    std::uint8_t* const sparse = sparse_.resize(indexes.size());
    std::int32_t* const far = far_.resize(indexes.size());
    const Index* const far_index = far_indexes.resize(indexes.size());
    Found found{{}, {}, sparse, far, far_indexes.resize(indexes.size())};
    set_target(found, ordinary);
    look_up(symbols, indexes, tables, found);
    ordinary.units = indexes.size() - static_cast<std::size_t>(found.sparse - sparse);

    std::vector<Run> runs;
    runs.push_back(sparse_run({sparse, found.sparse}, tables));
    runs.push_back(std::move(ordinary));
    const auto count = static_cast<std::size_t>(found.far - far);
    Run far_run(far_exceptions_.size() + count);
    far_run.units = far_exceptions_.size() + count;
    std::fill_n(far_run.precisions.get(), far_run.units, std::uint8_t{kFarPrecision});
    Interval* next = far_run.intervals.get();
    for (const FarSymbol& exception : far_exceptions_) {
        *next++ = far_step(exception.symbol, *exception.table, tables);
    }
    for (std::size_t i = 0; i < count; ++i) {
        *next++ = far_step(far[i], tables.tables[far_index[i]], tables);
    }
    runs.push_back(std::move(far_run));
    runs.push_back(tail_run(near_tails_));
    runs.push_back(tail_run(tails_));
    std::erase_if(runs, [](const Run& run) { return run.units == 0; });
    return runs;
}

template <typename Index, typename Found>
void RunBuilder::look_up(std::span<const std::int32_t> symbols, std::span<const Index> indexes,
                         const CodingTables& tables, Found& found) {
    const std::uint8_t* const sparse = found.sparse;
    std::size_t first = 0;
    while (first < indexes.size()) {
        if constexpr (sizeof(Index) == 1) {
            if (tables.plain) {
                first += simd::kMergeBlock *
                         path_.look_up(simd::view(tables), symbols.data() + first,
                                       indexes.data() + first,
                                       (indexes.size() - first) / simd::kMergeBlock, found);
            }
        }
        const std::size_t end = std::min(first + simd::kMergeBlock, indexes.size());
        for (; first < end; ++first) {
            if (indexes[first] < tables.sparse) {
                check_symbol(symbols[first]);
                if (symbols[first] != tables.tables[indexes[first]].mode) {
                    exceptions_.push_back(
                        {static_cast<std::size_t>(found.sparse - sparse), symbols[first]});
                }
                *found.sparse++ = static_cast<std::uint8_t>(indexes[first]);
            } else {
                look_up_one(symbols[first], indexes[first], tables, found);
            }
        }
    }
}

template <typename Index, typename Found>
void RunBuilder::look_up_one(std::int32_t symbol, Index index, const CodingTables& tables,
                             Found& found) {
    check_symbol(symbol);
    const CodingTable& table = tables.tables[index];
    const std::int32_t bin = bin_of(table, symbol);
    add_first_step(found, index, table, bin);
    if (table.is_far(bin)) {
        *found.far++ = symbol;
        *found.far_indexes++ = index;
    }
    // The low bits of a far symbol's bin are added with its second step.
    if (table.low_bits > 0 && !table.is_far(bin)) {
        near_tails_.push_back({low_bits(table, symbol), table.low_bits});
    }
}

Run RunBuilder::sparse_run(std::span<const std::uint8_t> indexes, const CodingTables& tables) {
    Run run((indexes.size() + kBlock - 1) / kBlock);
    std::span<const Exception> exceptions = exceptions_;
    for (std::size_t rank = 0; rank < indexes.size(); rank += kBlock) {
        const bool whole = indexes.size() - rank >= kBlock;
        if (whole && (exceptions.empty() || exceptions[0].rank >= rank + kBlock)) {
            const std::uint32_t rare = path_.sum_sparse(simd::view(tables), indexes.data() + rank);
            run.begin_unit({interval(0, kTotal - rare), kMaxPrecision});
        } else {
            add_block(run, indexes.first(std::min(rank + kBlock, indexes.size())), rank, exceptions,
                      tables);
        }
    }
    return run;
}

// `indexes` ends with the block.
void RunBuilder::add_block(Run& run, std::span<const std::uint8_t> indexes, std::size_t rank,
                           std::span<const Exception>& exceptions, const CodingTables& tables) {
    bool begun = false;
    const auto add = [&run, &begun](std::uint32_t start, std::uint32_t frequency) {
        const Step step{interval(start, frequency), kMaxPrecision};
        begun ? run.continue_unit(step) : run.begin_unit(step);
        begun = true;
    };
    while (rank < indexes.size()) {
        const std::uint32_t modes = kTotal - sum_slots(tables, indexes.subspan(rank));
        if (exceptions.empty() || exceptions[0].rank >= indexes.size()) {
            add(0, modes);
            return;
        }
        const Exception exception = exceptions[0];
        exceptions = exceptions.subspan(1);
        const CodingTable& table = tables.tables[indexes[exception.rank]];
        const std::int32_t bin = bin_of(table, exception.symbol);
        const Interval own = table.first_interval(bin);
        const std::uint32_t before =
            sum_slots(tables, indexes.subspan(rank, exception.rank - rank));
        add(modes + before + own.start - table.mode_slots, own.frequency);
        if (table.is_far(bin)) {
            far_exceptions_.push_back({exception.symbol, &table});
        }
        rank = exception.rank + 1;
    }
}

inline Interval RunBuilder::far_step(std::int32_t symbol, const CodingTable& table,
                                     const CodingTables& tables) {
    // Of a symbol that does not fit in 16 bits, the difference may wrap around, but then it is
    // looked at below all the same.
    const std::uint32_t rank =
        static_cast<std::uint32_t>(symbol) - static_cast<std::uint32_t>(table.mode);
    const std::int32_t bin = static_cast<std::int32_t>(rank) >> table.low_bits;
    const auto place =
        static_cast<std::uint32_t>(bin) - static_cast<std::uint32_t>(table.first_bin);
    const auto escape = static_cast<std::uint32_t>(table.last_bin + 1 - table.first_bin);
    if (place >= escape) [[unlikely]] {
        check_symbol(symbol);
        tails_.push_back({escape_distance(table, symbol), 0});
    } else if (table.low_bits > 0) [[unlikely]] {
        check_symbol(symbol);
        tails_.push_back({low_bits(table, symbol), table.low_bits});
    }
    return tables.far_intervals[table.far_intervals + std::min(place, escape)];
}

Run RunBuilder::tail_run(std::span<const Tail> tails) {
    Run run(tails.size());
    for (const Tail& tail : tails) {
        if (tail.low_bits > 0) {
            run.begin_unit(raw_step(tail.value, tail.low_bits));
        } else {
            add_number(run, tail.value);
        }
    }
    return run;
}

}  // namespace cca
