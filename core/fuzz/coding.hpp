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

/// Checks that of a payload's first bytes the groups come out that are whole, or none.
///
/// @param symbols  of the whole payload; null if it is refused.
void check_start(std::span<const std::uint8_t> start, const std::vector<Group>& groups,
                 const std::vector<Symbols>* symbols);

}  // namespace cca::fuzz
