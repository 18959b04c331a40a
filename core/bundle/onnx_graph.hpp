// What a bundle's graphs may be. Specified in docs/spec/bundle.md, "What a graph may hold".
#pragma once

#include "format/container.hpp"

namespace cca {

/// Looks through a serialised ONNX model, without running or copying any of it.
///
/// @throws BundleError unless it holds computation and weights alone: listed operators of ONNX,
///         in an order in which each value is made once and before it is used, and weights that
///         lie inside, whole. So there is nothing in it that reads a file, loops, or that one
///         engine could take for something else than another.
void check_graph(BytesView model);

}  // namespace cca
