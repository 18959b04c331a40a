// The encoder's look-up: from symbols in their order to separate runs of sparse, ordinary and far
// ones.
#pragma once

#include "entropy/simd/merge.hpp"
#include "entropy/simd/path.hpp"

namespace cca::simd {

/// Byte i has bit i % 8 set.
inline constexpr auto kBitPlaces = static_cast<long long>(0x8040'2010'0804'0201ULL);

/// Path::look_up(). `Find` finds the kinds of a block of symbols; V::move() stores those bytes of
/// 64 that a mask chooses.
template <typename V, typename Find>
[[gnu::always_inline]] inline std::size_t look_up_blocks(const View& tables,
                                                         const std::int32_t* symbols,
                                                         const std::uint8_t* indexes,
                                                         std::size_t blocks, Found& found) {
    constexpr std::size_t kVectors = kMergeBlock / V::kWidth;
    const View view = tables;  // a copy: bytes that are written cannot alias it
    const Find find(view.not_near);
    Found next = found;
    std::size_t block = 0;
    for (; block < blocks; ++block) {
        // Read once: the caller's array may be shared with threads that write to it.
        typename V::U values[kVectors];
        for (std::size_t i = 0; i < kVectors; ++i) {
            values[i] = V::load(symbols + i * V::kWidth);
        }
        alignas(64) std::uint8_t kinds[kMergeBlock];
        find(values, indexes, kinds);
        const std::uint64_t ordinary = V::at_least(indexes, view.sparse);
        const std::uint64_t modes = V::equal(kinds, FirstStep::kModeKind);
        if (V::at_least(indexes, view.first_wide) != 0 || ~(ordinary | modes) != 0) {
            break;
        }
        next.indexes = V::move(indexes, ordinary, next.indexes);
        next.kinds = V::move(kinds, ordinary, next.kinds);
        next.sparse = V::move(indexes, ~ordinary, next.sparse);
        // No sparse symbol is far: it would not be its mode.
        if (std::uint64_t far = V::equal(kinds, FirstStep::kFarKind); far != 0) {
            next.far_indexes = V::move(indexes, far, next.far_indexes);
            for (std::size_t i = 0; i < kVectors; ++i, far >>= V::kWidth) {
                const auto mask = static_cast<std::uint32_t>(far & ((1U << V::kWidth) - 1));
                V::store(next.far, V::compress(mask, values[i]));
                next.far += count_bits(mask);
            }
        }
        indexes += kMergeBlock;
        symbols += kMergeBlock;
    }
    found = next;
    return block;
}

}  // namespace cca::simd
