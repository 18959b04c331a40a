// Small functions with numbers for answers: padding, averages, quantisation.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "cca/cca.h"
#include "codec/averages.hpp"
#include "codec/quantise.hpp"
#include "codec/table_choice.hpp"
#include "format/error.hpp"
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
    quantise(latents, means, {}, symbols);
    CHECK(symbols == std::vector<std::int32_t>{0, 2, 2, 0, -2, 0, 32'767, -32'768, 32'767});
    for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
        std::vector<std::int32_t> one(1);
        CHECK_THROWS_AS(quantise(std::vector{bad}, std::vector{0.0F}, {}, one),
                        std::invalid_argument);
    }
}

TEST_CASE("a step divides residuals, and its largest symbols keep sums exact") {
    const std::vector<float> latents{0.5F, 1.5F, 9, -9, 1e9F, -1e9F};
    const std::vector<float> means{0, 1, 0, 0, 0, 0};
    for (int code = -128; code <= 127; ++code) {
        const QuantisationStep step(static_cast<std::int8_t>(code));
        const double exact = std::pow(256 / 0.11, code / 504.0);
        CHECK(step.numerator() == std::lround(128 * exact));
        CHECK(step.value() * 128 == step.numerator());
        CHECK(step.table_shift() == std::lround(std::floor(code / 4.0 + 0.5)));
        std::vector<std::int32_t> symbols(latents.size());
        quantise(latents, means, step, symbols);
        for (std::size_t i = 0; i < symbols.size(); ++i) {
            const double rounded = std::nearbyint((latents[i] - means[i]) * (1 / step.value()));
            CHECK(symbols[i] == std::clamp(rounded, double(step.smallest_symbol()),
                                           double(step.largest_symbol())));
        }
        // With means within 2^22 and the residual prediction within 64 D, in multiples of 1/128.
        const std::int64_t most = std::int64_t{-step.smallest_symbol()} * step.numerator();
        CHECK(most + (1 << 22) + step.numerator() / 2 + 1 < 1 << 24);
        CHECK(step.largest_symbol() <= -step.smallest_symbol());
    }
    CHECK(QuantisationStep(0) == QuantisationStep());
    CHECK(QuantisationStep().smallest_symbol() == -32'768);
    CHECK(QuantisationStep().largest_symbol() == 32'767);
}

TEST_CASE("qualities are steps, and back") {
    for (int code = -128; code <= 127; ++code) {
        const QuantisationStep step(static_cast<std::int8_t>(code));
        CHECK(step_of_quality(quality_of_step(step)) == step);
    }
    CHECK(step_of_quality(50).code() == 0);
    CHECK(step_of_quality(0).code() == 127);
    CHECK(step_of_quality(100).code() == -128);
    for (const double bad : {-0.001, 100.001, std::nan(""), double{INFINITY}}) {
        CHECK_THROWS_AS(static_cast<void>(step_of_quality(bad)), std::invalid_argument);
        std::int32_t step = 7;
        CHECK(cca_step_of_quality(bad, &step) == CCA_ERROR_ARGUMENT);
        CHECK(step == 7);
    }
}

TEST_CASE("tables follow scales that are divided by the step") {
    const std::vector<std::uint8_t> indexes{0, 1, 2, 3, 4, 127, 128, 129, 130};
    // Half places from 0.11 r^(-3/2) on, 64 tables.
    for (int code = -128; code <= 127; ++code) {
        const QuantisationStep step(static_cast<std::int8_t>(code));
        const auto tables = choose_tables(std::span(indexes).first(8), 3, step, 64);
        for (std::size_t i = 0; i < tables.size(); ++i) {
            const double halves = indexes[i] - 3.0 - std::floor(code / 4.0 + 0.5);
            CHECK(tables[i] == std::clamp(std::ceil(halves / 2), 0.0, 63.0));
        }
    }
    CHECK(choose_tables(indexes, 4, {}, 64).back() == 63);
    CHECK_THROWS_WITH_AS(static_cast<void>(choose_tables(indexes, 3, {}, 64)),
                         "a graph's table indexes cannot be used: 130 is more than 129",
                         BundleError);
    CHECK(choose_tables(std::vector<std::uint8_t>{255}, 0, {}, 1024).front() == 128);
    // Of a model with one step alone: the tables themselves.
    const std::vector<std::uint8_t> few{0, 1, 2, 63};
    CHECK(choose_tables(few, std::nullopt, {}, 64) == few);
    CHECK_THROWS_AS(static_cast<void>(choose_tables(few, std::nullopt, {}, 63)), BundleError);
}
