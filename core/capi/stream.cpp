// Streams: the container's header in C's terms.
#include <algorithm>

#include "codec/quantisation_step.hpp"
#include "format/container.hpp"
#include "geometry/grid.hpp"
#include "guard.hpp"
#include "handles.hpp"
#include "limits.hpp"

namespace cca::c_api {
namespace {

static_assert(CCA_LATENT_SCALE == kLatentStride && CCA_HYPER_SCALE == kHyperStride);

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
    info.step = from.step;
    if (from.tiling) {
        const Tiling& tiling = *from.tiling;
        info.tiling = {tiling.window_width, tiling.window_height, tiling.columns, tiling.rows};
    }
    info.payload_count = count_payloads(from);
    info.payload = {parsed.payload.data(), parsed.payload.size()};
    // Metadata follow the payload in this order, without gaps.
    const std::uint8_t* position = parsed.payload.data() + parsed.payload.size();
    info.icc = section(from.icc, position);
    info.exif = section(from.exif, position);
    info.xmp = section(from.xmp, position);
    return info;
}

}  // namespace
}  // namespace cca::c_api

using namespace cca::c_api;

cca_status cca_stream_parse(cca_view stream, const cca_limits* limits, cca_stream_info* info) {
    return guarded([&] {
        require(info, "info");
        *info = to_c(cca::parse_stream(require_view(stream, "stream"),
                                       limits == nullptr ? cca::Limits{} : to_limits(*limits)));
    });
}

cca_status cca_step_value(int32_t step, float* value) {
    return guarded([&] {
        require(value, "value");
        *value = to_step(step).value();
    });
}

cca_status cca_step_of_quality(double quality, int32_t* step) {
    return guarded([&] {
        require(step, "step");
        *step = cca::step_of_quality(quality).code();
    });
}
