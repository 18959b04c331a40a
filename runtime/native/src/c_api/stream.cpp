// Streams: cca_stream_info to and from the container.
#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "cca/container.hpp"
#include "cca/error.hpp"
#include "cca/padding.hpp"
#include "guard.hpp"
#include "handles.hpp"
#include "metadata.hpp"

namespace cca::c_api {
namespace {

constexpr std::uint32_t kMaxSide = 65'535;

std::uint16_t require_side(std::uint32_t side, const char* name) {
    if (side < 1 || side > kMaxSide) {
        throw Refusal(CCA_ERROR_ARGUMENT, std::string(name) + " " + std::to_string(side) +
                                              " is not in 1.." + std::to_string(kMaxSide));
    }
    return static_cast<std::uint16_t>(side);
}

// The part of the stream, from `position` on, that holds a metadata section; moves on behind it.
cca_view section(const std::optional<Bytes>& copy, const std::uint8_t*& position) {
    if (!copy) {
        return {nullptr, 0};
    }
    const cca_view view{position, copy->size()};
    position += view.size;
    return view;
}

cca_stream_info to_c(const ParsedStream& parsed) {
    const StreamInfo& from = parsed.info;
    cca_stream_info info{};
    info.width = from.width;
    info.height = from.height;
    info.padding = {from.padding.left, from.padding.top, from.padding.right, from.padding.bottom};
    std::ranges::copy(from.model_id, info.model_id);
    if (from.fingerprint) {
        info.entropy_mode = CCA_ENTROPY_NATIVE;
        std::ranges::copy(*from.fingerprint, info.fingerprint);
    }
    if (from.tiling) {
        const Tiling& tiling = *from.tiling;
        info.tiling = {tiling.window_width, tiling.window_height, tiling.columns, tiling.rows};
        info.tile_table = {parsed.tile_table.data(), parsed.tile_table.size()};
    }
    info.payload = {parsed.payload.data(), parsed.payload.size()};
    // Metadata follow the payload in this order, without gaps.
    const std::uint8_t* position = parsed.payload.data() + parsed.payload.size();
    info.icc = section(from.icc, position);
    info.exif = section(from.exif, position);
    info.xmp = section(from.xmp, position);
    return info;
}

Identifier to_identifier(const std::uint8_t* bytes) {
    Identifier identifier;
    std::copy_n(bytes, identifier.size(), identifier.begin());
    return identifier;
}

template <typename Field>
Field to_field(std::uint32_t value, const char* name) {
    if (value > std::numeric_limits<Field>::max()) {
        throw Refusal(CCA_ERROR_ARGUMENT, std::string(name) + " " + std::to_string(value) +
                                              " is more than " +
                                              std::to_string(std::numeric_limits<Field>::max()));
    }
    return static_cast<Field>(value);
}

// Without the sizes of tiles.
std::optional<Tiling> to_tiling(const cca_tiling& from) {
    if (from.window_width == 0 && from.window_height == 0 && from.columns == 0 && from.rows == 0) {
        return std::nullopt;
    }
    if (from.window_width == 0 || from.window_height == 0 || from.columns == 0 || from.rows == 0) {
        throw Refusal(CCA_ERROR_ARGUMENT, "a tiling has no zero, or nothing else");
    }
    return Tiling{.window_width = to_field<std::uint16_t>(from.window_width, "window_width"),
                  .window_height = to_field<std::uint16_t>(from.window_height, "window_height"),
                  .columns = to_field<std::uint8_t>(from.columns, "columns"),
                  .rows = to_field<std::uint8_t>(from.rows, "rows"),
                  .tile_sizes = {}};
}

StreamInfo to_core(const cca_stream_info& from) {
    if (from.entropy_mode > CCA_ENTROPY_NATIVE) {
        throw Refusal(CCA_ERROR_ARGUMENT,
                      "entropy_mode " + std::to_string(from.entropy_mode) + " is unknown");
    }
    StreamInfo info;
    info.width = require_side(from.width, "width");
    info.height = require_side(from.height, "height");
    info.padding = {from.padding.left, from.padding.top, from.padding.right, from.padding.bottom};
    info.model_id = to_identifier(from.model_id);
    if (from.entropy_mode == CCA_ENTROPY_NATIVE) {
        info.fingerprint = to_identifier(from.fingerprint);
    }
    info.icc = to_metadata(from.icc, "icc");
    info.exif = to_metadata(from.exif, "exif");
    info.xmp = to_metadata(from.xmp, "xmp");
    info.tiling = to_tiling(from.tiling);
    return info;
}

std::vector<std::uint32_t> to_tile_sizes(cca_view table) {
    try {
        return read_tile_sizes(require_view(table, "tile_table"));
    } catch (const StreamError&) {
        throw Refusal(CCA_ERROR_ARGUMENT, "tile_table is not cca_stream_parse()'s");
    }
}

// What size and tiling need no metadata for.
StreamInfo to_geometry(const cca_stream_info& from) {
    StreamInfo info;
    info.width = require_side(from.width, "width");
    info.height = require_side(from.height, "height");
    info.padding = {from.padding.left, from.padding.top, from.padding.right, from.padding.bottom};
    info.tiling = to_tiling(from.tiling);
    return info;
}

std::size_t count_tiles(const StreamInfo& info) {
    if (!info.tiling) {
        return 1;
    }
    const TileGrid grid = tile_grid(info);
    return std::size_t{grid.columns} * grid.rows;
}

void require_count(const StreamInfo& info, std::size_t count) {
    if (count != count_tiles(info)) {
        throw Refusal(CCA_ERROR_ARGUMENT, "count is " + std::to_string(count) +
                                              ": the picture has " +
                                              std::to_string(count_tiles(info)) + " tiles");
    }
}

// The tiles' places; all sizes are valid.
std::vector<cca_tile> to_tiles(const StreamInfo& info, BytesView payload) {
    const std::uint32_t width = std::uint32_t{info.width} + info.padding.left + info.padding.right;
    const std::uint32_t height =
        std::uint32_t{info.height} + info.padding.top + info.padding.bottom;
    if (!info.tiling) {
        return {{0, 0, width, height, {payload.data(), payload.size()}}};
    }
    const Tiling& tiling = *info.tiling;
    const std::uint32_t across = std::uint32_t{tiling.window_width} * tiling.columns;
    const std::uint32_t down = std::uint32_t{tiling.window_height} * tiling.rows;
    std::vector<cca_tile> tiles;
    tiles.reserve(tiling.tile_sizes.size());
    std::size_t position = 0;
    for (std::uint32_t top = 0; top < height; top += down) {
        for (std::uint32_t left = 0; left < width; left += across) {
            const std::uint32_t size = tiling.tile_sizes[tiles.size()];
            if (payload.size() - position < size) {
                throw Refusal(CCA_ERROR_ARGUMENT, "the tiles have more bytes than the payload");
            }
            tiles.push_back({left,
                             top,
                             std::min(across, width - left),
                             std::min(down, height - top),
                             {payload.data() + position, size}});
            position += size;
        }
    }
    return tiles;
}

}  // namespace
}  // namespace cca::c_api

using namespace cca::c_api;

cca_status cca_stream_parse(cca_view stream, uint64_t max_pixels, cca_stream_info* info) {
    return guarded([&] {
        require(info, "info");
        const cca::Limits limits{max_pixels == 0 ? CCA_DEFAULT_MAX_PIXELS : max_pixels};
        *info = to_c(cca::parse_stream(require_view(stream, "stream"), limits));
    });
}

cca_status cca_stream_write(const cca_stream_info* info, cca_bytes** stream) {
    return guarded([&] {
        require(info, "info");
        require(stream, "stream");
        const cca::BytesView payload = require_view(info->payload, "payload");
        cca::StreamInfo core = to_core(*info);
        if (core.tiling) {
            core.tiling->tile_sizes = to_tile_sizes(info->tile_table);
        }
        give(stream, cca::write_stream(core, payload));
    });
}

cca_status cca_stream_tile_count(const cca_stream_info* info, size_t* count) {
    return guarded([&] {
        require(info, "info");
        require(count, "count");
        *count = count_tiles(to_geometry(*info));
    });
}

cca_status cca_stream_tiles(const cca_stream_info* info, cca_tile* tiles, size_t count) {
    return guarded([&] {
        require(info, "info");
        require(tiles, "tiles");
        cca::StreamInfo core = to_geometry(*info);
        require_count(core, count);
        if (core.tiling) {
            core.tiling->tile_sizes = to_tile_sizes(info->tile_table);
        }
        cca::validate(core);
        std::ranges::copy(to_tiles(core, require_view(info->payload, "payload")), tiles);
    });
}

cca_status cca_stream_write_tiles(const cca_stream_info* info, const cca_view* payloads,
                                  size_t count, cca_bytes** stream) {
    return guarded([&] {
        require(info, "info");
        require(payloads, "payloads");
        require(stream, "stream");
        cca::StreamInfo core = to_core(*info);
        require_count(core, count);
        cca::Bytes payload;
        for (std::size_t i = 0; i < count; ++i) {
            const cca::BytesView bytes = require_view(payloads[i], "payload");
            if (bytes.size() > std::numeric_limits<std::uint32_t>::max()) {
                throw Refusal(CCA_ERROR_ARGUMENT, "a payload has 2^32 bytes or more");
            }
            payload.insert(payload.end(), bytes.begin(), bytes.end());
            if (core.tiling) {
                core.tiling->tile_sizes.push_back(static_cast<std::uint32_t>(bytes.size()));
            }
        }
        give(stream, cca::write_stream(core, payload));
    });
}

cca_status cca_choose_padding(uint32_t width, uint32_t height, cca_padding* padding) {
    return guarded([&] {
        require(padding, "padding");
        const cca::Padding chosen =
            cca::choose_padding(require_side(width, "width"), require_side(height, "height"));
        *padding = {chosen.left, chosen.top, chosen.right, chosen.bottom};
    });
}
