// The sequential loop over the passes of a coding plan that encoder and decoder share.
//
//         hyper-latent symbols
//                  |
//              first graph --> means, indexes of a group --> coder --.
//                  |                                                 | symbols
//              next graph <------------------------------------------'
//                  |   '----> means, indexes of a group ---> coder --.
//                 ...                                                |
//              last graph <------------------------------------------'
//                  |
//                y_hat
//
// Everything the graphs see is a function of symbols alone, so running the same graphs gives
// encoder and decoder the same table indexes. The two differ only in where a group's symbols come
// from: the encoder rounds latents against means and writes them, the decoder reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "bundle/model.hpp"
#include "bundle/plan.hpp"
#include "codec/quantisation_step.hpp"
#include "codec/slots.hpp"
#include "codec/steps.hpp"
#include "geometry/mirroring.hpp"

namespace cca {

/// Codes the symbols of one channel group after the other.
class GroupCoder {
  public:
    virtual ~GroupCoder() = default;

    /// Whether code() reads `means`, which are fetched only if it does.
    virtual bool reads_means() const noexcept = 0;

    /// Codes a group of each picture of the batch.
    ///
    /// @param group    of the plan.
    /// @param indexes  of scales [N, count, h, w], without what is mirrored (choose_tables()).
    /// @param means    float [N, count, h, w], likewise; empty unless reads_means().
    /// @param symbols  gets the symbols at the group's positions; elsewhere it is left as it is.
    virtual void code(const CodedGroup& group, std::span<const std::uint8_t> indexes,
                      std::span<const float> means, std::span<std::int32_t> symbols) = 0;
};

/// What is coded as one: a batch of pictures of one size, or a tile.
struct Part {
    std::uint32_t batch = 1;
    PlaneSize hyper;  ///< rows and columns of the hyper-latents
    Mirroring mirroring;
    QuantisationStep step;

    PlaneSize latents() const noexcept;

    /// As the graphs see it.
    PartSize extended() const noexcept;
};

/// Rows and columns of a box's hyper-latents.
PlaneSize hyper_size(const Box& box) noexcept;

/// Runs the prior graphs of a part.
///
/// @param z_symbols  hyper-latent symbols int32 [N, Z, h/4, w/4], without what is mirrored.
/// @param y_hat      gets the slot with y_hat, float32 [M, N, ...] with all that is mirrored; the
///                   caller frees it.
/// @throws BundleError if a graph gives table indexes that no table has.
Steps run_prior(const Manifest& manifest, Slots& slots, const Part& part,
                std::span<const std::int32_t> z_symbols, GroupCoder& coder, SlotId& y_hat);

/// Fetches y_hat of a part, and frees it.
///
/// @param latents  gets float [M, N, h, w], without what is mirrored.
Steps fetch_latents(const Manifest& manifest, Slots& slots, const Part& part, SlotId y_hat,
                    Buffer& latents);

/// The digest of y_hat of each picture. None for those in which a latent is no multiple of 2^-7.
///
/// @param latents  float [M, N, h, w].
std::vector<std::optional<std::uint32_t>> digest_latents(const Manifest& manifest, const Part& part,
                                                         std::span<const float> latents);

}  // namespace cca
