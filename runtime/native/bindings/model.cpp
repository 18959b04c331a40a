// Model for Python.
#include "model.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "buffer.hpp"
#include "module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace cca::python {
namespace {

void init(PyModel* self, nb::handle manifest_object, nb::handle tables_object) {
    const Buffer manifest(manifest_object, "manifest");
    const Buffer tables(tables_object, "tables");
    new (self) PyModel{open_model(bytes_of(manifest), bytes_of(tables))};
}

std::vector<std::string> graphs(const PyModel& self) {
    const Manifest& manifest = self.model.manifest;
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i <= manifest.synthesis_index(); ++i) {
        names.push_back(manifest.graph(i).name);
    }
    return names;
}

}  // namespace

void bind_model(nb::module_& module) {
    nb::class_<PyModel>(module, "Model", nb::is_final())
        .def("__init__", &init, "manifest"_a, "tables"_a)
        .def_prop_ro("graphs", &graphs)
        .def_prop_ro("group_sizes",
                     [](const PyModel& self) { return self.model.manifest.group_sizes; });
}

}  // namespace cca::python
