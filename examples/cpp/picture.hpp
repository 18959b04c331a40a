// Pictures, and the padding that brings their sides to the codec's grid.
#pragma once

#include <cca/cca.h>

#include <cstdint>
#include <vector>

/// An RGB picture of 8 bits a sample.
struct Picture {
    std::uint32_t width = 0;        // in pixels, 1 to 65,535
    std::uint32_t height = 0;       // likewise
    std::vector<std::uint8_t> rgb;  // height x width x 3
};

/// Adds the padding, by repeating the border pixels.
Picture pad(const Picture& picture, const cca_padding& padding);

/// Takes the padding away.
Picture crop(const Picture& padded, const cca_padding& padding);
