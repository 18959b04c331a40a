// Options and arguments that are wrong, and calls in the wrong order.
#include <doctest/doctest.h>

#include <cstring>

#include "format/container.hpp"
#include "machine_runs.hpp"

using namespace cca::test;

namespace {

// What a program with a newer header has: one field more.
template <typename Options>
struct Newer {
    Options known;
    std::uint64_t unknown;
};

std::string error_of(cca_status status, cca_status expected) {
    CHECK(status == expected);
    return cca_last_error();
}

bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

struct Fixture {
    Codec codec{sample_family()};
    Picture picture = make_picture(130, 70);
    Bytes stream = codec.stream_of(picture);

    cca_status create(const cca_decode_options& options) const {
        const cca_view bytes = view(stream);
        cca_decoder* decoder = nullptr;
        const cca_status status = cca_decoder_create(codec.model(), &bytes, 1, &options, &decoder);
        CHECK((decoder == nullptr) == (status != CCA_OK));
        cca_decoder_free(decoder);
        return status;
    }

    cca_status create(const cca_encode_options& options) const {
        const cca_picture pixels = view(picture);
        cca_encoder* encoder = nullptr;
        const cca_status status = cca_encoder_create(codec.model(), &pixels, 1, &options, &encoder);
        CHECK((encoder == nullptr) == (status != CCA_OK));
        cca_encoder_free(encoder);
        return status;
    }
};

}  // namespace

TEST_CASE("options say their size, and fields of other headers are zero") {
    const Fixture fixture;
    const auto check = [&](auto options) {
        using Options = decltype(options);
        CHECK(fixture.create(options) == CCA_OK);
        for (const std::size_t size :
             {std::size_t{0}, std::size_t{7}, std::size_t{4'097}, SIZE_MAX}) {
            options.struct_size = size;
            CHECK(contains(error_of(fixture.create(options), CCA_ERROR_ARGUMENT), "struct_size"));
        }
        // An older program knows no workers: what lies behind its structure is not read.
        options.struct_size = offsetof(Options, workers);
        options.workers = 2'000;
        CHECK(fixture.create(options) == CCA_OK);
        Newer<Options> newer{options, 0};
        newer.known.struct_size = sizeof newer;
        newer.known.workers = 0;
        CHECK(fixture.create(newer.known) == CCA_OK);
        newer.unknown = 1;
        CHECK(contains(error_of(fixture.create(newer.known), CCA_ERROR_ARGUMENT),
                       "an option is set that this library does not know"));
        options.struct_size = sizeof options;
        CHECK(error_of(fixture.create(options), CCA_ERROR_ARGUMENT) ==
              "2000 workers: at most 1024");
        options.workers = 1'024;
        CHECK(fixture.create(options) == CCA_OK);
        if constexpr (requires { options.reserved; }) {
            options.reserved = 1;
            CHECK(contains(error_of(fixture.create(options), CCA_ERROR_ARGUMENT), "'reserved'"));
        }
    };
    check(decode_options());
    check(encode_options());
}

TEST_CASE("null options are the defaults") {
    const Fixture fixture;
    const cca_view bytes = view(fixture.stream);
    cca_decoder* decoder = nullptr;
    CHECK(cca_decoder_create(fixture.codec.model(), &bytes, 1, nullptr, &decoder) == CCA_OK);
    cca_decoder_free(decoder);
}

TEST_CASE("a tile's side is a multiple of 64 up to 16,320") {
    const Fixture fixture;
    cca_encode_options options = encode_options();
    for (const std::uint32_t side : {1U, 63U, 65U, 16'384U, 0xFFFF'FFC0U}) {
        options.tile_side = side;
        CHECK(contains(error_of(fixture.create(options), CCA_ERROR_ARGUMENT),
                       "give a multiple of 64 up to 16320"));
    }
    for (const std::uint32_t side : {CCA_TILE_BY_SIZE, 64U, 16'320U, CCA_TILE_NONE}) {
        options.tile_side = side;
        CHECK(fixture.create(options) == CCA_OK);
    }
}

TEST_CASE("a step is one of 256, whatever the target") {
    const Fixture fixture;
    cca_encode_options options = encode_options();
    for (const std::uint32_t target : {CCA_TARGET_NONE, CCA_TARGET_PSNR}) {
        options.target = target;
        options.target_value = 30;
        for (const std::int32_t step : {-129, 128, INT32_MIN, INT32_MAX}) {
            options.step = step;
            CHECK(error_of(fixture.create(options), CCA_ERROR_ARGUMENT) ==
                  "quantisation step " + std::to_string(step) + " is not in -128..127");
        }
        for (const std::int32_t step : {-128, 127}) {
            options.step = step;
            CHECK(fixture.create(options) == CCA_OK);
        }
    }
}

TEST_CASE("a region lies in the picture") {
    const Fixture fixture;
    cca_decode_options options = decode_options();
    for (const cca_region& region :
         {cca_region{130, 0, 1, 1}, cca_region{0, 70, 1, 1}, cca_region{129, 0, 2, 1},
          cca_region{0, 69, 1, 2}, cca_region{5, 5, 0, 1}, cca_region{5, 5, 1, 0},
          cca_region{5, 5, 0, 0}, cca_region{1, 1, UINT32_MAX, 1}, cca_region{UINT32_MAX, 0, 2, 1},
          cca_region{0, 0, 131, 70}, cca_region{0, 0, 0, 5}}) {
        options.region = region;
        CHECK(contains(error_of(fixture.create(options), CCA_ERROR_ARGUMENT),
                       "is not in the picture, which has 130x70 pixels"));
    }
    options.region = {129, 69, 1, 1};
    CHECK(fixture.create(options) == CCA_OK);
}

TEST_CASE("pictures have pixels, and sides that a stream can carry") {
    const Codec codec(sample_family());
    const Bytes pixel(3);
    cca_encoder* encoder = nullptr;
    const auto create = [&](cca_picture picture) {
        return cca_encoder_create(codec.model(), &picture, 1, nullptr, &encoder);
    };
    cca_picture picture{};
    picture.pixels = pixel.data();
    for (const auto& [width, height] :
         {std::pair{0U, 1U}, {1U, 0U}, {65'536U, 1U}, {1U, UINT32_MAX}}) {
        picture.width = width;
        picture.height = height;
        CHECK(contains(error_of(create(picture), CCA_ERROR_ARGUMENT),
                       "sides must be 1 to 65535 pixels"));
    }
    picture.width = picture.height = 65'535;
    CHECK(contains(error_of(create(picture), CCA_ERROR_LIMIT), "more than the limit"));
    picture.width = picture.height = 1;
    picture.pixels = nullptr;
    CHECK(contains(error_of(create(picture), CCA_ERROR_ARGUMENT), "picture->pixels is null"));
    picture.pixels = pixel.data();
    picture.xmp = {nullptr, 5};
    CHECK(contains(error_of(create(picture), CCA_ERROR_ARGUMENT), "xmp is null"));
    picture.xmp = {pixel.data(), (std::size_t{1} << 24) + 1};
    CHECK(contains(error_of(create(picture), CCA_ERROR_ARGUMENT), "xmp has more than 16777216"));
    CHECK(encoder == nullptr);
}

TEST_CASE("null where it is not allowed") {
    const Fixture fixture;
    const cca_model* const model = fixture.codec.model();
    const cca_view bytes = view(fixture.stream);
    const cca_picture pixels = view(fixture.picture);
    cca_decoder* decoder = nullptr;
    cca_encoder* encoder = nullptr;
    const cca_step* step = nullptr;
    const cca_host host = FakeHost(fixture.codec.family()).functions();
    CHECK(cca_decoder_create(nullptr, &bytes, 1, nullptr, &decoder) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decoder_create(model, nullptr, 1, nullptr, &decoder) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decoder_create(model, &bytes, SIZE_MAX, nullptr, &decoder) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decoder_create(model, &bytes, 1, nullptr, nullptr) == CCA_ERROR_ARGUMENT);
    const cca_view claims{nullptr, 4};
    CHECK(cca_decoder_create(model, &claims, 1, nullptr, &decoder) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decode_with(model, bytes, nullptr, nullptr, &decoder) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decode_with(model, bytes, nullptr, &host, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decoder_next(nullptr, 0, &step) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decoder_picture(nullptr, 0, nullptr) == CCA_ERROR_ARGUMENT);
    const std::int32_t* groups = nullptr;
    std::size_t count = 0;
    const std::uint64_t* sizes = nullptr;
    CHECK(cca_decoder_groups(nullptr, 0, &groups, &count, &sizes) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encoder_group_bytes(nullptr, 0, &sizes) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encoder_create(nullptr, &pixels, 1, nullptr, &encoder) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encoder_create(model, nullptr, 1, nullptr, &encoder) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encoder_create(model, &pixels, 1, nullptr, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encode_with(model, nullptr, nullptr, &host, &encoder) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encode_with(model, &pixels, nullptr, nullptr, &encoder) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encode_with(model, &pixels, nullptr, &host, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encoder_next(nullptr, 0, &step) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encoder_stream(nullptr, 0, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encoder_reconstruction(nullptr, 0, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(decoder == nullptr);
    CHECK(encoder == nullptr);
    cca_decoder_free(nullptr);
    cca_encoder_free(nullptr);
    cca_decoder_stop(nullptr);
    cca_encoder_stop(nullptr);
}

TEST_CASE("results are there when every worker is done, and not before") {
    const Fixture fixture;
    cca_encode_options options = encode_options();
    options.workers = 2;
    const std::vector<Picture> pictures{fixture.picture};
    const OwnedEncoderMachine machine = fixture.codec.encoder(pictures, options);
    FakeHost host(fixture.codec.family());
    cca_view bytes{};
    const cca_step* step = nullptr;
    const char* const early = "there are steps to be done";
    CHECK(contains(error_of(cca_encoder_stream(machine.get(), 0, &bytes), CCA_ERROR_STATE), early));
    while (cca_encoder_next(machine.get(), 0, &step) == CCA_OK && step->kind != CCA_STEP_DONE) {
        CHECK(cca_encoder_stream(machine.get(), 0, &bytes) == CCA_ERROR_STATE);
        host.do_step(*step);
    }
    CHECK(contains(error_of(cca_encoder_stream(machine.get(), 0, &bytes), CCA_ERROR_STATE), early));
    REQUIRE(cca_encoder_next(machine.get(), 1, &step) == CCA_OK);
    CHECK(step->kind == CCA_STEP_DONE);
    CHECK(bytes.data == nullptr);
    REQUIRE(cca_encoder_stream(machine.get(), 0, &bytes) == CCA_OK);
    CHECK(Bytes(bytes.data, bytes.data + bytes.size) == fixture.stream);
    CHECK(contains(error_of(cca_encoder_stream(machine.get(), 1, &bytes), CCA_ERROR_ARGUMENT),
                   "no picture 1"));
    CHECK(contains(error_of(cca_encoder_reconstruction(machine.get(), 0, &bytes), CCA_ERROR_STATE),
                   "made without 'reconstruct'"));
    const std::uint64_t* sizes = nullptr;
    CHECK(cca_encoder_group_bytes(machine.get(), 1, &sizes) == CCA_ERROR_ARGUMENT);
    CHECK(cca_encoder_group_bytes(machine.get(), 0, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(error_of(cca_encoder_next(machine.get(), 2, &step), CCA_ERROR_ARGUMENT) ==
          "no worker 2: there are 2");

    const std::vector<Bytes> streams{fixture.stream};
    const OwnedDecoderMachine decoder = fixture.codec.decoder(streams, decode_options());
    cca_picture picture{};
    const std::int32_t* groups = nullptr;
    std::size_t count = 0;
    CHECK(contains(error_of(cca_decoder_picture(decoder.get(), 0, &picture), CCA_ERROR_STATE),
                   early));
    CHECK(cca_decoder_groups(decoder.get(), 0, &groups, &count, &sizes) == CCA_ERROR_STATE);
    drive(fixture.codec.family(), 1, [&](std::uint32_t worker, const cca_step** next) {
        return cca_decoder_next(decoder.get(), worker, next);
    });
    CHECK(cca_decoder_picture(decoder.get(), 0, &picture) == CCA_OK);
    CHECK(cca_decoder_picture(decoder.get(), 1, &picture) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decoder_picture(decoder.get(), 0, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decoder_groups(decoder.get(), 0, nullptr, &count, &sizes) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decoder_groups(decoder.get(), 0, &groups, nullptr, &sizes) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decoder_groups(decoder.get(), 0, &groups, &count, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_decoder_groups(decoder.get(), 1, &groups, &count, &sizes) == CCA_ERROR_ARGUMENT);
    CHECK(groups == nullptr);
    CHECK(cca_decoder_groups(decoder.get(), 0, &groups, &count, &sizes) == CCA_OK);
    CHECK(count == 1);
}

TEST_CASE("a model with one quantisation step alone takes no other") {
    const Bytes tables = sample_tables();
    const std::string manifest = one_step_manifest(tables);
    cca_model* opened = nullptr;
    succeed(cca_model_open(view(manifest), view(tables), &opened));
    const OwnedModel model(opened);
    const Picture picture = make_picture(64, 64);
    const cca_picture source = view(picture);
    const auto create = [&](int step, cca_target target) {
        cca_encode_options options = encode_options();
        options.step = step;
        options.target = target;
        options.target_value = 1'000;
        cca_encoder* encoder = nullptr;
        const cca_status status = cca_encoder_create(model.get(), &source, 1, &options, &encoder);
        const OwnedEncoderMachine owned(encoder);
        return status;
    };
    CHECK(create(0, CCA_TARGET_NONE) == CCA_OK);
    CHECK(create(1, CCA_TARGET_NONE) == CCA_ERROR_ARGUMENT);
    CHECK(std::string(cca_last_error()).find("has one quality alone") != std::string::npos);
    CHECK(create(0, CCA_TARGET_PSNR) == CCA_ERROR_ARGUMENT);

    const Codec codec(sample_family());
    cca_model_info info{};
    succeed(cca_model_describe(model.get(), &info));
    cca::StreamInfo header = cca::parse_stream(codec.stream_of(picture)).info;
    std::ranges::copy(info.model_id, header.model_id.begin());
    for (const std::int8_t step : {std::int8_t{0}, std::int8_t{1}}) {
        header.step = step;
        const Bytes stream = cca::write_stream(header, Bytes(100));
        const cca_view bytes = view(stream);
        cca_decoder* decoder = nullptr;
        CHECK(cca_decoder_create(model.get(), &bytes, 1, nullptr, &decoder) ==
              (step == 0 ? CCA_OK : CCA_ERROR_STREAM));
        cca_decoder_free(decoder);
    }
}
