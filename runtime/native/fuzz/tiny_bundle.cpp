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
           file_entry("graphs/" + name + ".onnx", hex_digest(name), name.size()) +
           R"(, "inputs": {"averages": {}}})";
}

}  // namespace

TinyBundle make_tiny_bundle(bool exact) {
    std::vector<std::uint8_t> tables = make_tables();
    std::string graphs = graph_entry("analysis") + ", " + graph_entry("synthesis");
    std::string identity = "cca-model-1\n";
    for (int i = 0; i < kPriors; ++i) {
        const std::string name = "prior_" + std::to_string(i);
        graphs += ", " + graph_entry(name);
        identity += name + " " + hex_digest(name) + "\n";
    }
    identity += "tables " + hex_digest(tables) + "\n";
    const std::string mode = exact ? "exact" : "native";
    std::string manifest =
        R"({"format": "cca-bundle", "version": 3, "name": "tiny", "entropy_mode": ")" + mode +
        R"(", "architecture": {"latent_channels": 3, "hyper_channels": 1, "group_sizes": [1, 2]}, )"
        R"("model_id": ")" +
        hex_digest(identity).substr(0, 16) + R"(", "tables": {)" +
        file_entry("tables.bin", hex_digest(tables), tables.size()) + R"(}, "graphs": {)" + graphs +
        "}}";
    return {std::move(manifest), std::move(tables)};
}

}  // namespace cca::fuzz
