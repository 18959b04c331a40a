#include "codec/slots.hpp"

#include <string>
#include <utility>

#include "format/error.hpp"

namespace cca {

SlotId Slots::take(std::uint64_t bytes, Buffer content) {
    if (bytes > most_bytes_ - bytes_) {
        throw LimitError("this takes tensors of more than " + std::to_string(most_bytes_) +
                         " bytes: raise max_tensor_bytes, or decode a region");
    }
    if (free_.empty()) {
        entries_.emplace_back();
        free_.push_back(static_cast<SlotId>(entries_.size() - 1));
    }
    const SlotId slot = free_.back();
    free_.pop_back();
    entries_[slot] = {std::move(content), bytes};
    bytes_ += bytes;
    return slot;
}

Step Slots::upload(DType dtype, const Shape& shape, Buffer content) {
    Step step;
    step.kind = StepKind::kUpload;
    step.dtype = dtype;
    step.shape = shape;
    step.source = std::as_const(content).bytes();
    step.slot = take(content.size(), std::move(content));
    return step;
}

Step Slots::allocate(DType dtype, const Shape& shape) {
    Step step;
    step.kind = StepKind::kUpload;
    step.dtype = dtype;
    step.shape = shape;
    step.slot = take(shape.elements() * size_of(dtype));
    return step;
}

Step Slots::free(SlotId slot) {
    Entry& entry = entries_[slot];
    bytes_ -= entry.bytes;
    // What the host reads stays until it has done this step, and is gone with the next one.
    retired_ = std::exchange(entry.content, {});
    free_.push_back(slot);
    Step step;
    step.kind = StepKind::kFree;
    step.slot = slot;
    return step;
}

Step Slots::download(SlotId slot, DType dtype, const Shape& shape, Buffer& target) {
    target = Buffer(shape.elements() * size_of(dtype));
    Step step;
    step.kind = StepKind::kDownload;
    step.slot = slot;
    step.dtype = dtype;
    step.shape = shape;
    step.target = target.bytes();
    return step;
}

}  // namespace cca
