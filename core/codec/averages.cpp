#include "codec/averages.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace cca {
namespace {

constexpr std::uint64_t kLargest = 1023;  // limit of the activations that are averaged
constexpr int kRowSumBits = 23;
constexpr int kTotalBits = 14;
constexpr std::uint64_t kLeastReciprocal = 513;

int bits_beyond(std::uint64_t value, int limit) {
    return std::max(0, static_cast<int>(std::bit_width(value)) - limit);
}

float power_of_half(int exponent) {
    return std::ldexp(1.0F, -exponent);
}

}  // namespace

// Nothing overflows: a sum has at most 42 bits, so row + coarse + fine stay below 46.
std::array<float, 4> average_factors(std::uint32_t height, std::uint32_t width) noexcept {
    const std::uint64_t latents = std::uint64_t{height} * width;
    const int row = bits_beyond(kLargest * latents, kRowSumBits);
    const int coarse = bits_beyond((kLargest * latents) >> row, kTotalBits);
    int fine = 0;
    const auto reciprocal = [&] {
        return ((std::uint64_t{2} << (row + coarse + fine)) + latents) / (2 * latents);
    };
    while (reciprocal() < kLeastReciprocal) {
        ++fine;
    }
    return {power_of_half(row), power_of_half(coarse), static_cast<float>(reciprocal()),
            power_of_half(fine)};
}

}  // namespace cca
