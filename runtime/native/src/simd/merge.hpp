// Between symbols in their order and the separate runs of sparse and ordinary ones.
#pragma once

#include "path.hpp"

namespace cca::simd {

inline std::size_t count_bits(std::uint64_t bits) {
    return static_cast<std::size_t>(__builtin_popcountll(bits));
}

template <typename V>
std::size_t merge_blocks(const View& tables, const std::uint8_t* indexes, std::size_t blocks,
                         const std::int8_t*& bins, std::int32_t* symbols) {
    constexpr std::uint64_t kMask = (std::uint64_t{1} << V::kWidth) - 1;
    std::size_t block = 0;
    for (; block < blocks; ++block) {
        std::uint64_t ordinary = V::at_least(indexes, tables.sparse);
        const std::size_t count = count_bits(ordinary);
        const std::uint64_t escapes = V::equal(bins, kEscape);
        const bool escaped = count > 0 && escapes << (kMergeBlock - count) != 0;
        if (escaped || V::at_least(indexes, tables.first_wide) != 0) {
            break;
        }
        for (std::size_t i = 0; i < kMergeBlock; i += V::kWidth) {
            V::store(symbols + i, V::spread(bins, ordinary & kMask));
            bins += count_bits(ordinary & kMask);
            ordinary >>= V::kWidth;
        }
        indexes += kMergeBlock;
        symbols += kMergeBlock;
    }
    return block;
}

template <typename V, typename Look>
[[gnu::always_inline]] inline std::size_t look_up_blocks(const View& tables,
                                                         const std::int32_t* symbols,
                                                         const std::uint8_t* indexes,
                                                         std::size_t blocks, Found& found) {
    using U = typename V::U;
    static_assert(kMergeBlock == kLanes);
    const Look look(tables.packed);
    U packed[kMergeBlock / V::kWidth];
    std::size_t block = 0;
    for (; block < blocks; ++block) {
        if (V::at_least(indexes, tables.first_wide) != 0) {
            return block;
        }
        look(indexes, packed);
        Found next = found;
        for (std::size_t i = 0; i < kMergeBlock / V::kWidth; ++i) {
            const U symbol = V::load(symbols + i * V::kWidth);
            const auto ordinary =
                V::at_least(V::load_bytes(indexes + i * V::kWidth), V::set(tables.sparse));
            if (!V::all(V::either(ordinary, V::equal(symbol, V::set(0))))) {
                return block;
            }
            const U table = packed[i];
            const U precision =
                V::add(V::bit_and(V::template right<PackedTable::kPrecisionShift>(table),
                                  V::set(PackedTable::kPrecisionMask)),
                       V::set(kMinPrecision));
            const U mode = V::bit_and(table, V::set(PackedTable::kModeMask));
            const U near = V::template right<PackedTable::kNearShift>(table);
            const U both = V::add(mode, V::add(near, near));
            const U far = V::sub(V::left(V::set(1), precision), both);
            // Without near bins, 1 and -1 are as far as any other.
            const U distance = V::select(V::equal(near, V::set(0)), V::add(symbol, symbol), symbol);
            const auto is_mode = V::equal(symbol, V::set(0));
            const auto is_close = V::below(V::add(distance, V::set(1)), V::set(3));
            const U start = V::select(
                is_mode, V::set(0),
                V::select(is_close, V::if_negative(symbol, mode, V::add(mode, near)), both));
            const U frequency = V::select(is_mode, mode, V::select(is_close, near, far));
            const U interval = V::add(start, V::template left<16>(frequency));
            std::size_t count = V::kWidth;
            if (V::all(ordinary)) [[likely]] {
                V::store(next.intervals, interval);
                V::store_bytes(next.precisions, precision);
            } else {
                count = V::count(ordinary);
                V::store(next.intervals, V::compress(ordinary, interval));
                V::store_bytes(next.precisions, V::compress(ordinary, precision));
                V::compress_bytes(V::inverse(ordinary), indexes + i * V::kWidth, next.sparse);
            }
            next.intervals += count;
            next.precisions += count;
            next.sparse += V::kWidth - count;
            const auto is_far = V::inverse(is_close);
            const std::size_t far_count = V::count(is_far);
            if (far_count > 0) {
                V::store(next.far, V::compress(is_far, symbol));
                V::compress_bytes(is_far, indexes + i * V::kWidth, next.far_indexes);
                next.far += far_count;
                next.far_indexes += far_count;
            }
        }
        found = next;
        indexes += kMergeBlock;
        symbols += kMergeBlock;
    }
    return block;
}

}  // namespace cca::simd
