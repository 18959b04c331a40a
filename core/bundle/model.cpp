#include "bundle/model.hpp"

#include <algorithm>

#include "bundle/onnx_graph.hpp"
#include "bundle/sha256.hpp"
#include "format/error.hpp"

namespace cca {

void check_file(const BundleFile& file, BytesView content) {
    if (content.size() != file.size || to_hex(sha256(content)) != file.sha256) {
        throw BundleError(file.path + " is not the file that the manifest describes");
    }
    if (file.path.ends_with(".onnx")) {
        try {
            check_graph(content);
        } catch (const BundleError& error) {
            throw BundleError(file.path + ": " + error.what());
        }
    }
}

Identifier identify_model(std::span<const NamedHash> priors, std::string_view tables_sha256,
                          std::optional<std::uint32_t> smallest_scale) {
    std::string text = "cca-model-1\n";
    for (const NamedHash& prior : priors) {
        text += prior.name + " " + prior.sha256 + "\n";
    }
    text += "tables " + std::string(tables_sha256) + "\n";
    if (smallest_scale) {
        text += "smallest_scale " + std::to_string(*smallest_scale) + "\n";
    }
    const Sha256 digest = sha256({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    Identifier id;
    std::copy_n(digest.begin(), id.size(), id.begin());
    return id;
}

Model open_model(BytesView manifest_content, BytesView tables_content) {
    Manifest manifest = parse_manifest(manifest_content);
    check_file(manifest.tables, tables_content);
    ModelTables tables = parse_table_file(tables_content);
    if (tables.hyper_latents.size() != manifest.hyper_channels) {
        throw BundleError(manifest.tables.path + " has tables for " +
                          std::to_string(tables.hyper_latents.size()) +
                          " hyper-latent channels, the manifest has " +
                          std::to_string(manifest.hyper_channels));
    }
    return {std::move(manifest), std::move(tables)};
}

}  // namespace cca
