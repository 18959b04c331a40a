#include "cca/tables.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace cca {
namespace {

constexpr std::int32_t kTotal = 1 << kPrecisionBits;
constexpr std::int32_t kMaxLength = 65'536;
constexpr std::size_t kMaxTables = 65'536;

[[noreturn]] void refuse(std::size_t table, const std::string& why) {
    throw std::invalid_argument("entropy table " + std::to_string(table) + ": " + why);
}

void check_length(std::size_t table, std::int32_t length, std::size_t row_length) {
    if (length < 2 || length > kMaxLength || static_cast<std::size_t>(length) > row_length) {
        refuse(table, "length " + std::to_string(length) + " is not in 2.." +
                          std::to_string(std::min<std::size_t>(row_length, kMaxLength)));
    }
}

void check_cdf(std::size_t table, std::span<const std::int32_t> cdf) {
    if (cdf.front() != 0 || cdf.back() != kTotal) {
        refuse(table, "the CDF runs from " + std::to_string(cdf.front()) + " to " +
                          std::to_string(cdf.back()) + ", not from 0 to 65536");
    }
    for (std::size_t i = 1; i < cdf.size(); ++i) {
        if (cdf[i] <= cdf[i - 1]) {
            refuse(table, "the CDF does not increase at entry " + std::to_string(i));
        }
    }
}

void check_symbols(std::size_t table, std::int64_t offset, std::int64_t count) {
    constexpr std::int64_t lowest = std::numeric_limits<std::int16_t>::min();
    constexpr std::int64_t highest = std::numeric_limits<std::int16_t>::max();
    if (offset < lowest || offset + count - 1 > highest) {
        refuse(table, "its symbols " + std::to_string(offset) + ".." +
                          std::to_string(offset + count - 1) + " do not fit in 16 bits");
    }
}

}  // namespace

EntropyTables::EntropyTables(std::span<const std::int32_t> cdfs, std::size_t row_length,
                             std::span<const std::int32_t> lengths,
                             std::span<const std::int32_t> offsets) {
    if (lengths.size() != offsets.size() || cdfs.size() != row_length * lengths.size()) {
        throw std::invalid_argument("entropy tables: cdfs, lengths and offsets differ in number");
    }
    if (lengths.size() > kMaxTables) {
        throw std::invalid_argument("entropy tables: more than 65536 of them");
    }
    tables_.reserve(lengths.size());
    for (std::size_t table = 0; table < lengths.size(); ++table) {
        check_length(table, lengths[table], row_length);
        const auto cdf = cdfs.subspan(table * row_length, static_cast<std::size_t>(lengths[table]));
        check_cdf(table, cdf);
        check_symbols(table, offsets[table], lengths[table] - 2);
        add_table(cdf, offsets[table]);
    }
}

void EntropyTables::refuse_index(std::size_t index) const {
    throw std::invalid_argument("table index " + std::to_string(index) + " is not among the " +
                                std::to_string(size()) + " entropy tables");
}

void EntropyTables::add_table(std::span<const std::int32_t> cdf, std::int32_t offset) {
    const auto first = static_cast<std::uint32_t>(intervals_.size());
    const std::size_t symbols = cdf.size() - 2;
    tables_.push_back({first, static_cast<std::int32_t>(symbols), offset});
    Buckets& buckets = buckets_.emplace_back();
    std::size_t bucket = 0;
    for (std::size_t i = 0; i <= symbols; ++i) {
        const bool escape = i == symbols;
        intervals_.push_back(
            {static_cast<std::uint16_t>(cdf[i]),
             static_cast<std::uint16_t>(cdf[i + 1] - cdf[i] - 1),
             static_cast<std::int16_t>(escape ? 0 : offset + static_cast<std::int32_t>(i)),
             static_cast<std::uint16_t>(escape)});
        while (bucket < buckets.size() &&
               static_cast<std::int32_t>(bucket << kBucketShift) < cdf[i + 1]) {
            buckets[bucket++] = first + static_cast<std::uint32_t>(i);
        }
    }
}

}  // namespace cca
