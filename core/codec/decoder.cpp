#include "codec/decoder.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>

#include "bundle/sha256.hpp"
#include "format/error.hpp"

namespace cca {
namespace {

constexpr const char* kNothingToShow =
    "the file is cut short before anything of the picture can be shown";

const char* mode_name(bool exact) {
    return exact ? "exact" : "native";
}

std::vector<ParsedStream> parse(std::span<const BytesView> streams, const DecodeOptions& options) {
    if (streams.empty()) {
        throw std::invalid_argument("there is no stream to decode");
    }
    if (options.preview && streams.size() > 1) {
        throw std::invalid_argument("a preview is of one picture: decode the streams one by one");
    }
    std::vector<ParsedStream> parsed;
    for (const BytesView stream : streams) {
        parsed.push_back(options.preview ? parse_start(stream, options.limits)
                                         : parse_stream(stream, options.limits));
        const StreamInfo& info = parsed.back().info;
        const StreamInfo& first = parsed.front().info;
        if (streams.size() > 1 &&
            (info.tiling || info.step != first.step || padded_width(info) != padded_width(first) ||
             padded_height(info) != padded_height(first))) {
            throw std::invalid_argument(
                "streams are decoded together only if they have one padded size, one quantisation "
                "step and no tiles");
        }
    }
    return parsed;
}

Region whole_region(const StreamInfo& info) {
    return {0, 0, info.width, info.height};
}

Region check_region(const std::optional<Region>& asked, const std::vector<ParsedStream>& streams) {
    const StreamInfo& info = streams.front().info;
    if (!asked) {
        return whole_region(info);
    }
    if (streams.size() > 1) {
        throw std::invalid_argument("a region is of one picture: decode the streams one by one");
    }
    const Region& region = *asked;
    if (region.width < 1 || region.height < 1 || region.x >= info.width ||
        region.y >= info.height || region.width > info.width - region.x ||
        region.height > info.height - region.y) {
        throw std::invalid_argument(
            "the region " + std::to_string(region.x) + "," + std::to_string(region.y) + "," +
            std::to_string(region.width) + "," + std::to_string(region.height) +
            " (x, y, width, height) is not in the picture, which has " +
            std::to_string(info.width) + "x" + std::to_string(info.height) + " pixels");
    }
    return region;
}

Box padded_box(const Region& region, const Padding& padding) {
    const auto left = static_cast<std::int32_t>(region.x + padding.left);
    const auto top = static_cast<std::int32_t>(region.y + padding.top);
    return {left, top, left + static_cast<std::int32_t>(region.width),
            top + static_cast<std::int32_t>(region.height)};
}

}  // namespace

void check_stream(const Manifest& manifest, const StreamInfo& info,
                  const std::optional<Identifier>& fingerprint) {
    if (info.model_id != manifest.model_id) {
        throw ForeignStreamError("the stream was made with model " + to_hex(info.model_id) +
                                 ", and this is '" + manifest.name + "' " +
                                 to_hex(manifest.model_id) +
                                 ": decode it with the bundle that made it");
    }
    if (info.step != 0 && !manifest.smallest_scale) {
        throw StreamError(
            "invalid header: the model has one quantisation step alone, and the stream "
            "another");
    }
    const bool exact = !info.fingerprint;
    if (exact != manifest.exact) {
        throw ForeignStreamError(std::string("the stream's entropy mode is '") + mode_name(exact) +
                                 "', the model's is '" + mode_name(manifest.exact) + "'");
    }
    if (!exact && !fingerprint) {
        throw std::invalid_argument("a stream in native mode needs the engine's fingerprint");
    }
    if (!exact && *info.fingerprint != *fingerprint) {
        throw ForeignStreamError("the stream decodes only on the engine with fingerprint " +
                                 to_hex(*info.fingerprint) + ", and this is " +
                                 to_hex(*fingerprint));
    }
}

DecoderMachine::DecoderMachine(const ModelView& model, std::span<const BytesView> streams,
                               const DecodeOptions& options)
    : DecoderMachine(model, parse(streams, options), options) {}

DecoderMachine::DecoderMachine(const ModelView& model, std::vector<ParsedStream> streams,
                               const DecodeOptions& options)
    : Machine(options.workers, options.limits.max_tensor_bytes),
      model_(model),
      options_(options),
      step_(streams.front().info.step),
      region_(check_region(options.region, streams)),
      grid_(streams.front().info) {
    const std::size_t groups = model.manifest->group_sizes.size();
    if (options.groups && *options.groups > groups) {
        throw std::invalid_argument("the picture has " + std::to_string(groups) +
                                    " channel groups: there are no " +
                                    std::to_string(*options.groups) + " of them");
    }
    for (ParsedStream& stream : streams) {
        check_stream(*model.manifest, stream.info, options.fingerprint);
        payloads_.push_back(stream.payload);
        DecodedPicture& picture = pictures_.emplace_back();
        picture.groups.assign(count_payloads(stream.info),
                              static_cast<int>(options.groups.value_or(groups)));
        picture.group_bytes.resize(groups + 1);
        picture.missing = stream.missing;
        picture.info = std::move(stream.info);
    }
    const auto& tiling = pictures_.front().info.tiling;
    if (tiling) {
        std::partial_sum(tiling->tile_sizes.begin(), tiling->tile_sizes.end(),
                         std::back_inserter(payload_starts_));
    } else {
        payload_starts_.push_back(streams.front().payload_size);
    }
    const Box box = padded_box(region_, pictures_.front().info.padding);
    // First of all: payloads too small for their parts cost no memory and no graph runs.
    if (grid_.whole()) {
        for (const BytesView payload : payloads_) {
            try {
                check_room(model_, hyper_size(grid_.picture()), payload);
            } catch (const StreamError&) {
                if (payload_of(0).extent == Decoder::Extent::kCutShort) {
                    throw StreamError(kNothingToShow);
                }
                throw;
            }
        }
        return;
    }
    const Painter painter(*model_.manifest, grid_, box, {});
    for (const std::uint32_t number : painter.all_tiles()) {
        const PartPayload payload = payload_of(number);
        try {
            if (payload.extent == Decoder::Extent::kWhole) {
                check_room(model_, hyper_size(grid_.tiles().box(number)), payload.bytes);
            }
        } catch (const StreamError& error) {
            throw StreamError(grid_.name_tile(number) + ": " + error.what());
        }
    }
}

// Compares what the engine computed with what the encoder's did, in exact mode.
void DecoderMachine::check_latents(const Part& part, std::uint32_t tile, Buffer& latents) {
    if (!model_.manifest->exact) {
        return;
    }
    const auto found = digest_latents(*model_.manifest, part, latents.as<float>());
    for (std::size_t n = 0; n < found.size(); ++n) {
        if (found[n] == pictures_[n].info.digests[tile]) {
            continue;
        }
        ++mismatches_;
        if (!options_.keep_going) {
            throw InexactError(
                "the latents are not those that the encoder had: its engine or this one does not "
                "compute the model exactly");
        }
    }
}

// As far as it is there.
PartPayload DecoderMachine::payload_of(std::uint32_t tile) const {
    const BytesView all = payloads_.front();
    const std::size_t first = std::min<std::size_t>(payload_starts_[tile], all.size());
    const std::size_t end = std::min<std::size_t>(payload_starts_[tile + 1], all.size());
    return {all.subspan(first, end - first),
            end < payload_starts_[tile + 1] ? Decoder::Extent::kCutShort : Decoder::Extent::kWhole};
}

bool DecoderMachine::begin_phase(std::deque<Task>& tasks) {
    if (grid_.whole()) {
        if (!begun_) {
            tasks.emplace_back([this](Slots& slots) { return decode_whole(slots); });
        }
        return !std::exchange(begun_, true);
    }
    if (!options_.pixels) {
        return begin_tiles(tasks);
    }
    if (!painter_) {
        DecodedPicture& picture = pictures_.front();
        picture.width = region_.width;
        picture.height = region_.height;
        picture.pixels.resize(std::size_t{region_.width} * region_.height * kPixelBytes);
        painter_.emplace(*model_.manifest, grid_, padded_box(region_, picture.info.padding),
                         picture.pixels);
    }
    if (std::exchange(painting_, false)) {
        painter_->end_row();
    }
    const Numbers tiles = painter_->missing_tiles();
    for (const std::uint32_t number : tiles) {
        tasks.emplace_back([this, number](Slots& slots) { return decode_tile(number, slots); });
    }
    if (!tiles.empty()) {
        return true;
    }
    const Numbers windows = painter_->begin_row();
    for (const std::uint32_t number : windows) {
        tasks.emplace_back([this, number](Slots& slots) { return painter_->paint(number, slots); });
    }
    painting_ = !windows.empty();
    return painting_;
}

// All tiles at once, for a decoder that looks at nothing but their symbols.
bool DecoderMachine::begin_tiles(std::deque<Task>& tasks) {
    if (std::exchange(begun_, true)) {
        return false;
    }
    for (std::uint32_t number = 0; number < grid_.tiles().count(); ++number) {
        tasks.emplace_back([this, number](Slots& slots) { return decode_tile(number, slots); });
    }
    return true;
}

// Reads a part's payloads and runs the prior on them.
Steps DecoderMachine::decode_part(const Part& part, std::uint32_t tile, Slots& slots, SlotId& y_hat,
                                  bool& complete) {
    std::vector<PartPayload> payloads{payload_of(tile)};
    for (std::size_t n = 1; n < payloads_.size(); ++n) {
        payloads.push_back({payloads_[n]});
    }
    PartDecoder decoder(model_, part, payloads, options_.groups);
    const std::vector<std::int32_t> z_symbols = decoder.pull_hyper();
    if (grid_.whole() && decoder.groups(0) == PartDecoder::kNothing) {
        throw StreamError(kNothingToShow);
    }
    co_await run_prior(*model_.manifest, slots, part, z_symbols, decoder, y_hat);
    decoder.finish();
    complete = decoder.complete();
    note(tile, decoder);
}

// What was read of a part. Tiles may be read at the same time.
void DecoderMachine::note(std::uint32_t tile, const PartDecoder& decoder) {
    const std::lock_guard lock(turn_);
    for (std::size_t n = 0; n < pictures_.size(); ++n) {
        pictures_[n].groups[tile] = decoder.groups(n);
        GroupBytes& all = pictures_[n].group_bytes;
        std::ranges::transform(all, decoder.group_bytes(n), all.begin(), std::plus<>());
    }
}

Steps DecoderMachine::decode_whole(Slots& slots) {
    const Part part{
        static_cast<std::uint32_t>(pictures_.size()), hyper_size(grid_.picture()), {}, step_};
    SlotId y_hat = 0;
    bool complete = false;
    co_await decode_part(part, 0, slots, y_hat, complete);
    SlotId image = 0;
    if (options_.pixels) {
        co_await synthesise(*model_.manifest, slots, part.extended(), y_hat, image);
    }
    // While a device works on the pixels.
    Buffer latents;
    co_await fetch_latents(*model_.manifest, slots, part, y_hat, latents);
    if (complete) {
        check_latents(part, 0, latents);
    }
    latents = {};
    if (!options_.pixels) {
        co_return;
    }
    Buffer pixels;
    co_await fetch_image(slots, part.extended(), image, pixels);
    const std::span<const std::uint8_t> all = pixels.as<std::uint8_t>();
    const std::size_t bytes = all.size() / pictures_.size();
    for (std::size_t n = 0; n < pictures_.size(); ++n) {
        DecodedPicture& picture = pictures_[n];
        const Region region = n == 0 ? region_ : whole_region(picture.info);
        picture.width = region.width;
        picture.height = region.height;
        picture.pixels = crop(all.subspan(n * bytes, bytes), grid_.picture(),
                              padded_box(region, picture.info.padding));
    }
}

Steps DecoderMachine::decode_tile(std::uint32_t number, Slots& slots) {
    try {
        co_await read_tile(number, slots);
    } catch (const LimitError&) {  // the host's, not the tile's
        throw;
    } catch (const StreamError& error) {
        throw StreamError(grid_.name_tile(number) + ": " + error.what());
    } catch (const InexactError& error) {
        throw InexactError(grid_.name_tile(number) + ": " + error.what());
    }
}

Steps DecoderMachine::read_tile(std::uint32_t number, Slots& slots) {
    const Box tile = grid_.tiles().box(number);
    const Part part{1, hyper_size(tile), mirroring_of(tile, grid_.picture()), step_};
    SlotId y_hat = 0;
    bool complete = false;
    co_await decode_part(part, number, slots, y_hat, complete);
    Buffer latents;
    co_await fetch_latents(*model_.manifest, slots, part, y_hat, latents);
    if (complete) {
        check_latents(part, number, latents);
    }
    if (painter_) {
        painter_->add_tile(number, std::move(latents));
    }
}

}  // namespace cca
