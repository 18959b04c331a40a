// cca_runtime._core. Documented and typed by _core.pyi.
#include "module.hpp"

#include "format/error.hpp"

namespace nb = nanobind;

NB_MODULE(_core, module) {
    // A thread that lives on when Python ends, or ended with a fork, may keep a codec: no fault.
    nb::set_leak_warnings(false);
    const auto stream_error =
        nb::exception<cca::StreamError>(module, "StreamError", PyExc_ValueError);
    // After its base class: the last one registered is tried first.
    nb::exception<cca::LimitError>(module, "LimitError", stream_error);
    nb::exception<cca::BundleError>(module, "BundleError", PyExc_ValueError);
    nb::exception<cca::ForeignStreamError>(module, "ForeignStreamError", PyExc_ValueError);
    nb::exception<cca::TargetError>(module, "TargetError", PyExc_ValueError);
    nb::exception<cca::LatentsError>(module, "LatentsError", PyExc_RuntimeError);
    nb::exception<cca::InexactError>(module, "InexactError", PyExc_RuntimeError);
    nb::exception<cca::StateError>(module, "StateError", PyExc_RuntimeError);
    cca::python::bind_coder(module);
    cca::python::bind_container(module);
    cca::python::bind_geometry(module);
    cca::python::bind_model(module);
    cca::python::bind_machines(module);
    cca::python::bind_manifest(module);
    cca::python::bind_onnx_graph(module);
    cca::python::bind_quantisation(module);
    cca::python::bind_room(module);
    cca::python::bind_table_file(module);
}
