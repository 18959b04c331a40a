#include "coding.hpp"

#include "check.hpp"
#include "entropy/rans.hpp"
#include "format/error.hpp"
#include "variants.hpp"

namespace cca::fuzz {
namespace {

// Calls `work` with a group's indexes as bytes, if they fit, or else as they are.
template <typename Work>
void with_indexes(const Group& group, bool wide, Work work) {
    if (wide || group.tables->size() > 256) {
        work(std::span(group.indexes));
    } else {
        const std::vector<std::uint8_t> narrow(group.indexes.begin(), group.indexes.end());
        work(std::span(narrow));
    }
}

std::optional<std::vector<Symbols>> decode_once(std::span<const std::uint8_t> payload,
                                                const std::vector<Group>& groups, bool wide) {
    std::vector<Symbols> all;
    try {
        Decoder decoder(payload);
        for (const Group& group : groups) {
            Symbols& symbols = all.emplace_back(group.indexes.size());
            with_indexes(group, wide, [&](auto indexes) {
                decoder.pull(std::span(symbols), indexes, *group.tables);
            });
            for (const std::int32_t symbol : symbols) {
                check(symbol == static_cast<std::int16_t>(symbol), "symbols have 16 bits");
            }
        }
        decoder.finish();
    } catch (const StreamError&) {
        return std::nullopt;
    }
    return all;
}

}  // namespace

std::vector<std::uint8_t> encode(const std::vector<Symbols>& symbols,
                                 const std::vector<Group>& groups) {
    return on_every_variant([&](bool wide) {
        Encoder encoder;
        for (std::size_t i = 0; i < groups.size(); ++i) {
            with_indexes(groups[i], wide, [&](auto indexes) {
                encoder.push(std::span(symbols[i]), indexes, *groups[i].tables);
            });
        }
        return encoder.finish();
    });
}

std::optional<std::vector<Symbols>> decode(std::span<const std::uint8_t> payload,
                                           const std::vector<Group>& groups) {
    return on_every_variant([&](bool wide) { return decode_once(payload, groups, wide); });
}

}  // namespace cca::fuzz
