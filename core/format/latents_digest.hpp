// A fingerprint of y_hat, by which a decoder sees that it has what the encoder had.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace cca {

/// Collects the integers of y_hat in exact mode (docs/spec/format.md, "Digest").
///
/// A latent that differs changes it for certain; several do so but for one case in two thousand
/// million.
class LatentsDigest {
  public:
    /// Goes on with the next latents, in the order channel, row, column.
    ///
    /// @param latents  multiples of 2^-7 below 2^24; anything else makes the digest invalid.
    void add(std::span<const float> latents) noexcept;

    /// None if a latent was no such multiple.
    std::optional<std::uint32_t> value() const noexcept;

  private:
    std::uint32_t sum_ = 0;
    std::uint32_t position_ = 0;
    bool valid_ = true;
};

}  // namespace cca
