// A part's payloads: what goes into them and comes out of them, group by group.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bundle/model.hpp"
#include "codec/prior.hpp"
#include "entropy/rans.hpp"

namespace cca {

/// What a machine needs of a model, which outlives it.
struct ModelView {
    const Manifest* manifest = nullptr;
    const EntropyTables* gaussian = nullptr;
    const EntropyTables* hyper = nullptr;
};

/// Writes one payload for each picture of a part.
class PartEncoder : public GroupCoder {
  public:
    /// @param y  latents, float [N, M, h, w]; outlive this.
    PartEncoder(const ModelView& model, const Part& part, std::span<const float> y);

    /// The hyper-latents' symbols, [N, Z, h/4, w/4]: to be called first.
    void push_hyper(std::span<const std::int32_t> z_symbols);

    bool reads_means() const noexcept override { return true; }

    /// @throws LatentsError if latents or means are infinite or not numbers.
    void code(const CodedGroup& group, std::span<const std::uint8_t> indexes,
              std::span<const float> means, std::span<std::int32_t> symbols) override;

    /// The payloads.
    std::vector<Bytes> finish();

  private:
    ModelView model_;
    Part part_;
    std::span<const float> y_;
    std::vector<Encoder> encoders_;
};

/// Reads one payload for each picture of a part.
class PartDecoder : public GroupCoder {
  public:
    /// @throws StreamError if the first states in a payload are truncated or invalid.
    PartDecoder(const ModelView& model, const Part& part, std::span<const BytesView> payloads);

    /// The hyper-latents' symbols, [N, Z, h/4, w/4]: to be called first.
    ///
    /// @throws StreamError if a payload holds no such symbols.
    std::vector<std::int32_t> pull_hyper();

    bool reads_means() const noexcept override { return false; }

    /// @throws StreamError if a payload holds no such symbols, or one that is beyond the step's.
    void code(const CodedGroup& group, std::span<const std::uint8_t> indexes,
              std::span<const float> means, std::span<std::int32_t> symbols) override;

    /// @throws StreamError unless the payloads end here.
    void finish();

  private:
    ModelView model_;
    Part part_;
    std::vector<Decoder> decoders_;
};

/// Throws StreamError if a payload is too small for the hyper-latents of its part: before any
/// memory is spent on it.
void check_room(const ModelView& model, const PlaneSize& hyper, BytesView payload);

}  // namespace cca
