// Between symbols in their order and the separate runs of sparse and ordinary ones.
#pragma once

#include "entropy/simd/path.hpp"

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

}  // namespace cca::simd
