// The parts of the extension module, one function each.
#pragma once

#include <nanobind/nanobind.h>

namespace cca::python {

void bind_coder(nanobind::module_& module);
void bind_container(nanobind::module_& module);
void bind_geometry(nanobind::module_& module);
void bind_machines(nanobind::module_& module);
void bind_model(nanobind::module_& module);
void bind_manifest(nanobind::module_& module);
void bind_onnx_graph(nanobind::module_& module);
void bind_quantisation(nanobind::module_& module);
void bind_room(nanobind::module_& module);
void bind_table_file(nanobind::module_& module);

}  // namespace cca::python
