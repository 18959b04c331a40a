#include "tiny_bundle.hpp"

#include <array>
#include <span>
#include <utility>

#include "bundle/sha256.hpp"
#include "tests/graph_file.hpp"

namespace cca::fuzz {
namespace {

constexpr int kPriors = 4;

std::string hex_digest(std::span<const std::uint8_t> bytes) {
    return to_hex(sha256(bytes));
}

std::string hex_digest(const std::string& text) {
    return hex_digest({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

// docs/spec/bundle.md, "tables.bin".
std::vector<std::uint8_t> make_tables() {
    return {
        0x89, 'C',  'C',  'T',  1,    0,    0, 0,  // magic, version
        2,    0,    0,    0,                       // two Gaussian tables:
        0xFF, 0xFF, 3,    0,    0,    0,    2, 0,  // -1, 3 symbols; 0, 2 symbols
        0xFF, 0x1F, 0xFF, 0xBF, 0xFE, 0x1F, 0, 0,  // widths minus one; the last is the escape's
        0xFF, 0x7F, 0xFF, 0x3F, 0xFF, 0x3F,        //
        1,    0,    0,    0,    0,    0,    1, 0,
        0xFE, 0xFF, 0,    0,  // one hyper-latent table: 0, near-certain
    };
}

std::string file_entry(const std::string& file, const std::string& sha256, std::size_t size) {
    return R"("file": ")" + file + R"(", "sha256": ")" + sha256 + R"(", "bytes": )" +
           std::to_string(size);
}

// Names of inputs or outputs and, of each, its dtype and shape.
using Ports = std::vector<std::pair<std::string, std::string>>;

std::string port_entries(const Ports& ports) {
    std::string text;
    for (const auto& [name, layout] : ports) {
        text += (text.empty() ? "\"" : ", \"") + name + "\": " + layout;
    }
    return "{" + text + "}";
}

std::string graph_entry(const std::string& name, const Ports& inputs, const Ports& outputs) {
    return '"' + name + R"(": {)" +
           file_entry("graphs/" + name + ".onnx", hex_digest(test::graph_file(name)),
                      test::graph_file(name).size()) +
           R"(, "inputs": )" + port_entries(inputs) + R"(, "outputs": )" + port_entries(outputs) +
           "}";
}

std::string layout(const char* dtype, const std::string& shape) {
    return R"({"dtype": ")" + std::string(dtype) + R"(", "shape": [)" + shape + "]}";
}

std::string latents(const char* dtype, int channels, const char* more = "") {
    return layout(dtype, R"("batch", )" + std::to_string(channels) +
                             R"(, "latent_height", "latent_width")" + more);
}

std::string y_hat(int channels) {
    return layout("float32",
                  std::to_string(channels) + R"(, "batch", "latent_height", "latent_width")");
}

// A group of 1 channel, then one of 2 in two passes.
std::string make_graphs() {
    const std::string image = layout("uint8", R"("batch", "height", "width", 3)");
    const std::string z_symbols = layout("int32", R"("batch", 1, "hyper_height", "hyper_width")");
    const std::string means = latents("float32", 2);
    const std::string indexes = latents("uint8", 2);
    const std::string symbols = latents("uint8", 2, ", 2");
    return graph_entry("analysis", {{"image", image}},
                       {{"y", latents("float32", 3)}, {"z_symbols", z_symbols}}) +
           ", " + graph_entry("synthesis", {{"y_hat", y_hat(3)}}, {{"image", image}}) + ", " +
           graph_entry("prior_0", {{"z_symbols", z_symbols}, {"averages", layout("float32", "4")}},
                       {{"means", latents("float32", 1)}, {"indexes", latents("uint8", 1)}}) +
           ", " +
           graph_entry("prior_1",
                       {{"symbols", latents("uint8", 1, ", 2")}, {"step", layout("float32", "1")}},
                       {{"y_hat", y_hat(1)}, {"means", means}, {"indexes", indexes}}) +
           ", " +
           graph_entry("prior_2", {{"symbols", symbols}, {"previous_y_hat", y_hat(1)}},
                       {{"means", means}, {"indexes", indexes}}) +
           ", " + graph_entry("prior_3", {{"symbols", symbols}}, {{"y_hat", y_hat(2)}});
}

}  // namespace

TinyBundle make_tiny_bundle(bool exact) {
    std::vector<std::uint8_t> tables = make_tables();
    std::string identity = "cca-model-1\n";
    std::string digests;
    for (int i = 0; i < kPriors; ++i) {
        const std::string name = "prior_" + std::to_string(i);
        identity += name + " " + hex_digest(test::graph_file(name)) + "\n";
        digests += (i == 0 ? "\"" : ", \"") + name + "\": \"" + hex_digest(name) + '"';
    }
    identity += "tables " + hex_digest(tables) + "\nsmallest_scale 2\n";
    const std::string mode = exact ? "exact" : "native";
    std::string manifest =
        R"({"format": "cca-bundle", "version": 5, "name": "tiny", "entropy_mode": ")" + mode +
        R"(", "smallest_scale": 2, "architecture": {"latent_channels": 3, "hyper_channels": 1}, )"
        R"("model_id": ")" +
        hex_digest(identity).substr(0, 16) + R"(", "tables": {)" +
        file_entry("tables.bin", hex_digest(tables), tables.size()) + R"(}, "graphs": {)" +
        make_graphs() +
        R"(}, "coding": [{"channels": 1}, {"channels": 2, "positions": "even"}, )"
        R"({"channels": 2, "positions": "odd"}, {}])";
    if (exact) {
        manifest += R"(, "conformance": {)" +
                    file_entry("conformance.npz", hex_digest(std::string()), 1) +
                    R"(, "cases": [{"name": "one", "batch": 1, "latent_height": 4, )"
                    R"("latent_width": 4, "step": 5, "fast": true, "digests": {)" +
                    digests + "}}]}";
    }
    manifest += '}';
    return {std::move(manifest), std::move(tables)};
}

}  // namespace cca::fuzz
