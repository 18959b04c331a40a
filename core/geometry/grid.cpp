#include "geometry/grid.hpp"

namespace cca {
namespace {

constexpr std::uint32_t kStride = kHyperStride;

std::uint32_t divide_up(std::uint32_t whole, std::uint32_t part) {
    return (whole + part - 1) / part;
}

// The length of equal parts of at most `most`, rounded up to the grid.
std::uint32_t part_of(std::uint32_t whole, std::uint32_t most) {
    const std::uint32_t parts = divide_up(whole, most);
    return divide_up(whole, parts * kStride) * kStride;
}

struct Division {
    std::uint32_t window;
    std::uint32_t windows_in_tile;
};

// Along one side of a picture.
Division divide(std::uint32_t side, std::uint32_t tile_side) {
    const std::uint32_t tile = part_of(side, tile_side);
    const std::uint32_t window = part_of(tile, kWindowSide);
    return {window, divide_up(tile, window)};
}

Box padded_box(const StreamInfo& info) {
    return {0, 0, static_cast<std::int32_t>(padded_width(info)),
            static_cast<std::int32_t>(padded_height(info))};
}

Cells cells_of(const StreamInfo& info, bool tiles) {
    const Box picture = padded_box(info);
    if (!info.tiling) {
        return {picture, picture.width(), picture.height()};
    }
    const Tiling& tiling = *info.tiling;
    return {picture, tiling.window_width * (tiles ? std::uint32_t{tiling.columns} : 1U),
            tiling.window_height * (tiles ? std::uint32_t{tiling.rows} : 1U)};
}

}  // namespace

Cells::Cells(const Box& picture, std::uint32_t width, std::uint32_t height)
    : picture_(picture),
      width_(static_cast<std::int32_t>(width)),
      height_(static_cast<std::int32_t>(height)),
      columns_(divide_up(picture.width(), width)),
      rows_(divide_up(picture.height(), height)) {}

Box Cells::box(std::uint32_t number) const noexcept {
    const auto left = static_cast<std::int32_t>(number % columns_) * width_;
    const auto top = static_cast<std::int32_t>(number / columns_) * height_;
    return Box{left, top, left + width_, top + height_}.common(picture_);
}

std::vector<Numbers> Cells::rows_in(const Box& box) const {
    const auto first = [](std::int32_t edge, std::int32_t side) {
        return static_cast<std::uint32_t>(std::max(0, edge) / side);
    };
    const auto last = [](std::int32_t edge, std::int32_t side, std::uint32_t most) {
        return std::min(most, divide_up(static_cast<std::uint32_t>(std::max(0, edge)),
                                        static_cast<std::uint32_t>(side)));
    };
    std::vector<Numbers> found;
    for (std::uint32_t row = first(box.top, height_); row < last(box.bottom, height_, rows_);
         ++row) {
        Numbers& numbers = found.emplace_back();
        for (std::uint32_t column = first(box.left, width_);
             column < last(box.right, width_, columns_); ++column) {
            numbers.push_back(row * columns_ + column);
        }
    }
    return found;
}

Grid::Grid(const StreamInfo& info)
    : picture_(padded_box(info)), tiles_(cells_of(info, true)), windows_(cells_of(info, false)) {}

Box Grid::around(const Box& box, std::int32_t pixels) const noexcept {
    return box.grown(pixels).common(picture_);
}

Numbers Grid::tiles_in(const Box& box) const {
    Numbers found;
    for (const Numbers& row : tiles_.rows_in(box)) {
        found.insert(found.end(), row.begin(), row.end());
    }
    return found;
}

std::vector<Numbers> Grid::windows_for(const Box& box) const {
    return windows_.rows_in(box.grown(kFade));
}

std::string Grid::name_tile(std::uint32_t number) const {
    return "tile in column " + std::to_string(number % tiles_.columns()) + ", row " +
           std::to_string(number / tiles_.columns());
}

Box picture_box(const StreamInfo& info) noexcept {
    const std::int32_t left = info.padding.left;
    const std::int32_t top = info.padding.top;
    return {left, top, left + info.width, top + info.height};
}

std::optional<Tiling> choose_tiling(std::uint32_t width, std::uint32_t height,
                                    std::uint32_t tile_side) {
    const Division across = divide(width, tile_side);
    const Division down = divide(height, tile_side);
    if (across.window >= width && down.window >= height) {
        return std::nullopt;
    }
    return Tiling{.window_width = static_cast<std::uint16_t>(across.window),
                  .window_height = static_cast<std::uint16_t>(down.window),
                  .columns = static_cast<std::uint8_t>(across.windows_in_tile),
                  .rows = static_cast<std::uint8_t>(down.windows_in_tile),
                  .tile_sizes = {}};
}

}  // namespace cca
