// Groups of symbols to payloads and back.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "groups.hpp"

namespace cca::fuzz {

/// The payload of these symbols, a vector for each group.
std::vector<std::uint8_t> encode(const std::vector<Symbols>& symbols,
                                 const std::vector<Group>& groups);

/// The symbols of each group; nothing if the payload is refused.
std::optional<std::vector<Symbols>> decode(std::span<const std::uint8_t> payload,
                                           const std::vector<Group>& groups);

}  // namespace cca::fuzz
