#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "cca/error.hpp"
#include "cca/rans.hpp"
#include "little_endian.hpp"
#include "rans_format.hpp"

namespace cca {
namespace {

constexpr std::size_t kWordBytes = kWordBits / 8;

// Indexes are copied in blocks before they are checked and used: the caller's array may be shared
// with threads that write to it.
constexpr std::size_t kBlock = 1024;

[[noreturn]] void throw_exhausted() {
    throw StreamError("payload exhausted: it holds fewer symbols than the picture needs");
}

[[noreturn]] void throw_damaged(const char* what) {
    throw StreamError(std::string("invalid payload: ") + what);
}

// Takes the interval's symbol out of the state. Never raises the state, see docs/format.md.
void take(std::uint64_t& state, std::uint32_t start, std::uint32_t last) {
    const std::uint32_t slot = static_cast<std::uint32_t>(state) & kSlotMask;
    state = (std::uint64_t{last} + 1) * (state >> kPrecisionBits) + (slot - start);
}

std::uint64_t shift_in(std::uint64_t state, std::uint32_t word) {
    return state << kWordBits | word;
}

template <typename Refill>
std::uint64_t take_number(std::uint64_t& state, unsigned max_nibbles, Refill refill) {
    const auto nibble = [&state, &refill] {
        const std::uint64_t value = (state & kSlotMask) >> kNibbleShift;
        take(state, static_cast<std::uint32_t>(value << kNibbleShift), (1 << kNibbleShift) - 1);
        refill(state);
        return value;
    };
    const std::uint64_t count = nibble();
    if (count > max_nibbles) {
        throw_damaged("a number has too many digits");
    }
    std::uint64_t number = 0;
    for (unsigned i = 0; i < count; ++i) {
        number |= nibble() << (kNibbleBits * i);
    }
    if (count > 0 && number >> (kNibbleBits * (count - 1)) == 0) {
        throw_damaged("a number starts with a zero digit");
    }
    return number;
}

struct Escaped {
    std::uint64_t state;
    std::int32_t symbol;
};

// Takes the state by value: a reference would keep the caller's states out of registers.
template <typename Refill>
[[gnu::noinline]] Escaped take_escaped(std::uint64_t state, const EntropyTables& tables,
                                       std::uint16_t index, Refill refill) {
    const auto distance =
        static_cast<std::int32_t>(take_number(state, kMaxDistanceNibbles, refill));
    const std::int32_t rank =
        distance % 2 != 0 ? -(distance + 1) / 2 : distance / 2 + tables.symbol_count(index);
    const std::int32_t symbol = tables.offset(index) + rank;
    if (symbol != static_cast<std::int16_t>(symbol)) {
        throw_damaged("an escaped symbol does not fit in 16 bits");
    }
    return {state, symbol};
}

template <typename Refill>
[[gnu::always_inline]] inline std::int32_t take_symbol(std::uint64_t& state,
                                                       const EntropyTables& tables,
                                                       std::uint16_t index, Refill refill) {
    const Interval& interval = tables.find(index, static_cast<std::uint32_t>(state) & kSlotMask);
    take(state, interval.start, interval.last);
    refill(state);
    if (interval.escape != 0) [[unlikely]] {
        const Escaped escaped = take_escaped(state, tables, index, refill);
        state = escaped.state;
        return escaped.symbol;
    }
    return interval.value;
}

// The words of a payload while several lanes are at work: each keeps its state above the bound.
class Words {
  public:
    Words(const std::vector<std::uint8_t>& payload, std::size_t& next)
        : payload_(payload), next_(next) {}

    void operator()(std::uint64_t& state) const {
        if (state < kLower) {
            if (next_ == payload_.size()) [[unlikely]] {
                throw_exhausted();
            }
            state = shift_in(state, load_u32(payload_.data() + next_));
            next_ += kWordBytes;
        }
    }

  private:
    const std::vector<std::uint8_t>& payload_;
    std::size_t& next_;
};

}  // namespace

Decoder::Decoder(std::span<const std::uint8_t> payload) : payload_(payload.begin(), payload.end()) {
    read_states();
}

void Decoder::read_states() {
    if (payload_.empty()) {
        throw StreamError("payload truncated: it is empty");
    }
    const std::uint8_t head = payload_[0];
    const std::size_t state_bytes = (head >> kStateBytesShift) + std::size_t{1};
    if (state_bytes > sizeof(std::uint64_t)) {
        throw_damaged("unknown bits in its first byte");
    }
    if (payload_.size() < 1 + state_bytes) {
        throw StreamError("payload truncated: it ends within the coder's state");
    }
    next_word_ = 1 + state_bytes;
    if ((payload_.size() - next_word_) % kWordBytes != 0) {
        throw StreamError("payload truncated: it ends within a word");
    }
    for (std::size_t i = state_bytes; i > 0; --i) {
        states_[0] = states_[0] << 8 | payload_[i];
    }
    const bool words_left = next_word_ != payload_.size();
    lanes_ = std::size_t{1} << (head & 3);
    if (payload_[state_bytes] == 0 || states_[0] >= kUpper ||
        states_[0] < (words_left || lanes_ > 1 ? kLower : kInitialState)) {
        throw_damaged("a state out of range");
    }
    if (lanes_ > 1) {
        const Words refill(payload_, next_word_);
        alone_from_ = take_number(states_[0], kMaxStateNibbles, refill);
        for (std::size_t lane = lanes_ - 1; lane > 0; --lane) {
            states_[lane] = take_number(states_[0], kMaxStateNibbles, refill);
            if (states_[lane] < kLower) {
                throw_damaged("a state out of range");
            }
        }
    }
    unread_lanes_ = lanes_ - 1;
}

template <typename Index>
void Decoder::pull(std::span<std::int32_t> symbols, std::span<const Index> indexes,
                   const EntropyTables& tables) {
    if (symbols.size() != indexes.size()) {
        throw std::invalid_argument("symbols and indexes differ in number");
    }
    if (!usable_) {
        throw StreamError("the decoder has stopped at an earlier error");
    }
    usable_ = false;
    std::array<std::uint16_t, kBlock> block;
    for (std::size_t done = 0; done < symbols.size();) {
        const std::size_t count = std::min(kBlock, symbols.size() - done);
        std::copy_n(indexes.begin() + static_cast<std::ptrdiff_t>(done), count, block.begin());
        const Indexes copied(block.data(), count);
        tables.check_index(*std::max_element(copied.begin(), copied.end()));
        decode(copied, tables, symbols.data() + done);
        done += count;
    }
    usable_ = true;
}

template void Decoder::pull(std::span<std::int32_t>, std::span<const std::uint8_t>,
                            const EntropyTables&);
template void Decoder::pull(std::span<std::int32_t>, std::span<const std::uint16_t>,
                            const EntropyTables&);

void Decoder::finish() {
    if (!usable_) {
        throw StreamError("the decoder has stopped at an earlier error");
    }
    // Only lane 0 alone, with no word and no lane left to read, can be this low.
    if (states_[0] != kInitialState) {
        throw StreamError("the payload does not end where the picture does");
    }
}

void Decoder::decode(Indexes indexes, const EntropyTables& tables, std::int32_t* symbols) {
    std::size_t done = 0;
    while (done < indexes.size()) {
        const std::size_t together =
            position_ < alone_from_ ? std::min(indexes.size() - done, alone_from_ - position_) : 0;
        const std::size_t rounds = position_ % lanes_ == 0 ? together / lanes_ * lanes_ : 0;
        if (rounds == 0) {
            decode_one(indexes[done], tables, symbols[done]);
            ++done;
            continue;
        }
        const Indexes part = indexes.subspan(done, rounds);
        switch (lanes_) {
            case 2:
                decode_rounds<2>(part, tables, symbols + done);
                break;
            case 4:
                decode_rounds<4>(part, tables, symbols + done);
                break;
            default:
                decode_rounds<8>(part, tables, symbols + done);
        }
        done += rounds;
    }
}

template <std::size_t kLanes>
void Decoder::decode_rounds(Indexes indexes, const EntropyTables& tables, std::int32_t* symbols) {
    std::array<std::uint64_t, kLanes> states;
    std::copy_n(states_.begin(), kLanes, states.begin());
    const Words refill(payload_, next_word_);
    for (std::size_t round = 0; round < indexes.size(); round += kLanes) {
        // Written out by the compiler, lane by lane, so that states stay in registers.
        [&]<std::size_t... kLane>(std::index_sequence<kLane...>) {
            ((symbols[round + kLane] =
                  take_symbol(states[kLane], tables, indexes[round + kLane], refill)),
             ...);
        }(std::make_index_sequence<kLanes>{});
    }
    std::copy_n(states.begin(), kLanes, states_.begin());
    position_ += indexes.size();
}

void Decoder::decode_one(std::uint16_t index, const EntropyTables& tables, std::int32_t& symbol) {
    if (position_ < alone_from_) {
        symbol =
            take_symbol(states_[position_ % lanes_], tables, index, Words(payload_, next_word_));
    } else {
        symbol = take_symbol(states_[0], tables, index,
                             [this](std::uint64_t& state) { refill_alone(state); });
    }
    ++position_;
}

// Lane 0 reads the words that are left, then the lanes' first states, then nothing.
void Decoder::refill_alone(std::uint64_t& state) {
    if (state >= kLower) {
        return;
    }
    if (next_word_ != payload_.size()) {
        state = shift_in(state, load_u32(payload_.data() + next_word_));
        next_word_ += kWordBytes;
    } else if (unread_lanes_ > 0) {
        const std::uint64_t first = states_[unread_lanes_--];
        if (first >> kWordBits != 1) {
            throw_damaged("a lane does not end where it began");
        }
        state = shift_in(state, static_cast<std::uint32_t>(first));
    } else if (state < kInitialState) {
        throw_exhausted();
    }
}

}  // namespace cca
