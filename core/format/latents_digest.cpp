#include "format/latents_digest.hpp"

#include <cmath>

namespace cca {
namespace {

constexpr float kUnits = 128;           // of a latent: it is a multiple of 2^-7
constexpr float kMost = 2147483520.0F;  // the largest float below 2^31

// The weight of the latent at `position`: odd, so that no change of one alone is lost.
std::uint32_t weight(std::uint32_t position) {
    const std::uint32_t hash = position * 0x9E3779B1U;
    return (hash ^ (hash >> 15)) | 1U;
}

}  // namespace

// Plain arithmetic without branches, which compilers turn into vector instructions.
void LatentsDigest::add(std::span<const float> latents) noexcept {
    std::uint32_t sum = sum_;
    std::uint32_t inexact = 0;
    const auto first = position_;
    for (std::size_t i = 0; i < latents.size(); ++i) {
        const float scaled = latents[i] * kUnits;
        const bool fits = std::fabs(scaled) <= kMost;  // false for what is not a number
        const auto units = static_cast<std::int32_t>(fits ? scaled : 0.0F);
        inexact |= static_cast<std::uint32_t>(static_cast<float>(units) != scaled);
        sum += static_cast<std::uint32_t>(units) * weight(first + static_cast<std::uint32_t>(i));
    }
    sum_ = sum;
    position_ = first + static_cast<std::uint32_t>(latents.size());
    valid_ = valid_ && inexact == 0;
}

std::optional<std::uint32_t> LatentsDigest::value() const noexcept {
    return valid_ ? std::optional(sum_) : std::nullopt;
}

}  // namespace cca
