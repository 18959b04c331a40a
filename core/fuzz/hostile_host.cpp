#include "hostile_host.hpp"

#include <algorithm>
#include <cstring>

#include "check.hpp"

namespace cca::fuzz {
namespace {

bool same(const cca_tensor& a, const cca_tensor& b) {
    return a.dtype == b.dtype && a.rank == b.rank && std::equal(a.shape, a.shape + a.rank, b.shape);
}

std::uint64_t bytes_of(const cca_tensor& tensor) {
    std::uint64_t bytes = tensor.dtype == CCA_UINT8 ? 1 : 4;
    for (std::uint32_t axis = 0; axis < tensor.rank; ++axis) {
        bytes *= tensor.shape[axis];
    }
    return bytes;
}

}  // namespace

bool HostileHost::do_step(const cca_step& step) {
    if (++steps_ == faults_.give_up) {
        return false;
    }
    switch (step.kind) {
        case CCA_STEP_UPLOAD: {
            check(step.size == bytes_of(step.tensor), "a tensor has the size of its shape");
            Slot slot{step.tensor, static_cast<const std::uint8_t*>(step.source), {}};
            if (slot.source != nullptr) {
                slot.content.assign(slot.source, slot.source + step.size);
            }
            add(step.slot, std::move(slot));
            break;
        }
        case CCA_STEP_RUN:
            for (std::uint32_t i = 0; i < step.input_count; ++i) {
                bind(step.inputs[i], false);
            }
            for (std::uint32_t i = 0; i < step.output_count; ++i) {
                bind(step.outputs[i], true);
            }
            break;
        case CCA_STEP_DOWNLOAD:
            check(slots_.contains(step.slot) && same(slots_.at(step.slot).tensor, step.tensor),
                  "what is fetched is there");
            fill(step);
            break;
        default: {
            check(step.kind == CCA_STEP_FREE, "there are no other steps");
            const auto found = slots_.find(step.slot);
            check(found != slots_.end(), "what is freed is there");
            const std::vector<std::uint8_t>& content = found->second.content;
            check(std::equal(content.begin(), content.end(), found->second.source),
                  "what is uploaded stays until it is freed");
            slots_.erase(found);
        }
    }
    return true;
}

void HostileHost::add(std::uint32_t number, Slot slot) {
    check(number < 64, "slots have small numbers");
    check(slots_.emplace(number, std::move(slot)).second, "a slot holds one tensor");
}

void HostileHost::bind(const cca_binding& binding, bool output) {
    check(binding.name != nullptr && *binding.name != '\0', "bindings have names");
    if (output && binding.is_rows == 0) {
        return add(binding.slot, {binding.tensor, nullptr, {}});
    }
    const auto found = slots_.find(binding.slot);
    check(found != slots_.end(), "what is bound is there");
    cca_tensor bound = binding.tensor;
    if (binding.is_rows != 0) {
        check(binding.first_row + bound.shape[0] <= found->second.tensor.shape[0],
              "rows are in their slot");
        bound.shape[0] = found->second.tensor.shape[0];
    }
    check(same(bound, found->second.tensor), "what is bound has the slot's shape");
}

void HostileHost::fill(const cca_step& step) {
    auto* const target = static_cast<std::uint8_t*>(step.target);
    if (faults_.download > 0) {
        --faults_.download;
        // A few bytes, again and again: infinities, and indexes out of range, come soon.
        const auto pattern = input_.take(1 + input_.number<std::uint8_t>() % 8U);
        for (std::size_t i = 0; i < step.size; ++i) {
            target[i] = pattern.empty() ? 0xFF : pattern[i % pattern.size()];
        }
        return;
    }
    for (std::size_t i = 0; i < step.size; ++i) {
        target[i] = step.tensor.dtype == CCA_UINT8 ? static_cast<std::uint8_t>(i % 2) : 0;
    }
    if (step.tensor.dtype == CCA_FLOAT32) {
        for (std::size_t i = 0; i < step.size / sizeof(float); ++i) {
            const auto value = static_cast<float>(i * 37 % 11) - 5;
            std::memcpy(target + i * sizeof value, &value, sizeof value);
        }
    }
}

}  // namespace cca::fuzz
