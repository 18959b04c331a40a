// The latents that a pass codes, out of all of its channels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bundle/plan.hpp"
#include "geometry/mirroring.hpp"

namespace cca {

/// The places of positions in planes, in the order in which they are coded.
class Selection {
  public:
    /// @param positions  kEven or kOdd.
    Selection(Positions positions, const PlaneSize& size, std::size_t planes) {
        const std::size_t parity = positions == Positions::kOdd ? 1 : 0;
        for (std::size_t plane = 0; plane < planes; ++plane) {
            for (std::size_t row = 0; row < size.height; ++row) {
                for (std::size_t column = (row + parity) % 2; column < size.width; column += 2) {
                    places_.push_back((plane * size.height + row) * size.width + column);
                }
            }
        }
    }

    template <typename T>
    std::vector<T> gather(std::span<const T> from) const {
        std::vector<T> found;
        found.reserve(places_.size());
        for (const std::size_t place : places_) {
            found.push_back(from[place]);
        }
        return found;
    }

    template <typename T>
    void scatter(std::span<const T> from, std::span<T> to) const {
        for (std::size_t i = 0; i < places_.size(); ++i) {
            to[places_[i]] = from[i];
        }
    }

  private:
    std::vector<std::size_t> places_;
};

}  // namespace cca
