// Pictures in tiles: each is coded by itself, and windows are blended.
#include <doctest/doctest.h>

#include "reference_codec.hpp"

using namespace cca::test;

namespace {

cca_stream_info parse(const Bytes& stream) {
    cca_stream_info info{};
    succeed(cca_stream_parse(view(stream), nullptr, &info));
    return info;
}

void check_against_reference(const Codec& codec, const Picture& picture, const Bytes& stream) {
    const Reference reference = reference_codec(codec, picture, stream);
    CHECK(payloads_of(stream) == reference.payloads);
    CHECK(codec.decode({stream}).pictures.front() == reference.picture);
}

}  // namespace

TEST_CASE("tiles are coded and blended as the specification says") {
    const Codec codec(sample_family());
    for (const auto& [width, height, side] : {std::tuple{200U, 130U, 64U},
                                              {200U, 130U, 128U},
                                              {65U, 64U, 64U},
                                              {300U, 20U, 128U},
                                              {40U, 257U, 64U},
                                              {320U, 320U, 192U}}) {
        CAPTURE(width);
        CAPTURE(side);
        const Picture picture = make_picture(width, height);
        const Bytes stream = codec.stream_of(picture, side);
        REQUIRE(parse(stream).tiling.columns != 0);
        check_against_reference(codec, picture, stream);
    }
}

TEST_CASE("tiles of several windows are coded and blended as the specification says") {
    const Codec codec(sample_family());
    // Windows have at most 1,024 pixels a side.
    const Picture picture = make_picture(1'300, 70);
    const Bytes stream = codec.stream_of(picture, 1'280);
    const cca_stream_info info = parse(stream);
    CHECK(info.tiling.window_width == 704);
    CHECK(info.tiling.columns == 1);
    check_against_reference(codec, picture, stream);
    const Picture tall = make_picture(60, 2'500);
    const Bytes second = codec.stream_of(tall, 1'280);
    CHECK(parse(second).tiling.rows == 2);
    check_against_reference(codec, tall, second);
}

TEST_CASE("a picture that fits in one tile of one window is coded as a whole") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(100, 60);
    CHECK(codec.stream_of(picture, 128) == codec.stream_of(picture, CCA_TILE_NONE));
    CHECK(codec.stream_of(picture, CCA_TILE_BY_SIZE) == codec.stream_of(picture, CCA_TILE_NONE));
}

TEST_CASE("pictures of more than 2^21 pixels are tiled by themselves") {
    const Codec codec(sample_family());
    const Picture most = make_picture(2'048, 1'024);
    CHECK(parse(codec.stream_of(most, CCA_TILE_BY_SIZE)).tiling.columns == 0);
    const Picture more = make_picture(2'048, 1'025);
    const cca_tiling tiling = parse(codec.stream_of(more, CCA_TILE_BY_SIZE)).tiling;
    CHECK(tiling.window_width == 1'024);
    CHECK(tiling.window_height == 576);
    CHECK(tiling.columns == 2);  // all in one tile of up to 3,072 pixels
    CHECK(tiling.rows == 2);
}

TEST_CASE("the encoder's reconstruction of tiles is what decoding gives") {
    const Codec codec(sample_family());
    for (const std::uint32_t side : {64U, 128U}) {
        const Picture picture = make_picture(330, 201);
        cca_encode_options options = encode_options();
        options.tile_side = side;
        const Bytes plain = codec.encode({picture}, options).streams.front();
        options.reconstruct = 1;
        const Encoded encoded = codec.encode({picture}, options);
        CHECK(encoded.streams.front() == plain);
        CHECK(encoded.reconstructions.front() == codec.decode({plain}).pictures.front().pixels);
    }
}

TEST_CASE("each tile takes one run of each prior graph, each window one of the transforms") {
    const Codec codec(sample_family());  // three prior graphs
    const Picture picture = make_picture(200, 130);
    cca_encode_options options = encode_options();
    options.tile_side = 128;  // 2 x 2 tiles
    const Encoded encoded = codec.encode({picture}, options);
    const FakeHost& encoder = encoded.hosts.front();
    CHECK(encoder.runs.size() == 4 * (1 + 3));
    CHECK(encoder.uploads == 4 * 6);
    CHECK(encoder.allocations == 4);
    CHECK(encoder.downloads == 4 * 7);
    const FakeHost decoder = codec.decode(encoded.streams).hosts.front();
    CHECK(decoder.runs.size() == 4 * (3 + 1));
    CHECK(decoder.uploads == 4 * (5 + 1));    // each window's latents go up again
    CHECK(decoder.downloads == 4 * (3 + 1));  // each tile's latents come down
    options.reconstruct = 1;
    CHECK(codec.encode({picture}, options).hosts.front().runs.size() == 4 * (1 + 3 + 1));
}
