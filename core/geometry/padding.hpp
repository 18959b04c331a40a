// The padding of our encoder. Any other that the stream can carry decodes as well.
#pragma once

#include <cstdint>

#include "format/container.hpp"

namespace cca {

/// The fewest pixels that reach multiples of kSideMultiple, split evenly between opposite sides.
Padding choose_padding(std::uint32_t width, std::uint32_t height) noexcept;

}  // namespace cca
