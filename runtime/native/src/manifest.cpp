// manifest.json. Readers of its values refuse with a BundleError that names the value.
#include <algorithm>
#include <numeric>

#include "cca/error.hpp"
#include "cca/model.hpp"
#include "json.hpp"
#include "sha256.hpp"
#include "utf8.hpp"

namespace cca {
namespace {

constexpr std::int64_t kVersion = 3;
constexpr std::int64_t kMaxChannels = 1 << 16;
constexpr std::int64_t kMaxGraphBytes = (std::int64_t{1} << 31) - 1;
constexpr std::int64_t kMaxTablesBytes = std::int64_t{64} << 20;
constexpr std::int64_t kMaxConformanceBytes = std::int64_t{16} << 20;
constexpr std::size_t kMaxName = 200;
constexpr std::size_t kMaxCases = 64;
constexpr std::size_t kMaxCaseName = 40;
constexpr std::int64_t kMaxBatch = 16;
constexpr std::int64_t kMaxLatents = 1 << 14;  // of a case, over its batch: a 2048x2048 picture's
constexpr std::int64_t kHyperPerLatent = 4;
constexpr const char* kTablesPath = "tables.bin";
constexpr const char* kConformancePath = "conformance.npz";

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

// Words with '/' between them and `suffix` at the end: nothing that could lead out of the bundle.
bool is_graph_path(std::string_view path, std::string_view suffix) {
    if (!path.ends_with(suffix)) {
        return false;
    }
    path.remove_suffix(suffix.size());
    std::size_t slash = 0;
    while ((slash = path.find('/')) != std::string_view::npos) {
        if (!is_word(path.substr(0, slash))) {
            return false;
        }
        path.remove_prefix(slash + 1);
    }
    return is_word(path);
}

const std::string& get_sha256(const json::Value& object, const char* name) {
    const std::string& digest = get_string(object, name);
    if (!is_sha256(digest)) {
        throw BundleError("'" + std::string(name) + "' is no SHA-256 of 64 hexadecimal digits");
    }
    return digest;
}

BundleFile get_file(const json::Value& entry, std::int64_t most) {
    return {get_string(entry, "file"), get_sha256(entry, "sha256"),
            static_cast<std::uint64_t>(get_integer(entry, "bytes", most))};
}

// The file of that entry, which has one possible path.
BundleFile get_file_at(const json::Value& document, const char* name, std::int64_t most,
                       const char* path) {
    BundleFile file = get_file(get_object(document, name), most);
    if (file.path != path) {
        throw BundleError("the file of '" + std::string(name) + "' is not " + path);
    }
    return file;
}

BundleFile get_graph_file(const json::Value& entry, std::string_view suffix) {
    BundleFile file = get_file(entry, kMaxGraphBytes);
    if (!is_graph_path(file.path, suffix)) {
        throw BundleError("'file' is no usable path of a graph");
    }
    return file;
}

Graph get_graph(const json::Value& graphs, std::string name, bool may_have_float16) {
    const json::Value& entry = get_object(graphs, name.c_str());
    try {
        BundleFile file = get_graph_file(entry, ".onnx");
        const bool averages = get_object(entry, "inputs").find("averages") != nullptr;
        std::optional<BundleFile> float16;
        if (entry.find("float16") != nullptr) {
            if (!may_have_float16) {
                throw BundleError("a variant in float16 would not be exact");
            }
            float16 = get_graph_file(get_object(entry, "float16"), ".fp16.onnx");
        }
        return {std::move(name), std::move(file), std::move(float16), averages};
    } catch (const BundleError& error) {
        throw BundleError("graph '" + name + "': " + error.what());
    }
}

bool is_case_name(std::string_view name) {
    return !name.empty() && name.size() <= kMaxCaseName && std::ranges::all_of(name, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
    });
}

ConformanceCase get_case(const json::Value& entry, std::size_t prior_count) {
    ConformanceCase result;
    result.name = get_string(entry, "name");
    if (!is_case_name(result.name)) {
        throw BundleError("unusable name of a conformance case");
    }
    try {
        const std::int64_t batch = get_integer(entry, "batch", kMaxBatch);
        const std::int64_t height = get_integer(entry, "latent_height", kMaxLatents);
        const std::int64_t width = get_integer(entry, "latent_width", kMaxLatents);
        if (height % kHyperPerLatent != 0 || width % kHyperPerLatent != 0) {
            throw BundleError("its latents are not multiples of 4");
        }
        if (batch * height * width > kMaxLatents) {
            throw BundleError("its latents are more than the limit of " +
                              std::to_string(kMaxLatents));
        }
        result.batch = static_cast<std::uint32_t>(batch);
        result.latent_height = static_cast<std::uint32_t>(height);
        result.latent_width = static_cast<std::uint32_t>(width);
        result.fast = get<bool>(entry, "fast", "boolean");
        const json::Value& digests = get_object(entry, "digests");
        for (std::size_t i = 0; i < prior_count; ++i) {
            const std::string graph = "prior_" + std::to_string(i);
            result.digests.push_back(get_sha256(digests, graph.c_str()));
        }
        if (digests.as<json::Value::Object>()->size() != prior_count) {
            throw BundleError("'digests' has unknown ones");
        }
        return result;
    } catch (const BundleError& error) {
        throw BundleError("conformance case '" + result.name + "': " + error.what());
    }
}

Conformance get_conformance(const json::Value& document, std::size_t prior_count) {
    Conformance result{get_file_at(document, "conformance", kMaxConformanceBytes, kConformancePath),
                       {}};
    const auto& cases = get<json::Value::Array>(*document.find("conformance"), "cases", "array");
    if (cases.size() > kMaxCases) {
        throw BundleError(std::to_string(cases.size()) + " conformance cases, the limit is " +
                          std::to_string(kMaxCases));
    }
    for (const json::Value& entry : cases) {
        result.cases.push_back(get_case(entry, prior_count));
        if (std::ranges::count(result.cases, result.cases.back().name, &ConformanceCase::name) >
            1) {
            throw BundleError("two conformance cases have the same name");
        }
    }
    if (std::ranges::none_of(result.cases, &ConformanceCase::fast)) {
        throw BundleError("no conformance case is marked fast");
    }
    return result;
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

// Of the transform, if the manifest has it.
std::optional<std::int64_t> get_width(const json::Value& architecture, const char* transform,
                                      bool first) {
    if (architecture.find(transform) == nullptr) {
        return std::nullopt;
    }
    const auto& widths =
        get<json::Value::Array>(get_object(architecture, transform), "widths", "array");
    const auto* width =
        widths.empty() ? nullptr : (first ? widths.front() : widths.back()).as<std::int64_t>();
    if (width == nullptr) {
        throw BundleError("'widths' of " + std::string(transform) + " are no integers");
    }
    return check_range(*width, "widths", kMaxChannels);
}

std::uint32_t get_widest_stage(const json::Value& architecture, std::int64_t latent_channels) {
    const auto analysis = get_width(architecture, "analysis", true);
    const auto synthesis = get_width(architecture, "synthesis", false);
    return static_cast<std::uint32_t>(analysis && synthesis ? std::max(*analysis, *synthesis)
                                                            : latent_channels);
}

std::string get_name(const json::Value& document) {
    const std::string& name = get_string(document, "name");
    if (name.size() > kMaxName) {
        throw BundleError("'name' is longer than " + std::to_string(kMaxName) + " bytes");
    }
    if (!is_printable(name)) {
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
    manifest.widest_stage = get_widest_stage(architecture, channels);
    const json::Value& graphs = get_object(document, "graphs");
    manifest.analysis = get_graph(graphs, "analysis", true);
    manifest.synthesis = get_graph(graphs, "synthesis", true);
    for (std::size_t i = 0; i <= sizes.size(); ++i) {
        manifest.priors.push_back(get_graph(graphs, "prior_" + std::to_string(i), !manifest.exact));
    }
    if (graphs.as<json::Value::Object>()->size() != manifest.priors.size() + 2) {
        throw BundleError("'graphs' has unknown ones for " + std::to_string(sizes.size()) +
                          " channel groups");
    }
    manifest.tables = get_file_at(document, "tables", kMaxTablesBytes, kTablesPath);
    manifest.model_id = identify(manifest.priors, manifest.tables);
    if (get_string(document, "model_id") != to_hex(manifest.model_id)) {
        throw BundleError("'model_id' is not " + to_hex(manifest.model_id) +
                          ", which its files amount to");
    }
    if (manifest.exact) {
        manifest.conformance = get_conformance(document, manifest.priors.size());
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
