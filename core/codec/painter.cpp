#include "codec/painter.hpp"

#include <algorithm>
#include <cstring>
#include <set>

namespace cca {
namespace {

std::size_t latents(std::int32_t pixels) {
    return static_cast<std::size_t>(pixels / kLatentStride);
}

}  // namespace

Painter::Painter(const Manifest& manifest, const Grid& grid, const Box& box,
                 std::span<std::uint8_t> pixels)
    : manifest_(manifest), grid_(grid), canvas_(grid, box, pixels), rows_(grid.windows_for(box)) {}

Numbers Painter::tiles_of_row(const Numbers& windows) const {
    std::set<std::uint32_t> found;
    for (const std::uint32_t window : windows) {
        const Numbers tiles = grid_.tiles_in(grid_.around(grid_.windows().box(window), kHalo));
        found.insert(tiles.begin(), tiles.end());
    }
    return {found.begin(), found.end()};
}

Numbers Painter::all_tiles() const {
    std::set<std::uint32_t> found;
    for (const Numbers& row : rows_) {
        const Numbers tiles = tiles_of_row(row);
        found.insert(tiles.begin(), tiles.end());
    }
    return {found.begin(), found.end()};
}

Numbers Painter::missing_tiles() {
    if (row_ == rows_.size()) {
        return {};
    }
    const Numbers needed = tiles_of_row(rows_[row_]);
    std::erase_if(tiles_, [&](const auto& tile) { return tile.first < needed.front(); });
    Numbers missing;
    std::ranges::copy_if(needed, std::back_inserter(missing),
                         [&](std::uint32_t number) { return !tiles_.contains(number); });
    return missing;
}

void Painter::add_tile(std::uint32_t number, Latents latents) {
    const std::lock_guard lock(turn_);
    tiles_[number] = std::move(latents);
}

Numbers Painter::begin_row() {
    if (row_ == rows_.size()) {
        return {};
    }
    canvas_.begin_row(grid_.windows().box(rows_[row_].front()));
    return rows_[row_];
}

Steps Painter::paint(std::uint32_t number, Slots& slots) {
    const Box window = grid_.windows().box(number);
    const Box seen = grid_.around(window, kHalo);
    const PartSize size{1, seen.width(), seen.height()};
    const Step step = slots.upload(
        DType::kFloat32, {manifest_.latent_channels, 1, size.latent_height(), size.latent_width()},
        gather(seen));
    co_yield step;
    SlotId image = 0;
    co_await synthesise(manifest_, slots, size, step.slot, image);
    const Step free = slots.free(step.slot);
    co_yield free;
    Buffer pixels;
    co_await fetch_image(slots, size, image, pixels);
    const std::lock_guard lock(turn_);
    canvas_.add_window(window, seen, pixels.as<std::uint8_t>());
}

void Painter::end_row() {
    canvas_.end_row();
    ++row_;
}

// The latents of a box, [M, h, w], out of those of the tiles that it shares pixels with.
Buffer Painter::gather(const Box& seen) {
    const std::size_t channels = manifest_.latent_channels;
    const std::size_t height = latents(seen.bottom - seen.top);
    const std::size_t width = latents(seen.right - seen.left);
    Buffer found = make_buffer<float>(channels * height * width);
    for (const std::uint32_t number : grid_.tiles_in(seen)) {
        const Box tile = grid_.tiles().box(number);
        const Box part = tile.common(seen);
        const std::size_t tile_height = latents(tile.bottom - tile.top);
        const std::size_t tile_width = latents(tile.right - tile.left);
        const std::size_t count = latents(part.right - part.left);
        const float* const from = tiles_.at(number).as<float>().data();
        float* const to = found.as<float>().data();
        for (std::size_t channel = 0; channel < channels; ++channel) {
            for (std::size_t row = 0; row < latents(part.bottom - part.top); ++row) {
                std::memcpy(
                    to + (channel * height + latents(part.top - seen.top) + row) * width +
                        latents(part.left - seen.left),
                    from +
                        (channel * tile_height + latents(part.top - tile.top) + row) * tile_width +
                        latents(part.left - tile.left),
                    count * sizeof(float));
            }
        }
    }
    return found;
}

Steps synthesise(const Manifest& manifest, Slots& slots, const PartSize& size, SlotId y_hat,
                 SlotId& image) {
    const Port& in = manifest.synthesis.signature.inputs.front();
    const Port& out = manifest.synthesis.signature.outputs.front();
    const Shape shape = shape_of(out, size);
    image = slots.take(shape.elements() * size_of(out.dtype));
    const Binding input{in.name, y_hat, in.dtype, shape_of(in, size)};
    const Binding output{out.name, image, out.dtype, shape};
    Step run;
    run.kind = StepKind::kRun;
    run.graph = manifest.synthesis_index();
    run.inputs = {&input, 1};
    run.outputs = {&output, 1};
    co_yield run;
}

Steps fetch_image(Slots& slots, const PartSize& size, SlotId image, Buffer& pixels) {
    const Step download = Slots::download(
        image, DType::kUint8, {size.batch, size.height, size.width, kPixelBytes}, pixels);
    co_yield download;
    const Step free = slots.free(image);
    co_yield free;
}

std::vector<std::uint8_t> crop(std::span<const std::uint8_t> pixels, const Box& picture,
                               const Box& box) {
    const std::size_t row_bytes = std::size_t{box.width()} * kPixelBytes;
    std::vector<std::uint8_t> inner(row_bytes * box.height());
    for (std::uint32_t row = 0; row < box.height(); ++row) {
        const std::size_t y = static_cast<std::size_t>(box.top) + row;
        std::memcpy(
            &inner[row * row_bytes],
            &pixels[(y * picture.width() + static_cast<std::size_t>(box.left)) * kPixelBytes],
            row_bytes);
    }
    return inner;
}

}  // namespace cca
