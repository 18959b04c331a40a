#include "machine.hpp"

#include <algorithm>

namespace cca::c_api {
namespace {

constexpr std::uint32_t kMaxWorkers = 1024;

cca_tensor to_c(DType dtype, const Shape& shape) {
    static_assert(CCA_MAX_RANK == Shape::kMaxRank);
    cca_tensor tensor{
        static_cast<std::uint32_t>(dtype), static_cast<std::uint32_t>(shape.rank()), {}};
    std::copy_n(shape.data(), shape.rank(), tensor.shape);
    return tensor;
}

void to_c(std::span<const Binding> from, std::vector<cca_binding>& to) {
    to.clear();
    for (const Binding& binding : from) {
        // The names are whole strings of the model, and end in a zero.
        to.push_back({binding.name.data(), binding.slot, binding.rows, binding.first_row,
                      to_c(binding.dtype, binding.shape)});
    }
}

cca_step_kind to_c(StepKind kind) {
    switch (kind) {
        case StepKind::kUpload:
            return CCA_STEP_UPLOAD;
        case StepKind::kRun:
            return CCA_STEP_RUN;
        case StepKind::kDownload:
            return CCA_STEP_DOWNLOAD;
        case StepKind::kFree:
            return CCA_STEP_FREE;
        case StepKind::kDone:
            break;
    }
    return CCA_STEP_DONE;
}

// Lets one thread be a worker.
class Turn {
  public:
    explicit Turn(std::atomic_flag& busy) : busy_(busy) {
        if (busy_.test_and_set(std::memory_order_acquire)) {
            throw Refusal(CCA_ERROR_STATE, "another thread is this worker");
        }
    }
    ~Turn() { busy_.clear(std::memory_order_release); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

  private:
    std::atomic_flag& busy_;
};

}  // namespace

const cca_step* StepTranslator::next(Machine& machine, std::uint32_t number) {
    if (number >= workers_.size()) {
        throw Refusal(CCA_ERROR_ARGUMENT, "no worker " + std::to_string(number) + ": there are " +
                                              std::to_string(workers_.size()));
    }
    Worker& worker = workers_[number];
    const Turn turn(worker.busy);
    const Step& step = machine.next(number);
    try {
        worker.translate(step);
    } catch (...) {  // no memory: the step is lost
        machine.stop();
        throw;
    }
    return &worker.step;
}

void StepTranslator::Worker::translate(const Step& from) {
    to_c(from.inputs, inputs);
    to_c(from.outputs, outputs);
    step = {};
    step.kind = to_c(from.kind);
    step.slot = from.slot;
    step.tensor = to_c(from.dtype, from.shape);
    step.source = from.source.data();
    step.target = from.target.data();
    step.size = from.shape.elements() * size_of(from.dtype);
    step.graph = from.graph;
    step.input_count = static_cast<std::uint32_t>(inputs.size());
    step.output_count = static_cast<std::uint32_t>(outputs.size());
    step.inputs = inputs.data();
    step.outputs = outputs.data();
    done = from.kind == StepKind::kDone;
}

void StepTranslator::require_done() const {
    if (!std::ranges::all_of(workers_, [](const Worker& worker) { return worker.done.load(); })) {
        throw Refusal(CCA_ERROR_STATE, "there are steps to be done before the result is there");
    }
}

std::optional<Identifier> to_fingerprint(const std::uint8_t* fingerprint) {
    if (fingerprint == nullptr) {
        return std::nullopt;
    }
    Identifier identifier;
    std::copy_n(fingerprint, identifier.size(), identifier.begin());
    return identifier;
}

std::uint32_t to_workers(std::uint32_t workers) {
    if (workers > kMaxWorkers) {
        throw Refusal(CCA_ERROR_ARGUMENT,
                      std::to_string(workers) + " workers: at most " + std::to_string(kMaxWorkers));
    }
    return std::max<std::uint32_t>(workers, 1);
}

ModelView view_of(const cca_model* model) {
    require(model, "model");
    return {&model->manifest, &model->gaussian.tables, &model->hyper_latents.tables};
}

}  // namespace cca::c_api
