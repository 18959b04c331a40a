// libcca from C++: errors become exceptions, handles free themselves.
#pragma once

#include <cca/cca.h>

#include <memory>
#include <span>

#include "error.hpp"

/// Throws what a call of libcca reports: BadInput if that is about a file, else runtime_error.
inline void check(cca_status status) {
    switch (status) {
        case CCA_OK:
            return;
        case CCA_ERROR_STREAM:
        case CCA_ERROR_UNSUPPORTED:
        case CCA_ERROR_LIMIT:
        case CCA_ERROR_BUNDLE:
        case CCA_ERROR_MODEL:
            throw BadInput(cca_last_error());
        default:
            throw std::runtime_error(cca_last_error());
    }
}

template <auto free>
struct Freed {
    void operator()(auto* handle) const { free(handle); }
};

using Model = std::unique_ptr<cca_model, Freed<cca_model_free>>;
using Decoder = std::unique_ptr<cca_rans_decoder, Freed<cca_rans_decoder_free>>;
using Encoder = std::unique_ptr<cca_rans_encoder, Freed<cca_rans_encoder_free>>;
using Bytes = std::unique_ptr<cca_bytes, Freed<cca_bytes_free>>;

/// Calls `make(arguments..., &handle)` and takes the handle that it gives.
template <typename Handle, typename... Arguments>
Handle make(auto function, Arguments... arguments) {
    typename Handle::pointer handle = nullptr;
    check(function(arguments..., &handle));
    return Handle(handle);
}

inline cca_view view(std::span<const std::uint8_t> bytes) {
    return {bytes.data(), bytes.size()};
}
