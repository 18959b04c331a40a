// Latents of tiles to pixels of a box, row of windows by row of windows.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "bundle/model.hpp"
#include "codec/slots.hpp"
#include "codec/steps.hpp"
#include "geometry/canvas.hpp"
#include "geometry/grid.hpp"

namespace cca {

/// y_hat of a tile without what is mirrored: float [M, h, w].
using Latents = Buffer;

/// Runs the synthesis transform on windows, and blends them.
class Painter {
  public:
    /// @param box     of the padded picture: what is wanted of it.
    /// @param pixels  room for the box, row after row; outlives the painter.
    Painter(const Manifest& manifest, const Grid& grid, const Box& box,
            std::span<std::uint8_t> pixels);

    /// The tiles that all windows take together, in order.
    Numbers all_tiles() const;

    /// Tiles that the next row of windows takes, and that are not there; drops those above, which
    /// no further row takes.
    Numbers missing_tiles();

    /// May be called for several tiles at once.
    void add_tile(std::uint32_t number, Latents latents);

    /// The windows of the next row; empty after the last. Their tiles are there.
    Numbers begin_row();

    /// Lays a window of the row on. May be called for several windows at once.
    Steps paint(std::uint32_t window, Slots& slots);

    void end_row();

  private:
    Numbers tiles_of_row(const Numbers& windows) const;
    Buffer gather(const Box& seen);

    const Manifest& manifest_;
    const Grid& grid_;
    Canvas canvas_;
    std::vector<Numbers> rows_;
    std::size_t row_ = 0;
    std::map<std::uint32_t, Latents> tiles_;
    std::mutex turn_;
};

/// Runs the synthesis transform.
///
/// @param size   of the pictures.
/// @param y_hat  slot of float32 [M, N, h, w].
/// @param image  gets the slot of uint8 [N, H, W, 3]; the caller frees both.
Steps synthesise(const Manifest& manifest, Slots& slots, const PartSize& size, SlotId y_hat,
                 SlotId& image);

/// Fetches what synthesise() gave, and frees it.
Steps fetch_image(Slots& slots, const PartSize& size, SlotId image, Buffer& pixels);

/// Cuts a box out of a picture's pixels.
std::vector<std::uint8_t> crop(std::span<const std::uint8_t> pixels, const Box& picture,
                               const Box& box);

}  // namespace cca
