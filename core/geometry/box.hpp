// Rectangles of the padded picture.
#pragma once

#include <algorithm>
#include <cstdint>

namespace cca {

/// Pixels of the padded picture from `left` and `top` up to `right` and `bottom`.
struct Box {
    std::int32_t left = 0;
    std::int32_t top = 0;
    std::int32_t right = 0;
    std::int32_t bottom = 0;

    std::uint32_t width() const noexcept { return static_cast<std::uint32_t>(right - left); }
    std::uint32_t height() const noexcept { return static_cast<std::uint32_t>(bottom - top); }

    /// The part that both share, which there must be.
    Box common(const Box& other) const noexcept {
        return {std::max(left, other.left), std::max(top, other.top), std::min(right, other.right),
                std::min(bottom, other.bottom)};
    }

    /// This with `pixels` more on each side.
    Box grown(std::int32_t pixels) const noexcept {
        return {left - pixels, top - pixels, right + pixels, bottom + pixels};
    }

    bool operator==(const Box&) const = default;
};

}  // namespace cca
