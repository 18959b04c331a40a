#include "tiny_bundle.hpp"

#include <array>
#include <span>

#include "sha256.hpp"

namespace cca::fuzz {
namespace {

constexpr int kPriors = 3;

std::string hex_digest(std::span<const std::uint8_t> bytes) {
    return to_hex(sha256(bytes));
}

std::string hex_digest(const std::string& text) {
    return hex_digest({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

// docs/bundle.md, "tables.bin".
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

std::string graph_entry(const std::string& name) {
    return '"' + name + R"(": {)" +
           file_entry("graphs/" + name + ".onnx", hex_digest(tiny_graph(name)),
                      tiny_graph(name).size()) +
           R"(, "inputs": {"averages": {}}})";
}

}  // namespace

std::string tiny_graph(const std::string& name) {
    const auto length = [](std::size_t size) { return std::string(1, static_cast<char>(size)); };
    std::string graph = "\x12";
    graph += length(name.size());
    graph += name;
    std::string model = "\x08\x08\x42\x02\x10\x12\x3a";  // versions of the file and the operators
    model += length(graph.size());
    return model + graph;
}

TinyBundle make_tiny_bundle(bool exact) {
    std::vector<std::uint8_t> tables = make_tables();
    std::string graphs = graph_entry("analysis") + ", " + graph_entry("synthesis");
    std::string identity = "cca-model-1\n";
    std::string digests;
    for (int i = 0; i < kPriors; ++i) {
        const std::string name = "prior_" + std::to_string(i);
        graphs += ", " + graph_entry(name);
        identity += name + " " + hex_digest(tiny_graph(name)) + "\n";
        digests += (i == 0 ? "\"" : ", \"") + name + "\": \"" + hex_digest(name) + '"';
    }
    identity += "tables " + hex_digest(tables) + "\n";
    const std::string mode = exact ? "exact" : "native";
    std::string manifest =
        R"({"format": "cca-bundle", "version": 3, "name": "tiny", "entropy_mode": ")" + mode +
        R"(", "architecture": {"latent_channels": 3, "hyper_channels": 1, "group_sizes": [1, 2]}, )"
        R"("model_id": ")" +
        hex_digest(identity).substr(0, 16) + R"(", "tables": {)" +
        file_entry("tables.bin", hex_digest(tables), tables.size()) + R"(}, "graphs": {)" + graphs +
        "}";
    if (exact) {
        manifest += R"(, "conformance": {)" +
                    file_entry("conformance.npz", hex_digest(std::string()), 1) +
                    R"(, "cases": [{"name": "one", "batch": 1, "latent_height": 4, )"
                    R"("latent_width": 4, "fast": true, "digests": {)" +
                    digests + "}}]}";
    }
    manifest += '}';
    return {std::move(manifest), std::move(tables)};
}

}  // namespace cca::fuzz
