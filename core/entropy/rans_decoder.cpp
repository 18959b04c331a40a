#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

#include "entropy/group.hpp"
#include "entropy/lanes.hpp"
#include "entropy/rans.hpp"
#include "format/error.hpp"

namespace cca {
namespace {

// A sparse symbol that is not its table's mode.
struct Exception {
    std::size_t rank;    // among the group's sparse symbols
    std::uint8_t index;  // of its table
    std::int8_t bin;
};

// A symbol of which more is to be read: an escape, or low bits.
struct Tail {
    std::size_t position;  // in the group
    const CodingTable* table;
    std::int8_t bin;

    bool escaped() const { return bin == kEscape; }
    int first_bits() const { return escaped() ? kLengthBits : table->low_bits; }
};

std::int32_t value_of(const CodingTable& table, int bin) {
    return table.mode + bin * (1 << table.low_bits);
}

// docs/spec/format.md, "Escapes".
std::int64_t escaped_value(const CodingTable& table, std::uint64_t distance) {
    const auto half = static_cast<std::int64_t>((distance + 1) / 2);
    return distance % 2 != 0 ? value_of(table, table.first_bin) - half
                             : value_of(table, table.last_bin + 1) + half;
}

}  // namespace

class Decoder::Impl {
  public:
    Impl(std::span<const std::uint8_t> payload, Extent extent)
        : path_(simd::path()), lanes_(payload, extent == Extent::kCutShort) {}

    std::size_t position() const { return lanes_.position(); }

    template <typename Index>
    void pull(std::span<std::int32_t> symbols, std::span<const Index> caller_indexes,
              const CodingTables& tables) {
        if (symbols.size() != caller_indexes.size()) {
            throw std::invalid_argument("symbols and indexes differ in number");
        }
        require_usable();
        const auto indexes = copy_indexes(caller_indexes, tables, copy<Index>());
        usable_ = false;
        near_tails_.clear();
        tails_.clear();
        const auto ordinary = split(indexes, tables);
        const std::size_t sparse = indexes.size() - ordinary.size();
        decode_sparse({sparse_.resize(sparse), sparse}, tables);
        std::int8_t* const bins = bins_.resize(ordinary.size());
        decode_ordinary(ordinary, tables, bins);
        decode_far(ordinary, tables, bins);
        place_exceptions(indexes, tables);
        merge(symbols, indexes, tables, bins);
        write_exceptions(symbols);
        decode_tails(near_tails_, symbols);
        decode_tails(tails_, symbols);
        usable_ = true;
    }

    void finish() {
        require_usable();
        lanes_.finish();
    }

  private:
    template <typename Index>
    Scratch<Index>& copy() {
        if constexpr (sizeof(Index) == 1) {
            return bytes_;
        } else {
            return words_;
        }
    }

    template <typename Index>
    Scratch<Index>& far_indexes() {
        if constexpr (sizeof(Index) == 1) {
            return far_bytes_;
        } else {
            return far_words_;
        }
    }

    void require_usable() const {
        if (!usable_) {
            throw StreamError("the decoder has stopped at an earlier error");
        }
    }

    // The indexes of ordinary tables; those of sparse ones go to sparse_.
    std::span<const std::uint8_t> split(std::span<const std::uint8_t> indexes,
                                        const CodingTables& tables) {
        if (tables.sparse == 0) {
            return indexes;
        }
        std::uint8_t* const ordinary = ordinary_.resize(indexes.size());
        const std::size_t count =
            path_.split(indexes.data(), indexes.size(), simd::view(tables).sparse, ordinary,
                        sparse_.resize(indexes.size()));
        return {ordinary, count};
    }

    std::span<const std::uint16_t> split(std::span<const std::uint16_t> indexes,
                                         const CodingTables& tables) {
        std::uint16_t* ordinary = ordinary_words_.resize(indexes.size());
        std::uint8_t* sparse = sparse_.resize(indexes.size());
        const std::uint16_t* const begin = ordinary;
        for (const std::uint16_t index : indexes) {
            if (index < tables.sparse) {
                *sparse++ = static_cast<std::uint8_t>(index);
            } else {
                *ordinary++ = index;
            }
        }
        return {begin, ordinary};
    }

    void decode_sparse(std::span<const std::uint8_t> indexes, const CodingTables& tables) {
        exceptions_.clear();
        const std::size_t blocks = (indexes.size() + kBlock - 1) / kBlock;
        for (std::size_t first = 0; first < blocks;) {
            const std::size_t round = lanes_.next_round(blocks - first);
            std::array<std::size_t, kLanes> next{};
            for (std::size_t lane = 0; lane < round; ++lane) {
                next[lane] = decode_exception(lane, indexes, (first + lane) * kBlock, tables);
            }
            for (std::size_t lane = 0; lane < round; ++lane) {
                const std::size_t end = std::min((first + lane + 1) * kBlock, indexes.size());
                while (next[lane] < end) {
                    next[lane] = decode_exception(lane, indexes, next[lane], tables);
                }
            }
            lanes_.finish_round(round);
            first += round;
        }
        std::ranges::sort(exceptions_, {}, &Exception::rank);
    }

    // Decodes the next exception of a block, at `rank` or later, or that there is none. Returns the
    // rank from which the block goes on.
    std::size_t decode_exception(std::size_t lane, std::span<const std::uint8_t> indexes,
                                 std::size_t rank, const CodingTables& tables) {
        const std::size_t end = std::min((rank / kBlock + 1) * kBlock, indexes.size());
        std::uint32_t rare = 0;
        if (end - rank == kBlock) {
            rare = path_.sum_sparse(simd::view(tables), indexes.data() + rank);
        } else {
            for (std::size_t i = rank; i < end; ++i) {
                rare += tables.sparse_slots[indexes[i]];
            }
        }
        const std::uint32_t slot = lanes_.slot(lane, kMaxPrecision);
        const std::uint32_t modes = (std::uint32_t{1} << kMaxPrecision) - rare;
        if (slot < modes) {
            lanes_.take(lane, kMaxPrecision, modes, slot);
            return end;
        }
        std::uint32_t place = slot - modes;
        while (place >= tables.sparse_slots[indexes[rank]]) {
            place -= tables.sparse_slots[indexes[rank++]];
        }
        const CodingTable& table = tables.tables[indexes[rank]];
        const std::int8_t bin = take_rare(lane, table, place);
        exceptions_.push_back({rank, indexes[rank], bin});
        return rank + 1;
    }

    // Takes what is not the mode; `place` counts from the end of the mode's slots.
    std::int8_t take_rare(std::size_t lane, const CodingTable& table, std::uint32_t place) {
        if (place >= 2 * table.near) {
            lanes_.take(lane, table.precision, table.far_slots, place - 2 * table.near);
            return kFar;
        }
        const bool above = place >= table.near;
        lanes_.take(lane, table.precision, table.near, above ? place - table.near : place);
        return above ? 1 : -1;
    }

    template <typename Index>
    void decode_ordinary(std::span<const Index> indexes, const CodingTables& tables,
                         std::int8_t* bins) {
        decode_run(indexes, tables, path_.decode, bins,
                   [this](std::size_t lane, const CodingTables& all, std::size_t index) {
                       const CodingTable& table = all.tables[index];
                       const std::uint32_t slot = lanes_.slot(lane, table.precision);
                       if (slot >= table.mode_slots) {
                           return take_rare(lane, table, slot - table.mode_slots);
                       }
                       lanes_.take(lane, table.precision, table.mode_slots, slot);
                       return std::int8_t{0};
                   });
    }

    // The second steps of far symbols: first of exceptions, then of ordinary symbols.
    template <typename Index>
    void decode_far(std::span<const Index> ordinary, const CodingTables& tables,
                    std::int8_t* bins) {
        Index* const indexes = far_indexes<Index>().resize(exceptions_.size() + ordinary.size());
        std::size_t count = 0;
        for (const Exception& exception : exceptions_) {
            if (exception.bin == kFar) {
                indexes[count++] = exception.index;
            }
        }
        const std::size_t exceptional = count;
        if constexpr (sizeof(Index) == 1) {
            count += path_.select_far(ordinary.data(), bins, ordinary.size(), indexes + count);
        } else {
            for (std::size_t i = 0; i < ordinary.size(); ++i) {
                indexes[count] = ordinary[i];
                count += bins[i] == kFar;
            }
        }
        std::int8_t* far = far_bins_.resize(count);
        decode_run(std::span<const Index>(indexes, count), tables, path_.decode_far, far,
                   [this](std::size_t lane, const CodingTables& all, std::size_t index) {
                       const std::uint32_t slot =
                           all.far[index * kFarSlots + lanes_.slot(lane, kFarPrecision)];
                       lanes_.take(lane, kFarPrecision, FarSlot::frequency(slot),
                                   FarSlot::place(slot));
                       return FarSlot::bin(slot);
                   });
        path_.replace_far(bins, ordinary.size(), far + exceptional);
        for (Exception& exception : exceptions_) {
            if (exception.bin == kFar) {
                exception.bin = *far++;
            }
        }
    }

    // A run of units of one step: whole rounds by a loop of the path, the rest by `one`.
    template <typename Index, typename Loop, typename One>
    void decode_run(std::span<const Index> indexes, const CodingTables& tables, Loop loop,
                    std::int8_t* bins, One one) {
        std::size_t first = 0;
        if constexpr (sizeof(Index) == 1) {
            const std::size_t rounds = lanes_.before_alone(indexes.size()) / kLanes;
            lanes_.run_rounds(rounds, [&](simd::DecodeState& state) {
                return loop(simd::view(tables), indexes.data(), rounds, state, bins);
            });
            first = rounds * kLanes;
        }
        while (first < indexes.size()) {
            const std::size_t round = lanes_.next_round(indexes.size() - first);
            for (std::size_t lane = 0; lane < round; ++lane) {
                bins[first + lane] = one(lane, tables, indexes[first + lane]);
            }
            lanes_.finish_round(round);
            first += round;
        }
    }

    // Finds out where in the group the exceptions are; their escapes are the first tails.
    template <typename Index>
    void place_exceptions(std::span<const Index> indexes, const CodingTables& tables) {
        exceptional_.clear();
        SparsePositions<Index> positions(indexes, tables.sparse);
        for (const Exception& exception : exceptions_) {
            const std::size_t position = positions.find(exception.rank);
            const CodingTable& table = tables.tables[indexes[position]];
            if (exception.bin == kEscape) {
                tails_.push_back({position, &table, kEscape});
            } else {
                exceptional_.push_back({position, value_of(table, exception.bin)});
            }
        }
    }

    void write_exceptions(std::span<std::int32_t> symbols) const {
        for (const auto& [position, value] : exceptional_) {
            symbols[position] = value;
        }
    }

    template <typename Index>
    void merge(std::span<std::int32_t> symbols, std::span<const Index> indexes,
               const CodingTables& tables, const std::int8_t* bins) {
        std::size_t first = 0;
        while (first < indexes.size()) {
            if constexpr (sizeof(Index) == 1) {
                if (tables.plain) {
                    first += simd::kMergeBlock *
                             path_.merge(simd::view(tables), indexes.data() + first,
                                         (indexes.size() - first) / simd::kMergeBlock, bins,
                                         symbols.data() + first);
                }
            }
            const std::size_t end = std::min(first + simd::kMergeBlock, indexes.size());
            for (; first < end; ++first) {
                symbols[first] = merge_one(first, indexes[first], tables, bins);
            }
        }
    }

    std::int32_t merge_one(std::size_t position, std::size_t index, const CodingTables& tables,
                           const std::int8_t*& bins) {
        const CodingTable& table = tables.tables[index];
        if (index < tables.sparse) {
            return table.mode;
        }
        const std::int8_t bin = *bins++;
        if (bin == kEscape || table.low_bits > 0) {
            (table.is_far(bin) ? tails_ : near_tails_).push_back({position, &table, bin});
        }
        return value_of(table, bin);
    }

    void decode_tails(std::span<const Tail> tails, std::span<std::int32_t> symbols) {
        for (std::size_t first = 0; first < tails.size();) {
            const std::size_t round = lanes_.next_round(tails.size() - first);
            std::array<std::uint32_t, kLanes> begun{};
            for (std::size_t lane = 0; lane < round; ++lane) {
                begun[lane] = lanes_.take_raw(lane, tails[first + lane].first_bits());
            }
            for (std::size_t lane = 0; lane < round; ++lane) {
                const Tail& tail = tails[first + lane];
                symbols[tail.position] = finish_tail(lane, tail, begun[lane]);
            }
            lanes_.finish_round(round);
            first += round;
        }
    }

    std::int32_t finish_tail(std::size_t lane, const Tail& tail, std::uint32_t begun) {
        const std::int64_t value =
            tail.escaped() ? escaped_value(*tail.table, lanes_.take_number(lane, begun))
                           : value_of(*tail.table, tail.bin) + static_cast<std::int64_t>(begun);
        if (value != static_cast<std::int16_t>(value)) {
            throw StreamError("invalid payload: a symbol does not fit in 16 bits");
        }
        return static_cast<std::int32_t>(value);
    }

    struct Placed {
        std::size_t position;
        std::int32_t value;
    };

    const simd::Path& path_;
    Lanes lanes_;
    bool usable_ = true;
    // Of the group at hand.
    Scratch<std::uint8_t> bytes_;
    Scratch<std::uint16_t> words_;
    Scratch<std::uint8_t> ordinary_;
    Scratch<std::uint16_t> ordinary_words_;
    Scratch<std::uint8_t> sparse_;
    Scratch<std::int8_t> bins_;
    Scratch<std::uint8_t> far_bytes_;
    Scratch<std::uint16_t> far_words_;
    Scratch<std::int8_t> far_bins_;
    std::vector<Exception> exceptions_;
    std::vector<Placed> exceptional_;
    std::vector<Tail> near_tails_;  // low bits of modes and near bins
    std::vector<Tail> tails_;       // of far bins: first of exceptions, then of ordinary symbols
};

Decoder::Decoder(std::span<const std::uint8_t> payload, Extent extent)
    : impl_(std::make_unique<Impl>(payload, extent)) {}
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;
Decoder::~Decoder() = default;

template <typename Index>
void Decoder::pull(std::span<std::int32_t> symbols, std::span<const Index> indexes,
                   const EntropyTables& tables) {
    impl_->pull(symbols, indexes, tables.coding());
}

template void Decoder::pull(std::span<std::int32_t>, std::span<const std::uint8_t>,
                            const EntropyTables&);
template void Decoder::pull(std::span<std::int32_t>, std::span<const std::uint16_t>,
                            const EntropyTables&);

std::size_t Decoder::position() const {
    return impl_->position();
}

void Decoder::finish() {
    impl_->finish();
}

}  // namespace cca
