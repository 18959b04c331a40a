// read_tables for Python.
#include "bundle/table_file.hpp"

#include <nanobind/nanobind.h>

#include <utility>

#include "buffer.hpp"
#include "module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace cca::python {
namespace {

nb::tuple read_tables(nb::handle data_object) {
    const Buffer data(data_object, "data");
    ModelTables tables = parse_table_file(bytes_of(data));
    return nb::make_tuple(std::move(tables.gaussian), std::move(tables.hyper_latents));
}

}  // namespace

void bind_table_file(nb::module_& module) {
    module.def("read_tables", &read_tables, "data"_a);
}

}  // namespace cca::python
