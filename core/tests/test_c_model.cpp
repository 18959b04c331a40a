#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "graph_file.hpp"
#include "sample_bundle.hpp"
#include "toy_family.hpp"

using namespace cca::test;

namespace {

cca_status open(const std::string& manifest, const Bytes& tables) {
    cca_model* model = nullptr;
    const cca_status status = cca_model_open(view(manifest), view(tables), &model);
    CHECK((model == nullptr) == (status != CCA_OK));
    cca_model_free(model);
    return status;
}

}  // namespace

TEST_CASE("a model says what it is") {
    const OwnedModel model = open_sample();
    cca_model_info info;
    REQUIRE(cca_model_describe(model.get(), &info) == CCA_OK);
    CHECK(info.name == std::string("sample"));
    CHECK(info.entropy_mode == CCA_ENTROPY_EXACT);
    CHECK(info.latent_channels == 5);
    CHECK(info.hyper_channels == 2);
    REQUIRE(info.group_count == 2);
    CHECK(info.group_sizes[0] == 2);
    CHECK(info.group_sizes[1] == 3);
    CHECK(cca_tables_count(cca_model_gaussian_tables(model.get())) == 4);
    CHECK(cca_tables_count(cca_model_hyper_tables(model.get())) == 2);

    REQUIRE(cca_model_describe(open_sample("native").get(), &info) == CCA_OK);
    CHECK(info.entropy_mode == CCA_ENTROPY_NATIVE);
}

TEST_CASE("a model lists its graphs") {
    const OwnedModel model = open_sample();
    cca_graph graph;
    CHECK(cca_model_graph_count(model.get()) == 5);
    CHECK(cca_model_graph_count(nullptr) == 0);
    REQUIRE(cca_model_graph(model.get(), 0, &graph) == CCA_OK);
    CHECK(graph.name == std::string("analysis"));
    REQUIRE(cca_model_graph(model.get(), 4, &graph) == CCA_OK);
    CHECK(graph.file.path == std::string("graphs/synthesis.onnx"));
    REQUIRE(cca_model_graph(model.get(), 3, &graph) == CCA_OK);
    CHECK(graph.name == std::string("prior_2"));
    REQUIRE(cca_model_graph(model.get(), 2, &graph) == CCA_OK);
    CHECK(cca_model_graph(model.get(), 5, &graph) == CCA_ERROR_ARGUMENT);
    CHECK(std::string(cca_last_error()) == "no graph 5: there are 5");
    CHECK(graph.name == std::string("prior_1"));

    const std::string content = graph_file("prior_1");
    CHECK(cca_file_check(&graph.file, view(content)) == CCA_OK);
    CHECK(cca_file_check(&graph.file, view(graph_file("prior_2"))) == CCA_ERROR_BUNDLE);
    CHECK(cca_file_check(&graph.file, {nullptr, 0}) == CCA_ERROR_BUNDLE);
    CHECK(cca_file_check(&graph.file, {nullptr, 7}) == CCA_ERROR_ARGUMENT);
    CHECK(cca_file_check(nullptr, view(content)) == CCA_ERROR_ARGUMENT);
    cca_file file = graph.file;
    file.path = nullptr;
    CHECK(cca_file_check(&file, view(content)) == CCA_ERROR_ARGUMENT);
    file = graph.file;
    file.sha256 = nullptr;
    CHECK(cca_file_check(&file, view(content)) == CCA_ERROR_ARGUMENT);
}

TEST_CASE("a model chooses tables by the step") {
    const OwnedModel model = open_sample();
    const Bytes indexes{0, 3, 4, 5, 7, 8, 9};  // half places, from 3 below the first table on
    const auto chosen = [&](std::int32_t step) {
        Bytes tables(indexes.size(), 77);
        REQUIRE(cca_model_choose_tables(model.get(), step, indexes.data(), indexes.size(),
                                        tables.data()) == CCA_OK);
        return tables;
    };
    CHECK(chosen(0) == Bytes{0, 0, 1, 1, 2, 3, 3});
    CHECK(chosen(8) == Bytes{0, 0, 0, 0, 1, 2, 2});  // one place
    CHECK(chosen(-8) == Bytes{0, 1, 2, 2, 3, 3, 3});
    CHECK(chosen(127) == Bytes(7, 0));
    CHECK(chosen(-128) == Bytes(7, 3));
    Bytes in_place = indexes;
    CHECK(cca_model_choose_tables(model.get(), 0, in_place.data(), 7, in_place.data()) == CCA_OK);
    CHECK(in_place == chosen(0));
    CHECK(cca_model_choose_tables(model.get(), 0, nullptr, 0, nullptr) == CCA_OK);

    const auto status = [&](const cca_model* from, std::int32_t step, Bytes given, bool into) {
        Bytes tables(given.size(), 77);
        const cca_status found = cca_model_choose_tables(
            from, step, given.empty() ? nullptr : given.data(),
            std::max<std::size_t>(given.size(), 1), into ? tables.data() : nullptr);
        CHECK(tables == Bytes(given.size(), 77));
        return found;
    };
    CHECK(status(nullptr, 0, indexes, true) == CCA_ERROR_ARGUMENT);
    CHECK(status(model.get(), 0, {}, true) == CCA_ERROR_ARGUMENT);
    CHECK(status(model.get(), 0, indexes, false) == CCA_ERROR_ARGUMENT);
    CHECK(status(model.get(), 128, indexes, true) == CCA_ERROR_ARGUMENT);
    CHECK(status(model.get(), -129, indexes, true) == CCA_ERROR_ARGUMENT);
    CHECK(std::string(cca_last_error()) == "quantisation step -129 is not in -128..127");
    CHECK(status(model.get(), 0, {3, 10}, true) == CCA_ERROR_BUNDLE);  // beyond the last table
}

TEST_CASE("what is wrong with a bundle has a status") {
    const Bytes tables = sample_tables();
    const std::string manifest = sample_manifest(tables);
    CHECK(open(manifest, tables) == CCA_OK);
    CHECK(open(replaced(manifest, "\"version\": 5", "\"version\": 1"), tables) ==
          CCA_ERROR_UNSUPPORTED);
    CHECK(open("{}", tables) == CCA_ERROR_BUNDLE);
    CHECK(open(manifest, {}) == CCA_ERROR_BUNDLE);
    Bytes newer = tables;
    newer[4] = 2;
    CHECK(open(sample_manifest(newer), newer) == CCA_ERROR_UNSUPPORTED);
    cca_model* model = nullptr;
    CHECK(cca_model_open(view(manifest), view(tables), nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_model_open({nullptr, 1}, view(tables), &model) == CCA_ERROR_ARGUMENT);
    CHECK(cca_model_open(view(manifest), {nullptr, 1}, &model) == CCA_ERROR_ARGUMENT);
    CHECK(model == nullptr);
}

TEST_CASE("null is an error or nothing at all") {
    const OwnedModel model = open_sample();
    cca_model_info info;
    cca_graph graph;
    CHECK(cca_model_describe(nullptr, &info) == CCA_ERROR_ARGUMENT);
    CHECK(cca_model_describe(model.get(), nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_model_graph(nullptr, 0, &graph) == CCA_ERROR_ARGUMENT);
    CHECK(cca_model_graph(model.get(), 0, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_model_gaussian_tables(nullptr) == nullptr);
    CHECK(cca_model_hyper_tables(nullptr) == nullptr);
    CHECK(cca_tables_count(nullptr) == 0);
    cca_model_free(nullptr);
}
