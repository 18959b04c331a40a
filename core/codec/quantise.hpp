// From latents to symbols.
#pragma once

#include <cstdint>
#include <span>

#include "codec/quantisation_step.hpp"

namespace cca {

/// Writes round((latents - means) / D), halves to even, clipped to the symbols of the step D, to
/// `symbols`.
///
/// All three have the same size.
///
/// @throws std::invalid_argument if a difference is infinite or not a number.
void quantise(std::span<const float> latents, std::span<const float> means, QuantisationStep step,
              std::span<std::int32_t> symbols);

}  // namespace cca
