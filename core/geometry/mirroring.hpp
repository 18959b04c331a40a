// What stands in for the latents beyond a tile's edge: its own, mirrored.
//
// The prior predicts a latent from those around it, and takes nothing at all for the edge of a
// picture. A tile's edge is none: without anything beyond, its latents cost up to twice as much in
// smooth pictures. Mirrored symbols are known to the decoder, and about as good as the real ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "geometry/box.hpp"

namespace cca {

/// Rows and columns of a plane.
struct PlaneSize {
    std::size_t height = 0;
    std::size_t width = 0;

    std::size_t area() const noexcept { return height * width; }
};

/// How many hyper-latents are mirrored at each edge; of latents, kLatentsPerHyper times as many.
struct Mirroring {
    std::uint8_t left = 0;
    std::uint8_t top = 0;
    std::uint8_t right = 0;
    std::uint8_t bottom = 0;

    bool none() const noexcept { return left + top + right + bottom == 0; }

    /// The size of a plane with all that is mirrored. `scale` is 1 for hyper-latents,
    /// kLatentsPerHyper for latents.
    PlaneSize extended(const PlaneSize& inner, std::size_t scale) const noexcept {
        return {inner.height + scale * (top + bottom), inner.width + scale * (left + right)};
    }
};

/// One hyper-latent on each side where the picture goes on beyond a tile.
inline Mirroring mirroring_of(const Box& tile, const Box& picture) noexcept {
    return {tile.left > picture.left, tile.top > picture.top, tile.right < picture.right,
            tile.bottom < picture.bottom};
}

/// Mirrors what is at the edges of planes: with 0 at the edge and rising inwards, -1 - x is x.
///
/// @param inner     planes of `size`, one after the other.
/// @param extended  as many planes of the extended size.
template <typename T>
void extend_planes(const Mirroring& mirroring, std::size_t scale, const PlaneSize& size,
                   std::span<const T> inner, std::span<T> extended) {
    const PlaneSize target = mirroring.extended(size, scale);
    const std::size_t left = scale * mirroring.left;
    const std::size_t top = scale * mirroring.top;
    const auto reflect = [](std::size_t position, std::size_t before, std::size_t length) {
        if (position < before) {
            return before - 1 - position;
        }
        const std::size_t inside = position - before;
        return inside < length ? inside : 2 * length - 1 - inside;
    };
    for (std::size_t plane = 0; plane < inner.size() / size.area(); ++plane) {
        for (std::size_t row = 0; row < target.height; ++row) {
            const T* const from =
                &inner[plane * size.area() + reflect(row, top, size.height) * size.width];
            T* const to = &extended[plane * target.area() + row * target.width];
            std::memcpy(to + left, from, size.width * sizeof(T));
            for (std::size_t column = 0; column < left; ++column) {
                to[column] = from[left - 1 - column];
            }
            for (std::size_t column = left + size.width; column < target.width; ++column) {
                to[column] = from[reflect(column, left, size.width)];
            }
        }
    }
}

/// Undoes extend_planes().
template <typename T>
void inner_planes(const Mirroring& mirroring, std::size_t scale, const PlaneSize& size,
                  std::span<const T> extended, std::span<T> inner) {
    const PlaneSize source = mirroring.extended(size, scale);
    for (std::size_t plane = 0; plane < inner.size() / size.area(); ++plane) {
        for (std::size_t row = 0; row < size.height; ++row) {
            std::memcpy(
                &inner[plane * size.area() + row * size.width],
                &extended[plane * source.area() + (row + scale * mirroring.top) * source.width +
                          scale * mirroring.left],
                size.width * sizeof(T));
        }
    }
}

}  // namespace cca
