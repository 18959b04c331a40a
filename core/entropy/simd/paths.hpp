// The paths that are compiled for this kind of processor.
#pragma once

#include "entropy/simd/path.hpp"

namespace cca::simd {

extern const Path kScalar;
extern const Path kAvx2;
extern const Path kAvx512;
extern const Path kNeon;

}  // namespace cca::simd
