// The groups of symbols that a fuzz input of the coder asks for.
#pragma once

#include <cstdint>
#include <vector>

#include "entropy/tables.hpp"
#include "input.hpp"

namespace cca::fuzz {

using Symbols = std::vector<std::int32_t>;

/// One call of push or pull: its tables and which of them each symbol has.
struct Group {
    const EntropyTables* tables;
    std::vector<std::uint16_t> indexes;
};

/// Reads 1 to 4 groups of at most 4,000 symbols: a byte for their number, then for each the
/// number of symbols (two bytes), a byte for the pattern of its indexes, and that's parameter.
std::vector<Group> take_groups(Input& input);

/// Reads `count` symbols: a byte for the way they are stored, then as many as the input has.
Symbols take_symbols(Input& input, std::size_t count);

}  // namespace cca::fuzz
