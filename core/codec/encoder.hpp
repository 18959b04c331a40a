// Pixels to streams: the encoder as a machine.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "codec/analyser.hpp"
#include "codec/machine.hpp"
#include "codec/painter.hpp"
#include "codec/part_coders.hpp"
#include "codec/step_search.hpp"
#include "format/container.hpp"

namespace cca {

/// A picture as the host has it: red, green, blue, row after row.
struct PictureView {
    const std::uint8_t* pixels = nullptr;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::optional<Bytes> icc;
    std::optional<Bytes> exif;
    std::optional<Bytes> xmp;
};

/// How pictures are divided.
struct TileRule {
    /// Tiles of up to kTileSide for pictures of more than kWholePixels.
    static constexpr std::uint32_t kBySize = 0;
    /// No tiles.
    static constexpr std::uint32_t kNone = UINT32_MAX;
};

/// How the encoder divides a picture of that size and padding.
///
/// @param tile_side  a TileRule, or a multiple of kHyperStride up to kMaxTileSide.
/// @throws std::invalid_argument if there is no such tile.
std::optional<Tiling> tiling_of(const StreamInfo& info, std::uint32_t tile_side);

struct EncodeOptions {
    std::uint32_t workers = 1;
    QuantisationStep step;                        ///< if there is no target
    std::optional<Target> target;                 ///< of a single picture
    std::uint32_t tile_side = TileRule::kBySize;  ///< or a multiple of kHyperStride
    bool reconstruct = false;                     ///< also give what decoding will give
    std::optional<Identifier> fingerprint;        ///< of the host's engine; native mode needs it
    Limits limits;
};

/// A coded picture.
struct EncodedPicture {
    StreamInfo info;
    Bytes stream;
    std::vector<std::uint8_t> reconstruction;  ///< [height, width, 3], if it was asked for
    GroupBytes group_bytes;                    ///< of all payloads
    std::uint32_t trials = 1;                  ///< how often its latents were coded
};

/// Encodes pictures of one padded size together; pictures in tiles one at a time.
class EncoderMachine : public Machine {
  public:
    /// @param model     outlives the machine.
    /// @param pictures  at least one; their pixels outlive the machine.
    /// @throws LimitError if a picture has too many pixels.
    /// @throws std::invalid_argument if several pictures do not fit together, or there is no such
    ///         tile.
    ///
    /// Steps throw LatentsError, BundleError for graphs that give what no graph may, InexactError
    /// if latents of an exact model are no integers, TargetError if no step meets the target, and
    /// LimitError.
    EncoderMachine(const ModelView& model, std::vector<PictureView> pictures,
                   const EncodeOptions& options);

    /// In the order of the pictures; complete when all steps are done.
    std::vector<EncodedPicture>& encoded() noexcept { return encoded_; }
    const std::vector<EncodedPicture>& encoded() const noexcept { return encoded_; }

  protected:
    bool begin_phase(std::deque<Task>& tasks) override;

  private:
    EncoderMachine(const ModelView& model, std::vector<StreamInfo> infos,
                   std::vector<PictureView>& pictures, const EncodeOptions& options);

    // What one step gives: the payloads of the batch's pictures, or of a picture's tiles.
    struct Trial {
        QuantisationStep step;
        std::vector<CodedPart> parts;
        std::vector<std::uint32_t> digests;
        std::vector<std::vector<std::uint8_t>> reconstructions;  // of each picture
    };

    enum class Stage : std::uint8_t { kCode, kPaint, kEnd };

    void begin_trial(std::deque<Task>& tasks);
    bool begin_row(std::deque<Task>& tasks);
    bool end_trial();
    double measure() const;
    bool needs_pixels() const;
    Steps encode_whole(Slots& slots);
    Steps encode_tile(std::uint32_t number, Slots& slots);
    Steps encode_part(const Part& part, std::size_t first, Analysed& found, Slots& slots,
                      SlotId& y_hat);
    void add_digests(const Part& part, std::size_t first, Buffer& latents);
    StreamInfo header_of(const Trial& trial, std::size_t picture) const;
    Bytes stream_of(const Trial& trial, std::size_t picture) const;
    void finish();

    ModelView model_;
    EncodeOptions options_;
    std::vector<PictureView> pictures_;
    std::vector<EncodedPicture> encoded_;
    Grid grid_;
    std::optional<Analyser> analyser_;
    std::vector<Analysed> analysed_;  // of the whole pictures, or of tiles, while they are needed
    std::optional<StepSearch> search_;
    bool last_trial_;
    Trial trial_;
    Trial best_;
    std::optional<Painter> painter_;  // of a trial in tiles
    Stage stage_ = Stage::kCode;
    bool painting_ = false;
};

}  // namespace cca
