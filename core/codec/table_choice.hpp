// From what graphs say of scales to entropy tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "codec/quantisation_step.hpp"

namespace cca {

/// The entropy table of each symbol.
///
/// Graphs give a scale in half places of the scale table, counted from `smallest_scale` half places
/// below its first entry. With step D, the table is that of scale / D. Those of models that have
/// one step alone give the table itself.
///
/// @param indexes         as a graph gives them.
/// @param smallest_scale  of the manifest; none if the model has one step alone.
/// @param step            D; 1 if the model has one step alone.
/// @param tables          how many there are, at least 1.
/// @throws BundleError if an index is beyond the last table's.
std::vector<std::uint8_t> choose_tables(std::span<const std::uint8_t> indexes,
                                        std::optional<std::uint32_t> smallest_scale,
                                        QuantisationStep step, std::size_t tables);

}  // namespace cca
