// The decoding machine.
#include <memory>

#include "codec/decoder.hpp"
#include "machine.hpp"

using namespace cca::c_api;

struct cca_decoder {
    cca_decoder(const cca::ModelView& model, std::span<const cca::BytesView> streams,
                const cca::DecodeOptions& options)
        : machine(model, streams, options), steps(options.workers) {}

    cca::DecoderMachine machine;
    StepTranslator steps;
};

namespace {

// `groups` is how many channel groups the model has.
cca::DecodeOptions to_core(const cca_decode_options* given, std::uint32_t groups) {
    const cca_decode_options from = read_options(given);
    cca::DecodeOptions options;
    options.workers = to_workers(from.workers);
    options.limits = to_limits(from.limits);
    options.fingerprint = to_fingerprint(from.fingerprint);
    options.keep_going = from.keep_going != 0;
    if (from.leave_out > groups) {
        throw Refusal(CCA_ERROR_ARGUMENT, "the model has " + std::to_string(groups) +
                                              " channel groups: " + std::to_string(from.leave_out) +
                                              " cannot be left out");
    }
    options.groups = groups - from.leave_out;
    options.preview = from.preview != 0;
    options.pixels = from.skip_pixels == 0;
    const cca_region& region = from.region;
    if (region.x != 0 || region.y != 0 || region.width != 0 || region.height != 0) {
        options.region = cca::Region{region.x, region.y, region.width, region.height};
    }
    return options;
}

std::unique_ptr<cca_decoder> create(const cca_model* model, const cca_view* streams,
                                    std::size_t count, const cca_decode_options* options) {
    std::vector<cca::BytesView> views;
    for (const cca_view stream : require_array(streams, count, "streams")) {
        views.push_back(require_view(stream, "stream"));
    }
    const cca::ModelView view = view_of(model);
    const auto groups = static_cast<std::uint32_t>(view.manifest->group_sizes.size());
    return std::make_unique<cca_decoder>(view, views, to_core(options, groups));
}

const cca::DecodedPicture& result(const cca_decoder* decoder, std::size_t index) {
    require(decoder, "decoder");
    decoder->steps.require_done();
    const auto& pictures = decoder->machine.pictures();
    if (index >= pictures.size()) {
        throw Refusal(CCA_ERROR_ARGUMENT, "no picture " + std::to_string(index));
    }
    return pictures[index];
}

cca_view view(const std::optional<cca::Bytes>& bytes) {
    return bytes ? cca_view{bytes->data(), bytes->size()} : cca_view{nullptr, 0};
}

}  // namespace

cca_status cca_decoder_create(const cca_model* model, const cca_view* streams, size_t count,
                              const cca_decode_options* options, cca_decoder** decoder) {
    return guarded([&] {
        require(decoder, "decoder");
        *decoder = create(model, streams, count, options).release();
    });
}

cca_status cca_decoder_next(cca_decoder* decoder, uint32_t worker, const cca_step** step) {
    return guarded([&] {
        require(decoder, "decoder");
        require(step, "step");
        *step = decoder->steps.next(decoder->machine, worker);
    });
}

cca_status cca_decoder_picture(const cca_decoder* decoder, size_t index, cca_picture* picture) {
    return guarded([&] {
        require(picture, "picture");
        const cca::DecodedPicture& found = result(decoder, index);
        *picture = {found.pixels.data(),  found.width,           found.height,
                    view(found.info.icc), view(found.info.exif), view(found.info.xmp)};
    });
}

cca_status cca_decoder_mismatches(const cca_decoder* decoder, uint64_t* count) {
    return guarded([&] {
        require(decoder, "decoder");
        require(count, "count");
        decoder->steps.require_done();
        *count = decoder->machine.mismatches();
    });
}

cca_status cca_decoder_groups(const cca_decoder* decoder, size_t index, const int32_t** groups,
                              size_t* count, const uint64_t** bytes) {
    return guarded([&] {
        require(groups, "groups");
        require(count, "count");
        require(bytes, "bytes");
        const cca::DecodedPicture& found = result(decoder, index);
        *groups = found.groups.data();
        *count = found.groups.size();
        *bytes = found.group_bytes.data();
    });
}

void cca_decoder_stop(cca_decoder* decoder) {
    if (decoder != nullptr) {
        decoder->machine.stop();
    }
}

void cca_decoder_free(cca_decoder* decoder) {
    delete decoder;
}

cca_status cca_decode_with(const cca_model* model, cca_view stream,
                           const cca_decode_options* options, const cca_host* host,
                           cca_decoder** decoder) {
    return guarded([&] {
        require(decoder, "decoder");
        cca_decode_options own = read_options(options);
        own.struct_size = sizeof own;
        own.workers = 1;
        auto created = create(model, &stream, 1, &own);
        drive(host, [&] { return created->steps.next(created->machine, 0); });
        *decoder = created.release();
    });
}
