/* A C11 program with the shared library: encodes nothing at all, and reads it back. */
#include <stdio.h>

#include "cca/cca.h"

int main(void) {
    cca_rans_encoder* encoder = NULL;
    cca_bytes* payload = NULL;
    cca_rans_decoder* decoder = NULL;
    if (cca_check_abi(CCA_ABI_VERSION) != CCA_OK || cca_rans_encoder_create(&encoder) != CCA_OK ||
        cca_rans_encoder_finish(encoder, &payload) != CCA_OK ||
        cca_rans_decoder_create(cca_bytes_view(payload), &decoder) != CCA_OK ||
        cca_rans_decoder_finish(decoder) != CCA_OK) {
        fprintf(stderr, "%s\n", cca_last_error());
        return 1;
    }
    cca_rans_encoder_free(encoder);
    cca_rans_decoder_free(decoder);
    cca_bytes_free(payload);
    cca_stream_info info;
    const cca_view nothing = {NULL, 0};
    return cca_stream_parse(nothing, NULL, &info) == CCA_ERROR_STREAM ? 0 : 1;
}
