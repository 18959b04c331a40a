// A part's payloads: what goes into them and comes out of them, group by group.
#pragma once

#include <cstdint>
#include <optional>
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

/// Bytes of the hyper-latents, then of each channel group.
using GroupBytes = std::vector<std::uint64_t>;

/// A payload, and what of it is whose.
struct CodedPart {
    Bytes payload;
    GroupBytes group_bytes;
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

    /// What was coded of each picture.
    std::vector<CodedPart> finish();

  private:
    ModelView model_;
    Part part_;
    std::span<const float> y_;
    std::vector<Encoder> encoders_;
    std::vector<std::size_t> groups_{0};  // of each push: hyper-latents, or a channel group
};

/// A payload as far as it is there.
struct PartPayload {
    BytesView bytes;
    Decoder::Extent extent = Decoder::Extent::kWhole;
};

/// Reads one payload for each picture of a part, or what is wanted or there of it.
///
/// Symbols of channel groups that are left out are 0: latents are their means then.
class PartDecoder : public GroupCoder {
  public:
    /// What is known of a picture when not even its hyper-latents are there.
    static constexpr int kNothing = -1;

    /// @param groups  channel groups to read; all of them, if that is not said.
    /// @throws StreamError if the first states in a whole payload are truncated or invalid.
    PartDecoder(const ModelView& model, const Part& part, std::span<const PartPayload> payloads,
                std::optional<std::uint32_t> groups = std::nullopt);

    /// The hyper-latents' symbols, [N, Z, h/4, w/4]: to be called first.
    ///
    /// @throws StreamError if a whole payload holds no such symbols.
    std::vector<std::int32_t> pull_hyper();

    bool reads_means() const noexcept override { return false; }

    /// @throws StreamError if a whole payload holds no such symbols, or one that is beyond the
    ///         step's.
    void code(const CodedGroup& group, std::span<const std::uint8_t> indexes,
              std::span<const float> means, std::span<std::int32_t> symbols) override;

    /// @throws StreamError unless payloads of which all was read end here.
    void finish();

    /// Channel groups that were read of a picture, or kNothing.
    int groups(std::size_t picture) const { return pictures_.at(picture).groups; }

    /// Whether all groups of all pictures were read.
    bool complete() const;

    /// Of a picture's payload, as far as it was read.
    const GroupBytes& group_bytes(std::size_t picture) const {
        return pictures_.at(picture).group_bytes;
    }

  private:
    struct Picture {
        std::optional<Decoder> decoder;  // none when no more can be read
        Decoder::Extent extent = Decoder::Extent::kWhole;
        GroupBytes group_bytes;
        int groups = kNothing;
    };

    template <typename Pull>
    bool read(Picture& picture, std::size_t group, Pull pull);

    ModelView model_;
    Part part_;
    std::size_t wanted_;
    std::size_t group_ = 0;  // of the last call of code(), from 1 on
    std::vector<Picture> pictures_;
};

/// Throws StreamError if a payload is too small for the hyper-latents of its part: before any
/// memory is spent on it.
void check_room(const ModelView& model, const PlaneSize& hyper, BytesView payload);

}  // namespace cca
