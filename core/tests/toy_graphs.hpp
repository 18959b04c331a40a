// Graphs of toy families, computed: sums of small integers that stand for networks.
//
// What a toy graph gives at a latent depends on all its inputs there and next to it, with nothing
// beyond the edge, and on how large the part is. So an input that is wrong, or in the wrong place,
// shows in the result.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "toy_family.hpp"

namespace cca::test {

/// Dense, in C order.
struct Tensor {
    cca_dtype dtype = CCA_FLOAT32;
    std::vector<std::uint64_t> shape;
    Bytes bytes;

    std::uint64_t elements() const;

    /// An element of any dtype as a whole number; of floats, four times its value.
    std::int64_t integer(std::uint64_t index) const;
};

using Tensors = std::map<std::string, Tensor>;

std::uint64_t dtype_size(cca_dtype dtype);

/// A tensor of zeros.
Tensor make_tensor(cca_dtype dtype, std::vector<std::uint64_t> shape);

/// Runs a graph.
///
/// @throws std::logic_error unless the inputs are those of the graph, and their shapes agree.
Tensors run_toy(const ToyGraph& graph, const Tensors& inputs);

}  // namespace cca::test
