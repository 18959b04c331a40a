// The prior by itself: what its graphs make of given symbols, or of given latents.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codec/machine.hpp"
#include "codec/prior.hpp"

namespace cca {

/// Runs the prior graphs of a batch without a coder: for conformance vectors, for calibration, and
/// to know what symbols cost.
class PriorMachine : public Machine {
  public:
    /// With symbols that are given.
    ///
    /// @param manifest   outlives the machine.
    /// @param part       without mirroring.
    /// @param z_symbols  int32 [N, Z, h/4, w/4].
    /// @param symbols    int32 [N, M, h, w], those of the part's step; hyper-latent symbols have
    ///                   values of an int16.
    /// @throws std::invalid_argument if sizes do not fit or a symbol is out of range.
    static std::unique_ptr<PriorMachine> on_symbols(const Manifest& manifest, const Part& part,
                                                    std::vector<std::int32_t> z_symbols,
                                                    std::vector<std::int32_t> symbols);

    /// With symbols as an encoder rounds them.
    ///
    /// @param latents  float [N, M, h, w].
    static std::unique_ptr<PriorMachine> on_latents(const Manifest& manifest, const Part& part,
                                                    std::vector<std::int32_t> z_symbols,
                                                    std::vector<float> latents);

    /// Symbols of all channel groups, int32 [N, M, h, w]; complete when all steps are done.
    const std::vector<std::int32_t>& symbols() const noexcept { return symbols_; }

    /// y_hat, float [M, N, h, w]; likewise.
    Buffer& y_hat() noexcept { return y_hat_; }

  protected:
    bool begin_phase(std::deque<Task>& tasks) override;

  private:
    PriorMachine(const Manifest& manifest, const Part& part, std::vector<std::int32_t> z_symbols,
                 std::vector<std::int32_t> symbols, std::vector<float> latents);

    Steps run(Slots& slots);

    const Manifest& manifest_;
    Part part_;
    std::vector<std::int32_t> z_symbols_;
    std::vector<std::int32_t> symbols_;
    std::vector<float> latents_;  // empty if symbols are given
    Buffer y_hat_;
    bool begun_ = false;
};

}  // namespace cca
