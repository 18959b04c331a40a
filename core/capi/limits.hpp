// Limits that a program sets.
#pragma once

#include "cca/cca.h"
#include "format/container.hpp"

namespace cca::c_api {

/// Those that are not 0, and the defaults of the others.
inline Limits to_limits(const cca_limits& from) {
    Limits limits;
    const auto take = [](std::uint64_t value, std::uint64_t& limit) {
        if (value != 0) {
            limit = value;
        }
    };
    take(from.max_pixels, limits.max_pixels);
    take(from.max_tensor_bytes, limits.max_tensor_bytes);
    take(from.max_metadata, limits.max_metadata);
    take(from.max_tiles, limits.max_tiles);
    return limits;
}

}  // namespace cca::c_api
