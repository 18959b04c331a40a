// Pixels to latents.
#pragma once

#include <cstdint>
#include <vector>

#include "bundle/model.hpp"
#include "codec/slots.hpp"
#include "codec/steps.hpp"
#include "geometry/grid.hpp"

namespace cca {

/// A picture of which the padded one is seen. Both outlive the analyser.
struct PaddedPicture {
    const std::uint8_t* pixels;  ///< of the picture itself
    const StreamInfo* info;      ///< its size and padding
};

/// What the analysis transform gives.
struct Analysed {
    Buffer y;          ///< float [N, M, h, w]
    Buffer z_symbols;  ///< int32 [N, Z, h/4, w/4]
};

/// Runs the analysis transform on pictures of one padded size.
class Analyser {
  public:
    /// @param manifest  outlives this, as does the grid.
    Analyser(const Manifest& manifest, const Grid& grid, std::vector<PaddedPicture> pictures)
        : manifest_(manifest), grid_(grid), pictures_(std::move(pictures)) {}

    /// A box of all pictures.
    Steps analyse(const Box& seen, Slots& slots, Analysed& found) const;

    /// A tile of the only picture, window by window.
    Steps analyse_tile(const Box& tile, Slots& slots, Analysed& found) const;

  private:
    Buffer padded_pixels_of(const Box& seen) const;

    const Manifest& manifest_;
    const Grid& grid_;
    std::vector<PaddedPicture> pictures_;
};

}  // namespace cca
