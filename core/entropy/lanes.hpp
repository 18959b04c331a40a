// The decoder's states and words: docs/spec/format.md, "Steps" and "Lanes".
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "entropy/coding_tables.hpp"
#include "entropy/rans_format.hpp"
#include "entropy/simd/path.hpp"

namespace cca {

class Lanes {
  public:
    /// Copies the payload and reads the first states.
    ///
    /// @param cut_short  whether more words belong to the payload than are there.
    /// @throws StreamError if they are truncated or invalid.
    Lanes(std::span<const std::uint8_t> payload, bool cut_short);

    /// Bytes that have been read.
    std::size_t position() const { return next_; }

    /// How many of `units` make the next round, on the lanes 0, 1, ...; at least 1 of 1 or more.
    std::size_t next_round(std::size_t units) const {
        return alone() ? std::min<std::size_t>(units, 1) : before_alone(std::min(units, lanes_));
    }

    /// How many of `units` come before lane 0 works alone.
    std::size_t before_alone(std::size_t units) const {
        const std::uint64_t left = alone() ? 0 : alone_from_ - done_;
        return static_cast<std::size_t>(std::min<std::uint64_t>(units, left));
    }

    /// Notes that a round is decoded.
    void finish_round(std::size_t units) { done_ += units; }

    /// Runs whole rounds, before lane 0 works alone: `decode` advances a simd::DecodeState and
    /// returns how many it has done.
    ///
    /// @throws StreamError if the words do not last.
    template <typename Decode>
    void run_rounds(std::size_t rounds, Decode decode) {
        simd::DecodeState state{states_.data(), payload_.data() + next_, payload_.data() + end_};
        const std::size_t done = decode(state);
        end_rounds(state, rounds, done);
    }

    std::uint32_t slot(std::size_t lane, int precision) const {
        return states_[lane] & ((std::uint32_t{1} << precision) - 1);
    }

    /// Takes an interval out of a state; `place` is the slot's distance from the interval's start.
    void take(std::size_t lane, int precision, std::uint32_t frequency, std::uint32_t place) {
        states_[lane] = frequency * (states_[lane] >> precision) + place;
        if (states_[lane] < kLowerBound) {
            refill(lane);
        }
    }

    /// Takes `bits` <= 16 bits that are equally likely 0 and 1.
    std::uint32_t take_raw(std::size_t lane, int bits);

    /// The number whose length, take_raw(lane, kLengthBits), has been taken already.
    std::uint64_t take_number(std::size_t lane, std::uint32_t length);

    /// Confirms that nothing is left.
    ///
    /// @throws StreamError if something is.
    void finish() const;

  private:
    bool alone() const { return done_ >= alone_from_; }
    void read_head();
    void read_lanes();
    void refill(std::size_t lane);
    void end_rounds(const simd::DecodeState& state, std::size_t rounds, std::size_t done);

    std::vector<std::uint8_t> payload_;  // and padding, which whole rounds may read
    std::size_t end_ = 0;                // of the words in payload_
    std::size_t next_ = 0;
    std::array<std::uint32_t, kLanes> states_{};
    std::size_t lanes_ = 1;
    std::uint64_t done_ = 0;        // units decoded so far
    std::uint64_t alone_from_ = 0;  // the unit from which lane 0 works alone
    bool cut_short_;
    std::size_t unread_lanes_ = 0;  // lanes whose first state is still to serve lane 0 as a word
};

}  // namespace cca
