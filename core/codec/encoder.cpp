#include "codec/encoder.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
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
    if (!manifest.smallest_scale && (options.target || options.step != QuantisationStep())) {
        throw std::invalid_argument("model '" + manifest.name +
                                    "' has one quality alone: export its checkpoint again");
    }
    if (!manifest.exact && !options.fingerprint) {
        throw std::invalid_argument("a model in native mode needs the engine's fingerprint");
    }
    StreamInfo info;
    info.width = static_cast<std::uint16_t>(picture.width);
    info.height = static_cast<std::uint16_t>(picture.height);
    info.padding = choose_padding(picture.width, picture.height);
    info.step = options.step.code();
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

// PSNR over all samples of two pictures of one size, in dB; a large number for equal ones.
double psnr(const std::uint8_t* first, std::span<const std::uint8_t> second) {
    std::uint64_t squares = 0;
    for (std::size_t i = 0; i < second.size(); ++i) {
        const int difference = first[i] - second[i];
        squares += static_cast<std::uint64_t>(difference * difference);
    }
    constexpr double kPeak = 255;
    const double mean = static_cast<double>(std::max<std::uint64_t>(squares, 1)) /
                        static_cast<double>(second.size());
    return 10 * std::log10(kPeak * kPeak / mean);
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
      grid_(infos.front()),
      last_trial_(!options.target) {
    if (options.target) {
        if (infos.size() > 1) {
            throw std::invalid_argument(
                "a target is one picture's: encode the pictures one by one");
        }
        search_.emplace(*options.target);
    }
    analysed_.resize(grid_.whole() ? 1 : grid_.tiles().count());
    trial_.step = options.step;
    for (StreamInfo& info : infos) {
        encoded_.emplace_back().info = std::move(info);
    }
    std::vector<PaddedPicture> padded;
    for (std::size_t n = 0; n < pictures_.size(); ++n) {
        padded.push_back({pictures_[n].pixels, &encoded_[n].info});
    }
    analyser_.emplace(*model_.manifest, grid_, std::move(padded));
}

bool EncoderMachine::needs_pixels() const {
    const bool measured = search_ && search_->target().kind == Target::Kind::kPsnr;
    return measured || (options_.reconstruct && last_trial_);
}

bool EncoderMachine::begin_phase(std::deque<Task>& tasks) {
    switch (stage_) {
        case Stage::kCode:
            begin_trial(tasks);
            stage_ = Stage::kPaint;
            return true;
        case Stage::kPaint:
            if (painter_ && begin_row(tasks)) {
                return true;
            }
            stage_ = end_trial() ? Stage::kEnd : Stage::kCode;
            return true;
        case Stage::kEnd:
            break;
    }
    return false;
}

// Codes everything with the trial's step.
void EncoderMachine::begin_trial(std::deque<Task>& tasks) {
    if (search_ && !last_trial_) {
        trial_.step = *search_->next();
    }
    const std::size_t parts = grid_.whole() ? pictures_.size() : grid_.tiles().count();
    trial_.parts.resize(parts);
    trial_.digests.resize(model_.manifest->exact ? parts : 0);
    trial_.reconstructions.resize(needs_pixels() ? pictures_.size() : 0);
    if (grid_.whole()) {
        tasks.emplace_back([this](Slots& slots) { return encode_whole(slots); });
        return;
    }
    if (needs_pixels()) {
        const StreamInfo& info = encoded_.front().info;
        std::vector<std::uint8_t>& pixels = trial_.reconstructions.front();
        pixels.resize(std::size_t{info.width} * info.height * kPixelBytes);
        painter_.emplace(*model_.manifest, grid_, picture_box(info), pixels);
    }
    for (std::uint32_t tile = 0; tile < parts; ++tile) {
        tasks.emplace_back([this, tile](Slots& slots) { return encode_tile(tile, slots); });
    }
}

// The next row of windows. False after the last.
bool EncoderMachine::begin_row(std::deque<Task>& tasks) {
    if (std::exchange(painting_, false)) {
        painter_->end_row();
    }
    painter_->missing_tiles();  // all are there; those above the row are dropped
    for (const std::uint32_t window : painter_->begin_row()) {
        tasks.emplace_back([this, window](Slots& slots) { return painter_->paint(window, slots); });
        painting_ = true;
    }
    if (!painting_) {
        painter_.reset();
    }
    return painting_;
}

// Keeps a trial if it is the best. True if no other follows.
bool EncoderMachine::end_trial() {
    if (last_trial_) {
        best_ = std::move(trial_);
        finish();
        return true;
    }
    const QuantisationStep step = trial_.step;
    if (search_->add(step, measure())) {
        best_ = std::exchange(trial_, {});
    }
    if (search_->next()) {
        return false;
    }
    search_->require_met();
    last_trial_ = true;
    if (options_.reconstruct && best_.reconstructions.empty()) {
        trial_ = Trial{best_.step, {}, {}, {}};  // once more, for its pixels
        return false;
    }
    finish();
    return true;
}

double EncoderMachine::measure() const {
    const StreamInfo& info = encoded_.front().info;
    switch (search_->target().kind) {
        case Target::Kind::kPsnr:
            return psnr(pictures_.front().pixels, trial_.reconstructions.front());
        case Target::Kind::kFileBytes:
            return static_cast<double>(stream_of(trial_, 0).size());
        case Target::Kind::kPayloadBytes:
            break;
    }
    std::size_t metadata = 0;
    for (const auto* const section : {&info.icc, &info.exif, &info.xmp}) {
        metadata += *section ? (*section)->size() : 0;
    }
    return static_cast<double>(stream_of(trial_, 0).size() - metadata);
}

Steps EncoderMachine::encode_whole(Slots& slots) {
    const Part part{
        static_cast<std::uint32_t>(pictures_.size()), hyper_size(grid_.picture()), {}, trial_.step};
    Analysed& found = analysed_.front();
    if (found.y.size() == 0) {
        co_await analyser_->analyse(grid_.picture(), slots, found);
    }
    SlotId y_hat = 0;
    co_await encode_part(part, 0, found, slots, y_hat);
    SlotId image = 0;
    if (needs_pixels()) {
        co_await synthesise(*model_.manifest, slots, part.extended(), y_hat, image);
    }
    // While a device works on the pixels.
    Buffer latents;
    co_await fetch_latents(*model_.manifest, slots, part, y_hat, latents);
    add_digests(part, 0, latents);
    if (!needs_pixels()) {
        co_return;
    }
    latents = {};
    Buffer pixels;
    co_await fetch_image(slots, part.extended(), image, pixels);
    const std::size_t bytes = pixels.size() / encoded_.size();
    for (std::size_t n = 0; n < encoded_.size(); ++n) {
        trial_.reconstructions[n] = crop(pixels.as<std::uint8_t>().subspan(n * bytes, bytes),
                                         grid_.picture(), picture_box(encoded_[n].info));
    }
}

Steps EncoderMachine::encode_tile(std::uint32_t number, Slots& slots) {
    const Box tile = grid_.tiles().box(number);
    const Part part{1, hyper_size(tile), mirroring_of(tile, grid_.picture()), trial_.step};
    Analysed& found = analysed_[number];
    if (found.y.size() == 0) {
        co_await analyser_->analyse_tile(tile, slots, found);
    }
    SlotId y_hat = 0;
    co_await encode_part(part, number, found, slots, y_hat);
    Buffer latents;
    co_await fetch_latents(*model_.manifest, slots, part, y_hat, latents);
    add_digests(part, number, latents);
    if (painter_) {
        painter_->add_tile(number, std::move(latents));
    }
}

// Runs the prior on latents, and writes them: as parts of the trial from number `first` on.
Steps EncoderMachine::encode_part(const Part& part, std::size_t first, Analysed& found,
                                  Slots& slots, SlotId& y_hat) {
    const std::span<std::int32_t> hyper = found.z_symbols.as<std::int32_t>();
    for (std::int32_t& symbol : hyper) {
        symbol = std::clamp(symbol, kSymbolMin, kSymbolMax);
    }
    PartEncoder encoder(model_, part, found.y.as<float>());
    encoder.push_hyper(hyper);
    co_await run_prior(*model_.manifest, slots, part, hyper, encoder, y_hat);
    std::ranges::move(encoder.finish(), trial_.parts.begin() + static_cast<std::ptrdiff_t>(first));
    if (last_trial_) {
        found = {};
    }
}

void EncoderMachine::add_digests(const Part& part, std::size_t first, Buffer& latents) {
    if (!model_.manifest->exact) {
        return;
    }
    const auto digests = digest_latents(*model_.manifest, part, latents.as<float>());
    for (std::size_t n = 0; n < digests.size(); ++n) {
        if (!digests[n]) {
            throw InexactError("the engine does not compute the model exactly");
        }
        trial_.digests[first + n] = *digests[n];
    }
}

StreamInfo EncoderMachine::header_of(const Trial& trial, std::size_t picture) const {
    StreamInfo info = encoded_[picture].info;
    info.step = trial.step.code();
    if (!grid_.whole()) {
        info.digests = trial.digests;
        for (const CodedPart& tile : trial.parts) {
            info.tiling->tile_sizes.push_back(static_cast<std::uint32_t>(tile.payload.size()));
        }
    } else if (model_.manifest->exact) {
        info.digests = {trial.digests[picture]};
    }
    return info;
}

Bytes EncoderMachine::stream_of(const Trial& trial, std::size_t picture) const {
    const StreamInfo info = header_of(trial, picture);
    if (grid_.whole()) {
        return write_stream(info, trial.parts[picture].payload);
    }
    Bytes payload;
    for (const CodedPart& tile : trial.parts) {
        payload.insert(payload.end(), tile.payload.begin(), tile.payload.end());
    }
    return write_stream(info, payload);
}

// Writes the streams of the best trial.
void EncoderMachine::finish() {
    for (std::size_t n = 0; n < encoded_.size(); ++n) {
        EncodedPicture& picture = encoded_[n];
        picture.stream = stream_of(best_, n);
        picture.info = header_of(best_, n);
        picture.trials = search_ ? search_->trials() : 1;
        picture.group_bytes.resize(model_.manifest->group_sizes.size() + 1);
        for (std::size_t i = 0; i < best_.parts.size(); ++i) {
            if (!grid_.whole() || i == n) {
                std::ranges::transform(picture.group_bytes, best_.parts[i].group_bytes,
                                       picture.group_bytes.begin(), std::plus<>());
            }
        }
        if (!best_.reconstructions.empty()) {
            picture.reconstruction = std::move(best_.reconstructions[n]);
        }
    }
    best_ = {};
    analysed_.clear();
}

}  // namespace cca
