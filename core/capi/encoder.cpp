// The encoding machine.
#include <memory>

#include "codec/encoder.hpp"
#include "machine.hpp"
#include "metadata.hpp"

using namespace cca::c_api;

struct cca_encoder {
    cca_encoder(const cca::ModelView& model, std::vector<cca::PictureView> pictures,
                const cca::EncodeOptions& options)
        : machine(model, std::move(pictures), options), steps(options.workers) {}

    cca::EncoderMachine machine;
    StepTranslator steps;
};

namespace {

std::optional<cca::Target> to_target(const cca_encode_options& from) {
    switch (from.target) {
        case CCA_TARGET_NONE:
            return std::nullopt;
        case CCA_TARGET_FILE_BYTES:
            return cca::Target{cca::Target::Kind::kFileBytes, from.target_value};
        case CCA_TARGET_PAYLOAD_BYTES:
            return cca::Target{cca::Target::Kind::kPayloadBytes, from.target_value};
        case CCA_TARGET_PSNR:
            return cca::Target{cca::Target::Kind::kPsnr, from.target_value};
        default:
            throw Refusal(CCA_ERROR_ARGUMENT, "unknown target");
    }
}

cca::EncodeOptions to_core(const cca_encode_options* given) {
    const cca_encode_options from = read_options(given);
    cca::EncodeOptions options;
    options.workers = to_workers(from.workers);
    options.limits = to_limits(from.limits);
    options.fingerprint = to_fingerprint(from.fingerprint);
    options.tile_side = from.tile_side;
    options.target = to_target(from);
    options.step = to_step(from.step);
    options.reconstruct = from.reconstruct != 0;
    return options;
}

std::unique_ptr<cca_encoder> create(const cca_model* model, const cca_picture* pictures,
                                    std::size_t count, const cca_encode_options* options) {
    std::vector<cca::PictureView> views;
    for (const cca_picture& picture : require_array(pictures, count, "pictures")) {
        require(picture.pixels, "picture->pixels");
        views.push_back({picture.pixels, picture.width, picture.height,
                         to_metadata(picture.icc, "icc"), to_metadata(picture.exif, "exif"),
                         to_metadata(picture.xmp, "xmp")});
    }
    return std::make_unique<cca_encoder>(view_of(model), std::move(views), to_core(options));
}

const cca::EncodedPicture& result(const cca_encoder* encoder, std::size_t index) {
    require(encoder, "encoder");
    encoder->steps.require_done();
    const auto& encoded = encoder->machine.encoded();
    if (index >= encoded.size()) {
        throw Refusal(CCA_ERROR_ARGUMENT, "no picture " + std::to_string(index));
    }
    return encoded[index];
}

}  // namespace

cca_status cca_encoder_create(const cca_model* model, const cca_picture* pictures, size_t count,
                              const cca_encode_options* options, cca_encoder** encoder) {
    return guarded([&] {
        require(encoder, "encoder");
        *encoder = create(model, pictures, count, options).release();
    });
}

cca_status cca_encoder_next(cca_encoder* encoder, uint32_t worker, const cca_step** step) {
    return guarded([&] {
        require(encoder, "encoder");
        require(step, "step");
        *step = encoder->steps.next(encoder->machine, worker);
    });
}

cca_status cca_encoder_stream(const cca_encoder* encoder, size_t index, cca_view* stream) {
    return guarded([&] {
        require(stream, "stream");
        const cca::EncodedPicture& found = result(encoder, index);
        *stream = {found.stream.data(), found.stream.size()};
    });
}

cca_status cca_encoder_reconstruction(const cca_encoder* encoder, size_t index, cca_view* pixels) {
    return guarded([&] {
        require(pixels, "pixels");
        const cca::EncodedPicture& found = result(encoder, index);
        if (found.reconstruction.empty()) {
            throw Refusal(CCA_ERROR_STATE, "the encoder was made without 'reconstruct'");
        }
        *pixels = {found.reconstruction.data(), found.reconstruction.size()};
    });
}

cca_status cca_encoder_group_bytes(const cca_encoder* encoder, size_t index,
                                   const uint64_t** bytes) {
    return guarded([&] {
        require(bytes, "bytes");
        *bytes = result(encoder, index).group_bytes.data();
    });
}

void cca_encoder_stop(cca_encoder* encoder) {
    if (encoder != nullptr) {
        encoder->machine.stop();
    }
}

void cca_encoder_free(cca_encoder* encoder) {
    delete encoder;
}

cca_status cca_encode_with(const cca_model* model, const cca_picture* picture,
                           const cca_encode_options* options, const cca_host* host,
                           cca_encoder** encoder) {
    return guarded([&] {
        require(picture, "picture");
        require(encoder, "encoder");
        cca_encode_options own = read_options(options);
        own.struct_size = sizeof own;
        own.workers = 1;
        auto created = create(model, picture, 1, &own);
        drive(host, [&] { return created->steps.next(created->machine, 0); });
        *encoder = created.release();
    });
}
