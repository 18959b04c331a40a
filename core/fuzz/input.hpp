// A fuzz input read from front to back. It never ends: what is missing is zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cca::fuzz {

class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

    bool at_end() const { return rest_.empty(); }
    std::span<const std::uint8_t> rest() const { return rest_; }

    /// The next `count` bytes, or as many as there are.
    std::span<const std::uint8_t> take(std::size_t count) {
        const auto taken = rest_.first(std::min(count, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }

    /// The next bytes as a little-endian number.
    template <typename Number>
    Number number() {
        std::uint64_t value = 0;
        int shift = 0;
        for (const std::uint8_t byte : take(sizeof(Number))) {
            value |= std::uint64_t{byte} << shift;
            shift += 8;
        }
        return static_cast<Number>(value);
    }

  private:
    std::span<const std::uint8_t> rest_;
};

}  // namespace cca::fuzz
