// The portable path: one lane after the other.
#include <algorithm>
#include <cstring>

#include "entropy/rans_format.hpp"
#include "entropy/simd/paths.hpp"
#include "format/little_endian.hpp"

namespace cca::simd {
namespace {

// Masks instead of branches, which nothing could predict.
std::uint32_t mask(bool condition) {
    return 0U - static_cast<std::uint32_t>(condition);
}
std::uint32_t select(std::uint32_t mask, std::uint32_t yes, std::uint32_t no) {
    return no ^ ((yes ^ no) & mask);
}

// `step(x, unit)` makes of a state the next one, before the refill.
template <typename Step>
std::size_t run_rounds(std::size_t rounds, DecodeState& state, Step step) {
    const std::uint8_t* words = state.words;
    std::uint32_t* const states = state.states;
    std::size_t round = 0;
    for (; round < rounds && words <= state.end; ++round) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const std::uint32_t next = step(states[lane], round * kLanes + lane);
            const std::uint32_t empty = mask(next < kLowerBound);
            states[lane] = select(empty, next << kWordBits | load_u16(words), next);
            words += kWordBytes & empty;
        }
    }
    state.words = words;
    return round;
}

std::size_t decode(const View& tables, const std::uint8_t* indexes, std::size_t rounds,
                   DecodeState& state, std::int8_t* bins) {
    const auto step = [bounds = tables.kind_bounds, steps = tables.first_steps, indexes, bins](
                          std::uint32_t x, std::size_t unit) {
        const std::size_t index = indexes[unit];
        const KindBounds& bound = bounds[index];
        const std::uint32_t high = x >> bound.precision;
        const std::uint32_t slot = x - (high << bound.precision);
        const std::size_t kind =
            std::size_t{slot >= bound.below} + (slot >= bound.above) + (slot >= bound.far);
        const FirstStep& first = steps[FirstStep::kKinds * index + kind];
        bins[unit] = first.bin;
        return first.interval.frequency * high + slot - first.interval.start;
    };
    return run_rounds(rounds, state, step);
}

std::size_t decode_far(const View& tables, const std::uint8_t* indexes, std::size_t rounds,
                       DecodeState& state, std::int8_t* bins) {
    const auto step = [far = tables.far, indexes, bins](std::uint32_t x, std::size_t unit) {
        const std::uint32_t slot =
            far[(std::size_t{indexes[unit]} << kFarPrecision) + (x & FarSlot::kMask)];
        bins[unit] = FarSlot::bin(slot);
        return FarSlot::frequency(slot) * (x >> kFarPrecision) + FarSlot::place(slot);
    };
    return run_rounds(rounds, state, step);
}

// `find(unit)` finds a unit's interval and precision.
template <typename Find>
std::uint16_t* run_rounds_back(std::size_t rounds, std::uint32_t* states, std::uint16_t* top,
                               Find find) {
    for (std::size_t unit = rounds * kLanes; unit-- > 0;) {
        const auto [interval, precision] = find(unit);
        std::uint32_t x = states[unit % kLanes];
        const bool full = x >> (32 - precision) >= interval.frequency;
        top[-1] = static_cast<std::uint16_t>(x);
        top -= full;
        x = full ? x >> kWordBits : x;
        const std::uint32_t quotient = x / interval.frequency;
        states[unit % kLanes] =
            (quotient << precision) + (x - quotient * interval.frequency) + interval.start;
    }
    return top;
}

struct Step {
    Interval interval;
    std::uint32_t precision;
};

std::uint16_t* encode(const Interval* intervals, const std::uint8_t* precisions, std::size_t rounds,
                      std::uint32_t* states, std::uint16_t* top) {
    const auto find = [=](std::size_t unit) { return Step{intervals[unit], precisions[unit]}; };
    return run_rounds_back(rounds, states, top, find);
}

std::uint16_t* encode_kinds(const View& tables, const std::uint8_t* indexes,
                            const std::uint8_t* kinds, std::size_t rounds, std::uint32_t* states,
                            std::uint16_t* top) {
    const auto find = [steps = tables.first_steps, indexes, kinds](std::size_t unit) {
        const FirstStep& step = steps[FirstStep::kKinds * indexes[unit] + kinds[unit]];
        return Step{step.interval, step.precision};
    };
    return run_rounds_back(rounds, states, top, find);
}

// Eight bytes at a time, which seldom need a closer look.
constexpr std::size_t kWord = 8;

constexpr std::uint64_t repeat(std::uint8_t byte) {
    return byte * std::uint64_t{0x0101010101010101};
}

std::uint64_t load_word(const void* from) {
    std::uint64_t word;
    std::memcpy(&word, from, kWord);
    return word;
}

// Whether a byte is below `bound` <= 128.
bool has_below(std::uint64_t word, std::uint8_t bound) {
    return ((word - repeat(bound)) & ~word & repeat(0x80)) != 0;
}

bool has_far(std::uint64_t bins) {
    return has_below(bins ^ repeat(static_cast<std::uint8_t>(kFar)), 1);
}

std::size_t split(const std::uint8_t* indexes, std::size_t count, std::uint8_t first_ordinary,
                  std::uint8_t* ordinary, std::uint8_t* sparse) {
    const std::uint8_t* const begin = ordinary;
    for (std::size_t i = 0; i < count;) {
        if (count - i >= kWord && !has_below(load_word(indexes + i), first_ordinary)) {
            std::memcpy(ordinary, indexes + i, kWord);
            ordinary += kWord;
            i += kWord;
            continue;
        }
        for (const std::size_t end = std::min(i + kWord, count); i < end; ++i) {
            const bool chosen = indexes[i] >= first_ordinary;
            *ordinary = *sparse = indexes[i];
            ordinary += chosen;
            sparse += !chosen;
        }
    }
    return static_cast<std::size_t>(ordinary - begin);
}

std::size_t select_far(const std::uint8_t* indexes, const std::int8_t* bins, std::size_t count,
                       std::uint8_t* far) {
    const std::uint8_t* const begin = far;
    for (std::size_t i = 0; i < count;) {
        if (count - i >= kWord && !has_far(load_word(bins + i))) {
            i += kWord;
            continue;
        }
        for (const std::size_t end = std::min(i + kWord, count); i < end; ++i) {
            *far = indexes[i];
            far += bins[i] == kFar;
        }
    }
    return static_cast<std::size_t>(far - begin);
}

void replace_far(std::int8_t* bins, std::size_t count, const std::int8_t* far) {
    for (std::size_t i = 0; i < count;) {
        if (count - i >= kWord && !has_far(load_word(bins + i))) {
            i += kWord;
            continue;
        }
        for (const std::size_t end = std::min(i + kWord, count); i < end; ++i) {
            const bool chosen = bins[i] == kFar;
            bins[i] = chosen ? *far : bins[i];
            far += chosen;
        }
    }
}

// One block of merge(); false if it has a symbol of a wide table or an escape.
bool merge_block(const View& tables, const std::uint8_t* indexes, const std::int8_t*& bins,
                 std::int32_t* symbols) {
    const std::int8_t* bin = bins;
    bool stop = false;
    for (std::size_t i = 0; i < kMergeBlock; i += kWord) {
        const bool ordinary = !has_below(load_word(indexes + i), tables.sparse);
        if (ordinary && !has_far(load_word(bin))) {
            std::copy_n(bin, kWord, symbols + i);
            bin += kWord;
        } else {
            for (std::size_t j = i; j < i + kWord; ++j) {
                const bool present = indexes[j] >= tables.sparse;
                symbols[j] = present ? *bin : 0;
                stop |= symbols[j] == kEscape;
                bin += present;
            }
        }
    }
    for (std::size_t i = 0; i < kMergeBlock; ++i) {
        stop |= indexes[i] >= tables.first_wide;
    }
    bins = stop ? bins : bin;
    return !stop;
}

std::size_t merge(const View& tables, const std::uint8_t* indexes, std::size_t blocks,
                  const std::int8_t*& bins, std::int32_t* symbols) {
    std::size_t block = 0;
    while (block < blocks && merge_block(tables, indexes, bins, symbols)) {
        ++block;
        indexes += kMergeBlock;
        symbols += kMergeBlock;
    }
    return block;
}

std::size_t kind_of(const View& tables, std::size_t index, std::int32_t symbol) {
    const unsigned not_near = tables.not_near[index / 8] >> index % 8 & 1U;
    const std::size_t place = std::min(static_cast<std::uint32_t>(symbol) + 1, 3U);
    return FirstStep::kKindRows[FirstStep::kNotNear * not_near + place];
}

std::size_t look_up(const View& view, const std::int32_t* symbols, const std::uint8_t* indexes,
                    std::size_t blocks, Found& found) {
    const View tables = view;  // a copy: bytes that are written cannot alias it
    std::size_t block = 0;
    for (; block < blocks; ++block) {
        Found next = found;
        for (std::size_t i = 0; i < kMergeBlock; ++i) {
            const std::uint8_t index = indexes[i];
            const std::int32_t symbol = symbols[i];
            if (index >= tables.first_wide) {
                return block;
            }
            if (index < tables.sparse) {
                if (symbol != 0) {
                    return block;
                }
                *next.sparse++ = index;
                continue;
            }
            const std::size_t kind = kind_of(tables, index, symbol);
            *next.indexes++ = index;
            *next.kinds++ = static_cast<std::uint8_t>(kind);
            *next.far = symbol;
            *next.far_indexes = index;
            next.far += kind == FirstStep::kFarKind;
            next.far_indexes += kind == FirstStep::kFarKind;
        }
        found = next;
        indexes += kMergeBlock;
        symbols += kMergeBlock;
    }
    return block;
}

std::uint32_t sum_sparse(const View& tables, const std::uint8_t* indexes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
        sum += tables.sparse_slots[indexes[i]];
    }
    return sum;
}

}  // namespace

const Path kScalar{"scalar",   decode,      decode_far, encode,  encode_kinds, split,
                   select_far, replace_far, merge,      look_up, sum_sparse};

}  // namespace cca::simd
