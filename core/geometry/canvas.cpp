#include "geometry/canvas.hpp"

#include <algorithm>

namespace cca {
namespace {

// The weight of a window, along one axis, where it is alone.
constexpr std::uint32_t kWhole = 4 * kFade;
constexpr std::int32_t kOverlap = 2 * kFade;

// The weight of the later of two windows, `position` pixels after their overlap begins.
constexpr std::uint32_t rise(std::int32_t position) {
    return static_cast<std::uint32_t>(2 * position + 1);
}

constexpr std::uint32_t fall(std::int32_t position) {
    return kWhole - rise(position);
}

}  // namespace

Canvas::Canvas(const Grid& grid, const Box& box, std::span<std::uint8_t> pixels)
    : grid_(grid), box_(box), pixels_(pixels) {}

void Canvas::begin_row(const Box& window) {
    const Box kept = grid_.around(window, kFade);
    strip_box_ = {box_.left, kept.top, box_.right, kept.bottom};
    strip_.assign(std::size_t{strip_box_.height()} * strip_box_.width() * kPixelBytes, 0);
}

void Canvas::add_window(const Box& window, const Box& seen, std::span<const std::uint8_t> pixels) {
    const Box kept = grid_.around(window, kFade);
    const bool rises = kept.left > grid_.picture().left;
    const bool falls = kept.right < grid_.picture().right;
    const std::int32_t first = std::max(kept.left, box_.left);
    const std::int32_t last = std::min(kept.right, box_.right);
    std::vector<std::uint16_t> weights;
    for (std::int32_t x = first; x < last; ++x) {
        std::uint32_t weight = kWhole;
        if (rises && x - kept.left < kOverlap) {
            weight = rise(x - kept.left);
        }
        if (falls && kept.right - x <= kOverlap) {
            weight = rise(kept.right - 1 - x);
        }
        weights.insert(weights.end(), kPixelBytes, static_cast<std::uint16_t>(weight));
    }
    for (std::int32_t y = kept.top; y < kept.bottom; ++y) {
        const std::uint8_t* const from =
            &pixels[(std::size_t(y - seen.top) * seen.width() + std::size_t(first - seen.left)) *
                    kPixelBytes];
        std::uint16_t* const to = &strip_[(std::size_t(y - strip_box_.top) * strip_box_.width() +
                                           std::size_t(first - strip_box_.left)) *
                                          kPixelBytes];
        for (std::size_t i = 0; i < weights.size(); ++i) {
            to[i] = static_cast<std::uint16_t>(to[i] + from[i] * weights[i]);
        }
    }
}

void Canvas::end_row() {
    const std::size_t row_values = std::size_t{strip_box_.width()} * kPixelBytes;
    // The last row's lower end lies under this one's upper end.
    const auto blended = static_cast<std::int32_t>(faded_.size() / row_values);
    for (std::int32_t i = 0; i < blended; ++i) {
        const std::int32_t y = strip_box_.top + i;
        if (!wanted(y)) {
            continue;
        }
        std::uint8_t* const to = &pixels_[std::size_t(y - box_.top) * row_values];
        const std::uint16_t* const upper = &faded_[std::size_t(i) * row_values];
        const std::uint16_t* const lower = &strip_[std::size_t(i) * row_values];
        for (std::size_t k = 0; k < row_values; ++k) {
            const std::uint32_t sum = upper[k] * fall(i) + lower[k] * rise(i);
            to[k] = static_cast<std::uint8_t>((sum + kWhole * kWhole / 2) / (kWhole * kWhole));
        }
    }
    const bool goes_on = strip_box_.bottom < grid_.picture().bottom;
    const std::int32_t end = strip_box_.bottom - (goes_on ? kOverlap : 0);
    for (std::int32_t y = strip_box_.top + blended; y < end; ++y) {
        if (wanted(y)) {
            const std::uint16_t* const from = &strip_[std::size_t(y - strip_box_.top) * row_values];
            std::uint8_t* const to = &pixels_[std::size_t(y - box_.top) * row_values];
            for (std::size_t k = 0; k < row_values; ++k) {
                to[k] = static_cast<std::uint8_t>((from[k] + kWhole / 2) / kWhole);
            }
        }
    }
    faded_.assign(strip_.begin() + std::ptrdiff_t(std::size_t(end - strip_box_.top) * row_values),
                  strip_.end());
}

}  // namespace cca
