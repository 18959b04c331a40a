#include "toy_family.hpp"

#include <algorithm>
#include <sstream>

#include "bundle/sha256.hpp"
#include "graph_file.hpp"

namespace cca::test {
namespace {

std::string hash(std::string_view content) {
    return to_hex(sha256({reinterpret_cast<const std::uint8_t*>(content.data()), content.size()}));
}

// One case, with digests of whatever.
std::string conformance(const ToyFamily& family) {
    const std::string digest = hash("digest");
    std::ostringstream text;
    text << R"("conformance": {"file": "conformance.npz", "sha256": ")" << digest
         << R"(", "bytes": 10, "cases": [{"name": "case-1", "batch": 2, "latent_height": 4,
 "latent_width": 8, "step": -3, "fast": true, "digests": {)";
    for (const ToyGraph& prior : family.priors) {
        text << (&prior == &family.priors.front() ? "\"" : ", \"") << prior.name << R"(": ")"
             << digest << '"';
    }
    text << "}}]}";
    return text.str();
}

bool is_number(const std::string& text) {
    return text.find_first_not_of("0123456789") == std::string::npos;
}

const char* dtype_name(cca_dtype dtype) {
    return dtype == CCA_FLOAT32 ? "float32" : dtype == CCA_INT32 ? "int32" : "uint8";
}

std::string to_json(const std::vector<ToyPort>& ports) {
    std::ostringstream text;
    text << '{';
    for (const ToyPort& port : ports) {
        text << (&port == &ports.front() ? "" : ", ") << '"' << port.name << R"(": {"dtype": ")"
             << dtype_name(port.dtype) << R"(", "shape": [)";
        for (const std::string& size : port.shape) {
            text << (&size == &port.shape.front() ? "" : ", ");
            is_number(size) ? text << size : text << '"' << size << '"';
        }
        text << "]}";
    }
    text << '}';
    return text.str();
}

std::string to_json(const ToyGraph& graph) {
    std::ostringstream text;
    text << '"' << graph.name << R"(": {"file": "graphs/)" << graph.name << R"(.onnx", "sha256": ")"
         << hash(graph_file(graph.name)) << R"(", "bytes": )" << graph_file(graph.name).size()
         << R"(, "inputs": )" << to_json(graph.inputs) << R"(, "outputs": )"
         << to_json(graph.outputs) << '}';
    return text.str();
}

std::string to_json(const std::vector<ToyCoding>& coding) {
    std::ostringstream text;
    text << '[';
    for (const ToyCoding& entry : coding) {
        text << (&entry == &coding.front() ? "{" : ", {");
        if (entry.channels != 0) {
            text << R"("channels": )" << entry.channels;
        }
        if (!entry.positions.empty()) {
            text << R"(, "positions": ")" << entry.positions << '"';
        }
        text << '}';
    }
    text << ']';
    return text.str();
}

ToyPort hyper_port(std::uint32_t channels) {
    return {
        "z_symbols", CCA_INT32, {"batch", std::to_string(channels), "hyper_height", "hyper_width"}};
}

ToyPort averages_port() {
    return {"averages", CCA_FLOAT32, {"4"}};
}

ToyPort step_port() {
    return {"step", CCA_FLOAT32, {"1"}};
}

}  // namespace

std::vector<ToyGraph> ToyFamily::graphs() const {
    std::vector<ToyGraph> all{analysis};
    all.insert(all.end(), priors.begin(), priors.end());
    all.push_back(synthesis);
    return all;
}

ToyPort latents_port(const std::string& name, cca_dtype dtype, std::uint32_t channels) {
    return {name, dtype, {"batch", std::to_string(channels), "latent_height", "latent_width"}};
}

ToyPort symbols_port(std::uint32_t channels) {
    ToyPort port = latents_port("symbols", CCA_UINT8, channels);
    port.shape.emplace_back("2");
    return port;
}

ToyPort y_hat_port(const std::string& name, std::uint32_t channels) {
    return {
        name, CCA_FLOAT32, {std::to_string(channels), "batch", "latent_height", "latent_width"}};
}

ToyFamily toy_transforms(const std::string& name, std::uint32_t latent_channels,
                         std::uint32_t hyper_channels) {
    ToyFamily family;
    family.name = name;
    family.latent_channels = latent_channels;
    family.hyper_channels = hyper_channels;
    const ToyPort image{"image", CCA_UINT8, {"batch", "height", "width", "3"}};
    family.analysis = {
        "analysis",
        {image},
        {latents_port("y", CCA_FLOAT32, latent_channels), hyper_port(hyper_channels)}};
    family.synthesis = {"synthesis", {y_hat_port("y_hat", latent_channels)}, {image}};
    return family;
}

ToyFamily sample_family() {
    ToyFamily family = toy_transforms("sample", 5, 2);
    family.priors = {
        {"prior_0",
         {hyper_port(2), averages_port()},
         {latents_port("latent_means", CCA_FLOAT32, 5), latents_port("means", CCA_FLOAT32, 2),
          latents_port("indexes", CCA_UINT8, 2), latents_port("support", CCA_FLOAT32, 5)}},
        {"prior_1",
         {latents_port("previous_means", CCA_FLOAT32, 2),
          latents_port("previous_support", CCA_FLOAT32, 5), symbols_port(2),
          latents_port("latent_means", CCA_FLOAT32, 5), averages_port(), step_port()},
         {y_hat_port("y_hat", 2), latents_port("means", CCA_FLOAT32, 3),
          latents_port("indexes", CCA_UINT8, 3), latents_port("support", CCA_FLOAT32, 7)}},
        {"prior_2",
         {latents_port("previous_means", CCA_FLOAT32, 3),
          latents_port("previous_support", CCA_FLOAT32, 7), symbols_port(3),
          y_hat_port("previous_y_hat", 2), step_port()},
         {y_hat_port("y_hat", 3)}},
    };
    family.coding = {{2, ""}, {3, ""}, {}};
    return family;
}

ToyFamily checkerboard_family() {
    ToyFamily family = toy_transforms("checkerboard", 5, 2);
    family.priors = {
        {"prior_0",
         {hyper_port(2)},
         {latents_port("context", CCA_FLOAT32, 4), latents_port("means", CCA_FLOAT32, 2),
          latents_port("indexes", CCA_UINT8, 2)}},
        {"prior_1",
         {latents_port("context", CCA_FLOAT32, 4), latents_port("previous_means", CCA_FLOAT32, 2),
          symbols_port(2), step_port()},
         {y_hat_port("y_hat", 2), latents_port("means", CCA_FLOAT32, 3),
          latents_port("indexes", CCA_UINT8, 3)}},
        {"prior_2",
         {latents_port("context", CCA_FLOAT32, 4), latents_port("previous_means", CCA_FLOAT32, 3),
          symbols_port(3), y_hat_port("previous_y_hat", 2)},
         {latents_port("means", CCA_FLOAT32, 3), latents_port("indexes", CCA_UINT8, 3)}},
        {"prior_3",
         {latents_port("previous_means", CCA_FLOAT32, 3), symbols_port(3), step_port()},
         {y_hat_port("y_hat", 3)}},
    };
    family.coding = {{2, ""}, {3, "even"}, {3, "odd"}, {}};
    return family;
}

namespace {

bool takes_step(const ToyFamily& family) {
    return std::ranges::any_of(family.priors, [](const ToyGraph& prior) {
        return std::ranges::any_of(prior.inputs,
                                   [](const ToyPort& port) { return port.name == "step"; });
    });
}

}  // namespace

std::string toy_manifest(const ToyFamily& family, const Bytes& tables, const std::string& mode) {
    const std::string tables_hash = to_hex(sha256(tables));
    std::ostringstream identity;
    identity << "cca-model-1\n";
    for (const ToyGraph& prior : family.priors) {
        identity << prior.name << ' ' << hash(graph_file(prior.name)) << '\n';
    }
    identity << "tables " << tables_hash << '\n';
    if (takes_step(family)) {
        identity << "smallest_scale " << kToySmallestScale << '\n';
    }
    const std::string smallest_scale = ", \"smallest_scale\": " + std::to_string(kToySmallestScale);
    std::ostringstream text;
    text << R"({"format": "cca-bundle", "version": 5, "name": ")" << family.name << R"(",
 "model_id": ")"
         << hash(identity.str()).substr(0, 16) << R"(", "entropy_mode": ")" << mode << "\""
         << (takes_step(family) ? smallest_scale : "") << R"(,
 "architecture": {"latent_channels": )"
         << family.latent_channels << R"(, "hyper_channels": )" << family.hyper_channels << R"(},
 "kmac_per_pixel": {"encode": 20.5e0, "decode": -0.25},
 "graphs": {)";
    for (const ToyGraph& graph : family.graphs()) {
        text << (graph.name == "analysis" ? "" : ",\n  ") << to_json(graph);
    }
    text << R"(},
 "coding": )"
         << to_json(family.coding) << R"(,
 "tables": {"file": "tables.bin", "sha256": ")"
         << tables_hash << R"(", "bytes": )" << tables.size() << "}"
         << (mode == "exact" ? ",\n " + conformance(family) : "") << "\n}";
    return text.str();
}

}  // namespace cca::test
