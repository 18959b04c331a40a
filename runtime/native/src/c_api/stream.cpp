// Streams: cca_stream_info to and from the container.
#include <algorithm>
#include <array>

#include "cca/container.hpp"
#include "cca/padding.hpp"
#include "guard.hpp"
#include "handles.hpp"

namespace cca::c_api {
namespace {

constexpr std::uint32_t kMaxSide = 65'535;

std::uint16_t require_side(std::uint32_t side, const char* name) {
    if (side < 1 || side > kMaxSide) {
        throw Refusal(CCA_ERROR_ARGUMENT, std::string(name) + " " + std::to_string(side) +
                                              " is not in 1.." + std::to_string(kMaxSide));
    }
    return static_cast<std::uint16_t>(side);
}

// The part of the stream, from `position` on, that holds a metadata section; moves on behind it.
cca_view section(const std::optional<Bytes>& copy, const std::uint8_t*& position) {
    if (!copy) {
        return {nullptr, 0};
    }
    const cca_view view{position, copy->size()};
    position += view.size;
    return view;
}

cca_stream_info to_c(const ParsedStream& parsed) {
    const StreamInfo& from = parsed.info;
    cca_stream_info info{};
    info.width = from.width;
    info.height = from.height;
    info.padding = {from.padding.left, from.padding.top, from.padding.right, from.padding.bottom};
    std::ranges::copy(from.model_id, info.model_id);
    if (from.fingerprint) {
        info.entropy_mode = CCA_ENTROPY_NATIVE;
        std::ranges::copy(*from.fingerprint, info.fingerprint);
    }
    info.payload = {parsed.payload.data(), parsed.payload.size()};
    // Metadata follow the payload in this order, without gaps.
    const std::uint8_t* position = parsed.payload.data() + parsed.payload.size();
    info.icc = section(from.icc, position);
    info.exif = section(from.exif, position);
    info.xmp = section(from.xmp, position);
    return info;
}

std::optional<Bytes> to_metadata(cca_view view, const char* name) {
    const BytesView bytes = require_view(view, name);
    // Before it is copied: the container's own check would come after.
    if (bytes.size() > kMaxMetadata) {
        throw Refusal(CCA_ERROR_ARGUMENT, std::string(name) + " has more than " +
                                              std::to_string(kMaxMetadata) + " bytes");
    }
    return bytes.empty() ? std::nullopt : std::optional(Bytes(bytes.begin(), bytes.end()));
}

Identifier to_identifier(const std::uint8_t* bytes) {
    Identifier identifier;
    std::copy_n(bytes, identifier.size(), identifier.begin());
    return identifier;
}

StreamInfo to_core(const cca_stream_info& from) {
    if (from.entropy_mode > CCA_ENTROPY_NATIVE) {
        throw Refusal(CCA_ERROR_ARGUMENT,
                      "entropy_mode " + std::to_string(from.entropy_mode) + " is unknown");
    }
    StreamInfo info;
    info.width = require_side(from.width, "width");
    info.height = require_side(from.height, "height");
    info.padding = {from.padding.left, from.padding.top, from.padding.right, from.padding.bottom};
    info.model_id = to_identifier(from.model_id);
    if (from.entropy_mode == CCA_ENTROPY_NATIVE) {
        info.fingerprint = to_identifier(from.fingerprint);
    }
    info.icc = to_metadata(from.icc, "icc");
    info.exif = to_metadata(from.exif, "exif");
    info.xmp = to_metadata(from.xmp, "xmp");
    return info;
}

}  // namespace
}  // namespace cca::c_api

using namespace cca::c_api;

cca_status cca_stream_parse(cca_view stream, uint64_t max_pixels, cca_stream_info* info) {
    return guarded([&] {
        require(info, "info");
        const cca::Limits limits{max_pixels == 0 ? CCA_DEFAULT_MAX_PIXELS : max_pixels};
        *info = to_c(cca::parse_stream(require_view(stream, "stream"), limits));
    });
}

cca_status cca_stream_write(const cca_stream_info* info, cca_bytes** stream) {
    return guarded([&] {
        require(info, "info");
        require(stream, "stream");
        const cca::BytesView payload = require_view(info->payload, "payload");
        give(stream, cca::write_stream(to_core(*info), payload));
    });
}

cca_status cca_choose_padding(uint32_t width, uint32_t height, cca_padding* padding) {
    return guarded([&] {
        require(padding, "padding");
        const cca::Padding chosen =
            cca::choose_padding(require_side(width, "width"), require_side(height, "height"));
        *padding = {chosen.left, chosen.top, chosen.right, chosen.bottom};
    });
}
