// Hosts that are functions, hosts that fail, and models and engines that are not the stream's.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "machine_runs.hpp"

using namespace cca::test;

namespace {

struct Functions {
    Codec codec{sample_family()};
    Picture picture = make_picture(100, 70);
    Bytes stream = codec.stream_of(picture);

    cca_status decode(const cca_host& host, cca_decoder** decoder) const {
        return cca_decode_with(codec.model(), view(stream), nullptr, &host, decoder);
    }
    cca_status encode(const cca_host& host, cca_encoder** encoder) const {
        const cca_picture pixels = view(picture);
        return cca_encode_with(codec.model(), &pixels, nullptr, &host, encoder);
    }
};

// What a broken engine does to a tensor that is fetched.
using Damage = void (*)(const cca_step&);

cca_status decode_damaged(const Codec& codec, const Bytes& stream, Damage damage) {
    const std::vector<Bytes> streams{stream};
    const OwnedDecoderMachine machine = codec.decoder(streams, decode_options());
    FakeHost host(codec.family());
    const cca_step* step = nullptr;
    cca_status status = CCA_OK;
    while ((status = cca_decoder_next(machine.get(), 0, &step)) == CCA_OK &&
           step->kind != CCA_STEP_DONE) {
        host.do_step(*step);
        if (step->kind == CCA_STEP_DOWNLOAD) {
            damage(*step);
        }
    }
    return status;
}

cca_status encode_damaged(const Codec& codec, Damage damage) {
    const std::vector<Picture> pictures{make_picture(64, 64)};
    const OwnedEncoderMachine machine = codec.encoder(pictures, encode_options());
    FakeHost host(codec.family());
    const cca_step* step = nullptr;
    cca_status status = CCA_OK;
    while ((status = cca_encoder_next(machine.get(), 0, &step)) == CCA_OK &&
           step->kind != CCA_STEP_DONE) {
        host.do_step(*step);
        if (step->kind == CCA_STEP_DOWNLOAD) {
            damage(*step);
        }
    }
    return status;
}

template <typename T>
void fill_with(const cca_step& step, T value) {
    for (std::size_t at = 0; at + sizeof value <= step.size; at += sizeof value) {
        std::memcpy(static_cast<char*>(step.target) + at, &value, sizeof value);
    }
}

}  // namespace

TEST_CASE("one call decodes, and one encodes") {
    const Functions functions;
    FakeHost host(functions.codec.family());
    cca_decoder* decoded = nullptr;
    REQUIRE(functions.decode(host.functions(), &decoded) == CCA_OK);
    const OwnedDecoderMachine decoder(decoded);
    CHECK(host.empty());
    cca_picture picture{};
    REQUIRE(cca_decoder_picture(decoded, 0, &picture) == CCA_OK);
    const Picture whole = functions.codec.decode({functions.stream}).pictures.front();
    CHECK(Bytes(picture.pixels, picture.pixels + whole.pixels.size()) == whole.pixels);
    cca_encoder* encoded = nullptr;
    REQUIRE(functions.encode(host.functions(), &encoded) == CCA_OK);
    const OwnedEncoderMachine encoder(encoded);
    CHECK(host.empty());
    cca_view stream{};
    REQUIRE(cca_encoder_stream(encoded, 0, &stream) == CCA_OK);
    CHECK(Bytes(stream.data, stream.data + stream.size) == functions.stream);
}

TEST_CASE("a host's function may fail at any step") {
    const Functions functions;
    std::size_t failures = 0;
    for (cca_status status = CCA_ERROR_HOST; status != CCA_OK; ++failures) {
        FakeHost host(functions.codec.family());
        cca_decoder* decoder = nullptr;
        status = functions.decode(host.functions(failures), &decoder);
        const OwnedDecoderMachine owned(decoder);
        REQUIRE((status == CCA_OK || status == CCA_ERROR_HOST));
        CHECK((decoder == nullptr) == (status != CCA_OK));
        if (status != CCA_OK) {
            CHECK(cca_last_error() == std::string("a function of the host returned 7"));
        } else {
            CHECK(host.steps == failures);
        }
    }
    CHECK(failures > 20);
    failures = 0;
    for (cca_status status = CCA_ERROR_HOST; status != CCA_OK; ++failures) {
        FakeHost host(functions.codec.family());
        cca_encoder* encoder = nullptr;
        status = functions.encode(host.functions(failures), &encoder);
        const OwnedEncoderMachine owned(encoder);
        REQUIRE((status == CCA_OK || status == CCA_ERROR_HOST));
        CHECK((encoder == nullptr) == (status != CCA_OK));
    }
    CHECK(failures > 20);
}

TEST_CASE("a host has all four functions") {
    const Functions functions;
    cca_decoder* decoder = nullptr;
    FakeHost fake(functions.codec.family());
    const cca_host whole = fake.functions();
    for (const auto& without :
         {+[](cca_host& host) { host.upload = nullptr; },
          +[](cca_host& host) { host.run = nullptr; },
          +[](cca_host& host) { host.download = nullptr; },
          +[](cca_host& host) { host.free = nullptr; },
          +[](cca_host& host) { host.struct_size = offsetof(cca_host, free); },
          +[](cca_host& host) { host.struct_size = 0; }}) {
        cca_host host = whole;
        without(host);
        CHECK(functions.decode(host, &decoder) == CCA_ERROR_ARGUMENT);
    }
    CHECK(decoder == nullptr);
    CHECK(fake.steps == 0);
}

TEST_CASE("table indexes that no table has are the bundle's fault") {
    const Codec codec(sample_family());
    const Damage damage = [](const cca_step& step) {
        if (step.tensor.rank == 4 && step.tensor.dtype == CCA_UINT8 && step.tensor.shape[3] != 3) {
            fill_with<std::uint8_t>(step, 10);
        }
    };
    CHECK(encode_damaged(codec, damage) == CCA_ERROR_BUNDLE);
    CHECK(std::string(cca_last_error()).starts_with("a graph's table indexes cannot be used"));
    CHECK(decode_damaged(codec, codec.stream_of(make_picture(64, 64)), damage) == CCA_ERROR_BUNDLE);
    CHECK(decode_damaged(codec, codec.stream_of(make_picture(128, 64), 64), damage) ==
          CCA_ERROR_BUNDLE);
}

TEST_CASE("latents and means that are no numbers are a status") {
    const Codec codec(sample_family());
    CHECK(encode_damaged(codec, [](const cca_step& step) {
              if (step.tensor.dtype == CCA_FLOAT32) {
                  fill_with(step, NAN);
              }
          }) == CCA_ERROR_LATENTS);
    CHECK(std::string(cca_last_error()).find("infinite or undefined latents") != std::string::npos);
    CHECK(encode_damaged(codec, [](const cca_step& step) {
              if (step.tensor.dtype == CCA_FLOAT32 && step.tensor.shape[1] == 3) {
                  fill_with(step, -INFINITY);  // the means of the second group
              }
          }) == CCA_ERROR_LATENTS);
}

TEST_CASE("hyper-latents and latents of any size are clipped to what can be coded") {
    const Codec codec(sample_family());
    CHECK(encode_damaged(codec, [](const cca_step& step) {
              if (step.tensor.dtype == CCA_INT32) {
                  fill_with<std::int32_t>(step, step.tensor.shape[1] % 2 ? INT32_MIN : INT32_MAX);
              } else if (step.tensor.dtype == CCA_FLOAT32 && step.tensor.shape[1] == 5) {
                  fill_with(step, 3e38F);
              }
          }) == CCA_OK);
}

TEST_CASE("a machine that failed is of no more use") {
    const Codec codec(sample_family());
    const std::vector<Bytes> streams{codec.stream_of(make_picture(64, 64))};
    const OwnedDecoderMachine machine = codec.decoder(streams, decode_options());
    FakeHost host(codec.family());
    const cca_step* step = nullptr;
    cca_status status = CCA_OK;
    while ((status = cca_decoder_next(machine.get(), 0, &step)) == CCA_OK) {
        step->kind == CCA_STEP_DOWNLOAD ? fill_with<std::uint8_t>(*step, 255) : host.do_step(*step);
    }
    REQUIRE(status == CCA_ERROR_BUNDLE);
    const cca_step* again = nullptr;
    for (int i = 0; i < 3; ++i) {
        CHECK(cca_decoder_next(machine.get(), 0, &again) == CCA_ERROR_STATE);
    }
    CHECK(std::string(cca_last_error()).find("an earlier step of it failed") != std::string::npos);
    CHECK(again == nullptr);
    cca_picture picture{};
    CHECK(cca_decoder_picture(machine.get(), 0, &picture) == CCA_ERROR_STATE);
}

TEST_CASE("a machine may be freed at any step") {
    const Codec codec(sample_family());
    const std::vector<Picture> pictures{make_picture(130, 64)};
    cca_encode_options options = encode_options();
    options.tile_side = 128;
    options.reconstruct = 1;
    const std::size_t steps = codec.encode(pictures, options).hosts.front().steps;
    for (std::size_t last = 0; last < steps; last += 7) {
        const OwnedEncoderMachine machine = codec.encoder(pictures, options);
        FakeHost host(codec.family());
        const cca_step* step = nullptr;
        while (host.steps < last) {
            REQUIRE(cca_encoder_next(machine.get(), 0, &step) == CCA_OK);
            host.do_step(*step);
        }
    }
}

TEST_CASE("a stream of another model is refused before any step") {
    const Codec codec(sample_family());
    const Codec other(checkerboard_family());
    const std::vector<Bytes> streams{codec.stream_of(make_picture(64, 64))};
    try {
        other.decoder(streams, decode_options());
        FAIL("nothing was refused");
    } catch (const Failure& failure) {
        CHECK(failure.status() == CCA_ERROR_MODEL);
        CHECK(std::string(failure.what()).find("and this is 'checkerboard'") != std::string::npos);
    }
    try {
        Codec(sample_family(), "native").decoder(streams, decode_options());
        FAIL("nothing was refused");
    } catch (const Failure& failure) {
        CHECK(failure.status() == CCA_ERROR_MODEL);
        CHECK(failure.what() ==
              std::string("the stream's entropy mode is 'exact', the model's is 'native'"));
    }
}

TEST_CASE("in native mode machines need the engine's fingerprint, and compare it") {
    const Codec codec(sample_family(), "native");
    const Picture picture = make_picture(64, 64);
    const std::uint8_t engine[CCA_IDENTIFIER_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};
    const std::uint8_t another[CCA_IDENTIFIER_BYTES] = {1, 2, 3, 4, 5, 6, 7, 9};
    const auto status_of = [](const auto& call) {
        try {
            call();
        } catch (const Failure& failure) {
            return failure.status();
        }
        return CCA_OK;
    };
    cca_encode_options encode = encode_options();
    CHECK(status_of([&] { codec.encode({picture}, encode); }) == CCA_ERROR_ARGUMENT);
    encode.fingerprint = engine;
    const Bytes stream = codec.encode({picture}, encode).streams.front();
    cca_decode_options decode = decode_options();
    CHECK(status_of([&] { codec.decode({stream}, decode); }) == CCA_ERROR_ARGUMENT);
    decode.fingerprint = another;
    CHECK(status_of([&] { codec.decode({stream}, decode); }) == CCA_ERROR_MODEL);
    CHECK(std::string(cca_last_error()).find("0102030405060708, and this is 0102030405060709") !=
          std::string::npos);
    decode.fingerprint = engine;
    CHECK(status_of([&] { codec.decode({stream}, decode); }) == CCA_OK);
    // In exact mode a fingerprint says nothing.
    const Codec exact(sample_family());
    CHECK(exact.encode({picture}, encode).streams.front() == exact.stream_of(picture));
}
