// could_hold for Python.
#include "entropy/room.hpp"

#include <nanobind/nanobind.h>

#include "module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace cca::python {

void bind_room(nb::module_& module) {
    module.def("could_hold", &could_hold, "payload_bytes"_a, "tables"_a, "symbols_of_each"_a);
}

}  // namespace cca::python
