// Which quantisation step meets a target: trials, one after the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "codec/quantisation_step.hpp"

namespace cca {

/// What an encoder aims at.
struct Target {
    enum class Kind : std::uint8_t {
        kFileBytes,     ///< of the whole stream
        kPayloadBytes,  ///< of the stream without its metadata
        kPsnr           ///< dB of all samples, red, green and blue
    };
    Kind kind = Kind::kFileBytes;
    double value = 0;  ///< above 0
};

/// Looks for the step that meets a target, by secants within the steps that are still possible.
///
/// Sizes are met within 1 %, by the largest that is not above the target if there is one; a PSNR
/// within 0.05 dB.
class StepSearch {
  public:
    /// @throws std::invalid_argument if the target is no positive number.
    explicit StepSearch(const Target& target);

    const Target& target() const noexcept { return target_; }

    /// The step to try next. None when enough is known.
    std::optional<QuantisationStep> next() const;

    /// Notes what a trial gave. True if it is the best so far.
    ///
    /// @param found  in the target's unit.
    bool add(QuantisationStep step, double found);

    /// Throws TargetError, which names the nearest that can be had, unless the best trial meets the
    /// target.
    void require_met() const;

    std::uint32_t trials() const noexcept { return static_cast<std::uint32_t>(trials_.size()); }

  private:
    struct Trial {
        QuantisationStep step;
        double found;
    };

    bool is_size() const noexcept { return target_.kind != Target::Kind::kPsnr; }
    std::optional<QuantisationStep> neighbour() const;
    double level(double found) const;
    double distance(const Trial& trial) const;
    bool meets(const Trial& trial) const;
    bool within(const Trial& trial, double tolerance) const;
    int estimate(int code, double found) const;

    Target target_;
    std::vector<Trial> trials_;
    std::size_t best_ = 0;
    // The codes that may still meet the target: what is finer is too large, what is coarser too
    // small.
    int finest_ = INT8_MIN;
    int coarsest_ = INT8_MAX;
};

}  // namespace cca
