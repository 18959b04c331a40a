// Any numbers as entropy tables: refused, or good to code with.
#include <stdexcept>
#include <vector>

#include "entropy/tables.hpp"
#include "exercise_tables.hpp"
#include "input.hpp"

namespace {

using cca::fuzz::Input;

std::vector<std::int32_t> take_numbers(Input& input, std::size_t count) {
    std::vector<std::int32_t> numbers;
    while (numbers.size() < count && !input.at_end()) {
        numbers.push_back(input.number<std::int32_t>());
    }
    return numbers;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const auto row_length = input.number<std::uint64_t>();
    const auto lengths = take_numbers(input, input.number<std::uint8_t>());
    const auto offsets = take_numbers(input, input.number<std::uint8_t>());
    const auto cdfs = take_numbers(input, size);
    try {
        cca::fuzz::exercise(cca::EntropyTables(cdfs, row_length, lengths, offsets));
    } catch (const std::invalid_argument&) {
        return 0;
    }
    return 0;
}
