// Payloads of a part, without graphs.
#include "codec/part_coders.hpp"

#include <doctest/doctest.h>

#include "format/error.hpp"
#include "sample_bundle.hpp"

using namespace cca;

namespace {

// A model's first channel group, of 2 channels, in a picture of 4 x 4 latents.
class FirstGroup {
  public:
    FirstGroup() : model_(open()), indexes_(2 * 16), means_(indexes_.size()) {}

    Bytes encode(QuantisationStep step, float latent) const {
        const Part part{1, {1, 1}, {}, step};
        const std::vector<float> y(5 * 16, latent);
        PartEncoder encoder(view(), part, y);
        encoder.push_hyper(std::vector<std::int32_t>(2));
        std::vector<std::int32_t> symbols(indexes_.size());
        encoder.code(group(), indexes_, means_, symbols);
        return encoder.finish().front().payload;
    }

    std::vector<std::int32_t> decode(QuantisationStep step, const Bytes& payload) const {
        const PartPayload whole{payload};
        PartDecoder decoder(view(), {1, {1, 1}, {}, step}, {&whole, 1});
        static_cast<void>(decoder.pull_hyper());
        std::vector<std::int32_t> symbols(indexes_.size());
        decoder.code(group(), indexes_, {}, symbols);
        decoder.finish();
        return symbols;
    }

  private:
    static Model open() {
        const test::Bytes tables = test::sample_tables();
        const std::string manifest = test::sample_manifest(tables);
        return open_model({reinterpret_cast<const std::uint8_t*>(manifest.data()), manifest.size()},
                          tables);
    }

    ModelView view() const {
        return {&model_.manifest, &model_.tables.gaussian, &model_.tables.hyper_latents};
    }
    const CodedGroup& group() const { return *model_.manifest.plan.passes.front().coded; }

    Model model_;
    std::vector<std::uint8_t> indexes_;
    std::vector<float> means_;
};

}  // namespace

TEST_CASE("symbols come back, as far as their step allows") {
    const FirstGroup group;
    for (const int code : {-128, 0, 100, 127}) {
        const QuantisationStep step(static_cast<std::int8_t>(code));
        for (const float latent : {0.0F, 1e9F, -1e9F}) {
            const auto symbols = group.decode(step, group.encode(step, latent));
            CHECK(symbols.back() == (latent > 0   ? step.largest_symbol()
                                     : latent < 0 ? step.smallest_symbol()
                                                  : 0));
        }
    }
}

TEST_CASE("a symbol beyond those of its step is refused") {
    const FirstGroup group;
    const QuantisationStep coarse(127);
    for (const float latent : {13'842.0F, 13'843.0F, -13'842.0F, -13'843.0F}) {
        // As many symbols of the same tables: scales that are smaller than all keep the first one.
        const Bytes payload = group.encode({}, latent);
        if (std::abs(latent) > static_cast<float>(coarse.largest_symbol())) {
            CHECK_THROWS_WITH_AS(group.decode(coarse, payload),
                                 doctest::Contains("too large for its quantisation step"),
                                 StreamError);
        } else {
            CHECK(static_cast<float>(group.decode(coarse, payload).front()) == latent);
        }
    }
}
