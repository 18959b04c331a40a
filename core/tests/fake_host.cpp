#include "fake_host.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace cca::test {
namespace {

constexpr std::uint32_t kMostSlots = 64;  // "a small number"

void promise(bool kept, const std::string& what) {
    if (!kept) {
        throw std::logic_error("the machine broke a promise: " + what);
    }
}

Tensor to_tensor(const cca_tensor& from) {
    promise(from.rank <= CCA_MAX_RANK && from.dtype <= CCA_UINT8, "tensors have a type and a rank");
    return make_tensor(static_cast<cca_dtype>(from.dtype),
                       std::vector<std::uint64_t>(from.shape, from.shape + from.rank));
}

std::uint64_t row_bytes(const Tensor& tensor) {
    return tensor.bytes.size() / tensor.shape.front();
}

bool same_rows(const Tensor& rows, const Tensor& whole) {
    return rows.dtype == whole.dtype && rows.shape.size() == whole.shape.size() &&
           std::equal(rows.shape.begin() + 1, rows.shape.end(), whole.shape.begin() + 1);
}

}  // namespace

void FakeHost::do_step(const cca_step& step) {
    ++steps;
    switch (step.kind) {
        case CCA_STEP_UPLOAD:
            return upload(step);
        case CCA_STEP_RUN:
            return run(step);
        case CCA_STEP_DOWNLOAD:
            return download(step);
        case CCA_STEP_FREE:
            return free(step);
        default:
            promise(false, "kinds are those that there are");
    }
}

void FakeHost::upload(const cca_step& step) {
    Slot slot{to_tensor(step.tensor), step.source, {}};
    promise(step.size == slot.tensor.bytes.size(), "size is that of the tensor");
    slot.written.assign(slot.tensor.shape.front(), step.source != nullptr);
    if (step.source != nullptr) {
        ++uploads;
        std::memcpy(slot.tensor.bytes.data(), step.source, step.size);
    } else {
        ++allocations;
        std::ranges::fill(slot.tensor.bytes, 0xA5);
    }
    add(step.slot, std::move(slot));
}

void FakeHost::run(const cca_step& step) {
    promise(step.graph < graphs_.size(), "the graph is one of the model's");
    const ToyGraph& graph = graphs_[step.graph];
    runs.push_back(graph.name);
    Tensors inputs;
    for (std::uint32_t i = 0; i < step.input_count; ++i) {
        promise(inputs.emplace(step.inputs[i].name, read(step.inputs[i])).second,
                "inputs are bound once");
    }
    if (graph.name == "synthesis") {
        y_hats.push_back(inputs.at("y_hat").bytes);
    }
    Tensors outputs = run_toy(graph, inputs);
    promise(step.output_count == graph.outputs.size(), "outputs are bound, all of them");
    for (std::uint32_t i = 0; i < step.output_count; ++i) {
        const auto found = outputs.find(step.outputs[i].name);
        promise(found != outputs.end(), "outputs are bound once");
        write(step.outputs[i], std::move(found->second));
        outputs.erase(found);
    }
}

Tensor FakeHost::read(const cca_binding& binding) {
    const Slot& from = slot(binding.slot);
    check_source(from);
    Tensor bound = to_tensor(binding.tensor);
    const std::uint64_t rows = bound.shape.front();
    if (binding.is_rows == 0) {
        promise(bound.shape == from.tensor.shape && bound.dtype == from.tensor.dtype,
                "a binding is what is in its slot");
    }
    promise(same_rows(bound, from.tensor) && binding.first_row <= from.tensor.shape.front() &&
                rows <= from.tensor.shape.front() - binding.first_row,
            "rows are in their slot");
    for (std::uint64_t row = 0; row < rows; ++row) {
        promise(from.written[binding.first_row + row], "what is read was written");
    }
    std::memcpy(bound.bytes.data(), &from.tensor.bytes[binding.first_row * row_bytes(from.tensor)],
                bound.bytes.size());
    return bound;
}

void FakeHost::write(const cca_binding& binding, Tensor tensor) {
    const Tensor bound = to_tensor(binding.tensor);
    promise(bound.shape == tensor.shape && bound.dtype == tensor.dtype,
            "an output's binding is what the graph gives");
    if (binding.is_rows == 0) {
        Slot made{std::move(tensor), nullptr, {}};
        made.written.assign(made.tensor.shape.front(), true);
        return add(binding.slot, std::move(made));
    }
    Slot& to = slot(binding.slot);
    const std::uint64_t rows = tensor.shape.front();
    promise(same_rows(tensor, to.tensor) && binding.first_row + rows <= to.tensor.shape.front(),
            "rows are in their slot");
    for (std::uint64_t row = 0; row < rows; ++row) {
        promise(!to.written[binding.first_row + row], "rows are written once");
        to.written[binding.first_row + row] = true;
    }
    std::memcpy(&to.tensor.bytes[binding.first_row * row_bytes(to.tensor)], tensor.bytes.data(),
                tensor.bytes.size());
}

void FakeHost::download(const cca_step& step) {
    ++downloads;
    const Slot& from = slot(step.slot);
    const Tensor wanted = to_tensor(step.tensor);
    promise(wanted.shape == from.tensor.shape && wanted.dtype == from.tensor.dtype,
            "what is fetched is what is in its slot");
    promise(std::ranges::find(from.written, false) == from.written.end(),
            "what is fetched was written");
    promise(step.target != nullptr && step.size == from.tensor.bytes.size(),
            "there is room for what is fetched");
    std::memcpy(step.target, from.tensor.bytes.data(), step.size);
}

void FakeHost::free(const cca_step& step) {
    ++frees;
    const Slot& dropped = slot(step.slot);
    check_source(dropped);
    bytes_ -= dropped.tensor.bytes.size();
    slots_.erase(step.slot);
}

FakeHost::Slot& FakeHost::slot(std::uint32_t number) {
    const auto found = slots_.find(number);
    promise(found != slots_.end(), "a slot that is used holds a tensor");
    return found->second;
}

void FakeHost::add(std::uint32_t number, Slot slot) {
    promise(number < kMostSlots, "slots have small numbers");
    bytes_ += slot.tensor.bytes.size();
    peak_bytes_ = std::max(peak_bytes_, bytes_);
    promise(slots_.emplace(number, std::move(slot)).second, "a slot holds one tensor at a time");
}

void FakeHost::check_source(const Slot& slot) {
    promise(slot.source == nullptr ||
                std::memcmp(slot.source, slot.tensor.bytes.data(), slot.tensor.bytes.size()) == 0,
            "what was uploaded stays until its slot is freed");
}

template <std::uint32_t kKind>
int FakeHost::call(void* host, const cca_step* step) {
    auto& self = *static_cast<FakeHost*>(host);
    if (self.steps == self.fail_at_) {
        return 7;
    }
    promise(step->kind == kKind, "a function gets steps of its kind");
    self.do_step(*step);
    return 0;
}

cca_host FakeHost::functions(std::size_t fail_at) {
    fail_at_ = fail_at;
    return {sizeof(cca_host),        this,
            call<CCA_STEP_UPLOAD>,   call<CCA_STEP_RUN>,
            call<CCA_STEP_DOWNLOAD>, call<CCA_STEP_FREE>};
}

}  // namespace cca::test
