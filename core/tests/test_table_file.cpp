#include "bundle/table_file.hpp"

#include <doctest/doctest.h>

#include "entropy/rans.hpp"
#include "format/error.hpp"
#include "format/little_endian.hpp"
#include "sample_bundle.hpp"

using namespace cca;
using test::Bytes;

namespace {

// A set's count, heads and widths, one after the other, as they stand in the file.
Bytes file_of(std::initializer_list<std::pair<std::uint64_t, int>> numbers) {
    Bytes file{0x89, 'C', 'C', 'T', 1, 0, 0, 0};
    for (const auto& [value, size] : numbers) {
        append_bytes(file, value, size);
    }
    return file;
}

Bytes changed(std::size_t position, std::uint8_t value) {
    Bytes file = test::sample_tables();
    file.at(position) = value;
    return file;
}

}  // namespace

TEST_CASE("a table file gives the tables that its numbers describe") {
    const ModelTables tables = parse_table_file(test::sample_tables());
    CHECK(tables.gaussian.size() == 4);
    CHECK(tables.hyper_latents.size() == 2);

    // The smallest possible file: a table of one symbol, 5, and half the slots; then of two.
    const Bytes small = file_of({{1, 4},
                                 {5, 2},
                                 {1, 2},
                                 {32'767, 2},
                                 {32'767, 2},  //
                                 {1, 4},
                                 {7, 2},
                                 {2, 2},
                                 {9'999, 2},
                                 {19'999, 2},
                                 {35'535, 2}});
    const ModelTables from_file = parse_table_file(small);
    const std::vector<std::int32_t> cdf{0, 32'768, 65'536};
    const std::vector<std::int32_t> length{3};
    const std::vector<std::int32_t> offset{5};
    const EntropyTables from_arrays(cdf, 3, length, offset);
    const std::vector<std::int32_t> symbols{5, 5, 7, 5, -3, 5};
    const std::vector<std::uint8_t> indexes(symbols.size(), 0);
    Encoder first;
    Encoder second;
    first.push<std::uint8_t>(symbols, indexes, from_file.gaussian);
    second.push<std::uint8_t>(symbols, indexes, from_arrays);
    CHECK(first.finish() == second.finish());
}

TEST_CASE("every file cut short is refused") {
    const Bytes whole = test::sample_tables();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CHECK_THROWS_AS(parse_table_file(std::span(whole).first(size)), BundleError);
    }
}

TEST_CASE("what is wrong with a table file is said") {
    const auto refused = [](const Bytes& file, const char* why) {
        CHECK_THROWS_WITH_AS(parse_table_file(file), doctest::Contains(why), BundleError);
    };
    refused(changed(0, 0), "does not begin with 89 43 43 54");
    refused(changed(5, 1), "tables of version 257 are not supported");
    CHECK_THROWS_AS(parse_table_file(changed(4, 2)), UnsupportedBundleError);
    refused(changed(8, 0), "gaussian tables: 0 tables in a set, which takes 1 to 1024");
    refused(changed(11, 255), "gaussian tables: 4278190084 tables");
    refused(changed(9, 4), "gaussian tables: 1028 tables");
    Bytes longer = test::sample_tables();
    longer.push_back(0);
    refused(longer, "trailing bytes");
    // Widths that add up to 65,535 and 65,537.
    refused(file_of({{1, 4}, {0, 2}, {1, 2}, {32'767, 2}, {32'766, 2}}), "runs from 0 to 65535");
    refused(file_of({{1, 4}, {0, 2}, {1, 2}, {32'767, 2}, {32'768, 2}}), "runs from 0 to 65537");
    refused(file_of({{1, 4}, {0, 2}, {0, 2}, {65'535, 2}}), "gaussian entropy table 0: length 2");
    // The last of two symbols is 32,768.
    refused(file_of({{1, 4}, {32'767, 2}, {2, 2}, {0, 2}, {0, 2}, {65'533, 2}}),
            "do not fit in 16 bits");
    // 1,024 tables, one of them long: 8 bytes each ask for 16 KiB each.
    Bytes greedy = file_of({{1024, 4}});
    for (int table = 0; table < 1024; ++table) {
        append_bytes(greedy, 0, 2);
        append_bytes(greedy, table == 0 ? 4095 : 1, 2);
    }
    refused(greedy, "are more than 4194304 together");
}

TEST_CASE("widths that overflow 32 bits are refused") {
    Bytes file = file_of({{1, 4}, {0x8000, 2}, {65'534, 2}});
    file.resize(file.size() + 2 * 65'535, 0xFF);
    CHECK_THROWS_WITH_AS(parse_table_file(file), doctest::Contains("the CDF runs from 0 to"),
                         BundleError);
}
