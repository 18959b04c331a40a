// The search for a step, on functions whose answers are known.
#include "codec/step_search.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "format/error.hpp"

using namespace cca;

namespace {

using Kind = Target::Kind;
using Function = std::function<double(int)>;

struct Found {
    int code = 0;
    double value = 0;
    std::uint32_t trials = 0;
};

// What the search ends with; throws TargetError.
Found search(const Target& target, const Function& function) {
    StepSearch search(target);
    Found best;
    while (const auto step = search.next()) {
        const double value = function(step->code());
        if (search.add(*step, value)) {
            best = {step->code(), value, 0};
        }
        REQUIRE(search.trials() <= 256);
    }
    search.require_met();
    best.trials = search.trials();
    return best;
}

// Like photographs: bytes fall by about a hundredth with each code, faster for coarse steps.
double size_of(int code) {
    return std::round(200 + 20'000 * std::exp(-0.011 * code - 0.00002 * code * code));
}

double psnr_of(int code) {
    return 34 - 0.05 * code - 0.0001 * code * std::abs(code);
}

// The code that is to be found, by looking at all of them.
int best_of_all(const Target& target, const Function& function) {
    int best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (int code = -128; code <= 127; ++code) {
        const double off = function(code) - target.value;
        const bool below = target.kind != Kind::kPsnr && off <= 0 && -off <= 0.01 * target.value;
        const double distance = std::fabs(off) - (below ? target.value : 0);
        if (distance < least) {
            least = distance;
            best = code;
        }
    }
    return best;
}

}  // namespace

TEST_CASE("sizes are met from below, with few trials") {
    std::uint32_t trials = 0;
    std::uint32_t count = 0;
    for (double size = size_of(127); size < size_of(-128); size *= 1.013) {
        CAPTURE(size);
        const Target target{Kind::kFileBytes, size};
        const Found found = search(target, size_of);
        // Either the best there is, or so near that another trial was not worth it.
        const bool near = found.value <= size && found.value >= 0.995 * size;
        CHECK((near || found.code == best_of_all(target, size_of)));
        CHECK(found.trials <= 8);
        trials += found.trials;
        ++count;
    }
    CHECK(trials <= 5 * count);
}

TEST_CASE("a PSNR is met from either side") {
    for (double psnr = psnr_of(127); psnr < psnr_of(-128); psnr += 0.17) {
        CAPTURE(psnr);
        const Found found = search({Kind::kPsnr, psnr}, psnr_of);
        CHECK(std::fabs(found.value - psnr) <= 0.05);
        CHECK(found.trials <= 8);
    }
}

TEST_CASE("a PSNR that hardly rises any more takes few trials") {
    std::uint32_t trials = 0;
    std::uint32_t count = 0;
    const Function saturated = [](int code) { return 34 - 2.2 * std::exp(0.018 * code); };
    for (double psnr = saturated(40); psnr < saturated(-128); psnr += 0.017) {
        CAPTURE(psnr);
        StepSearch search({Kind::kPsnr, psnr});
        while (const auto step = search.next()) {
            search.add(*step, saturated(step->code()));
        }
        CHECK(search.trials() <= 10);
        trials += search.trials();
        ++count;
    }
    CHECK(trials <= 6 * count);
    CHECK_THROWS_AS(search({Kind::kPsnr, 1e300}, psnr_of), TargetError);
}

TEST_CASE("sizes that jump are met by what is a little larger, if nothing smaller will do") {
    // Between 1,005 and 900 bytes there is nothing.
    const Function jumps = [](int code) { return code < 10 ? 1'005.0 - code : 900.0 - code; };
    const Found found = search({Kind::kPayloadBytes, 990}, jumps);
    CHECK(found.value == 996);
}

TEST_CASE("a target out of reach names the nearest that can be had") {
    const auto refused = [](const Target& target, const Function& function, const char* why) {
        CHECK_THROWS_WITH_AS(search(target, function), why, TargetError);
    };
    refused({Kind::kFileBytes, 100}, size_of,
            "the target of 100 bytes cannot be met: the nearest is 3783 bytes, at quality 0.4: ask "
            "for that instead");
    refused({Kind::kFileBytes, 1e9}, size_of,
            "the target of 1000000000 bytes cannot be met: the nearest is 59112 bytes, at quality "
            "100.0: ask for that instead");
    refused({Kind::kPsnr, 60}, psnr_of,
            "the target of 60.00 dB cannot be met: the nearest is 42.04 dB, at quality 100.0: ask "
            "for that instead");
    const Function flat = [](int) { return 500.0; };
    refused(
        {Kind::kPayloadBytes, 510}, flat,
        "the target of 510 bytes without metadata cannot be met: the nearest is 500 bytes without "
        "metadata, at quality 50.0: ask for that instead");
    CHECK(search({Kind::kPayloadBytes, 500}, flat).trials == 1);
}

TEST_CASE("sizes that do not fall with every step are met by a neighbour") {
    // Every third step is 30 bytes off the others.
    const Function uneven = [](int code) { return 1'000.0 - 4 * code + (code % 3 == 0 ? 30 : 0); };
    for (double size = 700; size < 1'300; size += 3) {
        CAPTURE(size);
        CHECK(std::fabs(search({Kind::kFileBytes, size}, uneven).value - size) <= 0.01 * size);
    }
}

TEST_CASE("functions that do not fall end the search as well") {
    const Function wild = [](int code) { return 1'000.0 + (code * 7919 % 613); };
    for (double size = 900; size < 1'700; size += 13) {
        double found = size;
        try {
            found = search({Kind::kFileBytes, size}, wild).value;
        } catch (const TargetError&) {
        }
        CHECK(std::fabs(found - size) <= 0.01 * size);
    }
}

TEST_CASE("a target is a number above 0") {
    for (const double bad : {0.0, -1.0, std::nan(""), double{INFINITY}, -double{INFINITY}}) {
        CHECK_THROWS_AS(StepSearch({Kind::kFileBytes, bad}), std::invalid_argument);
        CHECK_THROWS_AS(StepSearch({Kind::kPsnr, bad}), std::invalid_argument);
    }
    CHECK_THROWS_WITH_AS(search({Kind::kFileBytes, 1e300}, size_of),
                         doctest::Contains("cannot be met"), TargetError);
}
