// The coding plan: which graphs run in which order, what they read and write, and which symbols are
// coded in between. Everything in it follows from the manifest (docs/spec/bundle.md, "Coding").
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "bundle/signature.hpp"

namespace cca {

struct Graph;

/// A tensor that passes between the steps of a plan, by number.
using ValueId = std::uint32_t;

/// Latents of some channels.
struct Channels {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
};

/// Which latents of a channel a pass codes: with row r and column c, all, those with r + c even, or
/// those with r + c odd. Rows and columns are those of the latents that the graphs see.
enum class Positions : std::uint8_t { kAll, kEven, kOdd };

/// What is coded after a graph has run.
struct CodedGroup {
    Channels channels;
    Positions positions = Positions::kAll;
    ValueId means = 0;
    ValueId indexes = 0;
    ValueId symbols = 0;  ///< as graphs read them; with those of the pass before that it completes
};

/// Where an input of a graph comes from, or where an output goes.
struct PlanBinding {
    const Port* port = nullptr;
    ValueId value = 0;
    std::optional<Channels> rows;  ///< of y_hat, which exists from the start
};

/// One run of a graph.
struct Pass {
    std::uint32_t prior = 0;  ///< index among the manifest's prior graphs
    std::vector<PlanBinding> inputs;
    std::vector<PlanBinding> outputs;
    std::optional<CodedGroup> coded;
    std::vector<ValueId> free_after_run;  ///< values that nothing reads any more
    std::vector<ValueId> free_after_coding;
};

struct CodingPlan {
    static constexpr ValueId kHyperSymbols = 0;  ///< int32 [N, Z, h/4, w/4]
    static constexpr ValueId kAverages = 1;      ///< float32 [4]
    static constexpr ValueId kStep = 2;          ///< float32 [1], the quantisation step
    static constexpr ValueId kYHat = 3;          ///< float32 [M, N, h, w]

    std::uint32_t values = 4;  ///< numbers of values are less
    std::uint32_t latent_channels = 0;
    std::uint32_t hyper_channels = 0;
    bool takes_averages = false;
    bool takes_step = false;
    std::vector<Pass> passes;
};

/// An entry of the manifest's `coding`: what is coded when the prior graph of its number has run.
struct CodingEntry {
    std::uint32_t channels = 0;  ///< 0 if nothing is
    Positions positions = Positions::kAll;
};

/// Resolves the names of graphs' inputs and outputs.
///
/// @param coding  an entry for each of `priors`, in the order in which they run.
/// @param priors  the manifest's prior graphs; their ports are kept, and outlive the plan.
/// @throws BundleError if a graph reads what is not there, if shapes do not fit, or if a latent is
///         not coded, or not written to y_hat, exactly once.
CodingPlan make_plan(const std::vector<CodingEntry>& coding, const std::vector<Graph>& priors,
                     std::uint32_t latent_channels, std::uint32_t hyper_channels);

}  // namespace cca
