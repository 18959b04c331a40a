#include "codec/decoder.hpp"

#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>

#include "bundle/sha256.hpp"
#include "format/error.hpp"

namespace cca {
namespace {

const char* mode_name(bool exact) {
    return exact ? "exact" : "native";
}

std::vector<ParsedStream> parse(std::span<const BytesView> streams, const Limits& limits) {
    if (streams.empty()) {
        throw std::invalid_argument("there is no stream to decode");
    }
    std::vector<ParsedStream> parsed;
    for (const BytesView stream : streams) {
        parsed.push_back(parse_stream(stream, limits));
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

// Reads a part's payloads and runs the prior on them.
Steps decode_part(const ModelView& model, Slots& slots, const Part& part,
                  std::span<const BytesView> payloads, SlotId& y_hat) {
    PartDecoder decoder(model, part, payloads);
    const std::vector<std::int32_t> z_symbols = decoder.pull_hyper();
    co_await run_prior(*model.manifest, slots, part, z_symbols, decoder, y_hat);
    decoder.finish();
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
    : DecoderMachine(model, parse(streams, options.limits), options) {}

DecoderMachine::DecoderMachine(const ModelView& model, std::vector<ParsedStream> streams,
                               const DecodeOptions& options)
    : Machine(options.workers, options.limits.max_tensor_bytes),
      model_(model),
      keep_going_(options.keep_going),
      step_(streams.front().info.step),
      region_(check_region(options.region, streams)),
      grid_(streams.front().info) {
    for (ParsedStream& stream : streams) {
        check_stream(*model.manifest, stream.info, options.fingerprint);
        payloads_.push_back(stream.payload);
        pictures_.push_back({std::move(stream.info), 0, 0, {}});
    }
    if (const auto& tiling = pictures_.front().info.tiling) {
        tile_starts_.push_back(0);
        std::partial_sum(tiling->tile_sizes.begin(), tiling->tile_sizes.end(),
                         std::back_inserter(tile_starts_));
    }
    const Box box = padded_box(region_, pictures_.front().info.padding);
    // First of all: payloads too small for their parts cost no memory and no graph runs.
    if (grid_.whole()) {
        for (const BytesView payload : payloads_) {
            check_room(model_, hyper_size(grid_.picture()), payload);
        }
        return;
    }
    const Painter painter(*model_.manifest, grid_, box, {});
    for (const std::uint32_t number : painter.all_tiles()) {
        try {
            check_room(model_, hyper_size(grid_.tiles().box(number)), payload_of(number));
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
        if (!keep_going_) {
            throw InexactError(
                "the latents are not those that the encoder had: its engine or this one does not "
                "compute the model exactly");
        }
    }
}

BytesView DecoderMachine::payload_of(std::uint32_t tile) const {
    return payloads_.front().subspan(tile_starts_[tile],
                                     tile_starts_[tile + 1] - tile_starts_[tile]);
}

bool DecoderMachine::begin_phase(std::deque<Task>& tasks) {
    if (grid_.whole()) {
        if (!begun_) {
            tasks.emplace_back([this](Slots& slots) { return decode_whole(slots); });
        }
        return !std::exchange(begun_, true);
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

Steps DecoderMachine::decode_whole(Slots& slots) {
    const Part part{
        static_cast<std::uint32_t>(pictures_.size()), hyper_size(grid_.picture()), {}, step_};
    SlotId y_hat = 0;
    co_await decode_part(model_, slots, part, payloads_, y_hat);
    SlotId image = 0;
    co_await synthesise(*model_.manifest, slots, part.extended(), y_hat, image);
    // While a device works on the pixels.
    Buffer latents;
    co_await fetch_latents(*model_.manifest, slots, part, y_hat, latents);
    check_latents(part, 0, latents);
    latents = {};
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
    const BytesView payload = payload_of(number);
    SlotId y_hat = 0;
    co_await decode_part(model_, slots, part, {&payload, 1}, y_hat);
    Buffer latents;
    co_await fetch_latents(*model_.manifest, slots, part, y_hat, latents);
    check_latents(part, number, latents);
    painter_->add_tile(number, std::move(latents));
}

}  // namespace cca
