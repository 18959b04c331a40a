// The entropy coder: interleaved rANS (Duda, arXiv 1311.2540; interleaving: Giesen, 1402.3392).
//
// Lanes are independent rANS states that share one stream of 16-bit words, so that a processor
// works on several symbols at once. docs/spec/format.md specifies the payload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "entropy/tables.hpp"

namespace cca {

/// Collects groups of symbols, then encodes all of them at once: rANS encodes backwards.
///
/// Not for use by two threads at a time.
class Encoder {
  public:
    /// @throws std::invalid_argument if the environment variable CCA_SIMD asks for instructions
    ///         that this processor does not have.
    Encoder();
    Encoder(Encoder&&) noexcept;
    Encoder& operator=(Encoder&&) noexcept;
    ~Encoder();

    /// Appends a group: `symbols`, each coded with the table its entry in `indexes` names.
    ///
    /// The tables need not outlive the call. `Index` is std::uint8_t or std::uint16_t.
    ///
    /// @throws std::invalid_argument if the sizes differ, an index names no table, or a symbol
    ///         does not fit in an int16. The encoder is then as it was before the call.
    template <typename Index>
    void push(std::span<const std::int32_t> symbols, std::span<const Index> indexes,
              const EntropyTables& tables);

    /// The payload of everything pushed so far.
    ///
    /// @param group_bytes  gets how many of its bytes the decoder reads for each group; the coder's
    ///                     first states are the first group's.
    std::vector<std::uint8_t> finish(std::vector<std::uint64_t>* group_bytes = nullptr) const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// Decodes a payload, group by group as they were pushed.
///
/// After a StreamError it is of no more use: every later call throws another. Not for use by two
/// threads at a time.
class Decoder {
  public:
    /// Whether a payload is all there. Of one that is cut short, the groups come out that are
    /// whole.
    enum class Extent : bool { kWhole, kCutShort };

    /// Reads the coder's first states; keeps a copy of `payload`.
    ///
    /// @throws StreamError if they are truncated or invalid.
    /// @throws std::invalid_argument as Encoder() does.
    explicit Decoder(std::span<const std::uint8_t> payload, Extent extent = Extent::kWhole);
    Decoder(Decoder&&) noexcept;
    Decoder& operator=(Decoder&&) noexcept;
    ~Decoder();

    /// Decodes a group of `symbols.size()` symbols with the tables that `indexes` names.
    ///
    /// `Index` is std::uint8_t or std::uint16_t.
    ///
    /// @throws std::invalid_argument if the sizes differ or an index names no table. The decoder is
    ///         then as it was before the call.
    /// @throws StreamError if the payload holds no such symbols.
    template <typename Index>
    void pull(std::span<std::int32_t> symbols, std::span<const Index> indexes,
              const EntropyTables& tables);

    /// Bytes of the payload that have been read.
    std::size_t position() const;

    /// Confirms that every group has been pulled.
    ///
    /// @throws StreamError unless every word is consumed and every lane back where the encoder
    ///         started it.
    void finish();

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cca
