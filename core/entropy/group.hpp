// What encoder and decoder both do with the table indexes of a group.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include "entropy/coding_tables.hpp"
#include "entropy/simd/path.hpp"

namespace cca {

/// Memory that grows and is never initialised; kSlack elements may be overwritten beyond its size.
template <typename T>
class Scratch {
  public:
    T* resize(std::size_t size) {
        if (size > size_ || data_ == nullptr) {
            data_ = std::make_unique_for_overwrite<T[]>(size + simd::kSlack);
            size_ = size;
        }
        return data_.get();
    }

  private:
    std::unique_ptr<T[]> data_;
    std::size_t size_ = 0;
};

/// A group's table indexes, copied and checked: the caller's array may be shared with threads that
/// write to it.
template <typename Index>
std::span<const Index> copy_indexes(std::span<const Index> indexes, const CodingTables& tables,
                                    Scratch<Index>& scratch) {
    Index* const copy = scratch.resize(indexes.size());
    std::copy(indexes.begin(), indexes.end(), copy);
    Index highest = 0;
    for (std::size_t i = 0; i < indexes.size(); ++i) {
        highest = std::max(highest, copy[i]);
    }
    if (!indexes.empty() && highest >= tables.tables.size()) {
        throw std::invalid_argument("table index " + std::to_string(highest) +
                                    " is not among the " + std::to_string(tables.tables.size()) +
                                    " entropy tables");
    }
    return {copy, indexes.size()};
}

/// Finds sparse symbols in their group by their rank among the sparse ones, in rising order.
template <typename Index>
class SparsePositions {
  public:
    SparsePositions(std::span<const Index> indexes, std::size_t sparse)
        : indexes_(indexes), sparse_(sparse) {}

    std::size_t find(std::size_t rank) {
        while (indexes_.size() - position_ >= kStride) {
            const std::size_t count = count_sparse(indexes_.subspan(position_, kStride));
            if (rank_ + count > rank) {
                break;
            }
            rank_ += count;
            position_ += kStride;
        }
        while (indexes_[position_] >= sparse_ || rank_ < rank) {
            rank_ += indexes_[position_++] < sparse_;
        }
        return position_;
    }

  private:
    static constexpr std::size_t kStride = 64;

    std::size_t count_sparse(std::span<const Index> indexes) const {
        // In bytes, so that compilers count sixteen or more at a time.
        const auto bound = static_cast<Index>(sparse_);
        std::uint8_t count = 0;
        for (std::size_t i = 0; i < kStride; ++i) {
            count = static_cast<std::uint8_t>(count + (indexes[i] < bound));
        }
        return count;
    }

    std::span<const Index> indexes_;
    std::size_t sparse_;
    std::size_t position_ = 0;
    std::size_t rank_ = 0;  // sparse symbols before position_
};

}  // namespace cca
