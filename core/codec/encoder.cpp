#include "codec/encoder.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "format/error.hpp"
#include "geometry/padding.hpp"

namespace cca {
namespace {

constexpr std::uint32_t kMaxSide = 65'535;
constexpr std::int32_t kSymbolMin = -(1 << 15);
constexpr std::int32_t kSymbolMax = (1 << 15) - 1;

StreamInfo describe(const Manifest& manifest, PictureView& picture, const EncodeOptions& options) {
    if (picture.width < 1 || picture.width > kMaxSide || picture.height < 1 ||
        picture.height > kMaxSide) {
        throw std::invalid_argument(
            "a picture of " + std::to_string(picture.width) + "x" + std::to_string(picture.height) +
            " pixels cannot be coded: sides must be 1 to " + std::to_string(kMaxSide) + " pixels");
    }
    if (!manifest.exact && !options.fingerprint) {
        throw std::invalid_argument("a model in native mode needs the engine's fingerprint");
    }
    StreamInfo info;
    info.width = static_cast<std::uint16_t>(picture.width);
    info.height = static_cast<std::uint16_t>(picture.height);
    info.padding = choose_padding(picture.width, picture.height);
    info.model_id = manifest.model_id;
    if (!manifest.exact) {
        info.fingerprint = options.fingerprint;
    }
    info.icc = std::move(picture.icc);
    info.exif = std::move(picture.exif);
    info.xmp = std::move(picture.xmp);
    info.tiling = tiling_of(info, options.tile_side);
    const std::uint64_t pixels = padded_pixels(info);
    if (pixels > options.limits.max_pixels) {
        throw LimitError("a picture of " + std::to_string(picture.width) + "x" +
                         std::to_string(picture.height) + " is more than the limit of " +
                         std::to_string(options.limits.max_pixels) +
                         " pixels: raise max_pixels to " + std::to_string(pixels) +
                         ", which counts its padding, to encode it");
    }
    if (count_payloads(info) > options.limits.max_tiles) {
        throw LimitError("the picture would have more than " +
                         std::to_string(options.limits.max_tiles) +
                         " tiles: raise max_tiles, or choose larger tiles");
    }
    const auto size = [](const std::optional<Bytes>& section) {
        return section ? std::uint64_t{section->size()} : 0;
    };
    if (size(info.icc) + size(info.exif) + size(info.xmp) > options.limits.max_metadata) {
        throw LimitError("the metadata have more than " +
                         std::to_string(options.limits.max_metadata) +
                         " bytes: raise max_metadata, or leave some out");
    }
    return info;
}

std::vector<StreamInfo> describe_all(const Manifest& manifest, std::vector<PictureView>& pictures,
                                     const EncodeOptions& options) {
    if (pictures.empty()) {
        throw std::invalid_argument("there is no picture to encode");
    }
    std::vector<StreamInfo> infos;
    for (PictureView& picture : pictures) {
        infos.push_back(describe(manifest, picture, options));
        const StreamInfo& first = infos.front();
        if (pictures.size() > 1 &&
            (infos.back().tiling || padded_width(infos.back()) != padded_width(first) ||
             padded_height(infos.back()) != padded_height(first))) {
            throw std::invalid_argument(
                "pictures are encoded together only if they have one padded size and no tiles");
        }
    }
    return infos;
}

// Copies `window`, out of planes of `seen`, to its place in planes of `tile`.
template <typename T>
void copy_window(Buffer& from, const Box& seen, Buffer& to, const Box& tile, const Box& window,
                 std::int32_t stride, std::size_t channels) {
    const auto scaled = [&](std::int32_t pixels) {
        return static_cast<std::size_t>(pixels / stride);
    };
    const std::size_t from_width = scaled(seen.right - seen.left);
    const std::size_t from_area = from_width * scaled(seen.bottom - seen.top);
    const std::size_t to_width = scaled(tile.right - tile.left);
    const std::size_t to_area = to_width * scaled(tile.bottom - tile.top);
    for (std::size_t channel = 0; channel < channels; ++channel) {
        for (std::size_t row = 0; row < scaled(window.bottom - window.top); ++row) {
            std::memcpy(
                &to.as<T>()[channel * to_area + (scaled(window.top - tile.top) + row) * to_width +
                            scaled(window.left - tile.left)],
                &from.as<T>()[channel * from_area +
                              (scaled(window.top - seen.top) + row) * from_width +
                              scaled(window.left - seen.left)],
                scaled(window.right - window.left) * sizeof(T));
        }
    }
}

// Runs the prior on latents, and writes them.
Steps encode_part(const ModelView& model, Slots& slots, const Part& part, Buffer& y,
                  Buffer& z_symbols, std::vector<Bytes>& payloads, SlotId& y_hat) {
    const std::span<std::int32_t> hyper = z_symbols.as<std::int32_t>();
    for (std::int32_t& symbol : hyper) {
        symbol = std::clamp(symbol, kSymbolMin, kSymbolMax);
    }
    PartEncoder encoder(model, part, y.as<float>());
    encoder.push_hyper(hyper);
    co_await run_prior(*model.manifest, slots, part, hyper, encoder, y_hat);
    payloads = encoder.finish();
}

void check_tile_side(std::uint32_t side) {
    if (side % kHyperStride != 0 || side > kMaxTileSide) {
        throw std::invalid_argument("a tile cannot have a side of " + std::to_string(side) +
                                    ": give a multiple of " + std::to_string(kHyperStride) +
                                    " up to " + std::to_string(kMaxTileSide));
    }
}

}  // namespace

std::optional<Tiling> tiling_of(const StreamInfo& info, std::uint32_t tile_side) {
    if (tile_side == TileRule::kNone) {
        return std::nullopt;
    }
    if (tile_side == TileRule::kBySize) {
        return padded_pixels(info) <= kWholePixels
                   ? std::nullopt
                   : choose_tiling(padded_width(info), padded_height(info), kTileSide);
    }
    check_tile_side(tile_side);
    return choose_tiling(padded_width(info), padded_height(info), tile_side);
}

EncoderMachine::EncoderMachine(const ModelView& model, std::vector<PictureView> pictures,
                               const EncodeOptions& options)
    : EncoderMachine(model, describe_all(*model.manifest, pictures, options), pictures, options) {}

EncoderMachine::EncoderMachine(const ModelView& model, std::vector<StreamInfo> infos,
                               std::vector<PictureView>& pictures, const EncodeOptions& options)
    : Machine(options.workers, options.limits.max_tensor_bytes),
      model_(model),
      options_(options),
      pictures_(std::move(pictures)),
      grid_(infos.front()) {
    for (StreamInfo& info : infos) {
        if (model.manifest->exact) {
            info.digests.resize(count_payloads(info));
        }
        encoded_.push_back({std::move(info), {}, {}});
    }
}

bool EncoderMachine::begin_phase(std::deque<Task>& tasks) {
    switch (stage_) {
        case Stage::kBegin:
            stage_ = Stage::kCode;
            if (grid_.whole()) {
                tasks.emplace_back([this](Slots& slots) { return encode_whole(slots); });
                stage_ = Stage::kEnd;
                return true;
            }
            tile_payloads_.resize(grid_.tiles().count());
            if (options_.reconstruct) {
                const StreamInfo& info = encoded_.front().info;
                encoded_.front().reconstruction.resize(std::size_t{info.width} * info.height *
                                                       kPixelBytes);
                painter_.emplace(*model_.manifest, grid_, picture_box(info),
                                 encoded_.front().reconstruction);
            }
            for (std::uint32_t tile = 0; tile < grid_.tiles().count(); ++tile) {
                tasks.emplace_back([this, tile](Slots& slots) { return encode_tile(tile, slots); });
            }
            return true;
        case Stage::kCode:
            write_tiles();
            stage_ = painter_ ? Stage::kPaint : Stage::kEnd;
            return true;
        case Stage::kPaint: {
            if (std::exchange(painting_, false)) {
                painter_->end_row();
            }
            painter_->missing_tiles();  // all are there; those above the row are dropped
            for (const std::uint32_t window : painter_->begin_row()) {
                tasks.emplace_back(
                    [this, window](Slots& slots) { return painter_->paint(window, slots); });
                painting_ = true;
            }
            return painting_;
        }
        case Stage::kEnd:
            break;
    }
    return false;
}

Steps EncoderMachine::encode_whole(Slots& slots) {
    const Part part{static_cast<std::uint32_t>(pictures_.size()), hyper_size(grid_.picture()), {}};
    Analysed found;
    co_await analyse(grid_.picture(), slots, found);
    std::vector<Bytes> payloads;
    SlotId y_hat = 0;
    co_await encode_part(model_, slots, part, found.y, found.z_symbols, payloads, y_hat);
    SlotId image = 0;
    if (options_.reconstruct) {
        co_await synthesise(*model_.manifest, slots, part.extended(), y_hat, image);
    }
    // While a device works on the pixels.
    Buffer latents;
    co_await fetch_latents(*model_.manifest, slots, part, y_hat, latents);
    add_digests(part, 0, latents);
    for (std::size_t n = 0; n < payloads.size(); ++n) {
        write(n, payloads[n]);
    }
    if (!options_.reconstruct) {
        co_return;
    }
    Buffer pixels;
    co_await fetch_image(slots, part.extended(), image, pixels);
    const std::size_t bytes = pixels.size() / encoded_.size();
    for (std::size_t n = 0; n < encoded_.size(); ++n) {
        EncodedPicture& picture = encoded_[n];
        picture.reconstruction = crop(pixels.as<std::uint8_t>().subspan(n * bytes, bytes),
                                      grid_.picture(), picture_box(picture.info));
    }
}

Steps EncoderMachine::encode_tile(std::uint32_t number, Slots& slots) {
    const Box tile = grid_.tiles().box(number);
    const Part part{1, hyper_size(tile), mirroring_of(tile, grid_.picture())};
    Analysed found;
    co_await analyse_windows(tile, slots, found);
    std::vector<Bytes> payloads;
    SlotId y_hat = 0;
    co_await encode_part(model_, slots, part, found.y, found.z_symbols, payloads, y_hat);
    tile_payloads_[number] = std::move(payloads.front());
    Buffer latents;
    co_await fetch_latents(*model_.manifest, slots, part, y_hat, latents);
    add_digests(part, number, latents);
    if (painter_) {
        painter_->add_tile(number, std::move(latents));
    }
}

void EncoderMachine::add_digests(const Part& part, std::uint32_t tile, Buffer& latents) {
    if (!model_.manifest->exact) {
        return;
    }
    const auto digests = digest_latents(*model_.manifest, part, latents.as<float>());
    for (std::size_t n = 0; n < digests.size(); ++n) {
        if (!digests[n]) {
            throw InexactError("the engine does not compute the model exactly");
        }
        encoded_[n].info.digests[tile] = *digests[n];
    }
}

// Latents and hyper-latents of a tile, window by window.
Steps EncoderMachine::analyse_windows(const Box& tile, Slots& slots, Analysed& found) {
    const Manifest& manifest = *model_.manifest;
    const PlaneSize hyper = hyper_size(tile);
    const PlaneSize latents = Part{1, hyper, {}}.latents();
    found.y = make_buffer<float>(manifest.latent_channels * latents.area());
    found.z_symbols = make_buffer<std::int32_t>(manifest.hyper_channels * hyper.area());
    for (const Numbers& row : grid_.windows().rows_in(tile)) {
        for (const std::uint32_t number : row) {
            const Box window = grid_.windows().box(number);
            const Box seen = grid_.around(window, kHalo);
            Analysed own;
            co_await analyse(seen, slots, own);
            copy_window<float>(own.y, seen, found.y, tile, window, kLatentStride,
                               manifest.latent_channels);
            copy_window<std::int32_t>(own.z_symbols, seen, found.z_symbols, tile, window,
                                      kHyperStride, manifest.hyper_channels);
        }
    }
}

// Runs the analysis transform on a box of all pictures.
Steps EncoderMachine::analyse(const Box& seen, Slots& slots, Analysed& found) {
    const Signature& signature = model_.manifest->analysis.signature;
    const PartSize size{static_cast<std::uint32_t>(pictures_.size()), seen.width(), seen.height()};
    const Port& image = signature.inputs.front();
    const Step upload = slots.upload(image.dtype, shape_of(image, size), padded_pixels_of(seen));
    co_yield upload;
    const Binding input{image.name, upload.slot, image.dtype, upload.shape};
    const auto bind = [&](const char* name) {
        const Port& port = *find_port(signature.outputs, name);
        const Shape shape = shape_of(port, size);
        return Binding{port.name, slots.take(shape.elements() * size_of(port.dtype)), port.dtype,
                       shape};
    };
    const std::array<Binding, 2> outputs{bind("y"), bind("z_symbols")};
    Step run;
    run.kind = StepKind::kRun;
    run.graph = Manifest::kAnalysis;
    run.inputs = {&input, 1};
    run.outputs = outputs;
    co_yield run;
    const Step free_image = slots.free(upload.slot);
    co_yield free_image;
    const std::array<Buffer*, 2> targets{&found.y, &found.z_symbols};
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const Step download =
            Slots::download(outputs[i].slot, outputs[i].dtype, outputs[i].shape, *targets[i]);
        co_yield download;
        const Step free = slots.free(outputs[i].slot);
        co_yield free;
    }
}

Buffer EncoderMachine::padded_pixels_of(const Box& seen) const {
    const std::size_t bytes = std::size_t{seen.width()} * seen.height() * kPixelBytes;
    Buffer pixels(pictures_.size() * bytes);
    for (std::size_t n = 0; n < pictures_.size(); ++n) {
        pad(pictures_[n].pixels, encoded_[n].info, seen,
            pixels.as<std::uint8_t>().data() + n * bytes);
    }
    return pixels;
}

void EncoderMachine::write(std::size_t picture, BytesView payload) {
    encoded_[picture].stream = write_stream(encoded_[picture].info, payload);
}

void EncoderMachine::write_tiles() {
    Bytes payload;
    auto& sizes = encoded_.front().info.tiling->tile_sizes;
    for (const Bytes& tile : tile_payloads_) {
        sizes.push_back(static_cast<std::uint32_t>(tile.size()));
        payload.insert(payload.end(), tile.begin(), tile.end());
    }
    write(0, payload);
    tile_payloads_.clear();
}

}  // namespace cca
