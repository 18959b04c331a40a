// cca_runtime._core. Documented and typed by _core.pyi.
#include "module.hpp"

#include "cca/error.hpp"

namespace nb = nanobind;

NB_MODULE(_core, module) {
    nb::exception<cca::StreamError>(module, "StreamError", PyExc_ValueError);
    cca::python::bind_coder(module);
    cca::python::bind_container(module);
}
