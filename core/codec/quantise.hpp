// From latents to symbols.
#pragma once

#include <cstdint>
#include <span>

namespace cca {

/// Writes round(latents - means), halves to even, clipped to an int16, to `symbols`.
///
/// All three have the same size.
///
/// @throws std::invalid_argument if a difference is infinite or not a number.
void quantise(std::span<const float> latents, std::span<const float> means,
              std::span<std::int32_t> symbols);

}  // namespace cca
