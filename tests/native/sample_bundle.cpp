#include "sample_bundle.hpp"

#include <sstream>
#include <stdexcept>

#include "little_endian.hpp"
#include "sha256.hpp"

namespace cca::test {
namespace {

// A table whose symbols get rarer by half with their distance from the middle one.
std::vector<std::uint32_t> widths(unsigned symbols) {
    std::vector<std::uint32_t> result(symbols + 1, 1);
    std::uint32_t rest = 65'536 - (symbols + 1);
    const unsigned middle = symbols / 2;
    for (unsigned distance = 0; distance <= middle; ++distance) {
        const std::uint32_t share = distance == 0 ? rest / 2 : rest / 4;
        result[middle - distance] += share;
        rest -= share;
        if (distance != 0) {
            result[middle + distance] += share;
            rest -= share;
        }
    }
    result[middle] += rest;
    return result;
}

void append_set(Bytes& out, const std::vector<unsigned>& symbols) {
    append_bytes(out, symbols.size(), 4);
    for (const unsigned count : symbols) {
        append_bytes(out, static_cast<std::uint16_t>(-static_cast<int>(count / 2)), 2);
        append_bytes(out, count, 2);
    }
    for (const unsigned count : symbols) {
        for (const std::uint32_t width : widths(count)) {
            append_bytes(out, width - 1, 2);
        }
    }
}

std::string hash(std::string_view content) {
    const cca_view bytes = view(content);
    return to_hex(sha256({bytes.data, bytes.size}));
}

std::string graph(const std::string& name, const std::string& inputs) {
    std::ostringstream text;
    text << '"' << name << R"(": {"file": "graphs/)" << name << R"(.onnx", "sha256": ")"
         << hash(sample_graph(name)) << R"(", "bytes": )" << sample_graph(name).size()
         << R"(, "inputs": {)" << inputs << R"(}, "outputs": {}})";
    return text.str();
}

// One case, with digests of whatever.
std::string conformance() {
    const std::string digest = hash("digest");
    std::ostringstream text;
    text << R"("conformance": {"file": "conformance.npz", "sha256": ")" << digest
         << R"(", "bytes": 10, "cases": [{"name": "case-1", "batch": 2, "latent_height": 4,
 "latent_width": 8, "fast": true, "digests": {)";
    for (const char* name : {"prior_0", "prior_1", "prior_2"}) {
        text << '"' << name << R"(": ")" << digest << (name[6] == '2' ? "\"" : "\", ");
    }
    text << "}}]}";
    return text.str();
}

}  // namespace

std::string sample_graph(const std::string& name) {
    const auto length = [](std::size_t size) { return std::string(1, static_cast<char>(size)); };
    std::string graph = "\x12";
    graph += length(name.size());
    graph += name;
    std::string model = "\x08\x08\x42\x02\x10\x12\x3a";  // versions of the file and the operators
    model += length(graph.size());
    return model + graph;
}

Bytes sample_tables() {
    Bytes file{0x89, 'C', 'C', 'T', 1, 0, 0, 0};
    append_set(file, {3, 5, 9, 41});
    append_set(file, {7, 1});
    return file;
}

std::string sample_manifest(const Bytes& tables, const std::string& mode) {
    const std::string tables_hash = to_hex(sha256(tables));
    std::ostringstream identity;
    std::ostringstream graphs;
    identity << "cca-model-1\n";
    graphs << graph("analysis", "") << ",\n  " << graph("synthesis", "");
    for (const std::string name : {"prior_0", "prior_1", "prior_2"}) {
        identity << name << ' ' << hash(sample_graph(name)) << '\n';
        graphs << ",\n  " << graph(name, name != "prior_2" ? R"("averages": {})" : "");
    }
    identity << "tables " << tables_hash << '\n';

    std::ostringstream manifest;
    manifest << R"({"format": "cca-bundle", "version": 3, "name": "sample",
 "model_id": ")"
             << hash(identity.str()).substr(0, 16) << R"(", "entropy_mode": ")" << mode << R"(",
 "architecture": {"latent_channels": 5, "hyper_channels": 2, "group_sizes": [2, 3]},
 "kmac_per_pixel": {"encode": 20.5e0, "decode": -0.25},
 "graphs": {)"
             << graphs.str() << R"(},
 "tables": {"file": "tables.bin", "sha256": ")"
             << tables_hash << R"(", "bytes": )" << tables.size() << "}"
             << (mode == "exact" ? ",\n " + conformance() : "") << "\n}";
    return manifest.str();
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t position = text.find(from);
    if (position == std::string::npos) {
        throw std::logic_error("not in the text: " + std::string(from));
    }
    return text.replace(position, from.size(), to);
}

cca_view view(const Bytes& bytes) {
    return {bytes.data(), bytes.size()};
}

cca_view view(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

OwnedModel open_sample(const std::string& mode) {
    const Bytes tables = sample_tables();
    const std::string manifest = sample_manifest(tables, mode);
    cca_model* model = nullptr;
    if (cca_model_open(view(manifest), view(tables), &model) != CCA_OK) {
        throw std::logic_error(cca_last_error());
    }
    return OwnedModel(model);
}

}  // namespace cca::test
