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

void init_plan(PyCodingPlan* self, nb::handle manifest_object) {
    const Buffer manifest(manifest_object, "manifest");
    new (self) PyCodingPlan{parse_coding(bytes_of(manifest))};
}

std::vector<std::string> graphs(const Manifest& manifest) {
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
        .def_prop_ro("graphs", [](const PyModel& self) { return graphs(self.model.manifest); })
        .def_prop_ro("group_sizes",
                     [](const PyModel& self) { return self.model.manifest.group_sizes; });
    nb::class_<PyCodingPlan>(module, "CodingPlan", nb::is_final())
        .def("__init__", &init_plan, "manifest"_a)
        .def_prop_ro("graphs", [](const PyCodingPlan& self) { return graphs(self.manifest); });
}

}  // namespace cca::python
