#include "entropy/lanes.hpp"

#include <string>

#include "format/error.hpp"
#include "format/little_endian.hpp"

namespace cca {
namespace {

[[noreturn]] void throw_exhausted() {
    throw StreamError("payload exhausted: it holds fewer symbols than the picture needs");
}

[[noreturn]] void throw_damaged(const char* what) {
    throw StreamError(std::string("invalid payload: ") + what);
}

}  // namespace

Lanes::Lanes(std::span<const std::uint8_t> payload, bool cut_short)
    : end_(payload.size()), cut_short_(cut_short) {
    payload_.reserve(end_ + kLanes * kWordBytes + simd::kSlack);
    payload_.assign(payload.begin(), payload.end());
    payload_.resize(payload_.capacity());
    read_head();
    if (lanes_ > 1) {
        read_lanes();
    }
}

void Lanes::read_head() {
    if (end_ == 0) {
        throw StreamError("payload truncated: it is empty");
    }
    const std::uint8_t head = payload_[0];
    if ((head & ~(kManyLanesFlag | kLongStateFlag)) != 0) {
        throw_damaged("unknown bits in its first byte");
    }
    const std::size_t state_bytes = kShortStateBytes + ((head & kLongStateFlag) != 0);
    next_ = 1 + state_bytes;
    if (end_ < next_) {
        throw StreamError("payload truncated: it ends within the coder's state");
    }
    if (cut_short_) {
        end_ -= (end_ - next_) % kWordBytes;
    } else if ((end_ - next_) % kWordBytes != 0) {
        throw StreamError("payload truncated: it ends within a word");
    }
    for (std::size_t i = state_bytes; i > 0; --i) {
        states_[0] = states_[0] << 8 | payload_[i];
    }
    if (payload_[state_bytes] == 0) {
        throw_damaged("a state out of range");
    }
    lanes_ = (head & kManyLanesFlag) != 0 ? kLanes : 1;
}

void Lanes::read_lanes() {
    // Not alone yet: what follows comes before the words that lane 0 has to itself.
    alone_from_ = ~std::uint64_t{0};
    const std::uint64_t alone_from = take_number(0, take_raw(0, kLengthBits));
    for (std::size_t lane = kLanes - 1; lane > 0; --lane) {
        const auto exponent = static_cast<int>(take_raw(0, kExponentBits));
        const std::uint32_t low = take_raw(0, kWordBits);
        const std::uint32_t high = 1U << exponent | (exponent > 0 ? take_raw(0, exponent) : 0);
        states_[lane] = high << kWordBits | low;
    }
    alone_from_ = alone_from;
    unread_lanes_ = kLanes - 1;
}

void Lanes::end_rounds(const simd::DecodeState& state, std::size_t rounds, std::size_t done) {
    if (done < rounds || state.words > state.end) {
        throw_exhausted();
    }
    next_ = static_cast<std::size_t>(state.words - payload_.data());
    done_ += rounds * kLanes;
}

std::uint32_t Lanes::take_raw(std::size_t lane, int bits) {
    const int shift = kMaxPrecision - bits;
    const std::uint32_t taken = slot(lane, kMaxPrecision);
    take(lane, kMaxPrecision, std::uint32_t{1} << shift, taken & ((1U << shift) - 1));
    return taken >> shift;
}

std::uint64_t Lanes::take_number(std::size_t lane, std::uint32_t length) {
    if (length == 0) {
        return 0;
    }
    const int bits = static_cast<int>(length) - 1;
    std::uint64_t number = 0;
    int taken = 0;
    for (; bits - taken > kWordBits; taken += kWordBits) {
        number |= std::uint64_t{take_raw(lane, kWordBits)} << taken;
    }
    if (bits > taken) {
        number |= std::uint64_t{take_raw(lane, bits - taken)} << taken;
    }
    return std::uint64_t{1} << bits | number;
}

// When lane 0 works alone it reads the words that are left, then the lanes' first states.
void Lanes::refill(std::size_t lane) {
    std::uint32_t word = 0;
    if (next_ != end_) {
        word = load_u16(payload_.data() + next_);
        next_ += kWordBytes;
    } else if (alone() && unread_lanes_ > 0 && !cut_short_) {
        const std::uint32_t first = states_[unread_lanes_--];
        if (first >> kWordBits != 1) {
            throw_damaged("a lane does not end where it began");
        }
        word = first & 0xFFFF;
    } else {
        throw_exhausted();
    }
    states_[lane] = states_[lane] << kWordBits | word;
}

void Lanes::finish() const {
    if (next_ != end_ || unread_lanes_ > 0 || !alone() || states_[0] != kInitialState) {
        throw_damaged("something is left after its last symbol");
    }
}

}  // namespace cca
