// Families of models with toy graphs: what their manifests say, and what each graph takes and
// gives.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cca/cca.h"

namespace cca::test {

using Bytes = std::vector<std::uint8_t>;

/// An input or output: sizes as a manifest has them, numbers or names.
struct ToyPort {
    std::string name;
    cca_dtype dtype;
    std::vector<std::string> shape;
};

struct ToyGraph {
    std::string name;
    std::vector<ToyPort> inputs;
    std::vector<ToyPort> outputs;
};

/// An entry of `coding`.
struct ToyCoding {
    std::uint32_t channels = 0;  ///< 0: nothing is coded
    std::string positions;       ///< "even", "odd", or "" for all
};

struct ToyFamily {
    std::string name;
    std::uint32_t latent_channels = 0;
    std::uint32_t hyper_channels = 0;
    ToyGraph analysis;
    std::vector<ToyGraph> priors;
    ToyGraph synthesis;
    std::vector<ToyCoding> coding;

    /// As steps number them.
    std::vector<ToyGraph> graphs() const;
};

/// Channels of latents, [batch, channels, latent_height, latent_width].
ToyPort latents_port(const std::string& name, cca_dtype dtype, std::uint32_t channels);

/// The symbols of a channel group, uint8 [batch, channels, latent_height, latent_width, 2].
ToyPort symbols_port(std::uint32_t channels);

/// Rows of y_hat, [channels, batch, latent_height, latent_width].
ToyPort y_hat_port(const std::string& name, std::uint32_t channels);

/// The transforms that every family has, and no prior.
ToyFamily toy_transforms(const std::string& name, std::uint32_t latent_channels,
                         std::uint32_t hyper_channels);

/// Like CCA: groups of 2 and 3 channels, two hyper-latent channels, one graph more than groups.
ToyFamily sample_family();

/// A group of 2 channels coded at once, then one of 3 in two passes: those positions of which row
/// and column add up to an even number, then the others.
ToyFamily checkerboard_family();

/// Of every manifest: graphs count scales from three half places below the first table's.
inline constexpr std::uint32_t kToySmallestScale = 3;

/// The content of a `manifest.json`.
///
/// @param tables  content of the `tables.bin` beside it.
/// @param mode    "exact" or "native".
std::string toy_manifest(const ToyFamily& family, const Bytes& tables, const std::string& mode);

}  // namespace cca::test
