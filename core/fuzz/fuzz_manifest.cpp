// Any bytes as a bundle's manifest.json: refused, or a model without contradictions.
#include <numeric>

#include "bundle/model.hpp"
#include "check.hpp"
#include "format/error.hpp"

namespace {

using cca::fuzz::check;
using Cases = std::vector<cca::ConformanceCase>;

void check_file(const cca::BundleFile& file) {
    check(!file.path.empty() && file.path.front() != '/', "paths are relative");
    check(file.path.find("..") == std::string::npos, "paths stay in the bundle");
    check(file.path.find('\0') == std::string::npos, "paths are what C takes them for");
    check(file.sha256.size() == 64, "a SHA-256 has 64 digits");
    check(file.size > 0, "files are not empty");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        const cca::Manifest manifest = cca::parse_manifest({data, size});
        const auto& sizes = manifest.group_sizes;
        check(std::accumulate(sizes.begin(), sizes.end(), 0U) == manifest.latent_channels,
              "groups make up the latents");
        check(manifest.plan.passes.size() == manifest.priors.size(), "each prior graph runs once");
        for (const cca::Graph& prior : manifest.priors) {
            check_file(prior.file);
        }
        check_file(manifest.analysis.file);
        check_file(manifest.synthesis.file);
        check_file(manifest.tables);
        check(manifest.exact == manifest.conformance.has_value(), "exact models can show it");
        for (const cca::ConformanceCase& one :
             manifest.conformance ? manifest.conformance->cases : Cases()) {
            check(one.batch * one.latent_height * one.latent_width <= 1U << 14, "cases are small");
            check(one.digests.size() == manifest.priors.size(), "there is a digest to each prior");
        }
    } catch (const cca::BundleError&) {
        return 0;
    }
    return 0;
}
