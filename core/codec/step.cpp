#include "codec/step.hpp"

#include <stdexcept>

namespace cca {

void Shape::push_back(std::uint64_t size) {
    if (rank_ == kMaxRank) {
        throw std::length_error("a tensor has more than " + std::to_string(kMaxRank) + " axes");
    }
    sizes_[rank_++] = size;
}

std::uint64_t Shape::elements() const noexcept {
    std::uint64_t product = 1;
    for (std::size_t axis = 0; axis < rank_; ++axis) {
        // A hostile manifest may claim any sizes: more than a host can hold is more than any limit.
        if (sizes_[axis] != 0 && product > kMaxElements / sizes_[axis]) {
            return kMaxElements;
        }
        product *= sizes_[axis];
    }
    return product;
}

}  // namespace cca
