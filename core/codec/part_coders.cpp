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

std::vector<Bytes> PartEncoder::finish() {
    std::vector<Bytes> payloads;
    for (const Encoder& encoder : encoders_) {
        payloads.push_back(encoder.finish());
    }
    return payloads;
}

PartDecoder::PartDecoder(const ModelView& model, const Part& part,
                         std::span<const BytesView> payloads)
    : model_(model), part_(part) {
    for (const BytesView payload : payloads) {
        decoders_.emplace_back(payload);
    }
}

std::vector<std::int32_t> PartDecoder::pull_hyper() {
    const std::size_t channels = model_.manifest->hyper_channels;
    const auto indexes = channel_indexes(channels, part_.hyper.area());
    std::vector<std::int32_t> symbols(decoders_.size() * indexes.size());
    for (std::size_t n = 0; n < decoders_.size(); ++n) {
        decoders_[n].pull(std::span(symbols).subspan(n * indexes.size(), indexes.size()),
                          std::span<const std::uint16_t>(indexes), *model_.hyper);
    }
    return symbols;
}

void PartDecoder::code(const CodedGroup& group, std::span<const std::uint8_t> indexes,
                       std::span<const float>, std::span<std::int32_t> symbols) {
    const PlaneSize size = part_.latents();
    const std::size_t count = group.channels.count * size.area();
    const std::vector<std::uint8_t> tables = tables_of(model_, part_, indexes);
    for (std::size_t n = 0; n < decoders_.size(); ++n) {
        at_positions(group, size, std::span(tables).subspan(n * count, count),
                     symbols.subspan(n * count, count),
                     [&](std::span<const std::uint8_t> chosen, std::span<std::int32_t> values) {
                         decoders_[n].pull(values, chosen, *model_.gaussian);
                         check_symbols(part_.step, values);
                     });
    }
}

void PartDecoder::finish() {
    for (Decoder& decoder : decoders_) {
        decoder.finish();
    }
}

void check_room(const ModelView& model, const PlaneSize& hyper, BytesView payload) {
    if (!could_hold(payload.size(), *model.hyper, hyper.area())) {
        throw StreamError("payload exhausted: it is too small for a picture of this size");
    }
}

}  // namespace cca
