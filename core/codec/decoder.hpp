// Streams to pixels: the decoder as a machine.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "codec/machine.hpp"
#include "codec/painter.hpp"
#include "codec/part_coders.hpp"
#include "format/container.hpp"

namespace cca {

/// A part of a picture, without its padding, in pixels.
struct Region {
    std::uint32_t x = 0;
    std::uint32_t y = 0;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
};

struct DecodeOptions {
    std::uint32_t workers = 1;
    std::optional<Region> region;           ///< of a single picture
    std::optional<Identifier> fingerprint;  ///< of the host's engine; native mode needs it
    bool keep_going = false;                ///< whatever the digests say
    std::optional<std::uint32_t> groups;    ///< channel groups to use; the others are predicted
    bool preview = false;  ///< take a single stream that is cut short, and show what is there
    bool pixels = true;    ///< false: decode symbols only, to learn what groups take
    Limits limits;
};

/// A decoded picture.
struct DecodedPicture {
    StreamInfo info;
    std::uint32_t width = 0;  ///< of `pixels`
    std::uint32_t height = 0;
    std::vector<std::uint8_t> pixels;  ///< red, green, blue, row after row
    std::uint64_t missing = 0;         ///< bytes of a stream that is cut short
    /// For each payload, how many channel groups of it were used, or PartDecoder::kNothing; those
    /// that were not needed count as whole.
    std::vector<int> groups;
    GroupBytes group_bytes;  ///< of the payloads that were decoded
};

/// Throws ForeignStreamError unless a stream decodes to what its encoder saw with this model on
/// this engine.
void check_stream(const Manifest& manifest, const StreamInfo& info,
                  const std::optional<Identifier>& fingerprint);

/// Decodes streams of one padded size and step together; pictures in tiles one at a time.
class DecoderMachine : public Machine {
  public:
    /// @param model    outlives the machine.
    /// @param streams  whole .cca files, at least one; outlive the machine.
    /// @throws StreamError, ForeignStreamError
    /// @throws std::invalid_argument if several streams do not fit together, or the region is not
    /// in
    ///         the picture.
    DecoderMachine(const ModelView& model, std::span<const BytesView> streams,
                   const DecodeOptions& options);

    /// The pictures, in the order of the streams; complete when all steps are done.
    std::vector<DecodedPicture>& pictures() noexcept { return pictures_; }
    const std::vector<DecodedPicture>& pictures() const noexcept { return pictures_; }

    /// Payloads whose latents are not those that the encoder had.
    std::uint64_t mismatches() const noexcept { return mismatches_; }

  protected:
    bool begin_phase(std::deque<Task>& tasks) override;

  private:
    DecoderMachine(const ModelView& model, std::vector<ParsedStream> streams,
                   const DecodeOptions& options);

    Steps decode_whole(Slots& slots);
    Steps decode_tile(std::uint32_t number, Slots& slots);
    Steps read_tile(std::uint32_t number, Slots& slots);
    PartPayload payload_of(std::uint32_t tile) const;
    Steps decode_part(const Part& part, std::uint32_t tile, Slots& slots, SlotId& y_hat,
                      bool& complete);
    void note(std::uint32_t tile, const PartDecoder& decoder);
    bool begin_tiles(std::deque<Task>& tasks);
    void check_latents(const Part& part, std::uint32_t tile, Buffer& latents);

    ModelView model_;
    std::vector<DecodedPicture> pictures_;
    std::vector<BytesView> payloads_;  // as far as they are there
    DecodeOptions options_;
    std::mutex turn_;  // of what is noted of payloads
    std::atomic<std::uint64_t> mismatches_ = 0;
    QuantisationStep step_;
    Region region_;
    Grid grid_;
    std::vector<std::uint64_t> payload_starts_{0};  // of the first picture's, and where they end
    std::optional<Painter> painter_;                // of a picture in tiles
    bool begun_ = false;
    bool painting_ = false;
};

}  // namespace cca
