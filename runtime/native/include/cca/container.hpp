// The stream: what a .cca file holds around the coder's payload. Specified in docs/format.md.
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

/// Most bytes of one metadata section.
inline constexpr std::uint32_t kMaxMetadata = 16U << 20;

/// What a reader is willing to decode. A stream's own word is no reason to allocate gigabytes.
struct Limits {
    std::uint64_t max_pixels = std::uint64_t{1} << 28;  ///< of the picture with its padding
};

/// Pixels that the encoder added around the picture, and the decoder takes away.
struct Padding {
    std::uint8_t left = 0;
    std::uint8_t top = 0;
    std::uint8_t right = 0;
    std::uint8_t bottom = 0;

    bool operator==(const Padding&) const = default;
};

/// What a stream says about itself. Both kinds of metadata and the fingerprint are opaque here.
struct StreamInfo {
    std::uint16_t width = 0;  ///< pixels of the picture itself, at least 1
    std::uint16_t height = 0;
    Padding padding;
    Identifier model_id{};                  ///< the model that decodes it
    std::optional<Identifier> fingerprint;  ///< native entropy mode: the engine that decodes it
    std::optional<Bytes> icc;               ///< ICC colour profile
    std::optional<Bytes> exif;
    std::optional<Bytes> xmp;

    bool operator==(const StreamInfo&) const = default;
};

/// Pixels of the padded picture, which is what a model works on: below 2^33.
std::uint64_t padded_pixels(const StreamInfo& info) noexcept;

/// Throws std::invalid_argument, saying which field and why, unless a stream can carry `info`.
void validate(const StreamInfo& info);

/// The stream with this header and payload.
///
/// @throws std::invalid_argument as validate() does, or if the payload has 2^32 bytes or more.
Bytes write_stream(const StreamInfo& info, BytesView payload);

/// A stream taken apart; `payload` is a view of the bytes that were parsed.
struct ParsedStream {
    StreamInfo info;
    BytesView payload;
};

/// Checks every byte of `stream`: structure, checksums and `limits`.
///
/// Allocates nothing but copies of metadata that are there.
///
/// @throws LimitError if the picture is larger than `limits` allow.
/// @throws StreamError at the first other thing wrong.
ParsedStream parse_stream(BytesView stream, const Limits& limits = {});

}  // namespace cca
