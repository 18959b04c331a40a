// What a model bundle's manifest and tables say. Specified in docs/spec/bundle.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/plan.hpp"
#include "bundle/signature.hpp"
#include "bundle/table_file.hpp"
#include "format/container.hpp"

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
    std::optional<BundleFile> float16;  ///< the variant in float16
};

/// One set of inputs in `conformance.npz`, and what the prior graphs compute from it.
struct ConformanceCase {
    std::string name;     ///< lower-case letters, digits and '-'
    std::uint32_t batch;  ///< pictures coded at once
    std::uint32_t latent_height;
    std::uint32_t latent_width;
    std::int8_t step = 0;              ///< quantisation step, as in a stream
    bool fast;                         ///< it is run when an engine first meets the model
    std::vector<std::string> digests;  ///< SHA-256 of the outputs of prior_0 to prior_G
};

struct Conformance {
    BundleFile file;
    std::vector<ConformanceCase> cases;
};

/// A validated manifest.
struct Manifest {
    std::string name;  ///< for people; UTF-8 without control characters
    Identifier model_id;
    bool exact;  ///< entropy mode
    std::uint32_t latent_channels;
    std::uint32_t hyper_channels;
    std::vector<std::uint32_t> group_sizes;
    /// From which graphs count scales, for choose_tables(): half places of the scale table below
    /// its first entry. None if the model has one quantisation step alone.
    std::optional<std::uint32_t> smallest_scale;
    std::uint32_t widest_stage;  ///< channels of the transforms at a picture's full size, for
                                 ///< estimates of memory; latent_channels if that is not said
    Graph analysis;
    std::vector<Graph> priors;  ///< prior_0 to prior_G
    Graph synthesis;
    BundleFile tables;
    std::optional<Conformance> conformance;  ///< in exact mode
    CodingPlan plan;                         ///< refers to `priors`

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

/// A file's SHA-256 in hexadecimal, under the name of its graph.
struct NamedHash {
    std::string name;
    std::string sha256;
};

/// The model id of a bundle with these prior graphs, in the order in which they run
/// (docs/spec/bundle.md, "Model id").
Identifier identify_model(std::span<const NamedHash> priors, std::string_view tables_sha256,
                          std::optional<std::uint32_t> smallest_scale);

/// Throws BundleError unless `content` has the size and SHA-256 of `file` and, if that is a graph,
/// check_graph() has nothing against it.
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
