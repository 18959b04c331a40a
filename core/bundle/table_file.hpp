// The entropy tables of a model bundle: `tables.bin`, specified in docs/spec/bundle.md.
#pragma once

#include <cstdint>
#include <span>

#include "entropy/tables.hpp"

namespace cca {

/// The two sets of tables of a model.
struct ModelTables {
    EntropyTables gaussian;       ///< of latent symbols: one table for each scale
    EntropyTables hyper_latents;  ///< one table for each hyper-latent channel
};

/// Reads the content of a `tables.bin`.
///
/// @throws BundleError, saying what is wrong, unless it is one from the first byte to the last;
///         UnsupportedBundleError for another version of the file.
ModelTables parse_table_file(std::span<const std::uint8_t> file);

}  // namespace cca
