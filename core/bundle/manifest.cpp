// manifest.json. Readers of its values refuse with a BundleError that names the value.
#include <algorithm>

#include "bundle/json.hpp"
#include "bundle/model.hpp"
#include "bundle/sha256.hpp"
#include "bundle/utf8.hpp"
#include "format/error.hpp"
#include "geometry/grid.hpp"

namespace cca {
namespace {

constexpr std::int64_t kOldestVersion = 4;
constexpr std::int64_t kVersion = 5;
constexpr std::int64_t kMaxChannels = 1 << 16;
constexpr std::int64_t kMaxGraphBytes = (std::int64_t{1} << 31) - 1;
constexpr std::int64_t kMaxTablesBytes = std::int64_t{64} << 20;
constexpr std::int64_t kMaxConformanceBytes = std::int64_t{16} << 20;
constexpr std::size_t kMaxName = 200;
constexpr std::size_t kMaxCases = 64;
constexpr std::size_t kMaxCaseName = 40;
constexpr std::int64_t kMaxBatch = 16;
constexpr std::int64_t kMaxLatents = 1 << 14;  // of a case, over its batch: a 2048x2048 picture's
constexpr std::int64_t kMaxSmallestScale = 128;
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

std::int64_t check_range(std::int64_t value, const char* name, std::int64_t most,
                         std::int64_t least = 1) {
    if (value < least || value > most) {
        throw BundleError("'" + std::string(name) + "' is " + std::to_string(value) +
                          ", which is not in " + std::to_string(least) + ".." +
                          std::to_string(most));
    }
    return value;
}

std::int64_t get_integer(const json::Value& object, const char* name, std::int64_t most,
                         std::int64_t least = 1) {
    return check_range(get<std::int64_t>(object, name, "integer"), name, most, least);
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

// What a graph takes and gives; its files are another matter.
Graph get_graph(const json::Value& graphs, std::string name) {
    const json::Value& entry = get_object(graphs, name.c_str());
    try {
        Signature signature = parse_signature(entry);
        return {std::move(name), {}, std::move(signature), std::nullopt};
    } catch (const BundleError& error) {
        throw BundleError("graph '" + name + "': " + error.what());
    }
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

void add_graph_files(const json::Value& graphs, bool may_have_float16, Graph& graph) {
    const json::Value& entry = get_object(graphs, graph.name.c_str());
    try {
        graph.file = get_graph_file(entry, ".onnx");
        if (entry.find("float16") != nullptr) {
            if (!may_have_float16) {
                throw BundleError("a variant in float16 would not be exact");
            }
            graph.float16 = get_graph_file(get_object(entry, "float16"), ".fp16.onnx");
        }
    } catch (const BundleError& error) {
        throw BundleError("graph '" + graph.name + "': " + error.what());
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
        if (height % kLatentsPerHyper != 0 || width % kLatentsPerHyper != 0) {
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
        if (entry.find("step") != nullptr) {
            result.step = static_cast<std::int8_t>(get_integer(entry, "step", INT8_MAX, INT8_MIN));
        }
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

CodingEntry get_coding_entry(const json::Value& element) {
    CodingEntry entry;
    if (element.find("channels") != nullptr) {
        entry.channels = static_cast<std::uint32_t>(get_integer(element, "channels", kMaxChannels));
    }
    if (element.find("positions") != nullptr) {
        const std::string& positions = get_string(element, "positions");
        if (positions != "even" && positions != "odd") {
            throw BundleError("'positions' in 'coding' is neither even nor odd");
        }
        entry.positions = positions == "even" ? Positions::kEven : Positions::kOdd;
    }
    return entry;
}

std::vector<CodingEntry> get_coding(const json::Value& document) {
    std::vector<CodingEntry> entries;
    for (const json::Value& element : get<json::Value::Array>(document, "coding", "array")) {
        entries.push_back(get_coding_entry(element));
    }
    return entries;
}

// Those of the channel groups, whether coded at once or by halves.
std::vector<std::uint32_t> group_sizes(const CodingPlan& plan) {
    std::vector<std::uint32_t> sizes;
    for (const Pass& pass : plan.passes) {
        if (pass.coded && pass.coded->positions != Positions::kOdd) {
            sizes.push_back(pass.coded->channels.count);
        }
    }
    return sizes;
}

void check_port(const std::vector<Port>& ports, const Port& expected, std::size_t count) {
    const Port* const port = find_port(ports, expected.name);
    if (ports.size() != count || port == nullptr || port->dtype != expected.dtype ||
        port->shape != expected.shape) {
        throw BundleError("its '" + expected.name +
                          "' is missing, or has another type or shape than expected");
    }
}

// Transforms take and give the same in every family.
void check_transforms(const Manifest& manifest) {
    using Kind = Dimension::Kind;
    const auto fixed = [](std::uint32_t size) { return Dimension{Kind::kFixed, size}; };
    const Dimension batch{Kind::kBatch, 0};
    const Dimension latent_height{Kind::kLatentHeight, 0};
    const Dimension latent_width{Kind::kLatentWidth, 0};
    const Port image{
        "image", DType::kUint8, {batch, {Kind::kHeight, 0}, {Kind::kWidth, 0}, fixed(3)}};
    const Port y{"y",
                 DType::kFloat32,
                 {batch, fixed(manifest.latent_channels), latent_height, latent_width}};
    const Port z_symbols{
        "z_symbols",
        DType::kInt32,
        {batch, fixed(manifest.hyper_channels), {Kind::kHyperHeight, 0}, {Kind::kHyperWidth, 0}}};
    const Port y_hat{"y_hat",
                     DType::kFloat32,
                     {fixed(manifest.latent_channels), batch, latent_height, latent_width}};
    try {
        check_port(manifest.analysis.signature.inputs, image, 1);
        check_port(manifest.analysis.signature.outputs, y, 2);
        check_port(manifest.analysis.signature.outputs, z_symbols, 2);
    } catch (const BundleError& error) {
        throw BundleError("graph 'analysis': " + std::string(error.what()));
    }
    try {
        check_port(manifest.synthesis.signature.inputs, y_hat, 1);
        check_port(manifest.synthesis.signature.outputs, image, 1);
    } catch (const BundleError& error) {
        throw BundleError("graph 'synthesis': " + std::string(error.what()));
    }
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

// What version 4 did not have.
std::optional<std::uint32_t> get_smallest_scale(const json::Value& document) {
    if (document.find("smallest_scale") == nullptr) {
        return std::nullopt;
    }
    return static_cast<std::uint32_t>(
        get_integer(document, "smallest_scale", kMaxSmallestScale, 0));
}

void check_version(const json::Value& document) {
    if (get_string(document, "format") != "cca-bundle") {
        throw BundleError("'format' is not 'cca-bundle'");
    }
    const auto version = get<std::int64_t>(document, "version", "integer");
    if (version < kOldestVersion || version > kVersion) {
        throw UnsupportedBundleError("bundle version " + std::to_string(version) +
                                     " is not supported (knows " + std::to_string(kOldestVersion) +
                                     " and " + std::to_string(kVersion) +
                                     "): export the checkpoint again");
    }
}

// Graphs and the order in which they run.
Manifest read_coding(const json::Value& document) {
    Manifest manifest;
    const json::Value& architecture = get_object(document, "architecture");
    manifest.latent_channels =
        static_cast<std::uint32_t>(get_integer(architecture, "latent_channels", kMaxChannels));
    manifest.hyper_channels =
        static_cast<std::uint32_t>(get_integer(architecture, "hyper_channels", kMaxChannels));
    manifest.widest_stage = get_widest_stage(architecture, manifest.latent_channels);
    const json::Value& graphs = get_object(document, "graphs");
    manifest.analysis = get_graph(graphs, "analysis");
    manifest.synthesis = get_graph(graphs, "synthesis");
    const std::vector<CodingEntry> coding = get_coding(document);
    for (std::size_t i = 0; i < coding.size(); ++i) {
        manifest.priors.push_back(get_graph(graphs, "prior_" + std::to_string(i)));
    }
    if (graphs.as<json::Value::Object>()->size() != manifest.priors.size() + 2) {
        throw BundleError(
            "'graphs' has others than analysis, synthesis and one for each entry of "
            "'coding'");
    }
    check_transforms(manifest);
    manifest.plan =
        make_plan(coding, manifest.priors, manifest.latent_channels, manifest.hyper_channels);
    manifest.group_sizes = group_sizes(manifest.plan);
    return manifest;
}

Manifest read(const json::Value& document) {
    check_version(document);
    Manifest manifest = read_coding(document);
    manifest.name = get_name(document);
    manifest.exact = get_exact(document);
    manifest.smallest_scale = get_smallest_scale(document);
    if (manifest.plan.takes_step != manifest.smallest_scale.has_value()) {
        throw BundleError("'smallest_scale' and graphs that take a 'step' belong together");
    }
    const json::Value& graphs = get_object(document, "graphs");
    add_graph_files(graphs, true, manifest.analysis);
    add_graph_files(graphs, true, manifest.synthesis);
    for (Graph& prior : manifest.priors) {
        add_graph_files(graphs, !manifest.exact, prior);
    }
    manifest.tables = get_file_at(document, "tables", kMaxTablesBytes, kTablesPath);
    std::vector<NamedHash> hashes;
    for (const Graph& prior : manifest.priors) {
        hashes.push_back({prior.name, prior.file.sha256});
    }
    manifest.model_id = identify_model(hashes, manifest.tables.sha256, manifest.smallest_scale);
    if (get_string(document, "model_id") != to_hex(manifest.model_id)) {
        throw BundleError("'model_id' is not " + to_hex(manifest.model_id) +
                          ", which its files amount to");
    }
    if (manifest.exact) {
        manifest.conformance = get_conformance(document, manifest.priors.size());
    }
    return manifest;
}

template <typename Read>
Manifest parse(BytesView content, Read read) {
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

}  // namespace

Manifest parse_manifest(BytesView content) {
    return parse(content, read);
}

Manifest parse_coding(BytesView content) {
    return parse(content, read_coding);
}

}  // namespace cca
