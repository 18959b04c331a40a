// Pictures through machines, with fake hosts on as many threads as there are workers.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "fake_host.hpp"
#include "sample_bundle.hpp"

namespace cca::test {

using OwnedDecoderMachine = std::unique_ptr<cca_decoder, Deleter<cca_decoder_free>>;
using OwnedEncoderMachine = std::unique_ptr<cca_encoder, Deleter<cca_encoder_free>>;

/// A call of the C API that failed, with cca_last_error().
class Failure : public std::runtime_error {
  public:
    Failure(cca_status status, const std::string& message)
        : std::runtime_error(message), status_(status) {}

    cca_status status() const { return status_; }

  private:
    cca_status status_;
};

/// Throws a Failure unless `status` is CCA_OK.
void succeed(cca_status status);

struct Picture {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    Bytes pixels;  ///< red, green, blue, row after row
    Bytes icc;

    bool operator==(const Picture&) const = default;
};

/// A picture of pixels that look random.
Picture make_picture(std::uint32_t width, std::uint32_t height, unsigned seed = 1);

/// A part of a picture.
Picture crop(const Picture& picture, const cca_region& region);

cca_picture view(const Picture& picture);

/// Those of the tiles of a stream, or of the picture as a whole.
std::vector<Bytes> payloads_of(const Bytes& stream);

/// A stream with other payloads: `payloads_of` it, changed.
Bytes with_payloads(const Bytes& stream, const std::vector<Bytes>& payloads);

cca_encode_options encode_options();
cca_decode_options decode_options();

/// A step of a worker.
using Next = std::function<cca_status(std::uint32_t worker, const cca_step** step)>;

/// Does all steps, and expects that nothing is left in any host at the end.
///
/// @throws Failure, std::logic_error
std::vector<FakeHost> drive(const ToyFamily& family, std::uint32_t workers, const Next& next);

struct Encoded {
    std::vector<Bytes> streams;
    std::vector<Bytes> reconstructions;  ///< if they were asked for
    std::vector<FakeHost> hosts;
};

struct Decoded {
    std::vector<Picture> pictures;
    std::vector<FakeHost> hosts;
};

/// A family's bundle, opened, and what it does to pictures.
class Codec {
  public:
    explicit Codec(ToyFamily family, const std::string& mode = "exact")
        : family_(std::move(family)), model_(open_toy(family_, mode)) {}

    const ToyFamily& family() const { return family_; }
    const cca_model* model() const { return model_.get(); }

    // Pictures and streams outlive the machines.
    OwnedEncoderMachine encoder(const std::vector<Picture>& pictures,
                                const cca_encode_options& options) const;
    OwnedEncoderMachine encoder(std::vector<Picture>&&, const cca_encode_options&) const = delete;
    OwnedDecoderMachine decoder(std::vector<Bytes>&&, const cca_decode_options&) const = delete;
    OwnedDecoderMachine decoder(const std::vector<Bytes>& streams,
                                const cca_decode_options& options) const;
    Encoded encode(const std::vector<Picture>& pictures,
                   const cca_encode_options& options = encode_options()) const;
    Decoded decode(const std::vector<Bytes>& streams,
                   const cca_decode_options& options = decode_options()) const;

    /// Of one picture, in tiles or as a whole.
    Bytes stream_of(const Picture& picture, std::uint32_t tile_side = CCA_TILE_NONE) const;

  private:
    ToyFamily family_;
    OwnedModel model_;
};

}  // namespace cca::test
