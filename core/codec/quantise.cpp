#include "codec/quantise.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <stdexcept>

namespace cca {

namespace {

// Adding and taking away 1.5 * 2^23 leaves the nearest integer, halves to even: unlike nearbyint,
// compilers turn it into vector instructions. Where floats are computed in a wider type, it would
// leave something else.
float round_to_nearest(float value) {
    if constexpr (FLT_EVAL_METHOD == 0) {
        constexpr float kShift = 12582912.0F;
        return (value + kShift) - kShift;
    } else {
        return std::nearbyint(value);
    }
}

}  // namespace

void quantise(std::span<const float> latents, std::span<const float> means, QuantisationStep step,
              std::span<std::int32_t> symbols) {
    const float per_step = 1.0F / step.value();
    const auto smallest = static_cast<float>(step.smallest_symbol());
    const auto largest = static_cast<float>(step.largest_symbol());
    bool finite = true;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        const float residual = (latents[i] - means[i]) * per_step;
        finite &= std::fabs(residual) <= FLT_MAX;
        // The limits are integers, so that clipping may come first. What is not a number becomes
        // one.
        const float clipped = std::min(largest, std::max(smallest, residual));
        symbols[i] = static_cast<std::int32_t>(round_to_nearest(clipped));
    }
    if (!finite) {
        throw std::invalid_argument("a latent minus its mean is infinite or not a number");
    }
}

}  // namespace cca
