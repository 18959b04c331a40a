// How a picture is divided: into windows for the transforms, and into tiles for the coder.
//
//     tile          tile
//     +-----+-----+ +-----+--
//     | w   | w   | | w   |      A tile is some windows side by side and one below the other. It is
//     +-----+-----+ +-----+--    coded by itself. Transforms work on a window with a margin of what
//     | w   | w   | | w   |      lies around it, and neighbouring windows are cross-faded.
//     +-----+-----+ +-----+--
//
// Both transforms need much memory for a pixel, the prior little; but each edge of a tile costs
// bits, since the prior does not know what lies beyond. So tiles are larger than windows. A picture
// that is coded as a whole is one tile of one window.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "format/container.hpp"
#include "geometry/box.hpp"

namespace cca {

/// Pixels of the padded picture for one latent, along each side.
inline constexpr std::int32_t kLatentStride = 16;

/// Likewise for one hyper-latent: the grid that padding reaches.
inline constexpr std::int32_t kHyperStride = 64;
static_assert(kHyperStride == kSideMultiple);

/// Latents for one hyper-latent, along each side.
inline constexpr std::int32_t kLatentsPerHyper = kHyperStride / kLatentStride;

/// Pixels that a transform sees around a window, where the picture goes on. Results are used no
/// nearer to an edge than kHalo - kFade, where they are as good as those of the whole picture.
inline constexpr std::int32_t kHalo = 64;

/// Neighbouring windows are cross-faded from so many pixels before the seam to as many behind it.
inline constexpr std::int32_t kFade = 16;

/// Longest side of a window as this encoder chooses them.
inline constexpr std::uint32_t kWindowSide = 1024;

/// Longest side of a tile, unless another is asked for: the prior of a large model takes 3 GB for
/// it, and at most 1 % more bits than for a picture without edges (benchmarks/tiling.py).
inline constexpr std::uint32_t kTileSide = 3072;

/// Longest side of a tile that can be asked for.
inline constexpr std::uint32_t kMaxTileSide = kMaxWindowSide;

/// Pictures of up to so many pixels, padding included, are coded as a whole unless a tile is asked
/// for. Part of the encoder's specification: one picture gives one stream on every machine.
inline constexpr std::uint64_t kWholePixels = std::uint64_t{1} << 21;

/// A row of cells or of windows, by their numbers.
using Numbers = std::vector<std::uint32_t>;

/// Rectangles of one size that cover a picture; those at its end are as much smaller. They are
/// numbered row after row.
class Cells {
  public:
    Cells(const Box& picture, std::uint32_t width, std::uint32_t height);

    Box box(std::uint32_t number) const noexcept;
    std::uint32_t columns() const noexcept { return columns_; }
    std::uint32_t count() const noexcept { return columns_ * rows_; }

    /// The cells that share a pixel with a box, row after row.
    std::vector<Numbers> rows_in(const Box& box) const;

  private:
    Box picture_;
    std::int32_t width_;
    std::int32_t height_;
    std::uint32_t columns_;
    std::uint32_t rows_;
};

/// Where tiles and windows of one picture are.
class Grid {
  public:
    /// @param info  a valid header, with or without a tiling.
    explicit Grid(const StreamInfo& info);

    const Box& picture() const noexcept { return picture_; }
    const Cells& tiles() const noexcept { return tiles_; }
    const Cells& windows() const noexcept { return windows_; }

    /// Whether the picture is one tile of one window: nothing is mirrored, cut or blended then.
    bool whole() const noexcept { return windows_.count() == 1; }

    /// `box` with so many pixels more on each side, where the picture has them.
    Box around(const Box& box, std::int32_t pixels) const noexcept;

    /// The tiles that share a pixel with a box.
    Numbers tiles_in(const Box& box) const;

    /// The windows that are needed for the pixels of a box, row after row.
    std::vector<Numbers> windows_for(const Box& box) const;

    /// What errors call a tile.
    std::string name_tile(std::uint32_t number) const;

  private:
    Box picture_;
    Cells tiles_;
    Cells windows_;
};

/// The picture itself, without its padding.
Box picture_box(const StreamInfo& info) noexcept;

/// Tiles of equal size, as nearly as can be; none for a picture that fits in one window.
///
/// @param width, height  of the padded picture.
/// @param tile_side      longest side of a tile, a multiple of kHyperStride up to kMaxTileSide.
std::optional<Tiling> choose_tiling(std::uint32_t width, std::uint32_t height,
                                    std::uint32_t tile_side);

}  // namespace cca
