// Metadata that a program hands over.
#pragma once

#include <optional>
#include <string>

#include "format/container.hpp"
#include "guard.hpp"

namespace cca::c_api {

/// A copy of a section; none if it is empty. Throws a Refusal if it is larger than a stream takes.
inline std::optional<Bytes> to_metadata(cca_view view, const char* name) {
    const BytesView bytes = require_view(view, name);
    // Before it is copied: the container's own check would come after.
    if (bytes.size() > kMaxMetadata) {
        throw Refusal(CCA_ERROR_ARGUMENT, std::string(name) + " has more than " +
                                              std::to_string(kMaxMetadata) + " bytes");
    }
    return bytes.empty() ? std::nullopt : std::optional(Bytes(bytes.begin(), bytes.end()));
}

}  // namespace cca::c_api
