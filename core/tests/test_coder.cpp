#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include "bundle/table_file.hpp"
#include "entropy/rans.hpp"
#include "format/error.hpp"
#include "sample_bundle.hpp"

using namespace cca;
using test::Bytes;

namespace {

struct Group {
    std::vector<std::uint8_t> indexes;
    std::vector<std::int32_t> symbols;
};

const EntropyTables& gaussian() {
    static const ModelTables tables = parse_table_file(test::sample_tables());
    return tables.gaussian;
}

// Symbols near 0, now and then far outside their tables.
Group random_group(std::size_t count, unsigned seed, double escapes = 0.01) {
    std::mt19937 generator(seed);
    std::uniform_int_distribution<int> index(0, 3);
    std::geometric_distribution<int> magnitude(0.6);
    std::uniform_int_distribution<int> anything(-32'768, 32'767);
    std::bernoulli_distribution outside(escapes);
    std::bernoulli_distribution sign(0.5);
    Group group;
    for (std::size_t i = 0; i < count; ++i) {
        group.indexes.push_back(static_cast<std::uint8_t>(index(generator)));
        const int near = magnitude(generator) * (sign(generator) ? 1 : -1);
        group.symbols.push_back(outside(generator) ? anything(generator) : near);
    }
    return group;
}

Bytes encode(const std::vector<Group>& groups) {
    Encoder encoder;
    for (const Group& group : groups) {
        encoder.push<std::uint8_t>(group.symbols, group.indexes, gaussian());
    }
    return encoder.finish();
}

void check_decodes(const Bytes& payload, const std::vector<Group>& groups) {
    Decoder decoder(payload);
    for (const Group& group : groups) {
        std::vector<std::int32_t> symbols(group.symbols.size());
        decoder.pull<std::uint8_t>(symbols, group.indexes, gaussian());
        CHECK(symbols == group.symbols);
    }
    CHECK_NOTHROW(decoder.finish());
}

}  // namespace

TEST_CASE("groups of every size come back") {
    for (std::size_t count = 0; count < 70; ++count) {
        check_decodes(encode({random_group(count, 1)}), {random_group(count, 1)});
    }
    for (const std::size_t count : {100U, 1'000U, 4'096U, 20'000U, 100'000U}) {
        const std::vector<Group> groups{random_group(count, 1), random_group(count / 3, 2),
                                        random_group(0, 3), random_group(7, 4),
                                        random_group(count, 5, 0.5)};
        check_decodes(encode(groups), groups);
    }
    check_decodes(encode({}), {});
}

TEST_CASE("the extremes of a symbol come back from every table") {
    Group group;
    for (std::uint8_t index = 0; index < 4; ++index) {
        for (const std::int32_t symbol : {-32'768, 32'767, -32'767, 0, 1, -1, 100, -100, 20, 21}) {
            group.indexes.push_back(index);
            group.symbols.push_back(symbol);
        }
    }
    check_decodes(encode({group}), {group});
}

TEST_CASE("indexes of 16 bits mean the same as those of 8") {
    const Group group = random_group(5'000, 6);
    const std::vector<std::uint16_t> wide(group.indexes.begin(), group.indexes.end());
    Encoder encoder;
    encoder.push<std::uint16_t>(group.symbols, wide, gaussian());
    const Bytes payload = encoder.finish();
    CHECK(payload == encode({group}));
    Decoder decoder(payload);
    std::vector<std::int32_t> symbols(wide.size());
    decoder.pull<std::uint16_t>(symbols, wide, gaussian());
    CHECK(symbols == group.symbols);
}

TEST_CASE("a payload is near the information in its symbols") {
    // Half the slots are symbol 0, a quarter each -1 and 1, but for the escape: 1.5 bits a symbol.
    const std::vector<std::int32_t> cdf{0, 16'384, 49'151, 65'535, 65'536};
    const std::vector<std::int32_t> length{5};
    const std::vector<std::int32_t> offset{-1};
    const EntropyTables tables(cdf, 5, length, offset);
    std::vector<std::int32_t> symbols;
    for (int i = 0; i < 100'000; ++i) {
        symbols.push_back(i % 4 == 0 ? -1 : i % 4 == 1 ? 1 : 0);
    }
    const std::vector<std::uint8_t> indexes(symbols.size(), 0);
    Encoder encoder;
    encoder.push<std::uint8_t>(symbols, indexes, tables);
    const double bytes = static_cast<double>(encoder.finish().size());
    CHECK(bytes > 18'750 * 0.999);
    CHECK(bytes < 18'750 * 1.003 + 48);
}

TEST_CASE("what cannot be pushed leaves the encoder as it was") {
    const Group group = random_group(100, 7);
    Encoder encoder;
    encoder.push<std::uint8_t>(group.symbols, group.indexes, gaussian());
    const auto refuse = [&](std::vector<std::int32_t> symbols, std::vector<std::uint8_t> indexes) {
        CHECK_THROWS_AS(encoder.push<std::uint8_t>(symbols, indexes, gaussian()),
                        std::invalid_argument);
    };
    refuse({1, 2, 3}, {0, 0});
    refuse({1, 2}, {0, 4});
    refuse({1, 32'768}, {0, 0});
    refuse({1, -32'769}, {0, 0});
    CHECK(encoder.finish() == encode({group}));
}

TEST_CASE("a symbol of more than 16 bits is refused wherever it stands") {
    const Group group = random_group(1'000, 11);
    for (const std::size_t position : {0, 70, 500, 999}) {
        for (const std::int32_t symbol : {32'768, -32'769, 1'431'655'763}) {
            std::vector<std::int32_t> symbols = group.symbols;
            symbols[position] = symbol;
            Encoder encoder;
            CHECK_THROWS_AS(encoder.push<std::uint8_t>(symbols, group.indexes, gaussian()),
                            std::invalid_argument);
            encoder.push<std::uint8_t>(group.symbols, group.indexes, gaussian());
            CHECK(encoder.finish() == encode({group}));
        }
    }
}

TEST_CASE("a decoder asked for what cannot be stays where it was") {
    const Group group = random_group(100, 8);
    std::vector<std::int32_t> symbols(100);
    Decoder decoder(encode({group}));
    std::vector<std::uint8_t> indexes = group.indexes;
    indexes[50] = 4;
    CHECK_THROWS_AS(decoder.pull<std::uint8_t>(symbols, indexes, gaussian()),
                    std::invalid_argument);
    const std::span<std::int32_t> fewer(symbols.data(), 99);
    CHECK_THROWS_AS(decoder.pull<std::uint8_t>(fewer, group.indexes, gaussian()),
                    std::invalid_argument);
    decoder.pull<std::uint8_t>(symbols, group.indexes, gaussian());
    CHECK(symbols == group.symbols);
    decoder.finish();
}

TEST_CASE("a decoder that is not at the end says so") {
    const std::vector<Group> groups{random_group(1'000, 9), random_group(1'000, 10)};
    const Bytes payload = encode(groups);
    Decoder decoder(payload);
    std::vector<std::int32_t> symbols(1'000);
    decoder.pull<std::uint8_t>(symbols, groups[0].indexes, gaussian());
    CHECK_THROWS_AS(decoder.finish(), StreamError);
    Decoder beyond(payload);
    CHECK_THROWS_AS(
        [&] {
            for (int i = 0; i < 3; ++i) {
                beyond.pull<std::uint8_t>(symbols, groups[0].indexes, gaussian());
            }
            beyond.finish();
        }(),
        StreamError);
}

TEST_CASE("a truncated or altered payload is an error or other symbols, never a crash") {
    const Group group = random_group(3'000, 11);
    const Bytes payload = encode({group});
    const auto decodes = [&](std::span<const std::uint8_t> bytes) {
        std::vector<std::int32_t> symbols(group.symbols.size());
        try {
            Decoder decoder(bytes);
            decoder.pull<std::uint8_t>(symbols, group.indexes, gaussian());
            decoder.finish();
        } catch (const StreamError&) {
            return false;
        }
        for (const std::int32_t symbol : symbols) {
            if (symbol < -32'768 || symbol > 32'767) {
                FAIL("symbol ", symbol);
            }
        }
        return true;
    };
    for (std::size_t size = 0; size < payload.size(); ++size) {
        CHECK_FALSE(decodes(std::span(payload).first(size)));
    }
    for (std::size_t bit = 0; bit < 8 * payload.size(); bit += 5) {
        Bytes changed = payload;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        static_cast<void>(decodes(changed));
    }
    Bytes longer = payload;
    longer.insert(longer.end(), 4, 0);
    CHECK_FALSE(decodes(longer));
}

TEST_CASE("what is no table is refused") {
    const auto refuse = [](std::vector<std::int32_t> cdf, std::int32_t length, std::int32_t offset,
                           const char* why) {
        CHECK_THROWS_WITH_AS(
            EntropyTables(cdf, cdf.size(), std::vector{length}, std::vector{offset}),
            doctest::Contains(why), std::invalid_argument);
    };
    refuse({0, 10, 65'536}, 1, 0, "length 1");
    refuse({0, 10, 65'536}, 4, 0, "length 4");
    refuse({1, 10, 65'536}, 3, 0, "runs from 1");
    refuse({0, 10, 65'535}, 3, 0, "to 65535");
    refuse({0, 10, 10, 65'536}, 4, 0, "does not increase at entry 2");
    refuse({0, 10, 20, 65'536}, 4, 32'767, "do not fit in 16 bits");
    refuse({0, 10, 20, 65'536}, 4, -32'769, "do not fit in 16 bits");
    const std::vector<std::int32_t> cdfs(3 * 1025, 0);
    const std::vector<std::int32_t> many(1025, 3);
    CHECK_THROWS_AS(EntropyTables(cdfs, 3, many, many), std::invalid_argument);
    CHECK_THROWS_AS(EntropyTables(cdfs, 4, many, many), std::invalid_argument);
}
