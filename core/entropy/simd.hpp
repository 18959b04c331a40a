// Which instructions the coder's loops use. All give the same bytes.
#pragma once

#include <string>
#include <vector>

namespace cca {

/// The instruction sets that this processor has loops for, fastest first; the last is "scalar".
/// The environment variable CCA_SIMD names the one to use; without it the first is used.
std::vector<std::string> simd_paths();

/// The one that coders made now use.
///
/// @throws std::invalid_argument if CCA_SIMD names none of simd_paths().
std::string simd_path();

}  // namespace cca
