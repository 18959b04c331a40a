// The entropy tables of the coder's fuzz targets.
#pragma once

#include <vector>

#include "entropy/tables.hpp"

namespace cca::fuzz {

/// Sets of tables, each of which takes another way through the coder; built once. First one like a
/// model's: 64 tables around 0, from near-certain to wide.
const std::vector<EntropyTables>& table_sets();

}  // namespace cca::fuzz
