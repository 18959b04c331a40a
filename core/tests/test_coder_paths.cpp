// All code paths of the coder that this processor has write the same bytes and read each other's.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "entropy/rans.hpp"
#include "entropy/rans_format.hpp"
#include "entropy/simd.hpp"
#include "entropy/simd/path.hpp"

using namespace cca;

namespace {

constexpr std::int32_t kTotal = 65'536;

// Lets CCA_SIMD be another one for as long as it lives.
class ChosenPath {
  public:
    explicit ChosenPath(const std::string& name) {
        if (const char* const before = std::getenv("CCA_SIMD")) {
            before_ = before;
        }
        setenv("CCA_SIMD", name.c_str(), 1);
    }
    ChosenPath(const ChosenPath&) = delete;
    ChosenPath& operator=(const ChosenPath&) = delete;
    ~ChosenPath() { setenv("CCA_SIMD", before_.c_str(), 1); }

  private:
    std::string before_;  // empty: the fastest
};

struct Row {
    std::vector<std::int32_t> cdf;
    std::int32_t offset;
};

// A Gaussian around `mode`; every value has a slot.
Row bell(double scale, std::int32_t mode) {
    const int reach = static_cast<int>(std::ceil(4 * scale));
    const int count = 2 * reach + 1;
    Row row{{0}, mode - reach};
    for (int i = 1; i <= count; ++i) {
        const double below = 0.5 * std::erfc(-(i - reach - 0.5) / scale * std::sqrt(0.5));
        row.cdf.push_back(static_cast<std::int32_t>(below * (kTotal - count - 1)) + i);
    }
    row.cdf.push_back(kTotal);
    return row;
}

// A mode with all slots but these, and one for the escape.
Row almost_sure(std::int32_t left, std::int32_t right, std::int32_t mode) {
    return {{0, left, kTotal - 1 - right, kTotal - 1, kTotal}, mode - 1};
}

Row ragged(std::size_t values, std::mt19937& generator) {
    std::set<std::int32_t> cuts{0, kTotal};
    while (cuts.size() < values + 2) {
        cuts.insert(std::uniform_int_distribution<std::int32_t>(1, kTotal - 1)(generator));
    }
    return {{cuts.begin(), cuts.end()},
            std::uniform_int_distribution<std::int32_t>(-3'000, 3'000)(generator)};
}

std::vector<std::vector<Row>> kinds_of_tables() {
    std::mt19937 generator(1);
    std::vector<std::vector<Row>> kinds(9);
    for (int i = 0; i < 64; ++i) {
        kinds[0].push_back(bell(0.11 * std::pow(256 / 0.11, i / 63.0), 0));
        kinds[1].push_back(bell(0.2 + 0.1 * i, i - 32));
    }
    for (int i = 0; i < 20; ++i) {
        kinds[2].push_back(almost_sure(1 + i, 1 + i % 5 * i, 0));
        kinds[3].push_back(almost_sure(1 + i, 1 + i, 7));
        kinds[4].push_back(bell(20 + 30 * i, 0));
        kinds[5].push_back(ragged(static_cast<std::size_t>(1 + 13 * i), generator));
    }
    kinds[6] = {{{0, 1, kTotal}, 0}, {{0, kTotal - 1, kTotal}, 0}, {{0, 1, 2, kTotal}, 5}};
    for (int i = 0; i < 300; ++i) {
        kinds[7].push_back(bell(0.11 + 0.01 * i, 0));
    }
    for (int i = 0; i < 200; ++i) {
        // Neighbours of the mode that are alike, or not at all.
        kinds[8].push_back(i % 3 == 0 ? bell(0.3 + 0.05 * i, 0)
                                      : almost_sure(300 + i, 900 + 9 * i, 0));
    }
    return kinds;
}

EntropyTables make_tables(const std::vector<Row>& rows) {
    std::size_t longest = 0;
    for (const Row& row : rows) {
        longest = std::max(longest, row.cdf.size());
    }
    std::vector<std::int32_t> cdfs(rows.size() * longest);
    std::vector<std::int32_t> lengths;
    std::vector<std::int32_t> offsets;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::ranges::copy(rows[i].cdf, cdfs.begin() + static_cast<std::ptrdiff_t>(i * longest));
        lengths.push_back(static_cast<std::int32_t>(rows[i].cdf.size()));
        offsets.push_back(rows[i].offset);
    }
    return {cdfs, longest, lengths, offsets};
}

template <typename Index>
struct Group {
    std::vector<Index> indexes;
    std::vector<std::int32_t> symbols;
};

// Symbols as their tables have them; what escapes, and one in so many, is anything.
template <typename Index>
Group<Index> random_group(const std::vector<Row>& rows, std::size_t count, int one_in) {
    std::mt19937 generator(static_cast<unsigned>(count));
    std::uniform_int_distribution<std::size_t> any_table(0, rows.size() - 1);
    std::uniform_int_distribution<std::int32_t> any_slot(0, kTotal - 1);
    Group<Index> group;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t index = any_table(generator);
        const auto& [cdf, offset] = rows[index];
        const std::int32_t slot = any_slot(generator);
        const auto value =
            static_cast<std::int32_t>(std::ranges::upper_bound(cdf, slot) - cdf.begin()) - 1;
        const bool anything =
            value + 2 == static_cast<std::int32_t>(cdf.size()) || any_slot(generator) % one_in == 0;
        group.indexes.push_back(static_cast<Index>(index));
        group.symbols.push_back(anything ? any_slot(generator) - kTotal / 2 : offset + value);
    }
    return group;
}

template <typename Index>
std::vector<std::uint8_t> encode(const std::vector<Group<Index>>& groups,
                                 const EntropyTables& tables, const std::string& path) {
    const ChosenPath chosen(path);
    Encoder encoder;
    for (const auto& [indexes, symbols] : groups) {
        encoder.push<Index>(symbols, indexes, tables);
    }
    return encoder.finish();
}

template <typename Index>
void check_decodes(const std::vector<std::uint8_t>& payload,
                   const std::vector<Group<Index>>& groups, const EntropyTables& tables,
                   const std::string& path) {
    const ChosenPath chosen(path);
    Decoder decoder(payload);
    for (const auto& [indexes, symbols] : groups) {
        std::vector<std::int32_t> decoded(symbols.size());
        decoder.pull<Index>(decoded, indexes, tables);
        CHECK(decoded == symbols);
    }
    CHECK_NOTHROW(decoder.finish());
}

template <typename Index>
void check_paths_agree(const std::vector<Row>& rows, int one_in) {
    const EntropyTables tables = make_tables(rows);
    std::vector<std::vector<Group<Index>>> cases(1);
    for (const std::size_t count : {0U, 1U, 63U, 64U, 65U, 1'000U, 40'000U}) {
        cases.push_back({random_group<Index>(rows, count, one_in)});
        cases[0].push_back(cases.back()[0]);
    }
    for (const auto& groups : cases) {
        const std::vector<std::uint8_t> payload = encode(groups, tables, "scalar");
        for (const std::string& path : simd_paths()) {
            CAPTURE(path);
            CHECK(encode(groups, tables, path) == payload);
            check_decodes(payload, groups, tables, path);
        }
    }
}

// The slots of a step, and what `put` on the page makes of a state.
struct Put {
    Interval interval;
    std::uint8_t precision;

    // Whether a word has to be written first.
    bool full(std::uint32_t state) const {
        return state >= std::uint64_t{interval.frequency} << (32 - precision);
    }
    std::uint32_t next(std::uint32_t state) const {
        const std::uint32_t left = full(state) ? state >> 16 : state;
        const std::uint32_t quotient = left / interval.frequency;
        return (quotient << precision) + left % interval.frequency + interval.start;
    }
};

// Where a division could go wrong: next to multiples of the frequency, in particular of the states
// that are just too small for a word to be written.
std::uint32_t hard_state(std::uint32_t frequency, int precision, std::size_t lane,
                         std::mt19937& generator) {
    const std::uint64_t end = std::uint64_t{frequency} << (32 - precision);
    const std::uint64_t top = lane % 2 == 0 ? end : generator();
    const std::uint64_t multiple = std::max<std::uint64_t>(top / frequency - lane / 16, 1);
    const std::uint64_t state = multiple * frequency + lane / 4 % 4 - 2;
    return static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(state, kLowerBound, 0xFFFF'FFFFULL));
}

void check_division(const simd::Path& path, std::uint32_t frequency, std::uint8_t precision,
                    std::mt19937& generator) {
    const auto start = static_cast<std::uint16_t>((1U << precision) - frequency);
    const Put put{{start, static_cast<std::uint16_t>(frequency)}, precision};
    std::array<Interval, kLanes + simd::kSlack> intervals{};
    std::array<std::uint8_t, kLanes + simd::kSlack> precisions{};
    std::array<std::uint32_t, kLanes> states{};
    std::array<std::uint32_t, kLanes> expected{};
    std::vector<std::uint16_t> words(kLanes + simd::kSlack);
    auto expected_words = words;
    std::uint16_t* top = expected_words.data() + expected_words.size();
    intervals.fill(put.interval);
    precisions.fill(precision);
    for (std::size_t lane = kLanes; lane-- > 0;) {
        states[lane] = hard_state(frequency, precision, lane, generator);
        if (put.full(states[lane])) {
            *--top = static_cast<std::uint16_t>(states[lane]);
        }
        expected[lane] = put.next(states[lane]);
    }
    const std::uint16_t* const found_top = path.encode(intervals.data(), precisions.data(), 1,
                                                       states.data(), words.data() + words.size());
    const auto written = words.data() + words.size() - found_top;
    const bool same = states == expected &&
                      written == expected_words.data() + expected_words.size() - top &&
                      std::equal(found_top, found_top + written, top);
    if (!same) {
        FAIL(std::string(path.name), ": frequency ", frequency, " at precision ", int{precision});
    }
}

}  // namespace

TEST_CASE("the last of the paths is the portable one, and CCA_SIMD chooses") {
    const std::vector<std::string> paths = simd_paths();
    CHECK(paths.back() == "scalar");
    for (const std::string& path : paths) {
        const ChosenPath chosen(path);
        CHECK(simd_path() == path);
    }
    const ChosenPath fastest("");
    CHECK(simd_path() == paths.front());
    const ChosenPath unknown("mmx");
    CHECK_THROWS_WITH_AS(simd_path(), doctest::Contains("CCA_SIMD=mmx cannot be used"),
                         std::invalid_argument);
    CHECK_THROWS_AS(Encoder(), std::invalid_argument);
    CHECK_THROWS_AS(Decoder(std::vector<std::uint8_t>{0, 0, 0, 1}), std::invalid_argument);
}

TEST_CASE("all paths write the same bytes and read them") {
    for (const std::vector<Row>& rows : kinds_of_tables()) {
        for (const int one_in : {5, 200, kTotal}) {
            CAPTURE(rows.size());
            CAPTURE(one_in);
            check_paths_agree<std::uint16_t>(rows, one_in);
            if (rows.size() <= 256) {
                check_paths_agree<std::uint8_t>(rows, one_in);
            }
        }
    }
}

TEST_CASE("indexes of 8 and of 16 bits give the same bytes") {
    for (const std::vector<Row>& rows : kinds_of_tables()) {
        if (rows.size() > 256) {
            continue;
        }
        CAPTURE(rows.size());
        const EntropyTables tables = make_tables(rows);
        const auto narrow = random_group<std::uint8_t>(rows, 40'000, 50);
        const auto wide = random_group<std::uint16_t>(rows, 40'000, 50);
        REQUIRE(narrow.symbols == wide.symbols);
        for (const std::string& path : simd_paths()) {
            CHECK(encode<std::uint8_t>({narrow}, tables, path) ==
                  encode<std::uint16_t>({wide}, tables, path));
        }
    }
}

TEST_CASE("an encoder needs its tables no longer than it is given symbols") {
    const std::vector<Row> rows = kinds_of_tables()[0];
    const auto group = random_group<std::uint8_t>(rows, 40'000, 50);
    Encoder encoder;
    {
        const EntropyTables tables = make_tables(rows);
        encoder.push<std::uint8_t>(group.symbols, group.indexes, tables);
    }
    CHECK(encoder.finish() == encode<std::uint8_t>({group}, make_tables(rows), ""));
}

TEST_CASE("an inverse and a precision share 32 bits") {
    for (int precision = kMinPrecision; precision <= kMaxPrecision; ++precision) {
        for (std::uint32_t frequency = 1; frequency < 1U << precision; ++frequency) {
            const EncoderStep step = EncoderStep::pack({0, static_cast<std::uint16_t>(frequency)},
                                                       static_cast<std::uint8_t>(precision));
            const std::uint32_t inverse =
                (step.inverse & EncoderStep::kInverseMask) | EncoderStep::kInverseTop;
            REQUIRE(std::bit_cast<float>(inverse) ==
                    kInverseFactor / static_cast<float>(frequency));
            REQUIRE((step.inverse >> EncoderStep::kPrecisionShift) + kMinPrecision ==
                    static_cast<std::uint32_t>(precision));
        }
    }
}

TEST_CASE("every frequency divides every state exactly, on every path") {
    for (const std::string& name : simd_paths()) {
        const ChosenPath chosen(name);
        std::mt19937 generator(3);
        for (int precision = kMinPrecision; precision <= kMaxPrecision; ++precision) {
            for (std::uint32_t frequency = 1; frequency < 1U << precision; ++frequency) {
                check_division(simd::path(), frequency, static_cast<std::uint8_t>(precision),
                               generator);
            }
        }
    }
}

TEST_CASE("a symbol that does not fit in 16 bits is refused wherever it stands") {
    const std::vector<Row> rows{bell(1, 0), bell(2, 0)};
    const EntropyTables tables = make_tables(rows);
    for (const std::string& path : simd_paths()) {
        const ChosenPath chosen(path);
        for (const std::size_t position : {0U, 63U, 64U, 200U, 299U}) {
            for (const std::int32_t symbol : {32'768, -32'769, 1 << 30, 65'536, -65'535}) {
                auto group = random_group<std::uint8_t>(rows, 300, 50);
                group.symbols[position] = symbol;
                Encoder encoder;
                CHECK_THROWS_AS(encoder.push<std::uint8_t>(group.symbols, group.indexes, tables),
                                std::invalid_argument);
            }
        }
    }
}
