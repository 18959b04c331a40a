#include "cca/quantise.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace cca {

void quantise(std::span<const float> latents, std::span<const float> means,
              std::span<std::int32_t> symbols) {
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        const float residual = latents[i] - means[i];
        if (!std::isfinite(residual)) {
            throw std::invalid_argument("latent " + std::to_string(i) +
                                        " minus its mean is infinite or not a number");
        }
        // The default rounding mode: to nearest, halves to even.
        const float rounded = std::nearbyint(residual);
        symbols[i] = static_cast<std::int32_t>(std::clamp(rounded, -32768.0F, 32767.0F));
    }
}

}  // namespace cca
