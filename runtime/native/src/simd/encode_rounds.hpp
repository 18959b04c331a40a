// Encoding rounds of units, a vector of lanes at a time: docs/format.md, "Encoding".
#pragma once

#include "../rans_format.hpp"
#include "path.hpp"

namespace cca::simd {

template <typename V>
std::uint16_t* encode_rounds(const Interval* intervals, const std::uint8_t* precisions,
                             std::size_t rounds, std::uint32_t* states, std::uint16_t* top) {
    using U = typename V::U;
    constexpr std::size_t kVectors = kLanes / V::kWidth;
    U x[kVectors];
    for (std::size_t i = 0; i < kVectors; ++i) {
        x[i] = V::load(states + i * V::kWidth);
    }
    for (std::size_t round = rounds; round-- > 0;) {
        for (std::size_t i = kVectors; i-- > 0;) {
            const std::size_t unit = round * kLanes + i * V::kWidth;
            const U interval = V::load(intervals + unit);
            const U precision = V::load_bytes(precisions + unit);
            const U start = V::bit_and(interval, V::set(0xFFFF));
            const U frequency = V::template right<16>(interval);
            const auto full = V::at_least(V::right(x[i], V::sub(V::set(32), precision)), frequency);
            top = V::emit(x[i], full, top);
            const U state = V::select(full, V::template right<kWordBits>(x[i]), x[i]);
            // The quotient may be one too small: then the remainder is at least the frequency.
            const U quotient = V::quotient(state, frequency);
            const U rest = V::sub(state, V::mul(quotient, frequency));
            const U next = V::add(V::left(quotient, precision), V::add(rest, start));
            const U step = V::sub(V::left(V::set(1), precision), frequency);
            x[i] = V::select(V::at_least(rest, frequency), V::add(next, step), next);
        }
    }
    for (std::size_t i = 0; i < kVectors; ++i) {
        V::store(states + i * V::kWidth, x[i]);
    }
    return top;
}

}  // namespace cca::simd
