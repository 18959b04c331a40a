#include "groups.hpp"

#include "fixed_tables.hpp"
#include "random.hpp"

namespace cca::fuzz {
namespace {

constexpr std::size_t kMaxGroups = 4;
constexpr std::uint32_t kMaxSymbols = 4'000;

enum class Pattern : std::uint8_t { kSame, kRuns, kInTurn, kSkewed, kAny, kCount };
enum class Source : std::uint8_t { kBytes, kWords, kRandom, kSparse, kCount };

Group take_group(Input& input) {
    const auto count = input.number<std::uint16_t>() % (kMaxSymbols + 1);
    const auto kind = input.number<std::uint8_t>();
    const std::uint64_t parameter = input.number<std::uint8_t>();
    const auto& sets = table_sets();
    Group group{&sets[kind % sets.size()], {}};
    const auto pattern =
        static_cast<Pattern>(kind / sets.size() % static_cast<unsigned>(Pattern::kCount));
    const std::uint64_t tables = group.tables->size();
    Random random(parameter);
    for (std::uint64_t i = 0; i < count; ++i) {
        std::uint64_t index = parameter;
        switch (pattern) {
            case Pattern::kRuns:  // as hyper-latents: each table for a while, in order
                index = i * tables / count;
                break;
            case Pattern::kInTurn:
                index += i;
                break;
            case Pattern::kSkewed:  // as latents: mostly near-certain tables
                index = random.next() % 4 != 0 ? 0 : random.next();
                break;
            case Pattern::kAny:
                index = random.next();
                break;
            default:
                break;
        }
        group.indexes.push_back(static_cast<std::uint16_t>(index % tables));
    }
    return group;
}

// Mostly a small one, now and then one of any size.
std::int32_t random_symbol(Random& random) {
    const std::uint64_t bits = random.next();
    const int size = bits % 64 == 0 ? 16 : static_cast<int>(bits / 64 % 4);
    const auto magnitude = static_cast<std::int32_t>(bits >> 32 & ((1U << size) - 1));
    return static_cast<std::int16_t>((bits >> 31 & 1) != 0 ? -magnitude : magnitude);
}

std::int32_t take_symbol(Input& input, Source source, Random& random) {
    switch (source) {
        case Source::kBytes:
            return input.number<std::int8_t>();
        case Source::kWords:
            return input.number<std::int16_t>();
        case Source::kRandom:
            return random_symbol(random);
        default:  // mostly 0
            return random.next() % 16 == 0 ? input.number<std::int8_t>() : 0;
    }
}

}  // namespace

std::vector<Group> take_groups(Input& input) {
    std::vector<Group> groups(1 + input.number<std::uint8_t>() % kMaxGroups);
    for (Group& group : groups) {
        group = take_group(input);
    }
    return groups;
}

Symbols take_symbols(Input& input, std::size_t count) {
    const auto kind = input.number<std::uint8_t>();
    const auto source = static_cast<Source>(kind % static_cast<unsigned>(Source::kCount));
    Random random(kind);
    Symbols symbols(count);
    for (std::int32_t& symbol : symbols) {
        symbol = take_symbol(input, source, random);
    }
    return symbols;
}

}  // namespace cca::fuzz
