#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <limits>
#include <utility>

#include "entropy/rans.hpp"
#include "entropy/units.hpp"
#include "entropy/word_writer.hpp"

namespace cca {
namespace {

// A choice of this encoder, not of the format: many lanes cost about 40 bytes, here below 0.3 %.
constexpr std::uint64_t kManyLanesBytes = 15'000;
// What the number that says where lane 0 begins to work alone can hold.
constexpr std::uint64_t kMostUnits = std::uint64_t{1} << 31;

// Encodes backwards: what it writes last is read first.
class Writer {
  public:
    Writer(const std::vector<Run>& runs, const simd::Path& path) : path_(path), runs_(runs) {
        states_[0] = kInitialState;
        for (const Run& run : runs) {
            units_ += run.units;
        }
        words_before_.resize(runs.size() + 1);
        enter_run();
    }

    std::vector<std::uint8_t> write(std::size_t lanes) {
        while (units_ > 0 && (lanes == 1 || words_.first_words() < lanes - 1)) {
            encode_alone();
        }
        if (words_.first_words() < lanes - 1) {
            // The estimate of the payload's size was far off: all is done, on one lane.
            return serialise(1);
        }
        if (lanes > 1) {
            for (std::size_t lane = 1; lane < lanes; ++lane) {
                states_[lane] = kLowerBound + words_.first_word(lane - 1);
            }
            const std::uint64_t alone_from = units_;
            encode_runs();
            put_lanes(alone_from);
        }
        return serialise(lanes);
    }

    // Of the payload, for the runs from number `first` to `end`, which is not the first group's.
    std::uint64_t bytes_of(std::size_t first, std::size_t end) const {
        return kWordBytes * (written(words_before_[first]) - written(words_before_[end]));
    }

  private:
    // Of so many words, those that stay words.
    std::size_t written(std::size_t words) const { return words - std::min(words, skipped_); }

    // Sets left_ and extras_ to the last of the runs that are left.
    void enter_run() {
        if (!runs_.empty()) {
            left_ = runs_.back().units;
            extras_ = runs_.back().extras;
        }
    }

    void leave_units(std::size_t count) {
        left_ -= count;
        units_ -= count;
        if (left_ == 0) {
            words_before_[runs_.size() - 1] = words_.words();
            runs_ = runs_.first(runs_.size() - 1);
            enter_run();
        }
    }

    void put(std::size_t lane, Step step) {
        std::uint32_t& state = states_[lane];
        const std::uint32_t frequency = step.interval.frequency;
        if (state >> (32 - step.precision) >= frequency) {
            words_.push(state);
            state >>= kWordBits;
        }
        state = (state / frequency << step.precision) + state % frequency + step.interval.start;
    }

    void put_extras(std::size_t lane, std::size_t unit) {
        while (!extras_.empty() && extras_.back().unit == unit) {
            put(lane, extras_.back().step);
            extras_ = extras_.first(extras_.size() - 1);
        }
    }

    void encode_alone() {
        put_extras(0, left_ - 1);
        put(0, runs_.back().first_step(left_ - 1));
        leave_units(1);
    }

    void encode_runs() {
        while (units_ > 0) {
            const std::size_t partial = left_ % kLanes;
            if (partial > 0) {
                encode_round(partial);
                continue;
            }
            const std::size_t floor =
                extras_.empty() ? 0 : (extras_.back().unit / kLanes + 1) * kLanes;
            if (floor < left_) {
                encode_rounds(std::min(left_ - floor, WordWriter::kRoom));
            } else {
                encode_round(kLanes);
            }
        }
    }

    // The last `count` units of the run, on as many lanes.
    void encode_round(std::size_t count) {
        const std::size_t first = left_ - count;
        for (std::size_t lane = count; lane-- > 0;) {
            put_extras(lane, first + lane);
        }
        for (std::size_t lane = count; lane-- > 0;) {
            put(lane, runs_.back().first_step(first + lane));
        }
        leave_units(count);
    }

    // The last `count` units of the run, whole rounds without a unit of more than one step.
    void encode_rounds(std::size_t count) {
        const Run& run = runs_.back();
        const std::size_t first = left_ - count;
        std::uint16_t* const top = words_.require(count);
        words_.set_top(run.tables == nullptr
                           ? path_.encode(run.intervals.get() + first, run.precisions.get() + first,
                                          count / kLanes, states_.data(), top)
                           : path_.encode_kinds(simd::view(*run.tables), run.indexes.get() + first,
                                                run.kinds.get() + first, count / kLanes,
                                                states_.data(), top));
        leave_units(count);
    }

    // The inverse of Lanes::read_lanes().
    void put_lanes(std::uint64_t alone_from) {
        for (std::size_t lane = 1; lane < kLanes; ++lane) {
            const std::uint32_t state = states_[lane];
            const int exponent = std::bit_width(state) - 1 - kWordBits;
            if (exponent > 0) {
                put(0, raw_step(state >> kWordBits, exponent));
            }
            put(0, raw_step(state, kWordBits));
            put(0, raw_step(static_cast<std::uint32_t>(exponent), kExponentBits));
        }
        const int length = std::bit_width(alone_from);
        if (length - 1 > kWordBits) {
            put(0, raw_step(alone_from >> kWordBits, length - 1 - kWordBits));
        }
        if (length > 1) {
            put(0, raw_step(alone_from, std::min(kWordBits, length - 1)));
        }
        put(0, raw_step(static_cast<std::uint32_t>(length), kLengthBits));
    }

    std::vector<std::uint8_t> serialise(std::size_t lanes) {
        skipped_ = lanes - 1;
        const bool long_state = states_[0] >> (8 * kShortStateBytes) != 0;
        std::vector<std::uint8_t> payload;
        payload.push_back((lanes > 1 ? kManyLanesFlag : 0) | (long_state ? kLongStateFlag : 0));
        append_bytes(payload, states_[0], kShortStateBytes + long_state);
        words_.append_to(payload, skipped_);
        return payload;
    }

    const simd::Path& path_;
    std::span<const Run> runs_;  // that are left
    std::size_t left_ = 0;       // units of the last of them
    std::span<const Run::Extra> extras_;
    std::uint64_t units_ = 0;  // of all
    alignas(64) std::array<std::uint32_t, kLanes> states_{};
    WordWriter words_;
    std::vector<std::size_t> words_before_;  // for each run, when it and all behind it are encoded
    std::size_t skipped_ = 0;                // words that became first states
};

// Whether the runs cost about so many bytes, judged by every 16th unit. The bits of a float, read
// as an integer, are its logarithm to base 2 with straight lines between the powers of two: at most
// 0.09 bits off, and the same on every machine.
bool cost_at_least(const std::vector<Run>& runs, std::uint64_t bytes) {
    constexpr std::size_t stride = 16;
    constexpr int fraction_bits = std::numeric_limits<float>::digits - 1;
    std::uint64_t cost = 0;
    for (const Run& run : runs) {
        for (std::size_t unit = 0; unit < run.units; unit += stride) {
            const Step step = run.first_step(unit);
            const auto frequency = static_cast<float>(step.interval.frequency);
            cost += (std::uint32_t{127} + step.precision) << fraction_bits;
            cost -= std::bit_cast<std::uint32_t>(frequency);
        }
        if (cost >> fraction_bits >= 8 * bytes / stride) {
            return true;
        }
    }
    return false;
}

}  // namespace

class Encoder::Impl {
  public:
    template <typename Index>
    void push(std::span<const std::int32_t> symbols, std::span<const Index> indexes,
              const std::shared_ptr<const CodingTables>& tables) {
        std::vector<Run> runs = builder_.build(symbols, indexes, tables);
        groups_.push_back(runs_.size());
        runs_.insert(runs_.end(), std::move_iterator(runs.begin()), std::move_iterator(runs.end()));
    }

    std::vector<std::uint8_t> finish(std::vector<std::uint64_t>* group_bytes) const {
        std::uint64_t units = 0;
        for (const Run& run : runs_) {
            units += run.units;
        }
        const bool many = units < kMostUnits && cost_at_least(runs_, kManyLanesBytes);
        Writer writer(runs_, path_);
        std::vector<std::uint8_t> payload = writer.write(many ? kLanes : 1);
        if (group_bytes != nullptr) {
            *group_bytes = bytes_of_groups(writer, payload.size());
        }
        return payload;
    }

  private:
    std::vector<std::uint64_t> bytes_of_groups(const Writer& writer, std::uint64_t all) const {
        std::vector<std::uint64_t> bytes(groups_.size());
        for (std::size_t group = groups_.size(); group-- > 1;) {
            const bool last = group + 1 == groups_.size();
            bytes[group] =
                writer.bytes_of(groups_[group], last ? runs_.size() : groups_[group + 1]);
            all -= bytes[group];
        }
        if (!bytes.empty()) {
            bytes.front() = all;
        }
        return bytes;
    }

    const simd::Path& path_ = simd::path();
    RunBuilder builder_{path_};
    std::vector<std::size_t> groups_;  // the first run of each
    std::vector<Run> runs_;
};

Encoder::Encoder() : impl_(std::make_unique<Impl>()) {}
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;
Encoder::~Encoder() = default;

template <typename Index>
void Encoder::push(std::span<const std::int32_t> symbols, std::span<const Index> indexes,
                   const EntropyTables& tables) {
    impl_->push(symbols, indexes, tables.shared_coding());
}

template void Encoder::push(std::span<const std::int32_t>, std::span<const std::uint8_t>,
                            const EntropyTables&);
template void Encoder::push(std::span<const std::int32_t>, std::span<const std::uint16_t>,
                            const EntropyTables&);

std::vector<std::uint8_t> Encoder::finish(std::vector<std::uint64_t>* group_bytes) const {
    return impl_->finish(group_bytes);
}

}  // namespace cca
