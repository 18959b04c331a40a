// Four lanes in NEON (AArch64).
#include <arm_neon.h>

#include "decode_rounds.hpp"
#include "eight.hpp"
#include "encode_rounds.hpp"
#include "merge.hpp"
#include "paths.hpp"

namespace cca::simd {
namespace {

// For each mask of four lanes, a shuffle of elements of kBytes each.
template <std::size_t kBytes>
struct Rows {
    alignas(16) std::uint8_t rows[16][4 * kBytes];
};

// Elements 0, 1, ... go to the lanes of the mask in turn; the others get 0.
constexpr auto kSpreadWords = [] {
    Rows<4> shuffles{};
    for (unsigned mask = 0; mask < 16; ++mask) {
        for (unsigned byte = 0; byte < 16; ++byte) {
            const std::uint8_t lane = kSpread.rows[mask][byte / 4];
            shuffles.rows[mask][byte] =
                static_cast<std::uint8_t>(lane == 0x80 ? 0x80 : 4 * lane + byte % 4);
        }
    }
    return shuffles;
}();

// The inverse.
constexpr auto kCompressWords = [] {
    Rows<4> shuffles{};
    for (unsigned mask = 0; mask < 16; ++mask) {
        for (unsigned byte = 0; byte < 16; ++byte) {
            const std::uint8_t lane = kCompress.rows[mask][byte / 4];
            shuffles.rows[mask][byte] =
                static_cast<std::uint8_t>(lane == 0x80 ? 0x80 : 4 * lane + byte % 4);
        }
    }
    return shuffles;
}();

// The chosen elements of 16 bits go to the high end.
constexpr auto kHighHalves = [] {
    Rows<2> shuffles{};
    for (unsigned mask = 0; mask < 16; ++mask) {
        unsigned to = 4;
        for (unsigned lane = 4; lane-- > 0;) {
            if ((mask >> lane & 1) != 0) {
                --to;
                shuffles.rows[mask][2 * to] = static_cast<std::uint8_t>(2 * lane);
                shuffles.rows[mask][2 * to + 1] = static_cast<std::uint8_t>(2 * lane + 1);
            }
        }
    }
    return shuffles;
}();

struct Neon {
    using U = uint32x4_t;
    using Mask = uint32x4_t;
    static constexpr std::size_t kWidth = 4;

    static U set(std::uint32_t value) { return vdupq_n_u32(value); }
    static U load(const void* from) {
        return vreinterpretq_u32_u8(vld1q_u8(static_cast<const std::uint8_t*>(from)));
    }
    static void store(void* to, U value) {
        vst1q_u8(static_cast<std::uint8_t*>(to), vreinterpretq_u8_u32(value));
    }
    static uint8x8_t load_4(const std::uint8_t* from) {
        std::uint32_t bytes;
        __builtin_memcpy(&bytes, from, sizeof(bytes));
        return vreinterpret_u8_u32(vdup_n_u32(bytes));
    }
    static U load_bytes(const std::uint8_t* from) {
        return vmovl_u16(vget_low_u16(vmovl_u8(load_4(from))));
    }
    static void store_bytes(void* to, U value) {
        const uint16x4_t halves = vmovn_u32(value);
        const uint8x8_t bytes = vmovn_u16(vcombine_u16(halves, halves));
        const std::uint32_t four = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
        __builtin_memcpy(to, &four, sizeof(four));
    }

    static U add(U a, U b) { return vaddq_u32(a, b); }
    static U sub(U a, U b) { return vsubq_u32(a, b); }
    static U mul(U a, U b) { return vmulq_u32(a, b); }
    static U bit_and(U a, U b) { return vandq_u32(a, b); }
    static U min(U a, U b) { return vminq_u32(a, b); }
    template <int kBits>
    static U right(U a) {
        return vshrq_n_u32(a, kBits);
    }
    template <int kBits>
    static U left(U a) {
        return vshlq_n_u32(a, kBits);
    }
    static U right(U a, U bits) { return vshlq_u32(a, vnegq_s32(vreinterpretq_s32_u32(bits))); }
    static U left(U a, U bits) { return vshlq_u32(a, vreinterpretq_s32_u32(bits)); }

    static Mask equal(U a, U b) { return vceqq_u32(a, b); }
    static Mask at_least(U a, U b) { return vcgeq_u32(a, b); }
    static Mask below(U a, U b) { return vcltq_u32(a, b); }
    static Mask either(Mask a, Mask b) { return vorrq_u32(a, b); }
    static Mask inverse(Mask a) { return vmvnq_u32(a); }
    static bool all(Mask mask) { return vminvq_u32(mask) != 0; }
    static unsigned bits(Mask mask) {
        const U places = {1, 2, 4, 8};
        return vaddvq_u32(vandq_u32(mask, places));
    }
    static std::size_t count(Mask mask) { return count_bits(bits(mask)); }
    static U select(Mask mask, U yes, U no) { return vbslq_u32(mask, yes, no); }
    static U if_negative(U a, U yes, U no) {
        return select(vcltzq_s32(vreinterpretq_s32_u32(a)), yes, no);
    }

    template <typename Index>
    static U gather(const std::uint32_t* from, const Index* at) {
        const std::uint32_t values[] = {from[at[0]], from[at[1]], from[at[2]], from[at[3]]};
        return vld1q_u32(values);
    }
    static U gather(const std::uint32_t* from, U at) {
        std::uint32_t places[kWidth];
        vst1q_u32(places, at);
        return gather(from, places);
    }

    static U shuffle_words(U value, const std::uint8_t* row) {
        return vreinterpretq_u32_u8(vqtbl1q_u8(vreinterpretq_u8_u32(value), vld1q_u8(row)));
    }
    static U refill(U state, const std::uint8_t*& words) {
        const Mask empty = vcltq_u32(state, set(kLowerBound));
        const unsigned mask = bits(empty);
        const U next = vmovl_u16(vreinterpret_u16_u8(vld1_u8(words)));
        words += kWordBytes * count_bits(mask);
        const U spread = shuffle_words(next, kSpreadWords.rows[mask]);
        return select(empty, vorrq_u32(left<kWordBits>(state), spread), state);
    }
    static std::uint16_t* emit(U state, Mask full, std::uint16_t* top) {
        const unsigned mask = bits(full);
        const uint8x8_t words = vreinterpret_u8_u16(vmovn_u32(state));
        vst1_u16(top - 4, vreinterpret_u16_u8(vtbl1_u8(words, vld1_u8(kHighHalves.rows[mask]))));
        return top - count_bits(mask);
    }
    // state / frequency below 2^20, or one less. The factor makes up for the roundings, at most
    // 2^-22 in all, so that the estimate is never above the quotient.
    static U quotient(U state, U frequency) {
        const float32x4_t inverse =
            vdivq_f32(vdupq_n_f32(1.0F - 0x1p-21F), vcvtq_f32_u32(frequency));
        return vcvtq_u32_f32(vmulq_f32(vcvtq_f32_u32(state), inverse));
    }

    static std::uint64_t at_least(const std::uint8_t* bytes, std::uint8_t bound) {
        const uint8x16_t least = vdupq_n_u8(bound);
        return compare(bytes, [least](uint8x16_t v) { return vcgeq_u8(v, least); });
    }
    static std::uint64_t equal(const std::int8_t* bytes, std::int8_t value) {
        const uint8x16_t wanted = vdupq_n_u8(static_cast<std::uint8_t>(value));
        return compare(bytes, [wanted](uint8x16_t v) { return vceqq_u8(v, wanted); });
    }
    // A bit for each of 64 bytes.
    template <typename Compare>
    static std::uint64_t compare(const void* bytes, Compare is) {
        const auto* from = static_cast<const std::uint8_t*>(bytes);
        const uint8x16_t places = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
        const auto part = [&](int i) { return vandq_u8(is(vld1q_u8(from + 16 * i)), places); };
        const uint8x16_t low = vpaddq_u8(part(0), part(1));
        const uint8x16_t high = vpaddq_u8(part(2), part(3));
        const uint8x16_t four = vpaddq_u8(low, high);
        return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(four, four)), 0);
    }

    static U spread(const std::int8_t* bins, std::uint64_t mask) {
        const int8x8_t chosen =
            vtbl1_s8(vld1_s8(bins), vreinterpret_s8_u8(vld1_u8(kSpread.rows[mask])));
        return vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(vmovl_s8(chosen))));
    }
    static void shuffle(const std::uint8_t* from, const std::uint8_t* row, std::uint8_t* to) {
        vst1_u8(to, vtbl1_u8(vld1_u8(from), vld1_u8(row)));
    }
    static void replace(const std::int8_t* from, const std::uint8_t* row, std::int8_t* bytes) {
        vst1_s8(bytes, vtbx1_s8(vld1_s8(bytes), vld1_s8(from), vreinterpret_s8_u8(vld1_u8(row))));
    }
    static U compress(Mask mask, U value) {
        return shuffle_words(value, kCompressWords.rows[bits(mask)]);
    }
    static void compress_bytes(Mask mask, const std::uint8_t* from, std::uint8_t* to) {
        vst1_u8(to, vtbl1_u8(load_4(from), vld1_u8(kCompress.rows[bits(mask)])));
    }
};

struct Look {
    explicit Look(const std::uint32_t* tables) : tables(tables) {}
    void operator()(const std::uint8_t* indexes, uint32x4_t* words) const {
        for (std::size_t i = 0; i < kLanes / Neon::kWidth; ++i) {
            words[i] = Neon::gather(tables, indexes + i * Neon::kWidth);
        }
    }
    const std::uint32_t* tables;
};

std::size_t decode(const View& tables, const std::uint8_t* indexes, std::size_t rounds,
                   DecodeState& state, std::int8_t* bins) {
    return decode_rounds<Neon, Look>(tables, indexes, rounds, state, bins);
}

std::size_t look_up(const View& tables, const std::int32_t* symbols, const std::uint8_t* indexes,
                    std::size_t blocks, Found& found) {
    return look_up_blocks<Neon, Look>(tables, symbols, indexes, blocks, found);
}

std::uint32_t sum_sparse(const View& tables, const std::uint8_t* indexes) {
    const uint8x16_t slots = vld1q_u8(tables.sparse_slots);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < kBlock; i += 16) {
        sum += vaddlvq_u8(vqtbl1q_u8(slots, vld1q_u8(indexes + i)));
    }
    return sum;
}

}  // namespace

const Path kNeon{"neon",      decode,           decode_far_rounds<Neon>, encode_rounds<Neon>,
                 split<Neon>, select_far<Neon>, replace_far<Neon>,       merge_blocks<Neon>,
                 look_up,     sum_sparse};

}  // namespace cca::simd
