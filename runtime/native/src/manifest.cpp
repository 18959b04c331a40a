// manifest.json. Readers of its values refuse with a BundleError that names the value.
#include <algorithm>
#include <numeric>

#include "cca/error.hpp"
#include "cca/model.hpp"
#include "json.hpp"
#include "sha256.hpp"

namespace cca {
namespace {

constexpr std::int64_t kVersion = 3;
constexpr std::int64_t kMaxChannels = 1 << 16;
constexpr std::int64_t kMaxGraphBytes = (std::int64_t{1} << 31) - 1;
constexpr std::int64_t kMaxTablesBytes = std::int64_t{64} << 20;
constexpr const char* kTablesPath = "tables.bin";

template <typename T>
const T& get(const json::Value& object, const char* name, const char* kind) {
    const json::Value* const value = object.find(name);
    const T* const content = value != nullptr ? value->as<T>() : nullptr;
    if (content == nullptr) {
        throw BundleError("'" + std::string(name) + "' is missing or is no " + kind);
    }
    return *content;
}

const std::string& get_string(const json::Value& object, const char* name) {
    return get<std::string>(object, name, "string");
}

const json::Value& get_object(const json::Value& object, const char* name) {
    static_cast<void>(get<json::Value::Object>(object, name, "object"));
    return *object.find(name);
}

std::int64_t check_range(std::int64_t value, const char* name, std::int64_t most) {
    if (value < 1 || value > most) {
        throw BundleError("'" + std::string(name) + "' is " + std::to_string(value) +
                          ", which is not in 1.." + std::to_string(most));
    }
    return value;
}

std::int64_t get_integer(const json::Value& object, const char* name, std::int64_t most) {
    return check_range(get<std::int64_t>(object, name, "integer"), name, most);
}

bool is_sha256(const std::string& text) {
    return text.size() == 64 && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

bool is_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '_' || c == '-';
    });
}

// Words with '/' between them and ".onnx" at the end: nothing that could lead out of the bundle.
bool is_graph_path(std::string_view path) {
    constexpr std::string_view kSuffix = ".onnx";
    if (!path.ends_with(kSuffix)) {
        return false;
    }
    path.remove_suffix(kSuffix.size());
    std::size_t slash = 0;
    while ((slash = path.find('/')) != std::string_view::npos) {
        if (!is_word(path.substr(0, slash))) {
            return false;
        }
        path.remove_prefix(slash + 1);
    }
    return is_word(path);
}

BundleFile get_file(const json::Value& entry, std::int64_t most) {
    const std::string& sha256 = get_string(entry, "sha256");
    if (!is_sha256(sha256)) {
        throw BundleError("'sha256' is no SHA-256 of 64 hexadecimal digits");
    }
    return {get_string(entry, "file"), sha256,
            static_cast<std::uint64_t>(get_integer(entry, "bytes", most))};
}

Graph get_graph(const json::Value& graphs, std::string name) {
    const json::Value& entry = get_object(graphs, name.c_str());
    try {
        BundleFile file = get_file(entry, kMaxGraphBytes);
        if (!is_graph_path(file.path)) {
            throw BundleError("'file' is no usable path of a graph");
        }
        const bool averages = get_object(entry, "inputs").find("averages") != nullptr;
        return {std::move(name), std::move(file), averages};
    } catch (const BundleError& error) {
        throw BundleError("graph '" + name + "': " + error.what());
    }
}

BundleFile get_tables(const json::Value& document) {
    BundleFile file = get_file(get_object(document, "tables"), kMaxTablesBytes);
    if (file.path != kTablesPath) {
        throw BundleError("the file of 'tables' is not " + std::string(kTablesPath));
    }
    return file;
}

std::vector<std::uint32_t> get_group_sizes(const json::Value& architecture) {
    std::vector<std::uint32_t> sizes;
    for (const json::Value& element :
         get<json::Value::Array>(architecture, "group_sizes", "array")) {
        const auto* size = element.as<std::int64_t>();
        if (size == nullptr) {
            throw BundleError("'group_sizes' holds something that is no integer");
        }
        sizes.push_back(
            static_cast<std::uint32_t>(check_range(*size, "group_sizes", kMaxChannels)));
    }
    return sizes;
}

std::string get_name(const json::Value& document) {
    const std::string& name = get_string(document, "name");
    if (std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7F; })) {
        throw BundleError("'name' has control characters");
    }
    return name;
}

bool get_exact(const json::Value& document) {
    const std::string& mode = get_string(document, "entropy_mode");
    if (mode != "exact" && mode != "native") {
        throw BundleError("'entropy_mode' is neither exact nor native");
    }
    return mode == "exact";
}

// docs/bundle.md, "Model id".
Identifier identify(const std::vector<Graph>& priors, const BundleFile& tables) {
    std::string text = "cca-model-1\n";
    for (const Graph& prior : priors) {
        text += prior.name + " " + prior.file.sha256 + "\n";
    }
    text += "tables " + tables.sha256 + "\n";
    const Sha256 digest = sha256({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    Identifier id;
    std::copy_n(digest.begin(), id.size(), id.begin());
    return id;
}

void check_version(const json::Value& document) {
    if (get_string(document, "format") != "cca-bundle") {
        throw BundleError("'format' is not 'cca-bundle'");
    }
    const auto version = get<std::int64_t>(document, "version", "integer");
    if (version != kVersion) {
        throw UnsupportedBundleError("bundle version " + std::to_string(version) +
                                     " is not supported (knows " + std::to_string(kVersion) +
                                     "): export the checkpoint again");
    }
}

Manifest read(const json::Value& document) {
    check_version(document);
    Manifest manifest;
    manifest.name = get_name(document);
    manifest.exact = get_exact(document);
    const json::Value& architecture = get_object(document, "architecture");
    manifest.group_sizes = get_group_sizes(architecture);
    const std::int64_t channels = get_integer(architecture, "latent_channels", kMaxChannels);
    const auto& sizes = manifest.group_sizes;
    if (std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) != channels) {
        throw BundleError("'group_sizes' do not add up to 'latent_channels'");
    }
    manifest.latent_channels = static_cast<std::uint32_t>(channels);
    manifest.hyper_channels =
        static_cast<std::uint32_t>(get_integer(architecture, "hyper_channels", kMaxChannels));
    const json::Value& graphs = get_object(document, "graphs");
    manifest.analysis = get_graph(graphs, "analysis");
    manifest.synthesis = get_graph(graphs, "synthesis");
    for (std::size_t i = 0; i <= sizes.size(); ++i) {
        manifest.priors.push_back(get_graph(graphs, "prior_" + std::to_string(i)));
    }
    if (graphs.as<json::Value::Object>()->size() != manifest.priors.size() + 2) {
        throw BundleError("'graphs' has unknown ones for " + std::to_string(sizes.size()) +
                          " channel groups");
    }
    manifest.tables = get_tables(document);
    manifest.model_id = identify(manifest.priors, manifest.tables);
    if (get_string(document, "model_id") != to_hex(manifest.model_id)) {
        throw BundleError("'model_id' is not " + to_hex(manifest.model_id) +
                          ", which its files amount to");
    }
    return manifest;
}

}  // namespace

Manifest parse_manifest(BytesView content) {
    if (content.size() > kMaxManifestBytes) {
        throw BundleError("manifest.json is larger than " + std::to_string(kMaxManifestBytes) +
                          " bytes");
    }
    try {
        return read(json::parse(content));
    } catch (const json::Error& error) {
        throw BundleError("manifest.json is no strict JSON: " + std::string(error.what()));
    } catch (const UnsupportedBundleError&) {
        throw;
    } catch (const BundleError& error) {
        throw BundleError("manifest.json: " + std::string(error.what()));
    }
}

}  // namespace cca
