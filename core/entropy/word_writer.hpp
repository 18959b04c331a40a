// The encoder's words: the last written is the first read.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "entropy/rans_format.hpp"
#include "entropy/simd/path.hpp"
#include "format/little_endian.hpp"

namespace cca {

/// Words in blocks of memory that fill downwards.
class WordWriter {
  public:
    /// Units that may be encoded into one block's room.
    static constexpr std::size_t kRoom = 16'384;

    WordWriter() { add_block(); }

    void push(std::uint32_t state) {
        require(1);
        *--top_ = static_cast<std::uint16_t>(state);
    }

    /// Where to write up to `words` <= kRoom words downwards; set_top() says how many there were.
    std::uint16_t* require(std::size_t words) {
        if (words + kMargin > static_cast<std::size_t>(top_ - blocks_.back().data.get())) {
            blocks_.back().top = top_;
            add_block();
        }
        return top_;
    }
    void set_top(std::uint16_t* top) { top_ = top; }

    /// Words written so far.
    std::size_t words() const {
        std::size_t count = 0;
        for (const Block& block : blocks_) {
            const bool last = &block == &blocks_.back();
            count +=
                static_cast<std::size_t>(block.data.get() + kWords - (last ? top_ : block.top));
        }
        return count;
    }

    /// Words written to the first block so far, of which there is only one at the start.
    std::size_t first_words() const {
        return static_cast<std::size_t>(blocks_.front().data.get() + kWords - top_);
    }

    /// Word number `i` in the order of writing, of the first block.
    std::uint16_t first_word(std::size_t i) const { return blocks_.front().data[kWords - 1 - i]; }

    /// Appends all but the first `skipped` words, in the order of reading.
    void append_to(std::vector<std::uint8_t>& out, std::size_t skipped) const {
        for (std::size_t i = blocks_.size(); i-- > 0;) {
            const std::uint16_t* const end =
                blocks_[i].data.get() + kWords - (i == 0 ? skipped : 0);
            const bool last = i + 1 == blocks_.size();
            const std::uint16_t* const begin = last ? top_ : blocks_[i].top;
            if constexpr (std::endian::native == std::endian::little) {
                const auto* const bytes = reinterpret_cast<const std::uint8_t*>(begin);
                out.insert(out.end(), bytes, bytes + kWordBytes * (end - begin));
            } else {
                std::for_each(begin, end,
                              [&out](auto word) { append_bytes(out, word, kWordBytes); });
            }
        }
    }

  private:
    static constexpr std::size_t kMargin = simd::kSlack;
    static constexpr std::size_t kWords = 2 * kRoom + kMargin;

    struct Block {
        std::unique_ptr<std::uint16_t[]> data;
        std::uint16_t* top;
    };

    void add_block() {
        blocks_.push_back({std::make_unique_for_overwrite<std::uint16_t[]>(kWords), nullptr});
        top_ = blocks_.back().data.get() + kWords;
    }

    std::vector<Block> blocks_;
    std::uint16_t* top_ = nullptr;
};

}  // namespace cca
