// Small functions with numbers for answers: padding, averages, quantisation.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "codec/averages.hpp"
#include "codec/quantise.hpp"
#include "geometry/padding.hpp"

using namespace cca;

TEST_CASE("padding is the least that reaches the grid, and the odd pixel is right and below") {
    CHECK(choose_padding(100, 50) == Padding{14, 7, 14, 7});
    CHECK(choose_padding(64, 128) == Padding{0, 0, 0, 0});
    CHECK(choose_padding(1, 63) == Padding{31, 0, 32, 1});
    CHECK(choose_padding(65'535, 65'535) == Padding{0, 0, 1, 1});
}

TEST_CASE("averages of the document's example and of the largest pictures") {
    CHECK(average_factors(4, 4) == std::array<float, 4>{1, 1, 1024, std::ldexp(1.0F, -14)});
    // 4096 x 4096 latents: A = 1023 * 2^24 has 34 bits, so r = 11, k = 9, and R 2^-t = 2^-4.
    CHECK(average_factors(4096, 4096) == std::array<float, 4>{std::ldexp(1.0F, -11),
                                                              std::ldexp(1.0F, -9), 1024,
                                                              std::ldexp(1.0F, -14)});
    for (const std::uint32_t side : {1U, 3U, 48U, 1000U, 65'535U}) {
        const auto [row, coarse, reciprocal, fine] = average_factors(side, 65'535);
        CHECK(reciprocal == std::round(1 / (double{row} * coarse * fine * side * 65'535)));
        CHECK(reciprocal >= 513);
        CHECK(reciprocal <= 1025);
    }
}

TEST_CASE("quantisation rounds halves to even, clips, and refuses what is no number") {
    const std::vector<float> latents{0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 3.2F, 1e9F, -1e9F, 32767.5F};
    const std::vector<float> means{0, 0, 0, 0, 0, 3, 0, 0, 0};
    std::vector<std::int32_t> symbols(latents.size());
    quantise(latents, means, symbols);
    CHECK(symbols == std::vector<std::int32_t>{0, 2, 2, 0, -2, 0, 32'767, -32'768, 32'767});
    for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
        std::vector<std::int32_t> one(1);
        CHECK_THROWS_AS(quantise(std::vector{bad}, std::vector{0.0F}, one), std::invalid_argument);
    }
}
