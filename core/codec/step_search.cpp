#include "codec/step_search.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <stdexcept>

#include "format/error.hpp"

namespace cca {
namespace {

constexpr double kSizeTolerance = 0.01;  // of the target
constexpr double kNearSize = 0.005;      // not worth another trial
constexpr double kPsnrTolerance = 0.05;  // dB
constexpr double kNearPsnr = 0.02;       // likewise
constexpr std::size_t kLines = 5;        // trials before halving
constexpr double kCodes = 256;           // more than there are
constexpr int kNeighbours = 4;           // to either side of the best step
// How a level changes with a code, as photographs have it: before two trials tell.
constexpr double kSizeSlope = -0.017;  // of the logarithm of bytes
constexpr double kPsnrSlope = -0.06;   // dB

// Of any size, whatever the program's locale.
std::string to_text(double value, int decimals) {
    std::array<char, 400> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                   std::chars_format::fixed, decimals);
    return {text.data(), end.ptr};
}

std::string describe(const Target& target, double value) {
    switch (target.kind) {
        case Target::Kind::kPsnr:
            return to_text(value, 2) + " dB";
        case Target::Kind::kPayloadBytes:
            return to_text(value, 0) + " bytes without metadata";
        case Target::Kind::kFileBytes:
            break;
    }
    return to_text(value, 0) + " bytes";
}

}  // namespace

StepSearch::StepSearch(const Target& target) : target_(target) {
    if (!(target.value > 0) || !std::isfinite(target.value)) {
        throw std::invalid_argument("a target is a number above 0");
    }
}

std::optional<QuantisationStep> StepSearch::next() const {
    if (trials_.empty()) {
        return QuantisationStep();
    }
    const Trial& best = trials_[best_];
    const bool near = is_size() ? best.found <= target_.value && within(best, kNearSize)
                                : within(best, kNearPsnr);
    if (near) {
        return std::nullopt;
    }
    if (finest_ > coarsest_) {
        return neighbour();
    }
    const Trial& last = trials_.back();
    // Where lines lead nowhere, halving gets there.
    const int code = trials_.size() < kLines ? estimate(last.step.code(), last.found)
                                             : (finest_ + coarsest_) / 2;
    return QuantisationStep(static_cast<std::int8_t>(std::clamp(code, finest_, coarsest_)));
}

// A step near the best one that was not tried. Sizes of small pictures do not fall with every step,
// so that one of these may meet a target that lies between two others.
std::optional<QuantisationStep> StepSearch::neighbour() const {
    const Trial& best = trials_[best_];
    if (meets(best) || finest_ == INT8_MIN || coarsest_ == INT8_MAX) {
        return std::nullopt;
    }
    for (int distance = 1; distance <= kNeighbours; ++distance) {
        for (const int code : {best.step.code() - distance, best.step.code() + distance}) {
            const bool tried = std::ranges::any_of(
                trials_, [&](const Trial& trial) { return trial.step.code() == code; });
            if (!tried && code >= INT8_MIN && code <= INT8_MAX) {
                return QuantisationStep(static_cast<std::int8_t>(code));
            }
        }
    }
    return std::nullopt;
}

bool StepSearch::add(QuantisationStep step, double found) {
    trials_.push_back({step, found});
    // Sizes and PSNR both fall as steps get coarser.
    if (found > target_.value) {
        finest_ = std::max(finest_, step.code() + 1);
    } else {
        coarsest_ = std::min(coarsest_, step.code() - 1);
    }
    if (trials_.size() > 1 && distance(trials_.back()) >= distance(trials_[best_])) {
        return false;
    }
    best_ = trials_.size() - 1;
    return true;
}

void StepSearch::require_met() const {
    const Trial& best = trials_.at(best_);
    if (!meets(best)) {
        throw TargetError("the target of " + describe(target_, target_.value) +
                          " cannot be met: the nearest is " + describe(target_, best.found) +
                          ", at quality " + to_text(quality_of_step(best.step), 1) +
                          ": ask for that instead");
    }
}

// Nearly linear in codes.
double StepSearch::level(double found) const {
    return is_size() ? std::log(std::max(found, 1.0)) : found;
}

// How little a trial is wanted. A size above the target comes after all that are near enough below.
double StepSearch::distance(const Trial& trial) const {
    const double distance = std::fabs(trial.found - target_.value);
    const bool good = trial.found <= target_.value && within(trial, kSizeTolerance);
    return is_size() && !good ? distance + target_.value : distance;
}

bool StepSearch::meets(const Trial& trial) const {
    return within(trial, is_size() ? kSizeTolerance : kPsnrTolerance);
}

bool StepSearch::within(const Trial& trial, double tolerance) const {
    return std::fabs(trial.found - target_.value) <= tolerance * (is_size() ? target_.value : 1.0);
}

// Where a straight line through two trials meets the target.
int StepSearch::estimate(int code, double found) const {
    double slope = is_size() ? kSizeSlope : kPsnrSlope;
    if (trials_.size() > 1) {
        const Trial& before = trials_[trials_.size() - 2];
        const double measured = (level(found) - level(before.found)) / (code - before.step.code());
        slope = std::clamp(measured, 4 * slope, slope / 16);
    }
    const double codes = (level(target_.value) - level(found)) / slope;
    return code + static_cast<int>(std::lround(std::clamp(codes, -kCodes, kCodes)));
}

}  // namespace cca
