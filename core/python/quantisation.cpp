// Quantisation steps for Python, and the tables that follow from them.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cstdint>
#include <vector>

#include "arrays.hpp"
#include "codec/quantisation_step.hpp"
#include "codec/table_choice.hpp"
#include "module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace cca::python {
namespace {

using Indexes = nb::ndarray<const std::uint8_t, nb::c_contig, nb::ndim<1>, nb::device::cpu>;

nb::object choose(const Indexes& indexes, std::int8_t step,
                  std::optional<std::uint32_t> smallest_scale, std::size_t tables) {
    if (tables == 0) {
        throw std::invalid_argument("there are no tables to choose from");
    }
    return to_array(choose_tables({indexes.data(), indexes.size()}, smallest_scale,
                                  QuantisationStep(step), tables),
                    {indexes.size()});
}

}  // namespace

void bind_quantisation(nb::module_& module) {
    module.def(
        "quantisation_step", [](std::int8_t code) { return QuantisationStep(code).value(); },
        "code"_a);
    module.def(
        "symbol_range",
        [](std::int8_t code) {
            const QuantisationStep step(code);
            return nb::make_tuple(step.smallest_symbol(), step.largest_symbol());
        },
        "code"_a);
    module.def(
        "step_of_quality", [](double quality) { return int{step_of_quality(quality).code()}; },
        "quality"_a);
    module.def(
        "quality_of_step", [](std::int8_t code) { return quality_of_step(QuantisationStep(code)); },
        "code"_a);
    module.def("choose_tables", &choose, "indexes"_a, nb::kw_only(), "step"_a, "smallest_scale"_a,
               "tables"_a);
}

}  // namespace cca::python
