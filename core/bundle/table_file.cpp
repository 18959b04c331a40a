#include "bundle/table_file.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "format/error.hpp"
#include "format/little_endian.hpp"

namespace cca {
namespace {

using BytesView = std::span<const std::uint8_t>;

constexpr std::array<std::uint8_t, 4> kMagic{0x89, 'C', 'C', 'T'};
constexpr std::uint32_t kVersion = 1;
// A file of a few bytes a table could otherwise ask for a row of 256 KB for each of them.
constexpr std::size_t kMaxEntries = std::size_t{1} << 22;

class Reader {
  public:
    explicit Reader(BytesView file) : rest_(file) {}

    bool at_end() const { return rest_.empty(); }

    // `count` times `size` bytes.
    BytesView take(std::size_t count, std::size_t size) {
        if (rest_.size() / size < count) {
            throw BundleError("truncated: " + std::to_string(count * size) +
                              " bytes expected, and there are " + std::to_string(rest_.size()));
        }
        const BytesView taken = rest_.first(count * size);
        rest_ = rest_.subspan(taken.size());
        return taken;
    }

    std::uint32_t take_u32() { return load_u32(take(1, 4).data()); }

  private:
    BytesView rest_;
};

// A set of tables in the layout of EntropyTables' constructor.
struct Rows {
    std::size_t length = 0;
    std::vector<std::int32_t> cdfs, lengths, offsets;
};

// The heads of all tables: their sizes are known, and checked, before anything is made of them.
Rows take_heads(Reader& reader) {
    const std::size_t count = reader.take_u32();
    if (count < 1 || count > kMaxTables) {
        throw BundleError(std::to_string(count) + " tables in a set, which takes 1 to " +
                          std::to_string(kMaxTables));
    }
    const BytesView heads = reader.take(count, 4);
    Rows rows;
    for (std::size_t table = 0; table < count; ++table) {
        const std::uint8_t* head = heads.data() + 4 * table;
        rows.offsets.push_back(static_cast<std::int16_t>(load_u16(head)));
        rows.lengths.push_back(load_u16(head + 2) + 2);
        rows.length = std::max(rows.length, static_cast<std::size_t>(rows.lengths.back()));
    }
    if (count * rows.length > kMaxEntries) {
        throw BundleError(std::to_string(count) + " tables, the longest of " +
                          std::to_string(rows.length) + " entries, are more than " +
                          std::to_string(kMaxEntries) + " together");
    }
    return rows;
}

EntropyTables take_set(Reader& reader) {
    Rows rows = take_heads(reader);
    std::size_t intervals = 0;
    for (const std::int32_t length : rows.lengths) {
        intervals += static_cast<std::size_t>(length) - 1;
    }
    const std::uint8_t* width = reader.take(intervals, 2).data();
    rows.cdfs.resize(rows.lengths.size() * rows.length);
    for (std::size_t table = 0; table < rows.lengths.size(); ++table) {
        std::int32_t* const cdf = rows.cdfs.data() + table * rows.length;
        // At most 65,535 intervals of at most 65,536 slots do overflow an int32: in 64 bits, then
        // clamped to what the tables refuse anyway.
        std::int64_t end = 0;
        for (std::int32_t i = 1; i < rows.lengths[table]; ++i, width += 2) {
            end += load_u16(width) + 1;
            cdf[i] = static_cast<std::int32_t>(std::min<std::int64_t>(end, 1 << 30));
        }
    }
    return {rows.cdfs, rows.length, rows.lengths, rows.offsets};
}

EntropyTables take_named_set(Reader& reader, const char* name) {
    try {
        return take_set(reader);
    } catch (const std::invalid_argument& error) {  // what the tables' constructor refuses
        throw BundleError(std::string(name) + " " + error.what());
    } catch (const BundleError& error) {
        throw BundleError(std::string(name) + " tables: " + error.what());
    }
}

}  // namespace

ModelTables parse_table_file(BytesView file) {
    if (file.size() < 8 || !std::equal(kMagic.begin(), kMagic.end(), file.begin())) {
        throw BundleError("no entropy tables: it does not begin with 89 43 43 54");
    }
    Reader reader(file.subspan(kMagic.size()));
    const std::uint32_t version = reader.take_u32();
    if (version != kVersion) {
        throw UnsupportedBundleError("tables of version " + std::to_string(version) +
                                     " are not supported (knows " + std::to_string(kVersion) + ")");
    }
    EntropyTables gaussian = take_named_set(reader, "gaussian");
    EntropyTables hyper_latents = take_named_set(reader, "hyper-latent");
    if (!reader.at_end()) {
        throw BundleError("trailing bytes after the last table");
    }
    return {std::move(gaussian), std::move(hyper_latents)};
}

}  // namespace cca
