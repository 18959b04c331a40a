// Four lanes in NEON (AArch64).
#include <arm_neon.h>

#include "entropy/simd/decode_rounds.hpp"
#include "entropy/simd/eight.hpp"
#include "entropy/simd/encode_rounds.hpp"
#include "entropy/simd/look_up.hpp"
#include "entropy/simd/merge.hpp"
#include "entropy/simd/paths.hpp"

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
    static U bit_or(U a, U b) { return vorrq_u32(a, b); }
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

    static Mask at_least(U a, U b) { return vcgeq_u32(a, b); }
    static unsigned bits(Mask mask) {
        const U places = {1, 2, 4, 8};
        return vaddvq_u32(vandq_u32(mask, places));
    }
    // a, and 1 more where the mask is set.
    static U add_one(Mask mask, U a) { return vsubq_u32(a, mask); }
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
    static void load_steps(const EncoderStep* steps, const std::uint16_t* numbers, U& interval,
                           U& inverse) {
        const auto two = [steps, numbers](int i) {
            const auto* const first = reinterpret_cast<const std::uint8_t*>(steps + numbers[i]);
            const auto* const second =
                reinterpret_cast<const std::uint8_t*>(steps + numbers[i + 1]);
            return vreinterpretq_u32_u8(vcombine_u8(vld1_u8(first), vld1_u8(second)));
        };
        const U a = two(0);
        const U b = two(2);
        interval = vuzp1q_u32(a, b);
        inverse = vuzp2q_u32(a, b);
    }
    static U inverse(U frequency) {
        return vreinterpretq_u32_f32(
            vdivq_f32(vdupq_n_f32(kInverseFactor), vcvtq_f32_u32(frequency)));
    }
    static U quotient(U state, U inverse) {
        return vcvtq_u32_f32(vmulq_f32(vcvtq_f32_u32(state), vreinterpretq_f32_u32(inverse)));
    }

    static std::uint64_t at_least(const std::uint8_t* bytes, std::uint8_t bound) {
        const uint8x16_t least = vdupq_n_u8(bound);
        return compare(bytes, [least](uint8x16_t v) { return vcgeq_u8(v, least); });
    }
    static std::uint64_t equal(const void* bytes, int value) {
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
    static U compress(std::uint32_t mask, U value) {
        return shuffle_words(value, kCompressWords.rows[mask]);
    }
    static std::uint8_t* move(const std::uint8_t* from, std::uint64_t mask, std::uint8_t* to) {
        return simd::move<Neon>(from, mask, to);
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

// Finds kinds in bytes: FirstStep::kKindRows.
struct FindKinds {
    explicit FindKinds(const std::uint8_t* not_near)
        : not_near{vld1q_u8(not_near), vld1q_u8(not_near + 16)},
          rows(vld1q_u8(FirstStep::kKindRows)) {}
    void operator()(const uint32x4_t* symbols, const std::uint8_t* indexes,
                    std::uint8_t* kinds) const {
        for (std::size_t i = 0; i < kMergeBlock; i += 16) {
            const uint32x4_t* const four = symbols + i / 4;
            const int8x16_t symbol =
                vcombine_s8(narrow(four[0], four[1]), narrow(four[2], four[3]));
            const uint8x16_t place =
                vminq_u8(vreinterpretq_u8_s8(vaddq_s8(symbol, vdupq_n_s8(1))), vdupq_n_u8(3));
            const uint8x16_t index = vld1q_u8(indexes + i);
            const uint8x16_t bits = vqtbl2q_u8(not_near, vshrq_n_u8(index, 3));
            const uint8x16_t bit =
                vshlq_u8(vdupq_n_u8(1), vreinterpretq_s8_u8(vandq_u8(index, vdupq_n_u8(7))));
            const uint8x16_t row = vandq_u8(vtstq_u8(bits, bit), vdupq_n_u8(FirstStep::kNotNear));
            vst1q_u8(kinds + i, vqtbl1q_u8(rows, vorrq_u8(row, place)));
        }
    }
    static int8x8_t narrow(uint32x4_t a, uint32x4_t b) {
        return vqmovn_s16(vcombine_s16(vqmovn_s32(vreinterpretq_s32_u32(a)),
                                       vqmovn_s32(vreinterpretq_s32_u32(b))));
    }
    uint8x16x2_t not_near;
    uint8x16_t rows;
};

std::uint32_t sum_sparse(const View& tables, const std::uint8_t* indexes) {
    const uint8x16_t slots = vld1q_u8(tables.sparse_slots);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < kBlock; i += 16) {
        sum += vaddlvq_u8(vqtbl1q_u8(slots, vld1q_u8(indexes + i)));
    }
    return sum;
}

}  // namespace

const Path kNeon{"neon",
                 decode,
                 decode_far_rounds<Neon>,
                 encode_rounds<Neon>,
                 encode_kind_rounds<Neon>,
                 split<Neon>,
                 select_far<Neon>,
                 replace_far<Neon>,
                 merge_blocks<Neon>,
                 look_up_blocks<Neon, FindKinds>,
                 sum_sparse};

}  // namespace cca::simd
