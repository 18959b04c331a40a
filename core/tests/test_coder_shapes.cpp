// The coder on what pictures give it: many scales at once, near-certain zeros, modes beside zero.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "entropy/rans.hpp"
#include "format/error.hpp"

using namespace cca;

namespace {

// Distributions of a scale and a mode each, with the tables that a quantiser would make of them.
class Shapes {
  public:
    void add(double scale, int mode) {
        scales_.push_back(scale);
        modes_.push_back(mode);
    }

    EntropyTables tables() const {
        std::vector<std::vector<std::int32_t>> rows;
        std::vector<std::int32_t> lengths;
        std::vector<std::int32_t> offsets;
        for (std::size_t i = 0; i < scales_.size(); ++i) {
            rows.push_back(cumulative(scales_[i]));
            lengths.push_back(static_cast<std::int32_t>(rows.back().size()));
            offsets.push_back(modes_[i] - reach(scales_[i]));
        }
        const std::size_t length =
            static_cast<std::size_t>(*std::max_element(lengths.begin(), lengths.end()));
        std::vector<std::int32_t> cdfs;
        for (auto& row : rows) {
            row.resize(length);
            cdfs.insert(cdfs.end(), row.begin(), row.end());
        }
        return {cdfs, length, lengths, offsets};
    }

    // A symbol of distribution `index`; now and then one that is far outside its table.
    std::int32_t draw(std::size_t index, std::mt19937& generator, double outside) const {
        if (std::bernoulli_distribution(outside)(generator)) {
            return std::uniform_int_distribution<std::int32_t>(-32'768, 32'767)(generator);
        }
        const double value = std::normal_distribution<double>(0, scales_[index])(generator);
        return modes_[index] + static_cast<std::int32_t>(std::lround(value));
    }

    std::size_t size() const { return scales_.size(); }

  private:
    static int reach(double scale) { return static_cast<int>(std::ceil(5 * scale)); }

    static std::vector<std::int32_t> cumulative(double scale) {
        const int count = 2 * reach(scale) + 1;
        std::vector<std::int32_t> cdf{0};
        // Every symbol, and the escape, gets one slot; the others go by probability.
        const double slots = 65'536 - count - 1;
        for (int i = 0; i < count; ++i) {
            const double below = (i + 0.5 - reach(scale)) / scale;
            const double share = 0.5 * std::erfc(-below * std::sqrt(0.5));
            cdf.push_back(static_cast<std::int32_t>(share * slots) + i + 1);
        }
        cdf.push_back(65'536);
        return cdf;
    }

    std::vector<double> scales_;
    std::vector<int> modes_;
};

// Scales as the latents have them, 0.11 to 256, in equal steps of the logarithm.
Shapes latent_shapes() {
    Shapes shapes;
    for (int i = 0; i < 64; ++i) {
        shapes.add(0.11 * std::pow(256 / 0.11, i / 63.0), 0);
    }
    return shapes;
}

struct Group {
    std::vector<std::uint16_t> indexes;
    std::vector<std::int32_t> symbols;
};

template <typename Draw>
Group make_group(const Shapes& shapes, std::size_t count, double outside, Draw draw_index) {
    std::mt19937 generator(static_cast<unsigned>(count));
    Group group;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t index = std::min<std::size_t>(draw_index(generator), shapes.size() - 1);
        group.indexes.push_back(static_cast<std::uint16_t>(index));
        group.symbols.push_back(shapes.draw(index, generator, outside));
    }
    return group;
}

template <typename Index>
void check_round_trip(const EntropyTables& tables, const std::vector<Group>& groups) {
    Encoder encoder;
    for (const Group& group : groups) {
        const std::vector<Index> indexes(group.indexes.begin(), group.indexes.end());
        encoder.push<Index>(group.symbols, indexes, tables);
    }
    Decoder decoder(encoder.finish());
    for (const Group& group : groups) {
        const std::vector<Index> indexes(group.indexes.begin(), group.indexes.end());
        std::vector<std::int32_t> symbols(indexes.size());
        decoder.pull<Index>(symbols, indexes, tables);
        CHECK(symbols == group.symbols);
    }
    CHECK_NOTHROW(decoder.finish());
}

// Groups of several sizes, in tables that `draw_index` chooses, with no, few and many escapes.
template <typename Draw>
void check_groups(const Shapes& shapes, Draw draw_index) {
    const EntropyTables tables = shapes.tables();
    for (const double outside : {0.0, 0.0005, 0.2}) {
        std::vector<Group> groups;
        for (const std::size_t count : {1U, 31U, 64U, 500U, 3'000U, 60'000U}) {
            groups.push_back(make_group(shapes, count, outside, draw_index));
        }
        check_round_trip<std::uint16_t>(tables, groups);
        if (shapes.size() <= 256) {
            check_round_trip<std::uint8_t>(tables, groups);
        }
    }
}

}  // namespace

TEST_CASE("scales of all sizes, one beside the other") {
    std::uniform_int_distribution<std::size_t> any(0, 63);
    check_groups(latent_shapes(), [&](auto& generator) { return any(generator); });
}

TEST_CASE("three quarters of the symbols are almost surely zero") {
    std::geometric_distribution<std::size_t> small(0.75);
    check_groups(latent_shapes(), [&](auto& generator) { return small(generator); });
    check_groups(latent_shapes(), [&](auto&) { return std::size_t{0}; });
}

TEST_CASE("wide tables alone") {
    std::uniform_int_distribution<std::size_t> wide(50, 63);
    check_groups(latent_shapes(), [&](auto& generator) { return wide(generator); });
}

TEST_CASE("a thousand tables, with modes beside zero, as hyper-latents may have") {
    Shapes shapes;
    for (int i = 0; i < 1024; ++i) {
        shapes.add(0.12 + 0.002 * i, i % 7 - 3);
    }
    std::uniform_int_distribution<std::size_t> any(0, 1023);
    check_groups(shapes, [&](auto& generator) { return any(generator); });
    std::size_t next = 0;
    check_groups(shapes, [&](auto&) { return next++ / 16 % 1024; });
}

TEST_CASE("sure symbols cost next to nothing, and come back") {
    // Symbol 2 has all slots but two.
    const std::vector<std::int32_t> cdf{0, 65'534, 65'535, 65'536};
    const EntropyTables tables(cdf, 4, std::vector{4}, std::vector{2});
    Group group;
    group.indexes.resize(100'000);
    group.symbols.assign(100'000, 2);
    group.symbols[7] = 3;
    group.symbols[99'000] = -5;
    check_round_trip<std::uint8_t>(tables, {group});
    Encoder encoder;
    encoder.push<std::uint16_t>(group.symbols, group.indexes, tables);
    CHECK(encoder.finish().size() < 100);
}

TEST_CASE("payloads of every shape survive truncation and changed bits") {
    const Shapes shapes = latent_shapes();
    const EntropyTables tables = shapes.tables();
    std::geometric_distribution<std::size_t> small(0.2);
    const Group group =
        make_group(shapes, 2'000, 0.01, [&](auto& generator) { return small(generator); });
    Encoder encoder;
    encoder.push<std::uint16_t>(group.symbols, group.indexes, tables);
    const std::vector<std::uint8_t> payload = encoder.finish();
    const auto decodes = [&](std::span<const std::uint8_t> bytes) {
        try {
            std::vector<std::int32_t> symbols(group.symbols.size());
            Decoder decoder(bytes);
            decoder.pull<std::uint16_t>(symbols, group.indexes, tables);
            decoder.finish();
            return true;
        } catch (const StreamError&) {
            return false;
        }
    };
    CHECK(decodes(payload));
    for (std::size_t size = 0; size < payload.size(); ++size) {
        CHECK_FALSE(decodes(std::span(payload).first(size)));
    }
    for (std::size_t bit = 0; bit < 8 * payload.size(); bit += 3) {
        std::vector<std::uint8_t> changed = payload;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        static_cast<void>(decodes(changed));
    }
}
