// Pictures that are coded as a whole.
#include <doctest/doctest.h>

#include <set>

#include "reference_codec.hpp"

using namespace cca::test;

TEST_CASE("whole pictures of any size are coded as the specification says") {
    const Codec codec(sample_family());
    for (const auto& [width, height] :
         {std::pair{1U, 1U}, {64U, 64U}, {63U, 65U}, {200U, 130U}, {1U, 300U}, {129U, 1U}}) {
        CAPTURE(width);
        CAPTURE(height);
        Picture picture = make_picture(width, height);
        picture.icc = {1, 2, 3};
        cca_encode_options options = encode_options();
        options.reconstruct = 1;
        const Encoded encoded = codec.encode({picture}, options);
        const Bytes& stream = encoded.streams.front();
        const Reference reference = reference_codec(codec, picture, stream);
        CHECK(payloads_of(stream) == reference.payloads);
        CHECK(encoded.reconstructions.front() == reference.picture.pixels);
        const Decoded decoded = codec.decode({stream});
        CHECK(decoded.pictures.front() == reference.picture);
        // What the decoder made of the symbols is what the encoder saw.
        CHECK(decoded.hosts.front().y_hats == encoded.hosts.front().y_hats);
    }
}

TEST_CASE("every quantisation step is coded as the specification says") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(100, 70);
    std::set<Bytes> streams;
    for (const int step : {-128, -59, -3, -2, -1, 0, 1, 2, 75, 127}) {
        CAPTURE(step);
        cca_encode_options options = encode_options();
        options.step = step;
        options.reconstruct = 1;
        const Encoded encoded = codec.encode({picture}, options);
        const Bytes& stream = encoded.streams.front();
        cca_stream_info info{};
        succeed(cca_stream_parse(view(stream), nullptr, &info));
        CHECK(info.step == step);
        const Reference reference = reference_codec(codec, picture, stream);
        CHECK(payloads_of(stream) == reference.payloads);
        CHECK(encoded.reconstructions.front() == reference.picture.pixels);
        CHECK(codec.decode({stream}).pictures.front() == reference.picture);
        streams.insert(stream);
    }
    CHECK(streams.size() == 10);
    for (const int step : {-129, 128, INT32_MIN, INT32_MAX}) {
        cca_encode_options options = encode_options();
        options.step = step;
        CHECK_THROWS_WITH(codec.encode({picture}, options), doctest::Contains("quantisation step"));
    }
}

TEST_CASE("a picture takes one run of each graph, and no copy more than it must") {
    const Codec codec(sample_family());  // two groups: three prior graphs
    const Encoded encoded = codec.encode({make_picture(100, 70)});
    const FakeHost& encoder = encoded.hosts.front();
    CHECK(encoder.runs == std::vector<std::string>{"analysis", "prior_0", "prior_1", "prior_2"});
    CHECK(encoder.uploads == 6);  // picture, hyper-latents, averages, step, symbols of two groups
    CHECK(encoder.allocations == 1);  // y_hat
    CHECK(encoder.downloads == 7);    // y, hyper-latents, two times indexes and means, y_hat
    const FakeHost decoder = codec.decode(encoded.streams).hosts.front();
    CHECK(decoder.runs == std::vector<std::string>{"prior_0", "prior_1", "prior_2", "synthesis"});
    CHECK(decoder.uploads == 5);
    CHECK(decoder.allocations == 1);
    CHECK(decoder.downloads == 4);  // two times indexes, y_hat, and the picture
    CHECK(decoder.steps == decoder.runs.size() + decoder.uploads + decoder.allocations +
                               decoder.downloads + decoder.frees);

    cca_encode_options options = encode_options();
    options.reconstruct = 1;
    const FakeHost both = codec.encode({make_picture(100, 70)}, options).hosts.front();
    CHECK(both.runs.size() == 5);
    CHECK(both.downloads == 8);
}

TEST_CASE("reading again gives the same bytes and pixels") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(90, 61);
    const Bytes stream = codec.stream_of(picture);
    CHECK(codec.stream_of(picture) == stream);
    CHECK(codec.decode({stream}).pictures == codec.decode({stream}).pictures);
}

TEST_CASE("a group in two passes is coded as the specification says") {
    const Codec codec(checkerboard_family());
    for (const std::uint32_t tile_side : {CCA_TILE_NONE, 128U}) {
        const Picture picture = make_picture(270, 200);
        cca_encode_options options = encode_options();
        options.tile_side = tile_side;
        options.reconstruct = 1;
        const Encoded encoded = codec.encode({picture}, options);
        const Bytes& stream = encoded.streams.front();
        const Reference reference = reference_codec(codec, picture, stream);
        CHECK(payloads_of(stream) == reference.payloads);
        CHECK(encoded.reconstructions.front() == reference.picture.pixels);
        CHECK(codec.decode({stream}).pictures.front() == reference.picture);
        if (tile_side == CCA_TILE_NONE) {
            CHECK(encoded.hosts.front().runs.size() == 6);
        }
    }
    const std::vector<Picture> pictures{make_picture(70, 70, 1), make_picture(128, 66, 2)};
    const Encoded together = codec.encode(pictures);
    for (std::size_t i = 0; i < pictures.size(); ++i) {
        CHECK(together.streams[i] == codec.stream_of(pictures[i]));
        CHECK(codec.decode(together.streams).pictures[i] ==
              codec.decode({together.streams[i]}).pictures.front());
    }
}
