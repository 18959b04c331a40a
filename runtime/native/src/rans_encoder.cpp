#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <stdexcept>
#include <string>

#include "cca/rans.hpp"
#include "little_endian.hpp"
#include "rans_format.hpp"

namespace cca {
namespace {

// A choice of this encoder, not of the format: lanes cost about 3 + 0.8 * (lanes - 1) bytes, and
// these bounds keep that at 0.1 % of the payload.
struct LaneChoice {
    std::size_t lanes;
    std::uint64_t payload_bytes;
};
constexpr std::array<LaneChoice, 3> kLaneChoices{{{8, 9000}, {4, 6000}, {2, 4000}}};

// Symbols encoded between two looks at the capacity of the word buffer.
constexpr std::size_t kRun = 4096;

std::uint32_t distance_of(std::int32_t symbol, std::int32_t offset, std::int32_t count) {
    const std::int32_t rank = symbol - offset;
    return static_cast<std::uint32_t>(rank < 0 ? -2 * rank - 1 : 2 * (rank - count));
}

[[noreturn]] void refuse_symbol(std::int32_t symbol) {
    throw std::invalid_argument("symbol " + std::to_string(symbol) + " does not fit in 16 bits");
}

unsigned nibble_count(std::uint64_t value) {
    return static_cast<unsigned>(std::bit_width(value) + kNibbleBits - 1) / kNibbleBits;
}

}  // namespace

// Encodes backwards: what it writes last is read first.
class Encoder::Writer {
  public:
    explicit Writer(const Encoder& encoder)
        : steps_(encoder.steps_), escapes_(encoder.escapes_), remaining_(steps_.size()) {
        states_[0] = kInitialState;
    }

    std::vector<std::uint8_t> write(std::size_t lanes) {
        // Lanes are chosen for payloads of thousands of bytes only: the symbols cannot run out.
        while (words_.size() < lanes - 1) {
            encode_one(0);
        }
        for (std::size_t lane = 1; lane < lanes; ++lane) {
            states_[lane] = kLaneStart + words_[lane - 1];
        }
        const std::size_t alone_from = remaining_;
        encode_remaining(lanes);
        for (std::size_t lane = 1; lane < lanes; ++lane) {
            put_number(states_[0], states_[lane]);
        }
        if (lanes > 1) {
            put_number(states_[0], alone_from);
        }
        return serialise(lanes);
    }

  private:
    // `word` is where a word goes if the state has to shed one; returns the place of the next.
    static std::uint32_t* put(std::uint64_t& state, Step step, std::uint32_t* word) {
        const std::uint64_t frequency = std::uint64_t{step.last} + 1;
        if (state >= frequency << (kLowerBits - kPrecisionBits + kWordBits)) {
            *word++ = static_cast<std::uint32_t>(state);
            state >>= kWordBits;
        }
        const std::uint64_t quotient = state / frequency;
        state = (quotient << kPrecisionBits) + (state - quotient * frequency) + step.start;
        return word;
    }

    void put(std::uint64_t& state, Step step) {
        std::uint32_t word = 0;
        if (put(state, step, &word) != &word) {
            words_.push_back(word);
        }
    }

    void put_nibble(std::uint64_t& state, std::uint64_t nibble) {
        put(state, {static_cast<std::uint16_t>(nibble << kNibbleShift), (1 << kNibbleShift) - 1});
    }

    void put_number(std::uint64_t& state, std::uint64_t value) {
        const unsigned count = nibble_count(value);
        for (unsigned i = count; i-- > 0;) {
            put_nibble(state, value >> (kNibbleBits * i) & 0xF);
        }
        put_nibble(state, count);
    }

    bool last_is_escape() const {
        return !escapes_.empty() && escapes_.back().position == remaining_ - 1;
    }

    // Encodes the last of the remaining symbols.
    void encode_one(std::size_t lane) {
        if (last_is_escape()) {
            put_number(states_[lane], escapes_.back().distance);
            escapes_ = escapes_.first(escapes_.size() - 1);
        }
        put(states_[lane], steps_[--remaining_]);
    }

    // How many symbols at the end of the remaining ones make whole rounds over all lanes without
    // an escape.
    std::size_t next_run(std::size_t lanes) const {
        if (remaining_ % lanes != 0) {
            return 0;
        }
        const std::size_t floor = escapes_.empty() ? 0 : escapes_.back().position + 1;
        return std::min(remaining_ - floor, kRun) / lanes * lanes;
    }

    void encode_remaining(std::size_t lanes) {
        while (remaining_ > 0) {
            const std::size_t run = next_run(lanes);
            if (run == 0) {
                encode_one((remaining_ - 1) % lanes);
                continue;
            }
            switch (lanes) {
                case 1:
                    encode_rounds<1>(run);
                    break;
                case 2:
                    encode_rounds<2>(run);
                    break;
                case 4:
                    encode_rounds<4>(run);
                    break;
                default:
                    encode_rounds<8>(run);
            }
        }
    }

    // Encodes the last `run` of the remaining symbols, as next_run() counts them.
    template <std::size_t kLanes>
    void encode_rounds(std::size_t run) {
        const std::size_t written = words_.size();
        words_.resize(written + run);
        std::uint32_t* word = words_.data() + written;
        std::array<std::uint64_t, kLanes> states;
        std::copy_n(states_.begin(), kLanes, states.begin());
        const Step* const begin = steps_.data() + remaining_ - run;
        for (const Step* round = begin + run; round != begin;) {
            round -= kLanes;
            for (std::size_t lane = kLanes; lane-- > 0;) {
                word = put(states[lane], round[lane], word);
            }
        }
        std::copy_n(states.begin(), kLanes, states_.begin());
        words_.resize(static_cast<std::size_t>(word - words_.data()));
        remaining_ -= run;
    }

    std::vector<std::uint8_t> serialise(std::size_t lanes) const {
        const int state_bytes = (std::bit_width(states_[0]) + 7) / 8;
        std::vector<std::uint8_t> payload;
        payload.reserve(1 + sizeof(std::uint64_t) + words_.size() * sizeof(std::uint32_t));
        append_bytes(payload, std::countr_zero(lanes) | (state_bytes - 1) << kStateBytesShift, 1);
        append_bytes(payload, states_[0], state_bytes);
        for (std::size_t i = words_.size(); i-- > lanes - 1;) {
            append_bytes(payload, words_[i], kWordBits / 8);
        }
        return payload;
    }

    std::span<const Step> steps_;
    std::span<const Escape> escapes_;  // of the remaining symbols
    std::size_t remaining_;
    std::array<std::uint64_t, kMaxLanes> states_{};
    std::vector<std::uint32_t> words_;
};

template <typename Index>
void Encoder::push(std::span<const std::int32_t> symbols, std::span<const Index> indexes,
                   const EntropyTables& tables) {
    if (symbols.size() != indexes.size()) {
        throw std::invalid_argument("symbols and indexes differ in number");
    }
    const std::size_t first = steps_.size();
    const std::size_t escapes = escapes_.size();
    steps_.resize(first + symbols.size());
    try {
        for (std::size_t i = 0; i < symbols.size(); ++i) {
            steps_[first + i] = make_step(symbols[i], indexes[i], tables, first + i);
        }
    } catch (...) {
        steps_.resize(first);
        escapes_.resize(escapes);
        throw;
    }
}

template void Encoder::push(std::span<const std::int32_t>, std::span<const std::uint8_t>,
                            const EntropyTables&);
template void Encoder::push(std::span<const std::int32_t>, std::span<const std::uint16_t>,
                            const EntropyTables&);

std::vector<std::uint8_t> Encoder::finish() const {
    return Writer(*this).write(choose_lanes());
}

Encoder::Step Encoder::make_step(std::int32_t symbol, std::size_t index,
                                 const EntropyTables& tables, std::size_t position) {
    tables.check_index(index);
    if (symbol != static_cast<std::int16_t>(symbol)) [[unlikely]] {
        refuse_symbol(symbol);
    }
    const std::int32_t offset = tables.offset(index);
    const std::int32_t count = tables.symbol_count(index);
    auto rank = static_cast<std::uint32_t>(symbol - offset);
    if (rank >= static_cast<std::uint32_t>(count)) [[unlikely]] {
        escapes_.push_back({position, distance_of(symbol, offset, count)});
        rank = static_cast<std::uint32_t>(count);
    }
    const Interval& interval = tables.interval(index, rank);
    return {interval.start, interval.last};
}

// The bits of a float, read as an integer, are its logarithm to base 2 with straight lines between
// the powers of two: at most 0.09 bits off, the same on every machine, and vectorised.
std::size_t Encoder::choose_lanes() const noexcept {
    constexpr std::uint64_t kBit = std::uint64_t{1} << (std::numeric_limits<float>::digits - 1);
    constexpr auto kCertain = std::bit_cast<std::uint32_t>(static_cast<float>(kSlotMask + 1));
    std::uint64_t cost = 0;
    for (const Step step : steps_) {
        cost += kCertain - std::bit_cast<std::uint32_t>(static_cast<float>(step.last + 1));
    }
    for (const LaneChoice& choice : kLaneChoices) {
        if (cost / kBit >= 8 * choice.payload_bytes) {
            return choice.lanes;
        }
    }
    return 1;
}

}  // namespace cca
