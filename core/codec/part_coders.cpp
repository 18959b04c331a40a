#include "codec/part_coders.hpp"

#include <algorithm>
#include <span>

#include "codec/rounding.hpp"
#include "codec/selection.hpp"
#include "codec/table_choice.hpp"
#include "entropy/room.hpp"
#include "format/error.hpp"

namespace cca {
namespace {

// The table of a hyper-latent is that of its channel.
std::vector<std::uint16_t> channel_indexes(std::size_t channels, std::size_t area) {
    std::vector<std::uint16_t> indexes(channels * area);
    for (std::size_t i = 0; i < indexes.size(); ++i) {
        indexes[i] = static_cast<std::uint16_t>(i / area);
    }
    return indexes;
}

// Calls `code(indexes, symbols)` with what a group has of one picture, at its positions only.
template <typename Code>
void at_positions(const CodedGroup& group, const PlaneSize& size,
                  std::span<const std::uint8_t> indexes, std::span<std::int32_t> symbols,
                  Code code) {
    if (group.positions == Positions::kAll) {
        code(indexes, symbols);
        return;
    }
    const Selection selection(group.positions, size, group.channels.count);
    const std::vector<std::uint8_t> own_indexes = selection.gather(indexes);
    std::vector<std::int32_t> own_symbols =
        selection.gather(std::span<const std::int32_t>(symbols));
    code(std::span<const std::uint8_t>(own_indexes), std::span<std::int32_t>(own_symbols));
    selection.scatter(std::span<const std::int32_t>(own_symbols), symbols);
}

std::vector<std::uint8_t> tables_of(const ModelView& model, const Part& part,
                                    std::span<const std::uint8_t> indexes) {
    return choose_tables(indexes, model.manifest->smallest_scale, part.step,
                         model.gaussian->size());
}

// A stream must not lead beyond what was proved of its step.
void check_symbols(QuantisationStep step, std::span<const std::int32_t> symbols) {
    if (step.smallest_symbol() == INT16_MIN && step.largest_symbol() == INT16_MAX) {
        return;
    }
    const auto [smallest, largest] = std::ranges::minmax(symbols);
    if (smallest < step.smallest_symbol() || largest > step.largest_symbol()) {
        throw StreamError("invalid payload: a symbol is too large for its quantisation step");
    }
}

}  // namespace

PartEncoder::PartEncoder(const ModelView& model, const Part& part, std::span<const float> y)
    : model_(model), part_(part), y_(y), encoders_(part.batch) {}

void PartEncoder::push_hyper(std::span<const std::int32_t> z_symbols) {
    const std::size_t channels = model_.manifest->hyper_channels;
    const auto indexes = channel_indexes(channels, part_.hyper.area());
    for (std::size_t n = 0; n < encoders_.size(); ++n) {
        encoders_[n].push(z_symbols.subspan(n * indexes.size(), indexes.size()),
                          std::span<const std::uint16_t>(indexes), *model_.hyper);
    }
}

void PartEncoder::code(const CodedGroup& group, std::span<const std::uint8_t> indexes,
                       std::span<const float> means, std::span<std::int32_t> symbols) {
    const PlaneSize size = part_.latents();
    const std::size_t count = group.channels.count * size.area();
    const std::size_t all = model_.manifest->latent_channels * size.area();
    const std::vector<std::uint8_t> tables = tables_of(model_, part_, indexes);
    groups_.push_back(groups_.back() + (group.positions == Positions::kOdd ? 0 : 1));
    for (std::size_t n = 0; n < encoders_.size(); ++n) {
        const std::size_t first = n * all + group.channels.first * size.area();
        const std::span<std::int32_t> own = symbols.subspan(n * count, count);
        round_group(group, size, part_.step, y_.subspan(first, count),
                    means.subspan(n * count, count), own);
        at_positions(
            group, size, std::span(tables).subspan(n * count, count), own,
            [&](std::span<const std::uint8_t> chosen, std::span<const std::int32_t> values) {
                encoders_[n].push(values, chosen, *model_.gaussian);
            });
    }
}

std::vector<CodedPart> PartEncoder::finish() {
    std::vector<CodedPart> coded;
    for (const Encoder& encoder : encoders_) {
        GroupBytes of_pushes;
        CodedPart part{encoder.finish(&of_pushes), GroupBytes(groups_.back() + 1)};
        for (std::size_t push = 0; push < of_pushes.size(); ++push) {
            part.group_bytes[groups_[push]] += of_pushes[push];
        }
        coded.push_back(std::move(part));
    }
    return coded;
}

PartDecoder::PartDecoder(const ModelView& model, const Part& part,
                         std::span<const PartPayload> payloads, std::optional<std::uint32_t> groups)
    : model_(model), part_(part), wanted_(groups ? *groups : model.manifest->group_sizes.size()) {
    for (const PartPayload& payload : payloads) {
        Picture& picture = pictures_.emplace_back();
        picture.extent = payload.extent;
        picture.group_bytes.resize(model.manifest->group_sizes.size() + 1);
        try {
            picture.decoder.emplace(payload.bytes, payload.extent);
            picture.group_bytes.front() = picture.decoder->position();
        } catch (const StreamError&) {
            if (payload.extent == Decoder::Extent::kWhole) {
                throw;
            }
        }
    }
}

// Calls `pull(decoder)` for a group, counted from the hyper-latents on. False if it is not there.
template <typename Pull>
bool PartDecoder::read(Picture& picture, std::size_t group, Pull pull) {
    if (!picture.decoder || group > wanted_) {
        return false;
    }
    const std::size_t before = picture.decoder->position();
    try {
        pull(*picture.decoder);
    } catch (const StreamError&) {
        if (picture.extent == Decoder::Extent::kWhole) {
            throw;
        }
        picture.decoder.reset();
        return false;
    }
    picture.group_bytes[group] += picture.decoder->position() - before;
    return true;
}

std::vector<std::int32_t> PartDecoder::pull_hyper() {
    const std::size_t channels = model_.manifest->hyper_channels;
    const auto indexes = channel_indexes(channels, part_.hyper.area());
    std::vector<std::int32_t> symbols(pictures_.size() * indexes.size());
    for (std::size_t n = 0; n < pictures_.size(); ++n) {
        const auto own = std::span(symbols).subspan(n * indexes.size(), indexes.size());
        const bool there = read(pictures_[n], 0, [&](Decoder& decoder) {
            decoder.pull(own, std::span<const std::uint16_t>(indexes), *model_.hyper);
        });
        if (there) {
            pictures_[n].groups = 0;
        } else {
            std::ranges::fill(own, 0);
        }
    }
    return symbols;
}

void PartDecoder::code(const CodedGroup& group, std::span<const std::uint8_t> indexes,
                       std::span<const float>, std::span<std::int32_t> symbols) {
    group_ += group.positions == Positions::kOdd ? 0 : 1;
    const PlaneSize size = part_.latents();
    const std::size_t count = group.channels.count * size.area();
    const std::vector<std::uint8_t> tables = tables_of(model_, part_, indexes);
    for (std::size_t n = 0; n < pictures_.size(); ++n) {
        at_positions(group, size, std::span(tables).subspan(n * count, count),
                     symbols.subspan(n * count, count),
                     [&](std::span<const std::uint8_t> chosen, std::span<std::int32_t> values) {
                         const bool there = read(pictures_[n], group_, [&](Decoder& decoder) {
                             decoder.pull(values, chosen, *model_.gaussian);
                             check_symbols(part_.step, values);
                         });
                         if (!there) {
                             std::ranges::fill(values, 0);
                         } else if (group.positions != Positions::kEven) {
                             pictures_[n].groups = static_cast<int>(group_);
                         }
                     });
    }
}

void PartDecoder::finish() {
    if (wanted_ < model_.manifest->group_sizes.size()) {
        return;
    }
    for (Picture& picture : pictures_) {
        if (picture.extent == Decoder::Extent::kWhole) {
            picture.decoder->finish();
        }
    }
}

bool PartDecoder::complete() const {
    return std::ranges::all_of(pictures_, [&](const Picture& picture) {
        return picture.groups == static_cast<int>(model_.manifest->group_sizes.size());
    });
}

void check_room(const ModelView& model, const PlaneSize& hyper, BytesView payload) {
    if (!could_hold(payload.size(), *model.hyper, hyper.area())) {
        throw StreamError("payload exhausted: it is too small for a picture of this size");
    }
}

}  // namespace cca
