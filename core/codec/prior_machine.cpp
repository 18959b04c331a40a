#include "codec/prior_machine.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "codec/rounding.hpp"
#include "codec/selection.hpp"

namespace cca {
namespace {

void check_range(std::span<const std::int32_t> symbols, QuantisationStep step) {
    const std::int32_t smallest = step.smallest_symbol();
    const std::int32_t largest = step.largest_symbol();
    if (std::ranges::any_of(
            symbols, [&](std::int32_t symbol) { return symbol < smallest || symbol > largest; })) {
        throw std::invalid_argument("a symbol is not in " + std::to_string(smallest) + ".." +
                                    std::to_string(largest));
    }
}

// Hands out what is known, group by group, and keeps what it handed out.
class KnownSymbols : public GroupCoder {
  public:
    KnownSymbols(const Manifest& manifest, const Part& part, std::span<std::int32_t> symbols,
                 std::span<const float> latents)
        : channels_(manifest.latent_channels), part_(part), symbols_(symbols), latents_(latents) {}

    bool reads_means() const noexcept override { return !latents_.empty(); }

    void code(const CodedGroup& group, std::span<const std::uint8_t>, std::span<const float> means,
              std::span<std::int32_t> symbols) override {
        const PlaneSize size = part_.latents();
        const std::size_t count = group.channels.count * size.area();
        for (std::size_t n = 0; n < part_.batch; ++n) {
            const std::size_t first = (n * channels_ + group.channels.first) * size.area();
            const std::span<std::int32_t> known = symbols_.subspan(first, count);
            const std::span<std::int32_t> own = symbols.subspan(n * count, count);
            if (!latents_.empty()) {
                round_group(group, size, part_.step, latents_.subspan(first, count),
                            means.subspan(n * count, count), own);
                std::ranges::copy(own, known.begin());
            } else if (group.positions == Positions::kAll) {
                std::ranges::copy(known, own.begin());
            } else {
                const Selection selection(group.positions, size, group.channels.count);
                selection.scatter<std::int32_t>(
                    selection.gather(std::span<const std::int32_t>(known)), own);
            }
        }
    }

  private:
    std::size_t channels_;
    Part part_;
    std::span<std::int32_t> symbols_;
    std::span<const float> latents_;
};

}  // namespace

PriorMachine::PriorMachine(const Manifest& manifest, const Part& part,
                           std::vector<std::int32_t> z_symbols, std::vector<std::int32_t> symbols,
                           std::vector<float> latents)
    : Machine(1, UINT64_MAX),
      manifest_(manifest),
      part_(part),
      z_symbols_(std::move(z_symbols)),
      symbols_(std::move(symbols)),
      latents_(std::move(latents)) {
    const std::size_t count =
        std::size_t{part.batch} * manifest.latent_channels * part.latents().area();
    const std::size_t hyper_count =
        std::size_t{part.batch} * manifest.hyper_channels * part.hyper.area();
    if (count == 0 || symbols_.size() != count || z_symbols_.size() != hyper_count) {
        throw std::invalid_argument("symbols and hyper-latent symbols do not fit together");
    }
    check_range(symbols_, part.step);
    check_range(z_symbols_, {});
}

std::unique_ptr<PriorMachine> PriorMachine::on_symbols(const Manifest& manifest, const Part& part,
                                                       std::vector<std::int32_t> z_symbols,
                                                       std::vector<std::int32_t> symbols) {
    return std::unique_ptr<PriorMachine>(
        new PriorMachine(manifest, part, std::move(z_symbols), std::move(symbols), {}));
}

std::unique_ptr<PriorMachine> PriorMachine::on_latents(const Manifest& manifest, const Part& part,
                                                       std::vector<std::int32_t> z_symbols,
                                                       std::vector<float> latents) {
    std::vector<std::int32_t> symbols(latents.size());
    return std::unique_ptr<PriorMachine>(new PriorMachine(manifest, part, std::move(z_symbols),
                                                          std::move(symbols), std::move(latents)));
}

bool PriorMachine::begin_phase(std::deque<Task>& tasks) {
    if (std::exchange(begun_, true)) {
        return false;
    }
    tasks.emplace_back([this](Slots& slots) { return run(slots); });
    return true;
}

Steps PriorMachine::run(Slots& slots) {
    KnownSymbols coder(manifest_, part_, symbols_, latents_);
    SlotId y_hat = 0;
    co_await run_prior(manifest_, slots, part_, z_symbols_, coder, y_hat);
    co_await fetch_latents(manifest_, slots, part_, y_hat, y_hat_);
}

}  // namespace cca
