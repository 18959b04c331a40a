// What the opaque handles of cca.h are.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bundle/model.hpp"
#include "cca/cca.h"

struct cca_bytes {
    std::vector<std::uint8_t> content;
};

struct cca_tables {
    cca::EntropyTables tables;
};

struct cca_model {
    cca::Manifest manifest;
    cca_tables gaussian;
    cca_tables hyper_latents;
};

namespace cca::c_api {

/// Hands bytes to the caller.
inline void give(cca_bytes** out, std::vector<std::uint8_t> content) {
    *out = std::make_unique<cca_bytes>(cca_bytes{std::move(content)}).release();
}

}  // namespace cca::c_api
