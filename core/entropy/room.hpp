// Whether a payload is large enough for its picture, before any memory is spent on finding out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "entropy/tables.hpp"

namespace cca {

/// False if no payload of `payload_bytes` holds `symbols_of_each` symbols of every table of the
/// set.
///
/// A few bytes can claim the largest picture there is. Its hyper-latents, the first group of the
/// payload, have as many symbols of each table as there are hyper-latents in a channel: to be asked
/// before memory for them is allocated. The answer costs nothing and is cautious: it is true for
/// every payload that an encoder made, and for many that the decoder finds too small.
bool could_hold(std::size_t payload_bytes, const EntropyTables& tables,
                std::uint64_t symbols_of_each) noexcept;

}  // namespace cca
