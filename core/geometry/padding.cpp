#include "geometry/padding.hpp"

#include <algorithm>
#include <cstring>

#include "geometry/canvas.hpp"

namespace cca {

Padding choose_padding(std::uint32_t width, std::uint32_t height) noexcept {
    const std::uint32_t across = (kSideMultiple - width % kSideMultiple) % kSideMultiple;
    const std::uint32_t down = (kSideMultiple - height % kSideMultiple) % kSideMultiple;
    return {static_cast<std::uint8_t>(across / 2), static_cast<std::uint8_t>(down / 2),
            static_cast<std::uint8_t>(across - across / 2),
            static_cast<std::uint8_t>(down - down / 2)};
}

void pad(const std::uint8_t* pixels, const StreamInfo& info, const Box& box,
         std::uint8_t* to) noexcept {
    const auto clamp = [](std::int32_t position, std::uint32_t side) {
        return static_cast<std::size_t>(
            std::clamp(position, 0, static_cast<std::int32_t>(side) - 1));
    };
    const Box inner = picture_box(info);
    for (std::int32_t y = box.top; y < box.bottom; ++y) {
        const std::uint8_t* const row =
            pixels + clamp(y - inner.top, info.height) * info.width * kPixelBytes;
        const std::int32_t first = std::clamp(inner.left, box.left, box.right);
        const std::int32_t last = std::clamp(inner.right, first, box.right);
        for (std::int32_t x = box.left; x < first; ++x, to += kPixelBytes) {
            std::memcpy(to, row, kPixelBytes);
        }
        const std::size_t inside = std::size_t(last - first) * kPixelBytes;
        std::memcpy(to, row + clamp(first - inner.left, info.width) * kPixelBytes, inside);
        to += inside;
        const std::uint8_t* const border = row + (info.width - std::size_t{1}) * kPixelBytes;
        for (std::int32_t x = last; x < box.right; ++x, to += kPixelBytes) {
            std::memcpy(to, border, kPixelBytes);
        }
    }
}

}  // namespace cca
