#include "bundle_host.hpp"

#include <span>

#include "error.hpp"
#include "files.hpp"

namespace {

// In bytes; libcca has its own limits within these.
constexpr std::uint64_t kMaxManifest = 1 << 20;
constexpr std::uint64_t kMaxTables = 1 << 25;

cca::Model open_model(const std::filesystem::path& directory) {
    const auto manifest = read_file(directory / "manifest.json", kMaxManifest);
    const auto tables = read_file(directory / "tables.bin", kMaxTables);
    return {cca::view(manifest), cca::view(tables)};
}

}  // namespace

BundleHost::BundleHost(std::filesystem::path directory, Engine& engine)
    : directory_(std::move(directory)), engine_(engine), model_(open_model(directory_)) {
    if (model_.info().entropy_mode != CCA_ENTROPY_EXACT) {
        throw BadInput("this program runs models in exact mode only, and this one is not");
    }
}

void BundleHost::upload(const cca_step& step) {
    tensors_[step.slot] = engine_.upload(step.tensor, step.source);
}

void BundleHost::run(const cca_step& step) {
    const std::span outputs(step.outputs, step.output_count);
    Tensors inputs;
    Tensors into;
    for (const cca_binding& input : std::span(step.inputs, step.input_count)) {
        inputs[input.name] = bound(input);
    }
    for (const cca_binding& output : outputs) {
        if (output.is_rows) into[output.name] = bound(output);
    }
    const Tensors given = load(step.graph).run(inputs, into);
    for (const cca_binding& output : outputs) {
        // Graphs come with the bundle, so what they give is checked.
        const auto found = given.find(output.name);
        if (found == given.end() || !cca::same_layout(found->second->layout, output.tensor)) {
            throw BadInput("broken bundle: graph '" + std::string(model_.graph(step.graph).name) +
                           "' gives no '" + output.name + "' of the type and shape it should have");
        }
        if (!output.is_rows) tensors_[output.slot] = found->second;
    }
}

Graph& BundleHost::load(std::uint32_t index) {
    std::unique_ptr<Graph>& loaded = graphs_[index];
    if (!loaded) {
        const cca_graph graph = model_.graph(index);
        auto onnx = read_file(directory_ / graph.file.path, graph.file.size);
        cca::check_file(graph.file, cca::view(onnx));
        loaded = engine_.load({graph.name, graph.file.sha256, std::move(onnx)});
    }
    return *loaded;
}

TensorPtr BundleHost::bound(const cca_binding& binding) const {
    const TensorPtr& tensor = tensors_.at(binding.slot);
    return binding.is_rows ? engine_.rows(tensor, binding.first_row, binding.tensor) : tensor;
}
