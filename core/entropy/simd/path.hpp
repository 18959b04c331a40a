// The loops over many symbols, once for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "entropy/coding_tables.hpp"

namespace cca::simd {

/// CodingTables without the standard library: sources that are compiled for a newer processor must
/// not instantiate templates that the linker might then choose for everyone.
struct View {
    const std::uint32_t* packed;       // PackedTable, 256 of them
    const FirstStep* first_steps;      // FirstStep::kKinds of each
    const EncoderStep* encoder_steps;  // likewise
    const KindBounds* kind_bounds;
    const std::uint8_t* not_near;      // a bit a table
    const std::uint32_t* far;          // FarSlot, kFarSlots a table
    const std::uint8_t* sparse_slots;  // kMaxSparseTables
    std::uint8_t sparse;               // tables below are sparse
    std::uint8_t first_wide;           // tables from here on may have low bits; 255 at most
    bool small;                        // no more than 64 tables
};

View view(const CodingTables& tables);

/// Elements that a loop may read or write beyond the end of an array.
inline constexpr std::size_t kSlack = 64;

/// Symbols that merge() and look_up() treat at a time.
inline constexpr std::size_t kMergeBlock = 64;

/// What the lanes are decoded from. Advanced by the loop.
struct DecodeState {
    std::uint32_t* states;      // kLanes
    const std::uint8_t* words;  // readable for kLanes words and kSlack bytes from `end`
    const std::uint8_t* end;
};

/// Where look_up() puts what it finds. Advanced by the loop.
struct Found {
    std::uint8_t* indexes;  // table indexes of ordinary symbols
    std::uint8_t* kinds;    // FirstStep::Kind, likewise
    std::uint8_t* sparse;   // table indexes of sparse symbols
    std::int32_t* far;      // far symbols
    std::uint8_t* far_indexes;
};

struct Path {
    const char* name;

    /// Decodes the first steps of `rounds` times kLanes ordinary symbols: 0, -1, 1 or kFar. Stops
    /// early when a round began beyond the end of the words. Returns the rounds done.
    std::size_t (*decode)(const View& tables, const std::uint8_t* indexes, std::size_t rounds,
                          DecodeState& state, std::int8_t* bins);

    /// Decodes the other step of so many far symbols, likewise.
    std::size_t (*decode_far)(const View& tables, const std::uint8_t* indexes, std::size_t rounds,
                              DecodeState& state, std::int8_t* bins);

    /// Encodes `rounds` times kLanes units, last to first, writing words downwards from `top`,
    /// below which there is room for as many words and kSlack bytes. Returns the new top.
    std::uint16_t* (*encode)(const Interval* intervals, const std::uint8_t* precisions,
                             std::size_t rounds, std::uint32_t* states, std::uint16_t* top);

    /// Likewise, first steps that are given by their tables and kinds.
    std::uint16_t* (*encode_kinds)(const View& tables, const std::uint8_t* indexes,
                                   const std::uint8_t* kinds, std::size_t rounds,
                                   std::uint32_t* states, std::uint16_t* top);

    /// Splits indexes into those of ordinary tables and of sparse ones; returns the number of the
    /// former.
    std::size_t (*split)(const std::uint8_t* indexes, std::size_t count,
                         std::uint8_t first_ordinary, std::uint8_t* ordinary, std::uint8_t* sparse);

    /// The indexes where the bin is kFar; returns their number.
    std::size_t (*select_far)(const std::uint8_t* indexes, const std::int8_t* bins,
                              std::size_t count, std::uint8_t* far);

    /// Replaces each kFar in `bins` by the next of `far`.
    void (*replace_far)(std::int8_t* bins, std::size_t count, const std::int8_t* far);

    /// The symbols of a group: those of ordinary tables from `bins`, the others 0. All modes are 0.
    /// Works in blocks; stops at one with a symbol of a wide table or an escape. Returns the blocks
    /// done and advances `bins`.
    std::size_t (*merge)(const View& tables, const std::uint8_t* indexes, std::size_t blocks,
                         const std::int8_t*& bins, std::int32_t* symbols);

    /// The encoder's look-up of symbols in tables whose modes are 0. Works in blocks; stops at one
    /// with a symbol of a wide table, or a sparse symbol that is not 0. Returns the blocks done.
    std::size_t (*look_up)(const View& tables, const std::int32_t* symbols,
                           const std::uint8_t* indexes, std::size_t blocks, Found& found);

    /// The slots that are not the modes' of kBlock sparse symbols.
    std::uint32_t (*sum_sparse)(const View& tables, const std::uint8_t* indexes);
};

/// The fastest path of this processor, or the one that the environment variable CCA_SIMD names.
///
/// @throws std::invalid_argument if CCA_SIMD names none that can be used here.
const Path& path();

}  // namespace cca::simd
