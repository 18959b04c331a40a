// Any bytes as a payload: refused, or symbols that encode and decode to themselves; cut short, the
// groups that are whole.
#include <algorithm>

#include "check.hpp"
#include "coding.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cca::fuzz;
    Input input(data, size);
    const auto groups = take_groups(input);
    const auto payload = input.rest();
    const auto symbols = decode(payload, groups);
    const auto* const whole = symbols ? &*symbols : nullptr;
    check_start(payload, groups, whole);
    if (!payload.empty()) {
        const std::size_t size = payload.size();
        check_start(payload.first(size * payload.back() / 256), groups, whole);
        // Where lanes end, whose first states are words.
        check_start(payload.first(size - std::min<std::size_t>(size, 1 + payload.back() / 2U)),
                    groups, whole);
    }
    if (symbols) {
        check(decode(encode(*symbols, groups), groups) == symbols, "what was decoded can be coded");
    }
    return 0;
}
