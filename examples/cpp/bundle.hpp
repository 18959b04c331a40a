// A model bundle on an engine.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "engine.hpp"
#include "libcca.hpp"

class Bundle {
  public:
    /// Throws BadInput if there is no bundle in `directory`, or a broken one, or one in native mode
    /// (see README.md). `engine` must outlive the bundle.
    Bundle(std::filesystem::path directory, Engine& engine);

    const cca_model* model() const { return model_.get(); }
    const cca_model_info& info() const { return info_; }

    /// Asks libcca for a graph: graph(cca_model_synthesis), graph(cca_model_prior, 0).
    cca_graph graph(auto function, auto... arguments) const {
        cca_graph found;
        check(function(model(), arguments..., &found));
        return found;
    }

    /// Runs one of the graphs, which is loaded first if it never ran before (see Graph::run).
    Tensors run(const cca_graph& graph, const Tensors& inputs, const Tensors& into = {});

  private:
    std::filesystem::path directory_;
    Engine& engine_;
    Model model_;
    cca_model_info info_{};
    std::map<std::string, std::unique_ptr<Graph>> loaded_;
};

/// One of a graph's outputs. Throws BadInput if there is none of that name.
TensorPtr output(const Tensors& outputs, const std::string& name);
