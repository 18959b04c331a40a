/* A C11 program with the shared library: encodes a picture's worth of nothing, and reads it back.
 */
#include <stdio.h>
#include <string.h>

#include "cca/cca.h"

int main(void) {
    if (cca_check_abi(CCA_ABI_VERSION) != CCA_OK) {
        fprintf(stderr, "%s\n", cca_last_error());
        return 1;
    }
    const uint8_t payload[] = {1, 2, 3};
    cca_stream_info info = {.width = 100, .height = 50, .payload = {payload, sizeof payload}};
    cca_bytes* stream = NULL;
    cca_stream_info parsed;
    if (cca_choose_padding(info.width, info.height, &info.padding) != CCA_OK ||
        cca_stream_write(&info, &stream) != CCA_OK ||
        cca_stream_parse(cca_bytes_view(stream), 0, &parsed) != CCA_OK) {
        fprintf(stderr, "%s\n", cca_last_error());
        return 1;
    }
    const int same = parsed.width == 100 && parsed.height == 50 && parsed.payload.size == 3 &&
                     memcmp(parsed.payload.data, payload, sizeof payload) == 0;
    cca_bytes_free(stream);
    return same ? 0 : 1;
}
