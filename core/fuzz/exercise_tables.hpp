// Coding with tables that some input described.
#pragma once

#include "entropy/tables.hpp"

namespace cca::fuzz {

/// Encodes and decodes a few symbols with each table, and checks that they come back.
void exercise(const EntropyTables& tables);

}  // namespace cca::fuzz
