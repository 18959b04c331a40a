// Padding, the division of pictures, and the sizes that graphs see, for Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bundle/signature.hpp"
#include "codec/encoder.hpp"
#include "fields.hpp"
#include "geometry/canvas.hpp"
#include "geometry/grid.hpp"
#include "geometry/padding.hpp"
#include "module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace cca::python {
namespace {

using Pair = std::tuple<std::uint32_t, std::uint32_t>;
using Division = std::tuple<Pair, Pair, Pair, Pair>;

Pair size_of(const Box& box) {
    return {box.width(), box.height()};
}

// As the encoder pads it.
StreamInfo describe(std::int64_t width, std::int64_t height) {
    StreamInfo info;
    info.width = to_field<std::uint16_t>(width, "width");
    info.height = to_field<std::uint16_t>(height, "height");
    info.padding = choose_padding(info.width, info.height);
    return info;
}

Pair padded_size(std::int64_t width, std::int64_t height) {
    const StreamInfo info = describe(width, height);
    return {padded_width(info), padded_height(info)};
}

nb::object pad_picture(const Pixels& pixels) {
    const StreamInfo info = describe(static_cast<std::int64_t>(pixels.shape(1)),
                                     static_cast<std::int64_t>(pixels.shape(0)));
    if (pixels.size() == 0 || pixels.shape(2) != kPixelBytes) {
        throw std::invalid_argument("pixels must be uint8 [height, width, 3]");
    }
    const Box box = Grid(info).picture();
    std::vector<std::uint8_t> padded(std::size_t{box.width()} * box.height() * kPixelBytes);
    pad(pixels.data(), info, box, padded.data());
    return to_array(std::move(padded), {box.height(), box.width(), kPixelBytes});
}

Division division_of(const StreamInfo& info) {
    const Grid grid(info);
    const Cells& tiles = grid.tiles();
    return {size_of(grid.picture()), size_of(grid.windows().box(0)), size_of(tiles.box(0)),
            Pair{tiles.columns(), tiles.count() / tiles.columns()}};
}

Division choose_division(std::int64_t width, std::int64_t height, std::uint32_t tile_side) {
    StreamInfo info = describe(width, height);
    if (info.width == 0 || info.height == 0) {
        throw std::invalid_argument("a picture has pixels");
    }
    info.tiling = tiling_of(info, tile_side);
    return division_of(info);
}

nb::dict dimensions(std::int64_t batch, std::int64_t width, std::int64_t height) {
    const auto [padded_width, padded_height] = padded_size(width, height);
    const PartSize size{to_field<std::uint32_t>(batch, "batch"), padded_width, padded_height};
    nb::dict sizes;
    for (const auto& [name, value] : dimensions_of(size)) {
        sizes[nb::str(name.data(), name.size())] = value;
    }
    return sizes;
}

}  // namespace

void bind_geometry(nb::module_& module) {
    module.attr("LATENT_STRIDE") = kLatentStride;
    module.attr("HYPER_STRIDE") = kHyperStride;
    module.attr("LATENTS_PER_HYPER") = kLatentsPerHyper;
    module.attr("HALO") = kHalo;
    module.attr("FADE") = kFade;
    module.def("padded_size", &padded_size, "width"_a, "height"_a);
    module.def("pad_picture", &pad_picture, "pixels"_a);
    module.def("division_of", &division_of, "info"_a);
    module.def("choose_division", &choose_division, "width"_a, "height"_a, "tile_side"_a);
    module.def("dimensions", &dimensions, "batch"_a, "width"_a, "height"_a);
}

}  // namespace cca::python
