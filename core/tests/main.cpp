#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "cca/cca.h"

namespace {

constexpr int kSkipped = 77;  // as core/tests/CMakeLists.txt tells ctest

}  // namespace

int main(int argc, char** argv) {
    // CCA_SIMD may ask for instructions that this processor does not have.
    cca_rans_encoder* encoder = nullptr;
    if (cca_rans_encoder_create(&encoder) == CCA_ERROR_ARGUMENT) {
        std::puts(cca_last_error());
        return kSkipped;
    }
    cca_rans_encoder_free(encoder);
    return doctest::Context(argc, argv).run();
}
