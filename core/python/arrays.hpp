// NumPy's arrays.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace cca::python {

/// Of a picture, [height, width, 3]; the last is still to be checked.
using Pixels = nanobind::ndarray<const std::uint8_t, nanobind::c_contig, nanobind::ndim<3>,
                                 nanobind::device::cpu>;

/// An array that owns its values.
template <typename T, std::size_t kRank>
nanobind::object to_array(std::vector<T>&& values, const std::size_t (&shape)[kRank]) {
    auto* const owned = new std::vector<T>(std::move(values));
    const nanobind::capsule owner(
        owned, [](void* vector) noexcept { delete static_cast<std::vector<T>*>(vector); });
    return nanobind::cast(
        nanobind::ndarray<nanobind::numpy, T>(owned->data(), kRank, shape, owner));
}

}  // namespace cca::python
