// Encoding rounds of units, a vector of lanes at a time: docs/spec/format.md, "Encoding".
#pragma once

#include "entropy/rans_format.hpp"
#include "entropy/simd/path.hpp"

namespace cca::simd {

/// The steps of a vector's lanes.
template <typename V>
struct Steps {
    typename V::U start;
    typename V::U frequency;
    typename V::U inverse;  // of the frequency, a float: kInverseFactor
    typename V::U precision;
};

/// Loops over rounds, last to first: `begin(round)` comes first in each, `find(round, i)` finds the
/// steps of vector number i.
template <typename V, typename Begin, typename Find>
[[gnu::always_inline]] inline std::uint16_t* run_rounds_back(std::size_t rounds,
                                                             std::uint32_t* states,
                                                             std::uint16_t* top, Begin begin,
                                                             Find find) {
    using U = typename V::U;
    constexpr std::size_t kVectors = kLanes / V::kWidth;
    U x[kVectors];
    for (std::size_t i = 0; i < kVectors; ++i) {
        x[i] = V::load(states + i * V::kWidth);
    }
    for (std::size_t round = rounds; round-- > 0;) {
        begin(round);
#pragma GCC unroll 16
        for (std::size_t vector = 0; vector < kVectors; ++vector) {
            const std::size_t i = kVectors - 1 - vector;
            const auto [start, frequency, inverse, precision] = find(round, i);
            const auto full = V::at_least(V::right(x[i], V::sub(V::set(32), precision)), frequency);
            top = V::emit(x[i], full, top);
            const U state = V::select(full, V::template right<kWordBits>(x[i]), x[i]);
            // The quotient may be one too small: then the remainder is at least the frequency.
            const U estimate = V::quotient(state, inverse);
            const U rest = V::sub(state, V::mul(estimate, frequency));
            const U quotient = V::add_one(V::at_least(rest, frequency), estimate);
            // Written without the remainder.
            const U others = V::sub(V::left(V::set(1), precision), frequency);
            x[i] = V::add(V::add(state, start), V::mul(quotient, others));
        }
    }
    for (std::size_t i = 0; i < kVectors; ++i) {
        V::store(states + i * V::kWidth, x[i]);
    }
    return top;
}

/// Path::encode().
template <typename V>
std::uint16_t* encode_rounds(const Interval* intervals, const std::uint8_t* precisions,
                             std::size_t rounds, std::uint32_t* states, std::uint16_t* top) {
    const auto find = [=](std::size_t round, std::size_t i) {
        const std::size_t unit = round * kLanes + i * V::kWidth;
        const typename V::U interval = V::load(intervals + unit);
        const typename V::U frequency = V::template right<16>(interval);
        return Steps<V>{V::bit_and(interval, V::set(0xFFFF)), frequency, V::inverse(frequency),
                        V::load_bytes(precisions + unit)};
    };
    return run_rounds_back<V>(rounds, states, top, [](std::size_t) {}, find);
}

/// Path::encode_kinds(). V::load_steps() loads the EncoderSteps of a vector's lanes by their
/// numbers.
template <typename V>
std::uint16_t* encode_kind_rounds(const View& tables, const std::uint8_t* indexes,
                                  const std::uint8_t* kinds, std::size_t rounds,
                                  std::uint32_t* states, std::uint16_t* top) {
    using U = typename V::U;
    alignas(64) std::uint16_t numbers[kLanes];
    const auto begin = [&](std::size_t round) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const std::size_t unit = round * kLanes + lane;
            numbers[lane] =
                static_cast<std::uint16_t>(FirstStep::kKinds * indexes[unit] + kinds[unit]);
        }
    };
    const auto find = [&, steps = tables.encoder_steps](std::size_t, std::size_t i) {
        U interval;
        U inverse;
        V::load_steps(steps, numbers + i * V::kWidth, interval, inverse);
        const U precision =
            V::add(V::template right<EncoderStep::kPrecisionShift>(inverse), V::set(kMinPrecision));
        return Steps<V>{V::bit_and(interval, V::set(0xFFFF)), V::template right<16>(interval),
                        V::bit_or(V::bit_and(inverse, V::set(EncoderStep::kInverseMask)),
                                  V::set(EncoderStep::kInverseTop)),
                        precision};
    };
    return run_rounds_back<V>(rounds, states, top, begin, find);
}

}  // namespace cca::simd
