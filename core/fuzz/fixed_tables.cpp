#include "fixed_tables.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace cca::fuzz {
namespace {

constexpr std::int64_t kTotal = 65'536;

struct Table {
    std::int32_t offset;
    std::vector<std::int64_t> widths;  // of the intervals; the last is the escape's
};

// Widths with the given proportions, each at least 1; the largest takes what is left over.
Table scaled(std::int32_t offset, std::vector<std::int64_t> weights) {
    const auto intervals = static_cast<std::int64_t>(weights.size());
    const std::int64_t sum = std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
    for (std::int64_t& weight : weights) {
        weight = 1 + weight * (kTotal - intervals) / sum;
    }
    const std::int64_t used = std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
    *std::ranges::max_element(weights) += kTotal - used;
    return {offset, std::move(weights)};
}

// Symbols -reach .. reach around `mode`, each `ratio` / 65,536 times as likely as the one before.
Table two_sided(std::int32_t mode, std::int32_t reach, std::int64_t ratio) {
    std::vector<std::int64_t> weights(2 * static_cast<std::size_t>(reach) + 2);
    std::int64_t weight = std::int64_t{1} << 32;
    for (std::int32_t distance = 0; distance <= reach; ++distance) {
        weights[static_cast<std::size_t>(reach - distance)] = weight;
        weights[static_cast<std::size_t>(reach + distance)] = weight;
        weight = weight * ratio / kTotal;
    }
    return scaled(mode - reach, std::move(weights));
}

EntropyTables build(const std::vector<Table>& tables) {
    std::size_t row_length = 0;
    for (const Table& table : tables) {
        row_length = std::max(row_length, table.widths.size() + 1);
    }
    std::vector<std::int32_t> cdfs(row_length * tables.size());
    std::vector<std::int32_t> lengths;
    std::vector<std::int32_t> offsets;
    for (std::size_t i = 0; i < tables.size(); ++i) {
        std::partial_sum(tables[i].widths.begin(), tables[i].widths.end(),
                         cdfs.begin() + static_cast<std::ptrdiff_t>(i * row_length + 1));
        lengths.push_back(static_cast<std::int32_t>(tables[i].widths.size() + 1));
        offsets.push_back(tables[i].offset);
    }
    return {cdfs, row_length, lengths, offsets};
}

// As many symbols as a table can have, all alike.
Table longest() {
    std::vector<std::int64_t> widths(65'535, 1);
    widths.front() = 2;
    return {-32'768, std::move(widths)};
}

// Tables around 0, from near-certain to as wide as `widest_ratio` makes them.
EntropyTables around_zero(std::int64_t count, std::int64_t widest_ratio) {
    std::vector<Table> tables;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t rank = std::max<std::int64_t>(i - 4, 0);
        const auto reach = static_cast<std::int32_t>(1 + 900 * rank * rank / (count * count));
        tables.push_back(two_sided(0, reach, widest_ratio * rank * rank / (count * count)));
    }
    return build(tables);
}

EntropyTables odd_ones() {
    return build({
        {0, {65'535, 1}},               // as certain as can be
        {-1, {1, 65'533, 1, 1}},        // near-certain
        {5, {1, 65'500, 35}},           // near-certain, and not 0
        two_sided(0, 20, 45'000),       // ordinary
        two_sided(0, 300, 64'500),      // wide
        two_sided(100, 1'500, 65'400),  // wide, and not around 0
        longest(),
        {32'767, {1, 65'535}},           // nearly always an escape
        {-7, {32'768, 16'384, 16'384}},  // symbols without tails
        two_sided(-32'700, 60, 58'000),  // beside the lowest symbol
        two_sided(0, 20, 65'536),        // flat
        {0, {65'535, 1}},                // as the first, in another place
    });
}

EntropyTables none_near_certain() {
    return build({two_sided(0, 10, 40'000), two_sided(0, 30, 55'000), two_sided(0, 700, 64'900)});
}

// As hyper-latents': more tables than a byte can name, with modes of their own.
EntropyTables more_than_a_byte_can_name() {
    std::vector<Table> tables;
    for (std::int32_t i = 0; i < 300; ++i) {
        tables.push_back(two_sided(i % 7 - 3, 1 + i / 4, 20'000 + 150 * i));
    }
    return build(tables);
}

}  // namespace

const std::vector<EntropyTables>& table_sets() {
    static const std::vector<EntropyTables> sets{
        around_zero(64, 66'000), around_zero(200, 65'000),    odd_ones(),
        none_near_certain(),     more_than_a_byte_can_name(),
    };
    return sets;
}

}  // namespace cca::fuzz
