#include "codec/quantisation_step.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

namespace cca {
namespace {

// round(128 * (256 / 0.11)^(k / 504)) for k = -128 .. 127. Written down, because no two libraries
// need agree on a power.
constexpr std::array<std::int16_t, 256> kNumerators = {
    18,  18,  18,  19,  19,  19,  20,  20,  20,  21,  21,  21,  21,  22,  22,  23,  23,  23,  24,
    24,  24,  25,  25,  25,  26,  26,  27,  27,  27,  28,  28,  29,  29,  30,  30,  31,  31,  32,
    32,  33,  33,  34,  34,  35,  35,  36,  36,  37,  37,  38,  39,  39,  40,  40,  41,  42,  42,
    43,  44,  44,  45,  46,  46,  47,  48,  49,  49,  50,  51,  52,  52,  53,  54,  55,  56,  57,
    58,  58,  59,  60,  61,  62,  63,  64,  65,  66,  67,  68,  69,  70,  71,  72,  74,  75,  76,
    77,  78,  79,  81,  82,  83,  84,  86,  87,  88,  90,  91,  93,  94,  96,  97,  99,  100, 102,
    103, 105, 106, 108, 110, 111, 113, 115, 117, 119, 120, 122, 124, 126, 128, 130, 132, 134, 136,
    138, 140, 143, 145, 147, 149, 152, 154, 156, 159, 161, 164, 166, 169, 171, 174, 177, 180, 182,
    185, 188, 191, 194, 197, 200, 203, 206, 209, 213, 216, 219, 223, 226, 230, 233, 237, 240, 244,
    248, 252, 256, 260, 264, 268, 272, 276, 280, 285, 289, 294, 298, 303, 308, 312, 317, 322, 327,
    332, 337, 343, 348, 353, 359, 364, 370, 376, 382, 387, 393, 400, 406, 412, 418, 425, 431, 438,
    445, 452, 459, 466, 473, 481, 488, 496, 503, 511, 519, 527, 535, 543, 552, 560, 569, 578, 587,
    596, 605, 615, 624, 634, 644, 654, 664, 674, 684, 695, 706, 717, 728, 739, 751, 762, 774, 786,
    798, 811, 823, 836, 849, 862, 875, 889, 903,
};

constexpr double kMiddle = 50;
constexpr double kCodesPerQuality = 2.56;

// D * symbol in multiples of 1/128; what means and the residual prediction add is less than
// 2^24 - kLargestProduct.
constexpr std::int32_t kLargestProduct = 12'500'000;

}  // namespace

std::int32_t QuantisationStep::numerator() const noexcept {
    return kNumerators[static_cast<std::size_t>(code_ + 128)];
}

std::int32_t QuantisationStep::smallest_symbol() const noexcept {
    return -std::min(1 << 15, kLargestProduct / numerator());
}

std::int32_t QuantisationStep::largest_symbol() const noexcept {
    return std::min((1 << 15) - 1, kLargestProduct / numerator());
}

int QuantisationStep::table_shift() const noexcept {
    return (code_ + 2) >> 2;  // of eighths, to the nearest half
}

QuantisationStep step_of_quality(double quality) {
    if (!(quality >= 0 && quality <= 100)) {
        throw std::invalid_argument("a quality is a number from 0 to 100");
    }
    const double code = std::floor((kMiddle - quality) * kCodesPerQuality + 0.5);
    return QuantisationStep(static_cast<std::int8_t>(std::clamp(code, -128.0, 127.0)));
}

double quality_of_step(QuantisationStep step) noexcept {
    return kMiddle - step.code() / kCodesPerQuality;
}

}  // namespace cca
