// What a model bundle's manifest and tables say. Specified in docs/bundle.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cca/container.hpp"
#include "cca/plan.hpp"
#include "cca/signature.hpp"
#include "cca/table_file.hpp"

namespace cca {

/// Most bytes of a `manifest.json`.
inline constexpr std::size_t kMaxManifestBytes = std::size_t{1} << 20;

/// A file of the bundle, as its manifest describes it.
struct BundleFile {
    std::string path;    ///< relative, with '/' between its parts; does not leave the bundle
    std::string sha256;  ///< 64 lower-case hexadecimal digits
    std::uint64_t size;  ///< bytes
};

/// A graph of the bundle.
struct Graph {
    std::string name;
    BundleFile file;
    Signature signature;
};

/// A validated manifest.
struct Manifest {
    std::string name;  ///< for people; UTF-8 without control characters
    Identifier model_id;
    bool exact;  ///< entropy mode
    std::uint32_t latent_channels;
    std::uint32_t hyper_channels;
    std::vector<std::uint32_t> group_sizes;
    Graph analysis;
    std::vector<Graph> priors;  ///< prior_0 to prior_G
    Graph synthesis;
    BundleFile tables;
    CodingPlan plan;  ///< refers to `priors`

    // A manifest may be moved, which leaves the graphs where they are, but not copied.
    Manifest() = default;
    Manifest(Manifest&&) = default;
    Manifest& operator=(Manifest&&) = default;

    /// Numbers of all graphs, as steps name them: analysis, then the prior's, then synthesis.
    static constexpr std::uint32_t kAnalysis = 0;
    static constexpr std::uint32_t prior_index(std::uint32_t prior) noexcept { return prior + 1; }
    std::uint32_t synthesis_index() const noexcept {
        return prior_index(static_cast<std::uint32_t>(priors.size()));
    }
    const Graph& graph(std::uint32_t index) const noexcept {
        return index == kAnalysis           ? analysis
               : index == synthesis_index() ? synthesis
                                            : priors[index - 1];
    }
};

/// Reads the content of a `manifest.json`.
///
/// @throws BundleError naming what is wrong; UnsupportedBundleError for another version.
Manifest parse_manifest(BytesView content);

/// Reads only what the graphs take and give, and the order in which they run: `architecture`,
/// `coding`, and of each graph `inputs` and `outputs`.
///
/// @throws BundleError naming what is wrong.
Manifest parse_coding(BytesView content);

/// Throws BundleError unless `content` has the size and SHA-256 of `file`.
void check_file(const BundleFile& file, BytesView content);

/// A model, as far as coding goes.
struct Model {
    Manifest manifest;
    ModelTables tables;
};

/// Reads the contents of a `manifest.json` and of the `tables.bin` beside it.
///
/// @throws BundleError if one of them is damaged or they do not belong together.
Model open_model(BytesView manifest, BytesView tables);

}  // namespace cca
