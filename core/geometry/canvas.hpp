// One picture out of windows that overlap.
//
// Neighbours are cross-faded linearly over 2 kFade pixels. All sums are of whole numbers and
// rounded once, so that a pixel is the same in whatever region and order the windows come.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "geometry/grid.hpp"

namespace cca {

/// Bytes of a pixel: red, green, blue.
inline constexpr std::size_t kPixelBytes = 3;

/// A box of the picture that rows of windows are laid on, from top to bottom.
class Canvas {
  public:
    /// @param pixels  room for the pixels of `box`, row after row; outlives the canvas.
    Canvas(const Grid& grid, const Box& box, std::span<std::uint8_t> pixels);

    /// Begins the row of windows that `window` is in.
    void begin_row(const Box& window);

    /// Lays on a window of the row.
    ///
    /// @param seen    what the transform saw of the picture.
    /// @param pixels  of `seen`, row after row.
    void add_window(const Box& window, const Box& seen, std::span<const std::uint8_t> pixels);

    /// Writes what is complete when all windows of the row are laid on.
    void end_row();

  private:
    bool wanted(std::int32_t row) const { return row >= box_.top && row < box_.bottom; }

    const Grid& grid_;
    Box box_;
    std::span<std::uint8_t> pixels_;
    std::vector<std::uint16_t> strip_;  // the row's windows, weighted along x
    std::vector<std::uint16_t> faded_;  // the lower end of the row before
    Box strip_box_;
};

}  // namespace cca
