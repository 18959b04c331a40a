// Any symbols, with any tables, in any groups, come back as they were.
#include "check.hpp"
#include "coding.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cca::fuzz;
    Input input(data, size);
    const auto groups = take_groups(input);
    std::vector<Symbols> symbols;
    for (const Group& group : groups) {
        symbols.push_back(take_symbols(input, group.indexes.size()));
    }
    check(decode(encode(symbols, groups), groups) == symbols, "symbols come back as they were");
    return 0;
}
