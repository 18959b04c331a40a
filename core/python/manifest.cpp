// Manifest for Python, and the structures in it.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "buffer.hpp"
#include "bundle/model.hpp"
#include "module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace cca::python {
namespace {

nb::bytes model_id(const Manifest& manifest) {
    return nb::bytes(manifest.model_id.data(), manifest.model_id.size());
}

const char* entropy_mode(const Manifest& manifest) {
    return manifest.exact ? "exact" : "native";
}

}  // namespace

void bind_manifest(nb::module_& module) {
    nb::class_<BundleFile>(module, "BundleFile")
        .def_ro("path", &BundleFile::path)
        .def_ro("sha256", &BundleFile::sha256)
        .def_ro("size", &BundleFile::size);
    nb::class_<Graph>(module, "Graph")
        .def_ro("name", &Graph::name)
        .def_ro("file", &Graph::file)
        .def_ro("float16", &Graph::float16)
        .def_prop_ro("outputs", [](const Graph& graph) {
            std::vector<std::string> names;
            for (const Port& port : graph.signature.outputs) {
                names.push_back(port.name);
            }
            return names;
        });
    nb::class_<ConformanceCase>(module, "ConformanceCase")
        .def_ro("name", &ConformanceCase::name)
        .def_ro("batch", &ConformanceCase::batch)
        .def_ro("latent_height", &ConformanceCase::latent_height)
        .def_ro("latent_width", &ConformanceCase::latent_width)
        .def_prop_ro("step", [](const ConformanceCase& self) { return int{self.step}; })
        .def_ro("fast", &ConformanceCase::fast)
        .def_ro("digests", &ConformanceCase::digests);
    nb::class_<Conformance>(module, "Conformance")
        .def_ro("file", &Conformance::file)
        .def_ro("cases", &Conformance::cases);
    nb::class_<Manifest>(module, "Manifest")
        .def_ro("name", &Manifest::name)
        .def_prop_ro("model_id", &model_id)
        .def_prop_ro("entropy_mode", &entropy_mode)
        .def_ro("latent_channels", &Manifest::latent_channels)
        .def_ro("hyper_channels", &Manifest::hyper_channels)
        .def_ro("group_sizes", &Manifest::group_sizes)
        .def_ro("smallest_scale", &Manifest::smallest_scale)
        .def_ro("widest_stage", &Manifest::widest_stage)
        .def_ro("analysis", &Manifest::analysis)
        .def_ro("priors", &Manifest::priors)
        .def_ro("synthesis", &Manifest::synthesis)
        .def_ro("tables", &Manifest::tables)
        .def_ro("conformance", &Manifest::conformance);
    module.def(
        "model_id",
        [](const std::vector<std::pair<std::string, std::string>>& priors,
           const std::string& tables, std::optional<std::uint32_t> smallest_scale) {
            std::vector<NamedHash> hashes;
            for (const auto& [name, sha256] : priors) {
                hashes.push_back({name, sha256});
            }
            const Identifier id = identify_model(hashes, tables, smallest_scale);
            return nb::bytes(id.data(), id.size());
        },
        "priors"_a, "tables"_a, "smallest_scale"_a = nb::none());
    module.def(
        "read_manifest",
        [](nb::handle content) {
            const Buffer buffer(content, "content");
            return parse_manifest(bytes_of(buffer));
        },
        "content"_a);
}

}  // namespace cca::python
