// Regions: the same pixels as a part of all of the picture, for less work.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "machine_runs.hpp"

using namespace cca::test;

namespace {

constexpr std::uint32_t kWidth = 330;
constexpr std::uint32_t kHeight = 201;

Decoded decode(const Codec& codec, const Bytes& stream, const cca_region& region) {
    cca_decode_options options = decode_options();
    options.region = region;
    return codec.decode({stream}, options);
}

std::vector<cca_region> regions() {
    std::vector<cca_region> found{
        {0, 0, kWidth, kHeight},
        {0, 0, 1, 1},
        {kWidth - 1, 0, 1, 1},
        {0, kHeight - 1, 1, 1},
        {kWidth - 1, kHeight - 1, 1, 1},
        {0, 0, 40, 30},
        {kWidth - 40, 0, 40, 30},
        {0, kHeight - 30, 40, 30},
        {kWidth - 40, kHeight - 30, 40, 30},
        {0, 100, kWidth, 1},
        {150, 0, 1, kHeight},
    };
    std::mt19937 generator(1);
    for (int i = 0; i < 30; ++i) {
        cca_region region{};
        region.x = static_cast<std::uint32_t>(generator()) % kWidth;
        region.y = static_cast<std::uint32_t>(generator()) % kHeight;
        region.width = 1 + static_cast<std::uint32_t>(generator()) % (kWidth - region.x);
        region.height = 1 + static_cast<std::uint32_t>(generator()) % (kHeight - region.y);
        found.push_back(region);
    }
    return found;
}

}  // namespace

TEST_CASE("a region has the pixels of the whole picture") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(kWidth, kHeight);
    for (const std::uint32_t tile_side : {CCA_TILE_NONE, 64U, 128U}) {
        const Bytes stream = codec.stream_of(picture, tile_side);
        const Picture whole = codec.decode({stream}).pictures.front();
        for (const cca_region& region : regions()) {
            CAPTURE(region.x);
            CAPTURE(region.y);
            CAPTURE(region.width);
            CAPTURE(region.height);
            CHECK(decode(codec, stream, region).pictures.front() == crop(whole, region));
        }
    }
}

TEST_CASE("a region takes the tiles around it and no others") {
    const Codec codec(sample_family());
    const Bytes stream = codec.stream_of(make_picture(640, 640), 64);  // 10 x 10 tiles
    const auto runs = [&](const cca_region& region, const char* graph) {
        return std::ranges::count(decode(codec, stream, region).hosts.front().runs, graph);
    };
    // A pixel in the middle of a window: that window, which sees the tiles next to its own.
    CHECK(runs({32, 32, 1, 1}, "synthesis") == 1);
    CHECK(runs({32, 32, 1, 1}, "prior_0") == 4);
    CHECK(runs({352, 352, 1, 1}, "synthesis") == 1);
    CHECK(runs({352, 352, 1, 1}, "prior_0") == 9);
    // Where four windows meet.
    CHECK(runs({64, 64, 1, 1}, "synthesis") == 4);
    CHECK(runs({79, 32, 1, 1}, "synthesis") == 2);
    CHECK(runs({80, 32, 1, 1}, "synthesis") == 1);
    CHECK(runs({0, 0, 640, 640}, "prior_0") == 100);
}

TEST_CASE("a damaged tile is of no concern to regions that do not need it") {
    const Codec codec(sample_family());
    const Bytes stream = codec.stream_of(make_picture(640, 64), 64);
    const Picture whole = codec.decode({stream}).pictures.front();
    // Sealed again, with a payload that no encoder wrote.
    std::vector<Bytes> payloads = payloads_of(stream);
    payloads[7].resize(payloads[7].size() / 2 / 2 * 2);
    const Bytes damaged = with_payloads(stream, payloads);
    CHECK(decode(codec, damaged, {0, 0, 368, 64}).pictures.front() == crop(whole, {0, 0, 368, 64}));
    for (const cca_region& region : {cca_region{}, cca_region{480, 0, 1, 1}}) {
        try {
            decode(codec, damaged, region);
            FAIL("the damage was not seen");
        } catch (const Failure& failure) {
            CHECK(failure.status() == CCA_ERROR_STREAM);
            CHECK(std::string(failure.what()).starts_with("tile in column 7, row 0: "));
        }
    }
}
