// What a machine asks its host to do next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace cca {

enum class DType : std::uint8_t { kFloat32, kInt32, kUint8 };

inline constexpr std::size_t size_of(DType dtype) noexcept {
    return dtype == DType::kUint8 ? 1 : 4;
}

/// The sizes of a tensor.
class Shape {
  public:
    static constexpr std::size_t kMaxRank = 5;
    static constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 60;

    Shape() = default;
    Shape(std::initializer_list<std::uint64_t> sizes) {
        for (const std::uint64_t size : sizes) {
            push_back(size);
        }
    }

    /// Throws std::length_error beyond kMaxRank.
    void push_back(std::uint64_t size);

    std::size_t rank() const noexcept { return rank_; }
    std::uint64_t operator[](std::size_t axis) const noexcept { return sizes_[axis]; }
    const std::uint64_t* data() const noexcept { return sizes_.data(); }
    /// At most kMaxElements, which no host can hold.
    std::uint64_t elements() const noexcept;

    bool operator==(const Shape&) const = default;

  private:
    std::array<std::uint64_t, kMaxRank> sizes_{};
    std::size_t rank_ = 0;
};

/// A tensor on the host's device, by number. Numbers of freed slots are given again.
using SlotId = std::uint32_t;

/// A tensor, or some rows of it, that a graph reads or writes under a name.
struct Binding {
    std::string_view name;  ///< of the graph's input or output; belongs to the model
    SlotId slot = 0;
    DType dtype = DType::kFloat32;
    Shape shape;  ///< of what is bound, not of all of the slot
    std::uint64_t first_row = 0;
    bool rows = false;  ///< bound are `shape[0]` rows of a slot that exists, from `first_row` on
};

enum class StepKind : std::uint8_t { kDone, kUpload, kRun, kDownload, kFree };

/// One step. Which fields count depends on its kind.
struct Step {
    StepKind kind = StepKind::kDone;
    SlotId slot = 0;                    ///< all but kRun and kDone
    DType dtype = DType::kFloat32;      ///< kUpload, kDownload
    Shape shape;                        ///< likewise
    std::span<const std::byte> source;  ///< kUpload: stays as it is until the slot is freed;
                                        ///< empty for a tensor of any content
    std::span<std::byte> target;        ///< kDownload: to be filled before the next step
    std::uint32_t graph = 0;            ///< kRun: index among the model's graphs
    std::span<const Binding> inputs;    ///< kRun: valid until the next step
    std::span<const Binding> outputs;   ///< kRun: likewise
};

}  // namespace cca
