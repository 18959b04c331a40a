// The entropy coder: interleaved rANS (Duda, arXiv 1311.2540; interleaving: Giesen, 1402.3392).
//
// Lanes are independent rANS states that share one stream of 32-bit words, so that a processor
// works on several symbols at once. docs/format.md specifies the payload.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cca/tables.hpp"

namespace cca {

/// Most lanes a payload may have; the count is a power of two.
inline constexpr std::size_t kMaxLanes = 8;

/// Collects symbols, then encodes all of them at once: rANS encodes backwards.
///
/// Not for use by two threads at a time.
class Encoder {
  public:
    /// Appends `symbols`, each coded with the table its entry in `indexes` names.
    ///
    /// The tables need not outlive the call. `Index` is std::uint8_t or std::uint16_t.
    ///
    /// @throws std::invalid_argument if the sizes differ, an index names no table, or a symbol
    ///         does not fit in an int16. The encoder is then as it was before the call.
    template <typename Index>
    void push(std::span<const std::int32_t> symbols, std::span<const Index> indexes,
              const EntropyTables& tables);

    /// The payload of everything pushed so far.
    std::vector<std::uint8_t> finish() const;

  private:
    // One step of the coder: an interval of frequency last + 1.
    struct Step {
        std::uint16_t start;
        std::uint16_t last;
    };
    // What follows the escape step at `position`.
    struct Escape {
        std::size_t position;
        std::uint32_t distance;
    };
    class Writer;

    Step make_step(std::int32_t symbol, std::size_t index, const EntropyTables& tables,
                   std::size_t position);
    std::size_t choose_lanes() const noexcept;

    std::vector<Step> steps_;
    std::vector<Escape> escapes_;
};

/// Decodes a payload, symbols in the order they were pushed.
///
/// After an exception it is of no more use: every later call throws StreamError. Not for use by
/// two threads at a time.
class Decoder {
  public:
    /// Reads the coder's first states; keeps a copy of `payload`.
    ///
    /// @throws StreamError if they are truncated or invalid.
    explicit Decoder(std::span<const std::uint8_t> payload);

    /// Decodes `symbols.size()` symbols with the tables that `indexes` names.
    ///
    /// `Index` is std::uint8_t or std::uint16_t.
    ///
    /// @throws std::invalid_argument if the sizes differ or an index names no table.
    /// @throws StreamError if the payload holds no such symbols.
    template <typename Index>
    void pull(std::span<std::int32_t> symbols, std::span<const Index> indexes,
              const EntropyTables& tables);

    /// Confirms that every symbol has been pulled.
    ///
    /// @throws StreamError unless every word is consumed and every lane back where the encoder
    ///         started it.
    void finish();

  private:
    using Indexes = std::span<const std::uint16_t>;

    void read_states();
    void decode(Indexes indexes, const EntropyTables& tables, std::int32_t* symbols);
    template <std::size_t kLanes>
    void decode_rounds(Indexes indexes, const EntropyTables& tables, std::int32_t* symbols);
    void decode_one(std::uint16_t index, const EntropyTables& tables, std::int32_t& symbol);
    void refill_alone(std::uint64_t& state);

    std::vector<std::uint8_t> payload_;
    std::size_t next_word_ = 0;  // its place in payload_
    std::array<std::uint64_t, kMaxLanes> states_{};
    std::size_t lanes_ = 1;
    std::size_t position_ = 0;      // symbols decoded so far
    std::size_t alone_from_ = 0;    // the symbol from which lane 0 works alone
    std::size_t unread_lanes_ = 0;  // lanes whose first state is still to serve as lane 0's word
    bool usable_ = true;
};

}  // namespace cca
