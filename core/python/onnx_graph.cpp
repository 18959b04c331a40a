// check_graph for Python.
#include "bundle/onnx_graph.hpp"

#include <nanobind/nanobind.h>

#include "buffer.hpp"
#include "module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace cca::python {

void bind_onnx_graph(nb::module_& module) {
    module.def(
        "check_graph",
        [](nb::handle model) {
            const Buffer buffer(model, "model");
            check_graph(bytes_of(buffer));
        },
        "model"_a);
}

}  // namespace cca::python
