// The tensors that a host holds for one worker of a machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codec/step.hpp"

namespace cca {

/// Memory of a machine that nothing has written to yet.
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(std::size_t size)
        : bytes_(std::make_unique_for_overwrite<std::byte[]>(size)), size_(size) {}

    std::size_t size() const noexcept { return size_; }
    std::span<std::byte> bytes() noexcept { return {bytes_.get(), size_}; }
    std::span<const std::byte> bytes() const noexcept { return {bytes_.get(), size_}; }

    /// As an array. `T` is a number.
    template <typename T>
    std::span<T> as() noexcept {
        return {reinterpret_cast<T*>(bytes_.get()), size_ / sizeof(T)};
    }

  private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_ = 0;
};

/// Room for `count` elements.
template <typename T>
Buffer make_buffer(std::size_t count) {
    return Buffer(count * sizeof(T));
}

/// Gives numbers to tensors, keeps what the host was told to read until their slots are freed, and
/// counts what they take.
class Slots {
  public:
    /// @param most_bytes  of all tensors together.
    explicit Slots(std::uint64_t most_bytes) : most_bytes_(most_bytes) {}

    /// A number for a tensor. `content` is what the host reads it from, if it does.
    ///
    /// @throws LimitError if the tensors take more than they may.
    SlotId take(std::uint64_t bytes, Buffer content = {});

    /// The step that makes a tensor of `content`. Its slot is that of the step.
    Step upload(DType dtype, const Shape& shape, Buffer content);

    /// The step that makes a tensor of any content.
    Step allocate(DType dtype, const Shape& shape);

    /// The step that frees a tensor.
    Step free(SlotId slot);

    /// The step that fetches a tensor.
    static Step download(SlotId slot, DType dtype, const Shape& shape, Buffer& target);

  private:
    struct Entry {
        Buffer content;
        std::uint64_t bytes = 0;
    };

    std::vector<Entry> entries_;
    std::vector<SlotId> free_;
    Buffer retired_;  // of the slot that was freed last
    std::uint64_t most_bytes_;
    std::uint64_t bytes_ = 0;
};

}  // namespace cca
