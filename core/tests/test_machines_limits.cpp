// What a machine is not ready for, it refuses before it costs anything.
#include <doctest/doctest.h>

#include "format/container.hpp"
#include "machine_runs.hpp"

using namespace cca::test;

namespace {

template <typename Call>
void refused(cca_status status, const char* why, Call call) {
    try {
        call();
        FAIL("nothing was refused");
    } catch (const Failure& failure) {
        CAPTURE(std::string(failure.what()));
        CHECK(failure.status() == status);
        CHECK(std::string(failure.what()).find(why) != std::string::npos);
    }
}

}  // namespace

TEST_CASE("pixels are limited, padding included") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(65, 64);
    cca_encode_options encode = encode_options();
    encode.limits.max_pixels = 128 * 64;
    const Bytes stream = codec.encode({picture}, encode).streams.front();
    --encode.limits.max_pixels;
    refused(CCA_ERROR_LIMIT, "raise max_pixels to 8192", [&] { codec.encode({picture}, encode); });
    cca_decode_options decode = decode_options();
    decode.limits.max_pixels = 128 * 64;
    CHECK_NOTHROW(codec.decode({stream}, decode));
    --decode.limits.max_pixels;
    refused(CCA_ERROR_LIMIT, "raise max_pixels to 8192", [&] { codec.decode({stream}, decode); });
}

TEST_CASE("a host's tensors are limited to the byte") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(200, 130);
    for (const std::uint32_t tile_side : {CCA_TILE_NONE, 64U}) {
        cca_encode_options encode = encode_options();
        encode.tile_side = tile_side;
        encode.reconstruct = 1;
        const Encoded encoded = codec.encode({picture}, encode);
        encode.limits.max_tensor_bytes = encoded.hosts.front().peak_bytes();
        CHECK(codec.encode({picture}, encode).streams == encoded.streams);
        --encode.limits.max_tensor_bytes;
        refused(CCA_ERROR_LIMIT, "this takes tensors of more than",
                [&] { codec.encode({picture}, encode); });
        cca_decode_options decode = decode_options();
        decode.limits.max_tensor_bytes = codec.decode(encoded.streams).hosts.front().peak_bytes();
        CHECK_NOTHROW(codec.decode(encoded.streams, decode));
        --decode.limits.max_tensor_bytes;
        refused(CCA_ERROR_LIMIT, "this takes tensors of more than",
                [&] { codec.decode(encoded.streams, decode); });
        // Too few for any tensor at all, in the first part too.
        decode.limits.max_tensor_bytes = 1;
        refused(CCA_ERROR_LIMIT, "more than 1 bytes",
                [&] { codec.decode(encoded.streams, decode); });
    }
}

TEST_CASE("metadata and tiles of a stream are limited") {
    const Codec codec(sample_family());
    Picture picture = make_picture(128, 128);
    picture.icc.assign(100, 7);
    const Bytes stream = codec.stream_of(picture, 64);
    cca_decode_options options = decode_options();
    options.limits.max_metadata = 100;
    options.limits.max_tiles = 4;
    CHECK(codec.decode({stream}, options).pictures.front().icc == picture.icc);
    options.limits.max_tiles = 3;
    refused(CCA_ERROR_LIMIT, "raise max_tiles", [&] { codec.decode({stream}, options); });
    options = decode_options();
    options.limits.max_metadata = 99;
    refused(CCA_ERROR_LIMIT, "raise max_metadata", [&] { codec.decode({stream}, options); });

    cca_encode_options encode = encode_options();
    encode.tile_side = 64;
    encode.limits.max_metadata = 100;
    encode.limits.max_tiles = 4;
    CHECK(codec.encode({picture}, encode).streams.front() == stream);
    encode.limits.max_tiles = 3;
    refused(CCA_ERROR_LIMIT, "raise max_tiles", [&] { codec.encode({picture}, encode); });
    encode.limits.max_tiles = 4;
    encode.limits.max_metadata = 99;
    refused(CCA_ERROR_LIMIT, "raise max_metadata", [&] { codec.encode({picture}, encode); });
}

TEST_CASE("a payload too small for its picture costs no step") {
    const Codec codec(sample_family());
    cca::StreamInfo info = cca::parse_stream(codec.stream_of(make_picture(64, 64))).info;
    info.width = 64 * 300;
    info.height = 64 * 200;
    const Bytes whole = cca::write_stream(info, Bytes{0, 0, 0, 1});
    refused(CCA_ERROR_STREAM, "too small for a picture of this size",
            [&] { codec.decode({whole}); });
    cca::StreamInfo small = cca::parse_stream(codec.stream_of(make_picture(64, 64))).info;
    refused(CCA_ERROR_STREAM, "ends within the coder's state",
            [&] { codec.decode({cca::write_stream(small, Bytes{0, 0})}); });
    info.tiling = cca::Tiling{.window_width = 6'400,
                              .window_height = 6'400,
                              .columns = 1,
                              .rows = 1,
                              .tile_sizes = {4, 4, 4, 4, 4, 4}};
    info.digests.resize(6);
    const Bytes tiles = cca::write_stream(info, Bytes(24, 1));
    refused(CCA_ERROR_STREAM, "tile in column 0, row 0: payload exhausted: it is too small",
            [&] { codec.decode({tiles}); });
    // Of the tiles that a region needs, only: its window's, and those around that.
    cca_decode_options options = decode_options();
    options.region = {19'000, 12'000, 5, 5};
    refused(CCA_ERROR_STREAM, "tile in column 1, row 0:", [&] { codec.decode({tiles}, options); });
}
