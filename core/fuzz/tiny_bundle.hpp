// A model bundle as small as it gets, for targets that need a sound one to start from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cca::fuzz {

struct TinyBundle {
    std::string manifest;              ///< content of manifest.json
    std::vector<std::uint8_t> tables;  ///< content of tables.bin
};

/// A bundle of two channel groups, of 1 channel and, in two passes, of 2, with one hyper-latent
/// channel.
///
/// @param exact  the entropy mode.
TinyBundle make_tiny_bundle(bool exact);

}  // namespace cca::fuzz
