// Engines that do not compute the model exactly are found out by the digest of y_hat.
#include <doctest/doctest.h>

#include <cstring>

#include "format/container.hpp"
#include "machine_runs.hpp"

using namespace cca::test;

namespace {

struct Outcome {
    cca_status status = CCA_OK;
    std::string message;
    std::uint64_t mismatches = 0;
};

// Of each y_hat that is fetched, changes the latent at `place` by `by`.
void change(const cca_step& step, std::size_t place, float by) {
    float value = 0;
    char* const at = static_cast<char*>(step.target) + place * sizeof value;
    std::memcpy(&value, at, sizeof value);
    value += by;
    std::memcpy(at, &value, sizeof value);
}

bool is_y_hat(const cca_step& step) {
    return step.kind == CCA_STEP_DOWNLOAD && step.tensor.dtype == CCA_FLOAT32 &&
           step.tensor.shape[0] == 5;  // channels first
}

Outcome decode(const Codec& codec, const Bytes& stream, const cca_decode_options& options,
               float by) {
    const std::vector<Bytes> streams{stream};
    const OwnedDecoderMachine machine = codec.decoder(streams, options);
    FakeHost host(codec.family());
    const cca_step* step = nullptr;
    Outcome outcome;
    while ((outcome.status = cca_decoder_next(machine.get(), 0, &step)) == CCA_OK &&
           step->kind != CCA_STEP_DONE) {
        host.do_step(*step);
        if (is_y_hat(*step)) {
            // One of these columns is the tile's own, whatever is mirrored at its edges.
            const std::size_t row = step->size / sizeof(float) / 2;
            change(*step, row + 2, by);
            change(*step, row + 6, by);
        }
    }
    outcome.message = cca_last_error();
    const cca_status asked = cca_decoder_mismatches(machine.get(), &outcome.mismatches);
    CHECK(asked == (outcome.status == CCA_OK ? CCA_OK : CCA_ERROR_STATE));
    return outcome;
}

}  // namespace

TEST_CASE("a latent that differs is an error, and with keep_going it is counted") {
    const Codec codec(sample_family());
    for (const std::uint32_t tile_side : {CCA_TILE_NONE, 64U}) {
        const Bytes stream = codec.stream_of(make_picture(150, 64), tile_side);
        cca_decode_options options = decode_options();
        CHECK(decode(codec, stream, options, 0).status == CCA_OK);
        for (const float by : {1 / 128.0F, -8.0F, 1e-3F, 1e30F}) {
            const Outcome outcome = decode(codec, stream, options, by);
            CHECK(outcome.status == CCA_ERROR_INEXACT);
            CHECK(outcome.message.find("does not compute the model exactly") != std::string::npos);
            CHECK(outcome.message.starts_with("tile in column 0, row 0: ") == (tile_side == 64));
        }
        options.keep_going = 1;
        CHECK(decode(codec, stream, options, 0).mismatches == 0);
        const Outcome outcome = decode(codec, stream, options, 0.5F);
        CHECK(outcome.status == CCA_OK);
        CHECK(outcome.mismatches == payloads_of(stream).size());
    }
}

TEST_CASE("the digest of another picture is not that of this") {
    const Codec codec(sample_family());
    const Bytes stream = codec.stream_of(make_picture(64, 64));
    cca::ParsedStream parsed = cca::parse_stream(stream);
    ++parsed.info.digests.front();
    const Bytes forged = cca::write_stream(parsed.info, parsed.payload);
    CHECK(decode(codec, forged, decode_options(), 0).status == CCA_ERROR_INEXACT);
}

TEST_CASE("an encoder whose latents are no multiples of 2^-7 gives no stream") {
    const Codec codec(sample_family());
    const std::vector<Picture> pictures{make_picture(64, 64)};
    for (const float by : {0.0F, 1e-3F}) {
        const OwnedEncoderMachine machine = codec.encoder(pictures, encode_options());
        FakeHost host(codec.family());
        const cca_step* step = nullptr;
        cca_status status = CCA_OK;
        while ((status = cca_encoder_next(machine.get(), 0, &step)) == CCA_OK &&
               step->kind != CCA_STEP_DONE) {
            host.do_step(*step);
            if (is_y_hat(*step)) {
                change(*step, 3, by);
            }
        }
        CHECK(status == (by == 0 ? CCA_OK : CCA_ERROR_INEXACT));
    }
}

TEST_CASE("in native mode there is no digest") {
    const Codec codec(sample_family(), "native");
    const std::uint8_t engine[CCA_IDENTIFIER_BYTES] = {1};
    cca_encode_options encode = encode_options();
    encode.fingerprint = engine;
    const Bytes stream = codec.encode({make_picture(64, 64)}, encode).streams.front();
    CHECK(cca::parse_stream(stream).info.digests.empty());
    cca_decode_options options = decode_options();
    options.fingerprint = engine;
    CHECK(decode(codec, stream, options, 1e-3F).status == CCA_OK);
    CHECK(cca_decoder_mismatches(nullptr, nullptr) == CCA_ERROR_ARGUMENT);
}
