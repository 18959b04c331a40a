// A model bundle on an engine: does the steps that libcca's machines ask for.
#pragma once

#include <cca/cca.hpp>
#include <filesystem>

#include "engine.hpp"

class BundleHost : public cca::Host {
  public:
    /// Throws BadInput or cca::Error if there is no bundle in `directory`, or a broken one, or one
    /// in native mode (see README.md). `engine` must outlive the host.
    BundleHost(std::filesystem::path directory, Engine& engine);

    const cca::Model& model() const { return model_; }

    void upload(const cca_step& step) override;
    void run(const cca_step& step) override;
    void download(const cca_step& step) override { tensors_.at(step.slot)->read(step.target); }
    void free(const cca_step& step) override { tensors_.erase(step.slot); }
    void reset() noexcept override { tensors_.clear(); }

  private:
    Graph& load(std::uint32_t index);
    TensorPtr bound(const cca_binding& binding) const;

    std::filesystem::path directory_;
    Engine& engine_;
    cca::Model model_;
    std::map<std::uint32_t, std::unique_ptr<Graph>> graphs_;  // those that have run
    std::map<std::uint32_t, TensorPtr> tensors_;              // by slot
};
