// Several pictures together: each comes out as if it were alone.
#include <doctest/doctest.h>

#include "machine_runs.hpp"

using namespace cca::test;

TEST_CASE("a batch gives each picture's own stream and pixels") {
    const Codec codec(sample_family());
    // One padded size, 128 x 128, with paddings of all kinds.
    const std::vector<Picture> all{make_picture(128, 128, 1), make_picture(65, 100, 2),
                                   make_picture(127, 66, 3)};
    for (std::size_t count = 1; count <= all.size(); ++count) {
        const std::vector<Picture> pictures(all.begin(),
                                            all.begin() + static_cast<std::ptrdiff_t>(count));
        cca_encode_options options = encode_options();
        options.reconstruct = 1;
        const Encoded encoded = codec.encode(pictures, options);
        const Decoded decoded = codec.decode(encoded.streams);
        CHECK(encoded.hosts.front().runs.size() == 5);
        CHECK(decoded.hosts.front().runs.size() == 4);
        for (std::size_t i = 0; i < count; ++i) {
            CAPTURE(i);
            CHECK(encoded.streams[i] == codec.stream_of(pictures[i]));
            CHECK(decoded.pictures[i] == codec.decode({encoded.streams[i]}).pictures.front());
            CHECK(encoded.reconstructions[i] == decoded.pictures[i].pixels);
            CHECK(decoded.pictures[i].width == pictures[i].width);
        }
    }
}

TEST_CASE("pictures and streams that do not fit together are refused") {
    const Codec codec(sample_family());
    const auto refused = [](const auto& call, const char* why) {
        try {
            call();
            FAIL("nothing was refused");
        } catch (const Failure& failure) {
            CHECK(failure.status() == CCA_ERROR_ARGUMENT);
            CHECK(std::string(failure.what()).find(why) != std::string::npos);
        }
    };
    const Picture one = make_picture(64, 64);
    const Picture wide = make_picture(65, 64);
    const Picture tall = make_picture(64, 65);
    const char* const apart = "only if they have one padded size and no tiles";
    const char* const streams_apart =
        "only if they have one padded size, one quantisation step and no tiles";
    refused([&] { codec.encode({one, wide}); }, apart);
    refused([&] { codec.encode({one, tall}); }, apart);
    refused([&] { codec.encode({}); }, "there is no picture to encode");
    refused([&] { codec.decode({}); }, "there is no stream to decode");
    refused([&] { codec.decode({codec.stream_of(one), codec.stream_of(wide)}); }, streams_apart);
    const Bytes tiled = codec.stream_of(make_picture(128, 64), 64);
    refused([&] { codec.decode({tiled, tiled}); }, streams_apart);
    cca_encode_options coarse = encode_options();
    coarse.step = 8;
    const Bytes other = codec.encode({one}, coarse).streams.front();
    refused([&] { codec.decode({codec.stream_of(one), other}); }, streams_apart);
    cca_encode_options tiles = encode_options();
    tiles.tile_side = 64;
    refused([&] { codec.encode({wide, wide}, tiles); }, apart);
    cca_decode_options region = decode_options();
    region.region = {0, 0, 1, 1};
    refused([&] { codec.decode({codec.stream_of(one), codec.stream_of(one)}, region); },
            "a region is of one picture");
}
