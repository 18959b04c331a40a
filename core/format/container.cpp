#include "format/container.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "format/crc32c.hpp"
#include "format/error.hpp"
#include "format/little_endian.hpp"

namespace cca {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic{0x89, 'C', 'C', 'A'};
constexpr std::uint8_t kVersion = 3;
constexpr std::uint8_t kNativeFlag = 1;
constexpr int kChecksumBytes = 4;
constexpr int kDigestBytes = 4;

// A metadata section: its flag, and where StreamInfo keeps it. In the order of the stream.
struct Metadata {
    std::uint8_t flag;
    const char* name;
    std::optional<Bytes> StreamInfo::* field;
};
constexpr std::array<Metadata, 3> kMetadata{{
    {2, "ICC", &StreamInfo::icc},
    {4, "EXIF", &StreamInfo::exif},
    {8, "XMP", &StreamInfo::xmp},
}};
constexpr std::uint8_t kTiledFlag = 16;
constexpr std::uint8_t kKnownFlags = 0x1F;

std::uint32_t divide_up(std::uint32_t dividend, std::uint32_t divisor) {
    return (dividend + divisor - 1) / divisor;
}

std::string describe_side_problem(const char* name, unsigned side, unsigned before,
                                  unsigned after) {
    if (side == 0) {
        return std::string(name) + " is 0";
    }
    if ((side + before + after) % kSideMultiple != 0) {
        return std::string(name) + " " + std::to_string(side) + " with padding " +
               std::to_string(before) + " + " + std::to_string(after) + " is not a multiple of " +
               std::to_string(kSideMultiple);
    }
    return {};
}

std::string describe_window_problem(const char* name, unsigned window, unsigned count,
                                    unsigned side) {
    if (window == 0 || window % kSideMultiple != 0 || window > kMaxWindowSide) {
        return std::string("window ") + name + " " + std::to_string(window) +
               " is not a multiple of " + std::to_string(kSideMultiple) + " up to " +
               std::to_string(kMaxWindowSide);
    }
    // There is one way to say that a tile has all windows of a row or column.
    if (count == 0 || count > divide_up(side, window)) {
        return std::to_string(count) + " windows along a tile's " + name + ": the picture has " +
               std::to_string(divide_up(side, window));
    }
    return {};
}

// What makes the division into windows and tiles impossible; empty if nothing does.
std::string describe_tiling_problem(const StreamInfo& info) {
    const Tiling& tiling = *info.tiling;
    const std::uint32_t width = padded_width(info);
    const std::uint32_t height = padded_height(info);
    std::string problem =
        describe_window_problem("width", tiling.window_width, tiling.columns, width);
    if (problem.empty()) {
        problem = describe_window_problem("height", tiling.window_height, tiling.rows, height);
    }
    if (problem.empty() && tiling.window_width >= width && tiling.window_height >= height) {
        problem = "a picture in one window is not tiled";
    }
    return problem;
}

// What makes the picture's size impossible; empty if nothing does.
std::string describe_size_problem(const StreamInfo& info) {
    const Padding& padding = info.padding;
    std::string problem = describe_side_problem("width", info.width, padding.left, padding.right);
    if (problem.empty()) {
        problem = describe_side_problem("height", info.height, padding.top, padding.bottom);
    }
    if (problem.empty() && info.tiling) {
        problem = describe_tiling_problem(info);
    }
    return problem;
}

bool valid_metadata_size(std::size_t size) {
    return size >= 1 && size <= kMaxMetadata;
}

std::string metadata_limits() {
    return "1 to " + std::to_string(kMaxMetadata) + " bytes";
}

void append(Bytes& out, BytesView bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_leb128(Bytes& out, std::uint32_t value) {
    for (; value >= 0x80; value >>= 7) {
        out.push_back(static_cast<std::uint8_t>(value | 0x80));
    }
    out.push_back(static_cast<std::uint8_t>(value));
}

void append_section_entry(Bytes& out, BytesView section) {
    append_leb128(out, static_cast<std::uint32_t>(section.size()));
    append_bytes(out, crc32c(section), kChecksumBytes);
}

void append_payload_entries(Bytes& out, const StreamInfo& info, BytesView payload) {
    const std::vector<std::uint32_t> whole{static_cast<std::uint32_t>(payload.size())};
    const auto& sizes = info.tiling ? info.tiling->tile_sizes : whole;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        if (sizes[i] > payload.size()) {
            throw std::invalid_argument("the tiles have more bytes than the payload");
        }
        append_section_entry(out, payload.first(sizes[i]));
        if (!info.fingerprint) {
            append_bytes(out, info.digests[i], kDigestBytes);
        }
        payload = payload.subspan(sizes[i]);
    }
    if (!payload.empty()) {
        throw std::invalid_argument("the payload has more bytes than the tiles");
    }
}

std::uint8_t flags_of(const StreamInfo& info) {
    unsigned flags = info.fingerprint ? kNativeFlag : 0;
    flags |= info.tiling ? kTiledFlag : 0;
    for (const Metadata& kind : kMetadata) {
        flags |= info.*kind.field ? kind.flag : 0;
    }
    return static_cast<std::uint8_t>(flags);
}

// Reads the header front to back; every read is checked.
class Reader {
  public:
    explicit Reader(BytesView stream) : stream_(stream) {}

    std::size_t position() const { return position_; }

    BytesView take(std::size_t count) {
        if (stream_.size() - position_ < count) {
            throw StreamError("truncated: the header ends at byte " +
                              std::to_string(stream_.size()) + ", where more was expected");
        }
        position_ += count;
        return stream_.subspan(position_ - count, count);
    }

    std::uint8_t take_u8() { return take(1)[0]; }
    std::uint16_t take_u16() { return load_u16(take(2).data()); }
    std::uint32_t take_u32() { return load_u32(take(4).data()); }

    Identifier take_identifier() {
        Identifier identifier;
        const BytesView bytes = take(identifier.size());
        std::copy(bytes.begin(), bytes.end(), identifier.begin());
        return identifier;
    }

    std::uint32_t take_leb128() {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 35; shift += 7) {
            const std::uint8_t byte = take_u8();
            value |= std::uint64_t{byte & 0x7FU} << shift;
            if (byte < 0x80) {
                if (value > std::numeric_limits<std::uint32_t>::max() || (byte == 0 && shift > 0)) {
                    break;
                }
                return static_cast<std::uint32_t>(value);
            }
        }
        throw StreamError("invalid section length before byte " + std::to_string(position_));
    }

  private:
    BytesView stream_;
    std::size_t position_ = 0;
};

struct Section {
    std::uint32_t size;
    std::uint32_t checksum;
};

struct SectionTable {
    std::vector<Section> payload;  // of each tile, or the only one
    std::vector<std::uint32_t> digests;
    std::array<std::optional<Section>, kMetadata.size()> metadata;
};

Section take_section_entry(Reader& reader) {
    const std::uint32_t size = reader.take_leb128();
    return {size, reader.take_u32()};
}

// As many entries as the header claims, or as there are bytes for.
void take_payload_entries(Reader& reader, const StreamInfo& info, SectionTable& table) {
    for (std::uint64_t left = count_payloads(info); left > 0; --left) {
        table.payload.push_back(take_section_entry(reader));
        if (!info.fingerprint) {
            table.digests.push_back(reader.take_u32());
        }
    }
}

SectionTable take_section_table(Reader& reader, std::uint8_t flags, const StreamInfo& info) {
    SectionTable table;
    take_payload_entries(reader, info, table);
    for (std::size_t i = 0; i < kMetadata.size(); ++i) {
        if ((flags & kMetadata[i].flag) != 0) {
            table.metadata[i] = take_section_entry(reader);
        }
    }
    return table;
}

Tiling take_tiling(Reader& reader) {
    const BytesView sides = reader.take(4);
    // Without them, there is no telling how many sections follow.
    if (std::ranges::find(sides, 0) != sides.end()) {
        throw StreamError("invalid header: a tile or a window has no size");
    }
    Tiling tiling;
    tiling.window_width = static_cast<std::uint16_t>(sides[0] * kSideMultiple);
    tiling.window_height = static_cast<std::uint16_t>(sides[1] * kSideMultiple);
    tiling.columns = sides[2];
    tiling.rows = sides[3];
    return tiling;
}

// What has a place of its own in the header: all but the sections.
StreamInfo take_fields(Reader& reader, std::uint8_t flags) {
    StreamInfo info;
    info.model_id = reader.take_identifier();
    info.width = reader.take_u16();
    info.height = reader.take_u16();
    const BytesView padding = reader.take(4);
    info.padding = {padding[0], padding[1], padding[2], padding[3]};
    info.step = static_cast<std::int8_t>(reader.take_u8());
    if ((flags & kNativeFlag) != 0) {
        info.fingerprint = reader.take_identifier();
    }
    if ((flags & kTiledFlag) != 0) {
        info.tiling = take_tiling(reader);
    }
    return info;
}

void check_magic(BytesView stream) {
    if (stream.empty()) {
        throw StreamError("not a CCA stream: it is empty");
    }
    const std::size_t present = std::min(stream.size(), kMagic.size());
    if (!std::equal(kMagic.begin(), kMagic.begin() + static_cast<std::ptrdiff_t>(present),
                    stream.begin())) {
        throw StreamError("not a CCA stream: it does not begin with 89 43 43 41");
    }
}

std::uint8_t take_flags(Reader& reader) {
    const std::uint8_t version = reader.take_u8();
    if (version != kVersion) {
        throw UnsupportedStreamError("version " + std::to_string(version) +
                                     " is not supported by this decoder (knows " +
                                     std::to_string(kVersion) + ")");
    }
    const std::uint8_t flags = reader.take_u8();
    if ((flags & ~kKnownFlags) != 0) {
        throw UnsupportedStreamError("unsupported flag: this decoder knows bits 0 to 4 of " +
                                     std::to_string(flags));
    }
    return flags;
}

void check_header(const StreamInfo& info, const SectionTable& table) {
    const std::string problem = describe_size_problem(info);
    if (!problem.empty()) {
        throw StreamError("invalid header: " + problem);
    }
    for (std::size_t i = 0; i < kMetadata.size(); ++i) {
        const auto& section = table.metadata[i];
        if (section && !valid_metadata_size(section->size)) {
            throw StreamError(std::string("invalid header: ") + kMetadata[i].name +
                              " metadata must have " + metadata_limits());
        }
    }
}

void check_limits(const StreamInfo& info, const SectionTable& table, const Limits& limits) {
    if (table.payload.size() > limits.max_tiles) {
        throw LimitError("a picture in " + std::to_string(table.payload.size()) +
                         " tiles is more than the limit of " + std::to_string(limits.max_tiles) +
                         ": raise max_tiles to decode it");
    }
    std::uint64_t metadata = 0;
    for (const auto& section : table.metadata) {
        metadata += section ? section->size : 0;
    }
    if (metadata > limits.max_metadata) {
        throw LimitError(
            "metadata of " + std::to_string(metadata) + " bytes are more than the limit of " +
            std::to_string(limits.max_metadata) + ": raise max_metadata to decode the picture");
    }
    const std::uint64_t pixels = padded_pixels(info);
    if (pixels > limits.max_pixels) {
        throw LimitError("a picture of " + std::to_string(info.width) + "x" +
                         std::to_string(info.height) + " is more than the limit of " +
                         std::to_string(limits.max_pixels) + " pixels: raise max_pixels to " +
                         std::to_string(pixels) + ", which counts its padding, to decode it");
    }
}

std::string payload_name(const StreamInfo& info, std::size_t index) {
    if (!info.tiling) {
        return "payload";
    }
    const std::uint32_t columns = tile_grid(info).columns;
    return "tile in column " + std::to_string(index % columns) + ", row " +
           std::to_string(index / columns);
}

// Takes sections, one behind the other.
class SectionReader {
  public:
    SectionReader(BytesView stream, std::size_t position, bool may_be_cut_short)
        : stream_(stream), position_(position), may_be_cut_short_(may_be_cut_short) {}

    // As much of a section as is there; checked if that is all of it.
    BytesView take(const Section& section, const std::string& name) {
        const std::size_t there = stream_.size() - position_;
        if (there < section.size) {
            if (!may_be_cut_short_) {
                throw StreamError("truncated: the " + name + " has " +
                                  std::to_string(section.size) + " bytes from byte " +
                                  std::to_string(position_) + ", the file ends at byte " +
                                  std::to_string(stream_.size()));
            }
            missing_ += section.size - there;
            return advance(there);
        }
        const BytesView bytes = advance(section.size);
        if (crc32c(bytes) != section.checksum) {
            throw StreamError(name + " checksum mismatch: the file is damaged");
        }
        return bytes;
    }

    std::size_t position() const { return position_; }
    std::uint64_t missing() const { return missing_; }

  private:
    BytesView advance(std::size_t count) {
        position_ += count;
        return stream_.subspan(position_ - count, count);
    }

    BytesView stream_;
    std::size_t position_;
    bool may_be_cut_short_;
    std::uint64_t missing_ = 0;
};

ParsedStream parse(BytesView stream, const Limits& limits, bool may_be_cut_short) {
    check_magic(stream);
    Reader reader(stream);
    reader.take(kMagic.size());
    const std::uint8_t flags = take_flags(reader);
    StreamInfo info = take_fields(reader, flags);
    const SectionTable table = take_section_table(reader, flags, info);
    const std::uint32_t computed = crc32c(stream.first(reader.position()));
    if (reader.take_u32() != computed) {
        throw StreamError("header checksum mismatch: the file is damaged");
    }
    // From here on the header is what some encoder wrote, though not necessarily ours.
    check_header(info, table);
    info.digests = table.digests;
    check_limits(info, table, limits);
    SectionReader sections(stream, reader.position(), may_be_cut_short);
    for (std::size_t i = 0; i < table.payload.size(); ++i) {
        static_cast<void>(sections.take(table.payload[i], payload_name(info, i)));
        if (info.tiling) {
            info.tiling->tile_sizes.push_back(table.payload[i].size);
        }
    }
    const BytesView payload =
        stream.subspan(reader.position(), sections.position() - reader.position());
    const std::uint64_t payload_size = payload.size() + sections.missing();
    if (payload_size > std::numeric_limits<std::uint32_t>::max()) {
        throw StreamError("invalid header: the tiles have 2^32 bytes or more together");
    }
    for (std::size_t i = 0; i < kMetadata.size(); ++i) {
        if (const auto& section = table.metadata[i]) {
            const BytesView bytes = sections.take(*section, kMetadata[i].name);
            if (bytes.size() == section->size) {
                info.*kMetadata[i].field = Bytes(bytes.begin(), bytes.end());
            }
        }
    }
    if (sections.position() != stream.size()) {
        throw StreamError("trailing bytes after the last section: " +
                          std::to_string(stream.size() - sections.position()));
    }
    return {std::move(info), payload, payload_size, sections.missing()};
}

}  // namespace

std::uint32_t padded_width(const StreamInfo& info) noexcept {
    return std::uint32_t{info.width} + info.padding.left + info.padding.right;
}

std::uint32_t padded_height(const StreamInfo& info) noexcept {
    return std::uint32_t{info.height} + info.padding.top + info.padding.bottom;
}

std::uint64_t padded_pixels(const StreamInfo& info) noexcept {
    return std::uint64_t{padded_width(info)} * padded_height(info);
}

std::uint64_t count_payloads(const StreamInfo& info) noexcept {
    if (!info.tiling) {
        return 1;
    }
    const TileGrid grid = tile_grid(info);
    return std::uint64_t{grid.columns} * grid.rows;
}

TileGrid tile_grid(const StreamInfo& info) noexcept {
    const Tiling& tiling = *info.tiling;
    return {divide_up(padded_width(info), std::uint32_t{tiling.window_width} * tiling.columns),
            divide_up(padded_height(info), std::uint32_t{tiling.window_height} * tiling.rows)};
}

void validate(const StreamInfo& info) {
    const std::string problem = describe_size_problem(info);
    if (!problem.empty()) {
        throw std::invalid_argument(problem);
    }
    const std::uint64_t payloads = count_payloads(info);
    if (info.tiling && info.tiling->tile_sizes.size() != payloads) {
        throw std::invalid_argument("sizes of " + std::to_string(info.tiling->tile_sizes.size()) +
                                    " tiles: the picture has " + std::to_string(payloads));
    }
    const std::uint64_t digests = info.fingerprint ? 0 : payloads;
    if (info.digests.size() != digests) {
        throw std::invalid_argument(std::to_string(info.digests.size()) +
                                    " digests: the stream takes " + std::to_string(digests));
    }
    for (const Metadata& kind : kMetadata) {
        const std::optional<Bytes>& section = info.*kind.field;
        if (section && !valid_metadata_size(section->size())) {
            throw std::invalid_argument(std::string(kind.name) + " metadata of " +
                                        std::to_string(section->size()) +
                                        " bytes: a stream takes " + metadata_limits());
        }
    }
}

Bytes write_stream(const StreamInfo& info, BytesView payload) {
    validate(info);
    if (payload.size() > std::numeric_limits<std::uint32_t>::max()) {
        throw std::invalid_argument("a payload of 2^32 bytes or more does not fit in a stream");
    }
    Bytes stream(kMagic.begin(), kMagic.end());
    stream.push_back(kVersion);
    stream.push_back(flags_of(info));
    append(stream, info.model_id);
    append_bytes(stream, info.width, 2);
    append_bytes(stream, info.height, 2);
    const Padding& padding = info.padding;
    append(stream, std::array{padding.left, padding.top, padding.right, padding.bottom});
    stream.push_back(static_cast<std::uint8_t>(info.step));
    if (info.fingerprint) {
        append(stream, *info.fingerprint);
    }
    if (info.tiling) {
        const Tiling& tiling = *info.tiling;
        append(stream, std::array{static_cast<std::uint8_t>(tiling.window_width / kSideMultiple),
                                  static_cast<std::uint8_t>(tiling.window_height / kSideMultiple),
                                  tiling.columns, tiling.rows});
    }
    append_payload_entries(stream, info, payload);
    for (const Metadata& kind : kMetadata) {
        if (info.*kind.field) {
            append_section_entry(stream, *(info.*kind.field));
        }
    }
    append_bytes(stream, crc32c(stream), kChecksumBytes);
    append(stream, payload);
    for (const Metadata& kind : kMetadata) {
        if (info.*kind.field) {
            append(stream, *(info.*kind.field));
        }
    }
    return stream;
}

ParsedStream parse_stream(BytesView stream, const Limits& limits) {
    return parse(stream, limits, false);
}

ParsedStream parse_start(BytesView stream, const Limits& limits) {
    return parse(stream, limits, true);
}

}  // namespace cca
