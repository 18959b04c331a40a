// Checksums as a forger writes them.
#pragma once

#include <cstdint>
#include <span>

namespace cca::fuzz {

/// Gives the header and the sections of a stream the checksums they should have, as far as it
/// still says where these are (docs/spec/format.md, "Container").
void reseal(std::span<std::uint8_t> stream);

}  // namespace cca::fuzz
