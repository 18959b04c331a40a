// The padding of our encoder. Any other that the stream can carry decodes as well.
#pragma once

#include <cstdint>

#include "format/container.hpp"
#include "geometry/box.hpp"

namespace cca {

/// The fewest pixels that reach multiples of kSideMultiple, split evenly between opposite sides.
Padding choose_padding(std::uint32_t width, std::uint32_t height) noexcept;

/// Copies a box of the padded picture. Border pixels are repeated outwards.
///
/// @param pixels  of the picture itself, row after row, kPixelBytes each.
/// @param info    its size and padding.
/// @param to      room for the pixels of `box`.
void pad(const std::uint8_t* pixels, const StreamInfo& info, const Box& box,
         std::uint8_t* to) noexcept;

}  // namespace cca
