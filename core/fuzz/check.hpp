// What a fuzz target expects to hold, in builds with and without assertions.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace cca::fuzz {

/// Ends the process, which is a finding, unless `holds`.
inline void check(bool holds, const char* expectation) {
    if (!holds) {
        std::fprintf(stderr, "broken expectation: %s\n", expectation);
        std::abort();
    }
}

}  // namespace cca::fuzz
