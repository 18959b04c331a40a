/* What a C compiler makes of the header: values and sizes that are a promise to compiled programs.
 */
#include "cca/cca.h"

#include <assert.h>

static_assert(CCA_OK == 0 && CCA_ERROR_INTERNAL == 1 && CCA_ERROR_MEMORY == 2 &&
                  CCA_ERROR_ARGUMENT == 3 && CCA_ERROR_STATE == 4 && CCA_ERROR_ABI == 5 &&
                  CCA_ERROR_STREAM == 6 && CCA_ERROR_UNSUPPORTED == 7 && CCA_ERROR_LIMIT == 8 &&
                  CCA_ERROR_BUNDLE == 9 && CCA_ERROR_MODEL == 10 && CCA_ERROR_LATENTS == 11 &&
                  CCA_ERROR_HOST == 12 && CCA_ERROR_INEXACT == 13,
              "status codes are pinned");
static_assert(CCA_ENTROPY_EXACT == 0 && CCA_ENTROPY_NATIVE == 1, "entropy modes are pinned");
static_assert(CCA_FLOAT32 == 0 && CCA_INT32 == 1 && CCA_UINT8 == 2, "dtypes are pinned");
static_assert(CCA_STEP_DONE == 0 && CCA_STEP_UPLOAD == 1 && CCA_STEP_RUN == 2 &&
                  CCA_STEP_DOWNLOAD == 3 && CCA_STEP_FREE == 4,
              "kinds of steps are pinned");

#if UINTPTR_MAX == UINT64_MAX
static_assert(sizeof(cca_view) == 16, "layout");
static_assert(offsetof(cca_stream_info, model_id) == 16, "layout");
static_assert(offsetof(cca_stream_info, payload) == 64, "layout");
static_assert(sizeof(cca_stream_info) == 128, "layout");
static_assert(sizeof(cca_model_info) == 40, "layout");
static_assert(sizeof(cca_file) == 24, "layout");
static_assert(sizeof(cca_graph) == 32, "layout");
static_assert(sizeof(cca_tensor) == 48, "layout");
static_assert(sizeof(cca_binding) == 72, "layout");
static_assert(sizeof(cca_step) == 112, "layout");
static_assert(sizeof(cca_host) == 48, "layout");
static_assert(sizeof(cca_limits) == 32, "layout");
static_assert(sizeof(cca_picture) == 64, "layout");
static_assert(sizeof(cca_decode_options) == 88, "layout");
static_assert(sizeof(cca_encode_options) == 80, "layout");
#endif

/* Called from C++: the same functions under the same names. */
uint32_t abi_seen_by_c(void);
uint32_t abi_seen_by_c(void) {
    return cca_check_abi(CCA_ABI_VERSION) == CCA_OK ? cca_abi_version() : 0;
}
