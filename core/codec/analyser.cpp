#include "codec/analyser.hpp"

#include <array>
#include <cstring>

#include "codec/prior.hpp"
#include "geometry/canvas.hpp"
#include "geometry/padding.hpp"

namespace cca {
namespace {

// Copies `window`, out of planes of `seen`, to its place in planes of `tile`.
template <typename T>
void copy_window(Buffer& from, const Box& seen, Buffer& to, const Box& tile, const Box& window,
                 std::int32_t stride, std::size_t channels) {
    const auto scaled = [&](std::int32_t pixels) {
        return static_cast<std::size_t>(pixels / stride);
    };
    const std::size_t from_width = scaled(seen.right - seen.left);
    const std::size_t from_area = from_width * scaled(seen.bottom - seen.top);
    const std::size_t to_width = scaled(tile.right - tile.left);
    const std::size_t to_area = to_width * scaled(tile.bottom - tile.top);
    for (std::size_t channel = 0; channel < channels; ++channel) {
        for (std::size_t row = 0; row < scaled(window.bottom - window.top); ++row) {
            std::memcpy(
                &to.as<T>()[channel * to_area + (scaled(window.top - tile.top) + row) * to_width +
                            scaled(window.left - tile.left)],
                &from.as<T>()[channel * from_area +
                              (scaled(window.top - seen.top) + row) * from_width +
                              scaled(window.left - seen.left)],
                scaled(window.right - window.left) * sizeof(T));
        }
    }
}

}  // namespace

Steps Analyser::analyse_tile(const Box& tile, Slots& slots, Analysed& found) const {
    const PlaneSize hyper = hyper_size(tile);
    const PlaneSize latents = Part{1, hyper, {}, {}}.latents();
    found.y = make_buffer<float>(manifest_.latent_channels * latents.area());
    found.z_symbols = make_buffer<std::int32_t>(manifest_.hyper_channels * hyper.area());
    for (const Numbers& row : grid_.windows().rows_in(tile)) {
        for (const std::uint32_t number : row) {
            const Box window = grid_.windows().box(number);
            const Box seen = grid_.around(window, kHalo);
            Analysed own;
            co_await analyse(seen, slots, own);
            copy_window<float>(own.y, seen, found.y, tile, window, kLatentStride,
                               manifest_.latent_channels);
            copy_window<std::int32_t>(own.z_symbols, seen, found.z_symbols, tile, window,
                                      kHyperStride, manifest_.hyper_channels);
        }
    }
}

Steps Analyser::analyse(const Box& seen, Slots& slots, Analysed& found) const {
    const Signature& signature = manifest_.analysis.signature;
    const PartSize size{static_cast<std::uint32_t>(pictures_.size()), seen.width(), seen.height()};
    const Port& image = signature.inputs.front();
    const Step upload = slots.upload(image.dtype, shape_of(image, size), padded_pixels_of(seen));
    co_yield upload;
    const Binding input{image.name, upload.slot, image.dtype, upload.shape};
    const auto bind = [&](const char* name) {
        const Port& port = *find_port(signature.outputs, name);
        const Shape shape = shape_of(port, size);
        return Binding{port.name, slots.take(shape.elements() * size_of(port.dtype)), port.dtype,
                       shape};
    };
    const std::array<Binding, 2> outputs{bind("y"), bind("z_symbols")};
    Step run;
    run.kind = StepKind::kRun;
    run.graph = Manifest::kAnalysis;
    run.inputs = {&input, 1};
    run.outputs = outputs;
    co_yield run;
    const Step free_image = slots.free(upload.slot);
    co_yield free_image;
    const std::array<Buffer*, 2> targets{&found.y, &found.z_symbols};
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const Step download =
            Slots::download(outputs[i].slot, outputs[i].dtype, outputs[i].shape, *targets[i]);
        co_yield download;
        const Step free = slots.free(outputs[i].slot);
        co_yield free;
    }
}

Buffer Analyser::padded_pixels_of(const Box& seen) const {
    const std::size_t bytes = std::size_t{seen.width()} * seen.height() * kPixelBytes;
    Buffer pixels(pictures_.size() * bytes);
    for (std::size_t n = 0; n < pictures_.size(); ++n) {
        pad(pictures_[n].pixels, *pictures_[n].info, seen,
            pixels.as<std::uint8_t>().data() + n * bytes);
    }
    return pixels;
}

}  // namespace cca
