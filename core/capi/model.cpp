// Models: what of a bundle the host sees.
#include <algorithm>
#include <memory>

#include "codec/table_choice.hpp"
#include "guard.hpp"
#include "handles.hpp"
#include "limits.hpp"

namespace cca::c_api {
namespace {

cca_graph to_c(const Graph& graph) {
    return {graph.name.c_str(),
            {graph.file.path.c_str(), graph.file.sha256.c_str(), graph.file.size}};
}

}  // namespace
}  // namespace cca::c_api

using namespace cca::c_api;

cca_status cca_model_open(cca_view manifest, cca_view tables, cca_model** model) {
    return guarded([&] {
        require(model, "model");
        cca::Model opened =
            cca::open_model(require_view(manifest, "manifest"), require_view(tables, "tables"));
        auto handle =
            std::make_unique<cca_model>(cca_model{std::move(opened.manifest),
                                                  {std::move(opened.tables.gaussian)},
                                                  {std::move(opened.tables.hyper_latents)}});
        *model = handle.release();
    });
}

void cca_model_free(cca_model* model) {
    delete model;
}

cca_status cca_model_describe(const cca_model* model, cca_model_info* info) {
    return guarded([&] {
        require(model, "model");
        require(info, "info");
        const cca::Manifest& manifest = model->manifest;
        *info = {};
        info->name = manifest.name.c_str();
        std::ranges::copy(manifest.model_id, info->model_id);
        info->entropy_mode = manifest.exact ? CCA_ENTROPY_EXACT : CCA_ENTROPY_NATIVE;
        info->latent_channels = manifest.latent_channels;
        info->hyper_channels = manifest.hyper_channels;
        info->group_count = static_cast<uint32_t>(manifest.group_sizes.size());
        info->group_sizes = manifest.group_sizes.data();
    });
}

uint32_t cca_model_graph_count(const cca_model* model) {
    return model == nullptr ? 0 : model->manifest.synthesis_index() + 1;
}

cca_status cca_model_graph(const cca_model* model, uint32_t index, cca_graph* graph) {
    return guarded([&] {
        require(model, "model");
        require(graph, "graph");
        if (index >= cca_model_graph_count(model)) {
            throw Refusal(CCA_ERROR_ARGUMENT, "no graph " + std::to_string(index) + ": there are " +
                                                  std::to_string(cca_model_graph_count(model)));
        }
        *graph = to_c(model->manifest.graph(index));
    });
}

cca_status cca_file_check(const cca_file* file, cca_view content) {
    return guarded([&] {
        require(file, "file");
        require(file->path, "file->path");
        require(file->sha256, "file->sha256");
        cca::check_file({file->path, file->sha256, file->size}, require_view(content, "content"));
    });
}

cca_status cca_model_choose_tables(const cca_model* model, int32_t step, const uint8_t* indexes,
                                   size_t count, uint8_t* tables) {
    return guarded([&] {
        require(model, "model");
        const auto from = require_array(indexes, count, "indexes");
        const auto to = require_array(tables, count, "tables");
        std::ranges::copy(cca::choose_tables(from, model->manifest.smallest_scale, to_step(step),
                                             model->gaussian.tables.size()),
                          to.begin());
    });
}

const cca_tables* cca_model_gaussian_tables(const cca_model* model) {
    return model == nullptr ? nullptr : &model->gaussian;
}

const cca_tables* cca_model_hyper_tables(const cca_model* model) {
    return model == nullptr ? nullptr : &model->hyper_latents;
}

size_t cca_tables_count(const cca_tables* tables) {
    return tables == nullptr ? 0 : tables->tables.size();
}
