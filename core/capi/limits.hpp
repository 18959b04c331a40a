// Limits and steps that a program sets.
#pragma once

#include <string>

#include "cca/cca.h"
#include "codec/quantisation_step.hpp"
#include "format/container.hpp"
#include "guard.hpp"

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

/// Throws a Refusal if there is no such step.
inline QuantisationStep to_step(std::int32_t code) {
    if (code < INT8_MIN || code > INT8_MAX) {
        throw Refusal(CCA_ERROR_ARGUMENT,
                      "quantisation step " + std::to_string(code) + " is not in -128..127");
    }
    return QuantisationStep(static_cast<std::int8_t>(code));
}

}  // namespace cca::c_api
