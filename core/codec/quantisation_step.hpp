// The quantisation step: how far apart latents are that a decoder can tell from each other.
//
// A latent is coded as round((y - mean) / D) and comes back as mean + D * symbol. Specified in
// docs/spec/format.md ("Quantisation step").
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cca {

/// A step D, as a stream names it.
class QuantisationStep {
  public:
    /// Steps are multiples of 1 / kDenominator: in exact mode all that follows from them is, too.
    static constexpr std::int32_t kDenominator = 128;

    /// D = 1.
    QuantisationStep() = default;

    /// @param code  of a stream: eighths of the ratio between two scales of the entropy tables.
    explicit QuantisationStep(std::int8_t code) noexcept : code_(code) {}

    std::int8_t code() const noexcept { return code_; }

    /// D times kDenominator.
    std::int32_t numerator() const noexcept;

    /// D, exactly.
    float value() const noexcept { return static_cast<float>(numerator()) / kDenominator; }

    /// Symbols that a stream may hold. Steps that are large leave out the largest, so that
    /// mean + D * symbol is exact in float32 (docs/spec/exact.md, "Proof").
    std::int32_t smallest_symbol() const noexcept;
    std::int32_t largest_symbol() const noexcept;

    /// Half places of the scale table by which scales are smaller when they are divided by D.
    int table_shift() const noexcept;

    bool operator==(const QuantisationStep&) const = default;

  private:
    std::int8_t code_ = 0;
};

/// The step of a quality from 0 to 100: higher is better, and 50 is D = 1.
///
/// @throws std::invalid_argument if there is no such quality.
QuantisationStep step_of_quality(double quality);

/// The quality of a step: step_of_quality() of it is that step.
double quality_of_step(QuantisationStep step) noexcept;

}  // namespace cca
