#include "codec/rounding.hpp"

#include <stdexcept>
#include <vector>

#include "codec/quantise.hpp"
#include "codec/selection.hpp"
#include "format/error.hpp"

namespace cca {

void round_group(const CodedGroup& group, const PlaneSize& size, QuantisationStep step,
                 std::span<const float> latents, std::span<const float> means,
                 std::span<std::int32_t> symbols) {
    try {
        if (group.positions == Positions::kAll) {
            quantise(latents, means, step, symbols);
            return;
        }
        const Selection selection(group.positions, size, group.channels.count);
        const std::vector<float> own = selection.gather(latents);
        std::vector<std::int32_t> rounded(own.size());
        quantise(own, selection.gather(means), step, rounded);
        selection.scatter(std::span<const std::int32_t>(rounded), symbols);
    } catch (const std::invalid_argument&) {
        throw LatentsError("the model gives infinite or undefined latents for this picture");
    }
}

}  // namespace cca
