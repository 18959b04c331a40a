#include "codec/table_choice.hpp"

#include <algorithm>
#include <string>

#include "format/error.hpp"

namespace cca {

namespace {

void check_highest(std::size_t highest, std::size_t most) {
    if (highest > most) {
        throw BundleError("a graph's table indexes cannot be used: " + std::to_string(highest) +
                          " is more than " + std::to_string(most));
    }
}

}  // namespace

std::vector<std::uint8_t> choose_tables(std::span<const std::uint8_t> indexes,
                                        std::optional<std::uint32_t> smallest_scale,
                                        QuantisationStep step, std::size_t tables) {
    if (!smallest_scale) {
        check_highest(indexes.empty() ? 0 : std::ranges::max(indexes), tables - 1);
        return {indexes.begin(), indexes.end()};
    }
    const auto last = static_cast<std::int16_t>(std::min<std::size_t>(tables - 1, UINT8_MAX));
    // One more, so that halving rounds up: a scale between two entries has the larger one's table.
    const auto shift =
        static_cast<std::int16_t>(1 - static_cast<int>(*smallest_scale) - step.table_shift());
    std::vector<std::uint8_t> chosen(indexes.size());
    std::uint8_t highest = 0;
    for (std::size_t i = 0; i < indexes.size(); ++i) {
        highest = std::max(highest, indexes[i]);
        const auto place = static_cast<std::int16_t>((indexes[i] + shift) >> 1);
        chosen[i] = static_cast<std::uint8_t>(std::clamp(place, std::int16_t{0}, last));
    }
    check_highest(highest, *smallest_scale + 2 * (tables - 1));
    return chosen;
}

}  // namespace cca
