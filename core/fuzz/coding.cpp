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

Symbols pull(Decoder& decoder, const Group& group, bool wide) {
    Symbols symbols(group.indexes.size());
    with_indexes(group, wide,
                 [&](auto indexes) { decoder.pull(std::span(symbols), indexes, *group.tables); });
    return symbols;
}

// The bytes that the encoder tells of each group are those that the decoder reads.
void check_sizes(std::span<const std::uint8_t> payload, const std::vector<std::uint64_t>& sizes,
                 const std::vector<Group>& groups, bool wide) {
    check(sizes.size() == groups.size(), "each group has a size");
    Decoder decoder(payload);
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        pull(decoder, groups[i], wide);
        end += sizes[i];
        check(decoder.position() == end, "a group's bytes are those that are read");
    }
    check(end == payload.size(), "all bytes are some group's");
}

std::optional<std::vector<Symbols>> decode_once(std::span<const std::uint8_t> payload,
                                                const std::vector<Group>& groups, bool wide) {
    std::vector<Symbols> all;
    try {
        Decoder decoder(payload);
        for (const Group& group : groups) {
            all.push_back(pull(decoder, group, wide));
            for (const std::int32_t symbol : all.back()) {
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
        std::vector<std::uint64_t> sizes;
        for (std::size_t i = 0; i < groups.size(); ++i) {
            with_indexes(groups[i], wide, [&](auto indexes) {
                encoder.push(std::span(symbols[i]), indexes, *groups[i].tables);
            });
        }
        std::vector<std::uint8_t> payload = encoder.finish(&sizes);
        check_sizes(payload, sizes, groups, wide);
        return payload;
    });
}

void check_start(std::span<const std::uint8_t> start, const std::vector<Group>& groups,
                 const std::vector<Symbols>* symbols) {
    on_every_variant([&](bool wide) {
        std::size_t found = 0;
        try {
            Decoder decoder(start, Decoder::Extent::kCutShort);
            for (; found < groups.size(); ++found) {
                const Symbols pulled = pull(decoder, groups[found], wide);
                check(decoder.position() <= start.size(), "what is read is there");
                check(symbols == nullptr || pulled == (*symbols)[found],
                      "a group that is whole comes out as it was");
            }
        } catch (const StreamError&) {
            return found;
        }
        return found;
    });
}

std::optional<std::vector<Symbols>> decode(std::span<const std::uint8_t> payload,
                                           const std::vector<Group>& groups) {
    return on_every_variant([&](bool wide) { return decode_once(payload, groups, wide); });
}

}  // namespace cca::fuzz
