// The stream: what a .cca file holds around the coder's payload. Specified in docs/spec/format.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace cca {

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;
using Identifier = std::array<std::uint8_t, 8>;

/// The padded picture has sides that are multiples of this.
inline constexpr unsigned kSideMultiple = 64;

/// Longest side of a window.
inline constexpr unsigned kMaxWindowSide = 255 * kSideMultiple;

/// Most bytes of one metadata section.
inline constexpr std::uint32_t kMaxMetadata = 16U << 20;

/// What a reader is willing to decode. A stream's own word is no reason to allocate gigabytes.
struct Limits {
    std::uint64_t max_pixels = std::uint64_t{1} << 28;  ///< of the picture with its padding
    std::uint64_t max_metadata = 3 * std::uint64_t{kMaxMetadata};  ///< bytes, of all sections
    std::uint64_t max_tiles = std::uint64_t{1} << 20;
    std::uint64_t max_tensor_bytes = UINT64_MAX;  ///< of the tensors a host holds for one worker
};

/// Pixels that the encoder added around the picture, and the decoder takes away.
struct Padding {
    std::uint8_t left = 0;
    std::uint8_t top = 0;
    std::uint8_t right = 0;
    std::uint8_t bottom = 0;

    bool operator==(const Padding&) const = default;
};

/// How a large picture is divided, from its padded left upper corner on: into windows, which the
/// transforms work on, and into tiles, each of some windows, which are coded one by one. At the
/// right and at the bottom windows and tiles are as much smaller as the picture leaves them.
struct Tiling {
    std::uint16_t window_width = 0;  ///< pixels, a multiple of kSideMultiple up to kMaxWindowSide
    std::uint16_t window_height = 0;
    std::uint8_t columns = 0;  ///< windows side by side in a tile, at least 1
    std::uint8_t rows = 0;
    std::vector<std::uint32_t> tile_sizes;  ///< bytes of each tile's payload, row after row

    bool operator==(const Tiling&) const = default;
};

/// Part of a picture that is counted in tiles.
struct TileGrid {
    std::uint32_t columns = 0;
    std::uint32_t rows = 0;
};

/// What a stream says about itself. Both kinds of metadata and the fingerprint are opaque here.
struct StreamInfo {
    std::uint16_t width = 0;  ///< pixels of the picture itself, at least 1
    std::uint16_t height = 0;
    Padding padding;
    std::int8_t step = 0;                   ///< quantisation step, QuantisationStep::code()
    std::optional<Tiling> tiling;           ///< of a picture that is coded in parts
    std::vector<std::uint32_t> digests;     ///< exact mode: of y_hat, one for each payload
    Identifier model_id{};                  ///< the model that decodes it
    std::optional<Identifier> fingerprint;  ///< native entropy mode: the engine that decodes it
    std::optional<Bytes> icc;               ///< ICC colour profile
    std::optional<Bytes> exif;
    std::optional<Bytes> xmp;

    bool operator==(const StreamInfo&) const = default;
};

/// Pixels of the padded picture across.
std::uint32_t padded_width(const StreamInfo& info) noexcept;

/// And down.
std::uint32_t padded_height(const StreamInfo& info) noexcept;

/// Pixels of the padded picture, which is what a model works on: below 2^33.
std::uint64_t padded_pixels(const StreamInfo& info) noexcept;

/// How many payloads there are: one, or one for each tile.
std::uint64_t count_payloads(const StreamInfo& info) noexcept;

/// How many tiles a tiled picture has across and down. `info.tiling` is there, with no zero in it.
TileGrid tile_grid(const StreamInfo& info) noexcept;

/// Throws std::invalid_argument, saying which field and why, unless a stream can carry `info`.
void validate(const StreamInfo& info);

/// The stream with this header and payload: of a tiled picture, all tiles' one after the other.
///
/// @throws std::invalid_argument as validate() does, or if the payload has 2^32 bytes or more, or
/// not those that the tiles have together.
Bytes write_stream(const StreamInfo& info, BytesView payload);

/// A stream taken apart; `payload` is a view of the bytes that were parsed.
struct ParsedStream {
    StreamInfo info;
    BytesView payload;
    std::uint64_t payload_size = 0;  ///< more than `payload` has if the stream is cut short in it
    std::uint64_t missing = 0;       ///< bytes of all sections that a stream lacks
};

/// Checks every byte of `stream`: structure, checksums and `limits`.
///
/// Allocates nothing but copies of metadata that are there, and a number for each tile that is.
///
/// @throws LimitError if the picture is larger than `limits` allow.
/// @throws StreamError at the first other thing wrong.
ParsedStream parse_stream(BytesView stream, const Limits& limits = {});

/// The same of a stream that may be cut short behind its header: the payload is as much of it as is
/// there, and metadata are there or not. A section that is not whole is not checked.
ParsedStream parse_start(BytesView stream, const Limits& limits = {});

}  // namespace cca
