// Decoding rounds of symbols, a vector of lanes at a time: docs/spec/format.md, "Steps".
#pragma once

#include "entropy/rans_format.hpp"
#include "entropy/simd/path.hpp"

namespace cca::simd {

/// Loops over rounds: `step(x, i)` makes of the state x of vector number i the next one, before the
/// refill; `begin()` and `end()` come first and last in each round.
template <typename V, typename Begin, typename Step>
[[gnu::always_inline]] inline std::size_t run_rounds(std::size_t rounds, DecodeState& state,
                                                     Begin begin, Step step) {
    constexpr std::size_t kVectors = kLanes / V::kWidth;
    typename V::U x[kVectors];
    for (std::size_t i = 0; i < kVectors; ++i) {
        x[i] = V::load(state.states + i * V::kWidth);
    }
    const std::uint8_t* words = state.words;
    std::size_t round = 0;
    for (; round < rounds && words <= state.end; ++round) {
        begin(round);
#pragma GCC unroll 16
        for (std::size_t i = 0; i < kVectors; ++i) {
            x[i] = V::refill(step(x[i], round, i), words);
        }
    }
    for (std::size_t i = 0; i < kVectors; ++i) {
        V::store(state.states + i * V::kWidth, x[i]);
    }
    state.words = words;
    return round;
}

/// Path::decode(). `Look` finds the PackedTable of each of kLanes indexes.
template <typename V, typename Look>
[[gnu::always_inline]] inline std::size_t decode_rounds(const View& tables,
                                                        const std::uint8_t* indexes,
                                                        std::size_t rounds, DecodeState& state,
                                                        std::int8_t* bins) {
    using U = typename V::U;
    const Look look(tables.packed);
    U packed[kLanes / V::kWidth];
    const auto begin = [&](std::size_t round) { look(indexes + round * kLanes, packed); };
    const auto step = [&](U x, std::size_t round, std::size_t i) {
        const U table = packed[i];
        const U precision =
            V::add(V::bit_and(V::template right<PackedTable::kPrecisionShift>(table),
                              V::set(PackedTable::kPrecisionMask)),
                   V::set(kMinPrecision));
        const U mode = V::bit_and(table, V::set(PackedTable::kModeMask));
        const U near = V::template right<PackedTable::kNearShift>(table);
        const U high = V::right(x, precision);
        const U slot = V::sub(x, V::left(high, precision));
        // The slot's place in what comes after the mode, after bin -1 and after bin 1.
        const U after_mode = V::sub(slot, mode);
        const U after_below = V::sub(after_mode, near);
        const U after_above = V::sub(after_below, near);
        const U far = V::sub(V::sub(V::left(V::set(1), precision), mode), V::add(near, near));
        const U frequency =
            V::if_negative(after_mode, mode, V::if_negative(after_above, near, far));
        // As unsigned numbers, those that are negative are greater than all others.
        const U place = V::min(V::min(slot, after_mode), V::min(after_below, after_above));
        const U beside = V::if_negative(after_below, V::set(~0U), V::set(1));
        const U bin = V::if_negative(
            after_mode, V::set(0),
            V::if_negative(after_above, beside, V::set(static_cast<std::uint8_t>(kFar))));
        V::store_bytes(bins + round * kLanes + i * V::kWidth, bin);
        return V::add(V::mul(frequency, high), place);
    };
    return run_rounds<V>(rounds, state, begin, step);
}

/// Path::decode_far().
template <typename V>
std::size_t decode_far_rounds(const View& tables, const std::uint8_t* indexes, std::size_t rounds,
                              DecodeState& state, std::int8_t* bins) {
    using U = typename V::U;
    const auto step = [&](U x, std::size_t round, std::size_t i) {
        const std::size_t unit = round * kLanes + i * V::kWidth;
        const U table = V::template left<kFarPrecision>(V::load_bytes(indexes + unit));
        const U mask = V::set(FarSlot::kMask);
        const U slot = V::gather(tables.far, V::add(table, V::bit_and(x, mask)));
        const U frequency = V::add(V::bit_and(slot, mask), V::set(1));
        const U place = V::bit_and(V::template right<FarSlot::kPlaceShift>(slot), mask);
        V::store_bytes(bins + unit, V::template right<FarSlot::kBinShift>(slot));
        return V::add(V::mul(frequency, V::template right<kFarPrecision>(x)), place);
    };
    return run_rounds<V>(rounds, state, [](std::size_t) {}, step);
}

}  // namespace cca::simd
