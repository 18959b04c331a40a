// From latents to the symbols of a group.
#pragma once

#include <cstdint>
#include <span>

#include "codec/prior.hpp"

namespace cca {

/// Rounds a group of one picture against its means.
///
/// @param size     of the latents.
/// @param step     between the values that latents are rounded to.
/// @param latents  of the group's channels, float [count, h, w].
/// @param means    likewise.
/// @param symbols  gets the symbols at the group's positions; elsewhere it is left as it is.
/// @throws LatentsError if latents or means are infinite or not numbers.
void round_group(const CodedGroup& group, const PlaneSize& size, QuantisationStep step,
                 std::span<const float> latents, std::span<const float> means,
                 std::span<std::int32_t> symbols);

}  // namespace cca
