// What exact graphs are told instead of dividing by the number of latents.
#pragma once

#include <array>
#include <cstdint>

namespace cca {

/// The input `averages` of exact prior graphs (docs/spec/exact.md, "Averages"): 2^-r, 2^-k, R,
/// 2^-t.
///
/// @param height  of the latents, 1 to 65,535.
/// @param width   likewise.
std::array<float, 4> average_factors(std::uint32_t height, std::uint32_t width) noexcept;

}  // namespace cca
