// Versions, status names and bytes: what has no state of its own.
#include "guard.hpp"
#include "handles.hpp"

uint32_t cca_abi_version(void) {
    return CCA_ABI_VERSION;
}

const char* cca_version_string(void) {
    return CCA_VERSION;
}

const char* cca_status_name(int status) {
    switch (status) {
        case CCA_OK:
            return "CCA_OK";
        case CCA_ERROR_INTERNAL:
            return "CCA_ERROR_INTERNAL";
        case CCA_ERROR_MEMORY:
            return "CCA_ERROR_MEMORY";
        case CCA_ERROR_ARGUMENT:
            return "CCA_ERROR_ARGUMENT";
        case CCA_ERROR_STATE:
            return "CCA_ERROR_STATE";
        case CCA_ERROR_ABI:
            return "CCA_ERROR_ABI";
        case CCA_ERROR_STREAM:
            return "CCA_ERROR_STREAM";
        case CCA_ERROR_UNSUPPORTED:
            return "CCA_ERROR_UNSUPPORTED";
        case CCA_ERROR_LIMIT:
            return "CCA_ERROR_LIMIT";
        case CCA_ERROR_BUNDLE:
            return "CCA_ERROR_BUNDLE";
        case CCA_ERROR_MODEL:
            return "CCA_ERROR_MODEL";
        case CCA_ERROR_LATENTS:
            return "CCA_ERROR_LATENTS";
        case CCA_ERROR_HOST:
            return "CCA_ERROR_HOST";
        case CCA_ERROR_INEXACT:
            return "CCA_ERROR_INEXACT";
        default:
            return "unknown status";
    }
}

cca_status cca_check_abi(uint32_t abi_version) {
    return cca::c_api::guarded([&] {
        if (abi_version != CCA_ABI_VERSION) {
            throw cca::c_api::Refusal(
                CCA_ERROR_ABI, "the program was compiled for ABI " + std::to_string(abi_version) +
                                   " of libcca, and this is ABI " +
                                   std::to_string(CCA_ABI_VERSION) + ": compile it again");
        }
    });
}

cca_view cca_bytes_view(const cca_bytes* bytes) {
    return bytes == nullptr ? cca_view{nullptr, 0}
                            : cca_view{bytes->content.data(), bytes->content.size()};
}

void cca_bytes_free(cca_bytes* bytes) {
    delete bytes;
}
