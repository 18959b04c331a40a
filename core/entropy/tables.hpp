// The quantised cumulative distributions (CDFs) symbols are coded with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace cca {

struct CodingTables;

/// Most tables of a set.
inline constexpr std::size_t kMaxTables = 1024;

/// An immutable set of validated CDFs, made ready for the coder; safe to share between threads.
///
/// CDFs come in 65,536ths. The coder rounds them to as many bits as each needs
/// (docs/spec/format.md, "Coding tables"), which costs about 0.01 % of a payload, and keeps look-up
/// tables of at most 16 KiB each. All of this is done, and in the cache, when the constructor
/// returns.
class EntropyTables {
  public:
    /// Checks the tables and prepares them.
    ///
    /// @param cdfs     rows of `row_length` values, one row a table. Of row t the first
    ///                 `lengths[t]` count: they start at 0, increase strictly, end at 65,536.
    ///                 Interval i stands for the symbol `offsets[t] + i`, the last for an escape.
    /// @param lengths  3 to 65,536, and at most `row_length`. At most kMaxTables of them.
    /// @param offsets  such that every symbol of the table fits in an int16.
    /// @throws std::invalid_argument naming the table and what is wrong with it.
    EntropyTables(std::span<const std::int32_t> cdfs, std::size_t row_length,
                  std::span<const std::int32_t> lengths, std::span<const std::int32_t> offsets);

    /// Number of tables.
    std::size_t size() const noexcept;

    /// What the coder reads; for the core alone.
    const CodingTables& coding() const noexcept { return *coding_; }
    /// The same, to be kept longer than this object.
    const std::shared_ptr<const CodingTables>& shared_coding() const noexcept { return coding_; }

  private:
    std::shared_ptr<const CodingTables> coding_;
};

}  // namespace cca
