// Any bytes as a payload: refused, or symbols that encode and decode to themselves.
#include "check.hpp"
#include "coding.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cca::fuzz;
    Input input(data, size);
    const auto groups = take_groups(input);
    const auto symbols = decode(input.rest(), groups);
    if (symbols) {
        check(decode(encode(*symbols, groups), groups) == symbols, "what was decoded can be coded");
    }
    return 0;
}
