#include "bundle.hpp"

#include "files.hpp"

namespace {

// In bytes; libcca has its own limits within these.
constexpr std::uint64_t kMaxManifest = 1 << 20;
constexpr std::uint64_t kMaxTables = 1 << 25;

}  // namespace

Bundle::Bundle(std::filesystem::path directory, Engine& engine)
    : directory_(std::move(directory)), engine_(engine) {
    const auto manifest = read_file(directory_ / "manifest.json", kMaxManifest);
    const auto tables = read_file(directory_ / "tables.bin", kMaxTables);
    model_ = make<Model>(cca_model_open, view(manifest), view(tables));
    check(cca_model_describe(model(), &info_));
    if (info_.entropy_mode != CCA_ENTROPY_EXACT) {
        throw BadInput("this program runs models in exact mode only, and this one is not");
    }
}

Tensors Bundle::run(const cca_graph& graph, const Tensors& inputs, const Tensors& into) {
    std::unique_ptr<Graph>& loaded = loaded_[graph.name];
    if (!loaded) {
        auto onnx = read_file(directory_ / graph.file.path, graph.file.size);
        check(cca_file_check(&graph.file, view(onnx)));
        loaded = engine_.load({graph.name, graph.file.sha256, std::move(onnx)});
    }
    return loaded->run(inputs, into);
}

TensorPtr output(const Tensors& outputs, const std::string& name) {
    const auto found = outputs.find(name);
    if (found == outputs.end()) throw BadInput("broken bundle: no graph output '" + name + "'");
    return found->second;
}
