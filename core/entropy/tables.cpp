#include "entropy/tables.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "entropy/coding_tables.hpp"

namespace cca {
namespace {

constexpr std::int32_t kTotal = 1 << kMaxPrecision;
constexpr std::int32_t kMinLength = 3;
constexpr std::int32_t kMaxLength = 65'536;

[[noreturn]] void refuse(std::size_t table, const std::string& why) {
    throw std::invalid_argument("entropy table " + std::to_string(table) + ": " + why);
}

void check_length(std::size_t table, std::int32_t length, std::size_t row_length) {
    if (length < kMinLength || length > kMaxLength ||
        static_cast<std::size_t>(length) > row_length) {
        refuse(table, "length " + std::to_string(length) + " is not in 3.." +
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
    if (lengths.size() > kMaxTables) {
        throw std::invalid_argument("entropy tables: more than " + std::to_string(kMaxTables) +
                                    " of them");
    }
    // By division: the product might overflow.
    const std::size_t rows = row_length == 0 ? 0 : cdfs.size() / row_length;
    if (lengths.size() != offsets.size() || lengths.size() != rows ||
        cdfs.size() != rows * row_length) {
        throw std::invalid_argument("entropy tables: cdfs, lengths and offsets differ in number");
    }
    auto coding = std::make_shared<CodingTables>();
    coding->tables.reserve(lengths.size());
    for (std::size_t table = 0; table < lengths.size(); ++table) {
        check_length(table, lengths[table], row_length);
        const auto cdf = cdfs.subspan(table * row_length, static_cast<std::size_t>(lengths[table]));
        check_cdf(table, cdf);
        check_symbols(table, offsets[table], lengths[table] - 2);
        append_table(*coding, cdf, offsets[table]);
    }
    coding_ = std::move(coding);
}

std::size_t EntropyTables::size() const noexcept {
    return coding_->tables.size();
}

}  // namespace cca
