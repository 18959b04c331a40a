#include "picture.hpp"

#include <algorithm>

namespace {

/// The part of `picture` with its upper left corner at (left, top), which may reach beyond the
/// borders: their pixels are repeated there.
Picture cut(const Picture& picture, std::int64_t left, std::int64_t top, std::uint32_t width,
            std::uint32_t height) {
    Picture part{width, height, {}};
    part.rgb.reserve(std::size_t{3} * width * height);
    const std::int64_t last_row = picture.height - 1;
    const std::int64_t last_column = picture.width - 1;
    for (std::int64_t row = top; row < top + height; ++row) {
        const std::int64_t first = std::clamp<std::int64_t>(row, 0, last_row) * picture.width;
        for (std::int64_t column = left; column < left + width; ++column) {
            const auto pixel = picture.rgb.begin() +
                               3 * (first + std::clamp<std::int64_t>(column, 0, last_column));
            part.rgb.insert(part.rgb.end(), pixel, pixel + 3);
        }
    }
    return part;
}

}  // namespace

Picture pad(const Picture& picture, const cca_padding& padding) {
    return cut(picture, -padding.left, -padding.top, padding.left + picture.width + padding.right,
               padding.top + picture.height + padding.bottom);
}

Picture crop(const Picture& padded, const cca_padding& padding) {
    return cut(padded, padding.left, padding.top, padded.width - padding.left - padding.right,
               padded.height - padding.top - padding.bottom);
}
