// Eight bytes at a time moved by a mask, for instruction sets that can only shuffle.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cca::simd {

struct Shuffles {
    alignas(8) std::uint8_t rows[256][8];
};

/// Row m: the places of m's bits, lowest first, then 0x80s: brings chosen elements together.
inline constexpr Shuffles kCompress = [] {
    Shuffles shuffles{};
    for (unsigned mask = 0; mask < 256; ++mask) {
        unsigned next = 0;
        for (unsigned bit = 0; bit < 8; ++bit) {
            if ((mask >> bit & 1) != 0) {
                shuffles.rows[mask][next++] = static_cast<std::uint8_t>(bit);
            }
        }
        for (; next < 8; ++next) {
            shuffles.rows[mask][next] = 0x80;
        }
    }
    return shuffles;
}();

/// Row m: for each of m's bits the next of 0, 1, ..., 0x80 elsewhere: the inverse.
inline constexpr Shuffles kSpread = [] {
    Shuffles shuffles{};
    for (unsigned mask = 0; mask < 256; ++mask) {
        unsigned next = 0;
        for (unsigned bit = 0; bit < 8; ++bit) {
            const bool chosen = (mask >> bit & 1) != 0;
            shuffles.rows[mask][bit] = static_cast<std::uint8_t>(chosen ? next++ : 0x80);
        }
    }
    return shuffles;
}();

/// Stores those of 64 bytes that the mask chooses, with V::shuffle(); returns where they end.
template <typename V>
std::uint8_t* move(const std::uint8_t* from, std::uint64_t mask, std::uint8_t* to) {
    if (mask == ~std::uint64_t{0}) {
        __builtin_memcpy(to, from, 64);
        return to + 64;
    }
    for (; mask != 0; from += 8, mask >>= 8) {
        const auto chosen = static_cast<std::uint8_t>(mask);
        V::shuffle(from, kCompress.rows[chosen], to);
        to += __builtin_popcount(chosen);
    }
    return to;
}

/// Path::split() with V::shuffle(), which stores eight bytes shuffled by a row.
template <typename V>
std::size_t split(const std::uint8_t* indexes, std::size_t count, std::uint8_t first_ordinary,
                  std::uint8_t* ordinary, std::uint8_t* sparse) {
    const std::uint8_t* const begin = ordinary;
    std::size_t i = 0;
    for (; i + 64 <= count; i += 64) {
        std::uint64_t masks = V::at_least(indexes + i, first_ordinary);
        for (std::size_t part = 0; part < 64; part += 8) {
            const auto mask = static_cast<std::uint8_t>(masks);
            const auto chosen = static_cast<unsigned>(__builtin_popcount(mask));
            V::shuffle(indexes + i + part, kCompress.rows[mask], ordinary);
            V::shuffle(indexes + i + part, kCompress.rows[mask ^ 0xFF], sparse);
            ordinary += chosen;
            sparse += 8 - chosen;
            masks >>= 8;
        }
    }
    for (; i < count; ++i) {
        const bool chosen = indexes[i] >= first_ordinary;
        *ordinary = *sparse = indexes[i];
        ordinary += chosen;
        sparse += !chosen;
    }
    return static_cast<std::size_t>(ordinary - begin);
}

/// Path::select_far(), likewise.
template <typename V>
std::size_t select_far(const std::uint8_t* indexes, const std::int8_t* bins, std::size_t count,
                       std::uint8_t* far) {
    const std::uint8_t* const begin = far;
    for (std::size_t i = 0; i < count; i += 64) {
        std::uint64_t masks = V::equal(bins + i, kFar);
        if (count - i < 64) {
            masks &= (std::uint64_t{1} << (count - i)) - 1;
        }
        for (std::size_t part = i; masks != 0; part += 8, masks >>= 8) {
            const auto mask = static_cast<std::uint8_t>(masks);
            V::shuffle(indexes + part, kCompress.rows[mask], far);
            far += __builtin_popcount(mask);
        }
    }
    return static_cast<std::size_t>(far - begin);
}

/// Path::replace_far(); V::replace() keeps the bytes for which the row has none.
template <typename V>
void replace_far(std::int8_t* bins, std::size_t count, const std::int8_t* far) {
    for (std::size_t i = 0; i < count; i += 64) {
        std::uint64_t masks = V::equal(bins + i, kFar);
        if (count - i < 64) {
            masks &= (std::uint64_t{1} << (count - i)) - 1;
        }
        for (std::size_t part = i; masks != 0; part += 8, masks >>= 8) {
            const auto mask = static_cast<std::uint8_t>(masks);
            V::replace(far, kSpread.rows[mask], bins + part);
            far += __builtin_popcount(mask);
        }
    }
}

}  // namespace cca::simd
