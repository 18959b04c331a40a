// The prior by itself.
#include "codec/prior_machine.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

#include "capi/machine.hpp"
#include "machine_runs.hpp"

using namespace cca;
using namespace cca::test;

namespace {

constexpr std::uint32_t kBatch = 2;
constexpr std::size_t kArea = 4 * 8;  // latents
const Part kPart{kBatch, {1, 2}, {}, {}};

Manifest manifest_of(const ToyFamily& family) {
    const std::string text = toy_manifest(family, sample_tables(), "exact");
    return parse_manifest({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::vector<float> latents() {
    std::vector<float> found(kBatch * 5 * kArea);
    for (std::size_t i = 0; i < found.size(); ++i) {
        found[i] = static_cast<float>(i * 37 % 101) * 0.25F - 12;
    }
    return found;
}

std::vector<float> run(const ToyFamily& family, PriorMachine& machine) {
    c_api::StepTranslator translator(1);
    const auto hosts = drive(family, 1, [&](std::uint32_t worker, const cca_step** step) {
        *step = translator.next(machine, worker);
        return CCA_OK;
    });
    CHECK(hosts.front().runs.size() == family.priors.size());
    const auto y_hat = machine.y_hat().as<float>();
    return {y_hat.begin(), y_hat.end()};
}

}  // namespace

TEST_CASE("symbols that are given make the y_hat of the latents that they were rounded from") {
    for (const ToyFamily& family : {sample_family(), checkerboard_family()}) {
        const Manifest manifest = manifest_of(family);
        const std::vector<std::int32_t> z_symbols{1, -2, 3, 0, 2, 2, -3, 1};
        const auto rounded = PriorMachine::on_latents(manifest, kPart, z_symbols, latents());
        const std::vector<float> y_hat = run(family, *rounded);
        CHECK(y_hat.size() == kBatch * 5 * kArea);
        const auto given = PriorMachine::on_symbols(manifest, kPart, z_symbols, rounded->symbols());
        CHECK(run(family, *given) == y_hat);
        CHECK(given->symbols() == rounded->symbols());
        std::vector<std::int32_t> other = rounded->symbols();
        other.back() += 1;
        const auto changed = PriorMachine::on_symbols(manifest, kPart, z_symbols, other);
        CHECK(run(family, *changed) != y_hat);
    }
}

TEST_CASE("the prior refuses symbols of other sizes, or that no stream carries") {
    const Manifest manifest = manifest_of(sample_family());
    const std::vector<std::int32_t> z(kBatch * 2 * 2);
    const std::vector<std::int32_t> symbols(kBatch * 5 * kArea);
    const auto refused = [&](std::vector<std::int32_t> hyper, std::vector<std::int32_t> values) {
        CHECK_THROWS_AS(static_cast<void>(PriorMachine::on_symbols(manifest, kPart, hyper, values)),
                        std::invalid_argument);
    };
    refused({1}, symbols);
    refused(z, {1});
    std::vector<std::int32_t> large = symbols;
    large[7] = 32'768;
    refused(z, large);
    std::vector<std::int32_t> low = z;
    low[1] = -32'769;
    refused(low, symbols);
    CHECK_THROWS_AS(static_cast<void>(PriorMachine::on_latents(manifest, kPart, z, {1.0F})),
                    std::invalid_argument);
}
