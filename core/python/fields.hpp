// Python's integers as fields of a stream.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

namespace cca::python {

/// Throws std::invalid_argument, a ValueError, for what the field cannot hold.
template <typename Field>
Field to_field(std::int64_t value, const char* name) {
    constexpr std::int64_t lowest = std::numeric_limits<Field>::min();
    constexpr std::int64_t highest = std::numeric_limits<Field>::max();
    if (value < lowest || value > highest) {
        throw std::invalid_argument(std::string(name) + " " + std::to_string(value) +
                                    " is not in " + std::to_string(lowest) + ".." +
                                    std::to_string(highest));
    }
    return static_cast<Field>(value);
}

}  // namespace cca::python
