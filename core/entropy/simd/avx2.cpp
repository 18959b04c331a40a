// Eight lanes in AVX2.
#include <immintrin.h>

#include "entropy/simd/decode_rounds.hpp"
#include "entropy/simd/eight.hpp"
#include "entropy/simd/encode_rounds.hpp"
#include "entropy/simd/look_up.hpp"
#include "entropy/simd/merge.hpp"
#include "entropy/simd/paths.hpp"

namespace cca::simd {
namespace {

// For each mask of eight 16-bit words, the shuffle that moves the chosen ones to the high end.
struct HighWords {
    alignas(16) std::uint8_t rows[256][16];
};
constexpr HighWords kHighWords = [] {
    HighWords shuffles{};
    for (unsigned mask = 0; mask < 256; ++mask) {
        unsigned to = 8;
        for (unsigned bit = 8; bit-- > 0;) {
            if ((mask >> bit & 1) != 0) {
                --to;
                shuffles.rows[mask][2 * to] = static_cast<std::uint8_t>(2 * bit);
                shuffles.rows[mask][2 * to + 1] = static_cast<std::uint8_t>(2 * bit + 1);
            }
        }
    }
    return shuffles;
}();

struct Avx2 {
    using U = __m256i;
    using Mask = __m256i;
    static constexpr std::size_t kWidth = 8;

    static U set(std::uint32_t value) { return _mm256_set1_epi32(static_cast<int>(value)); }
    static U load(const void* from) {
        return _mm256_loadu_si256(static_cast<const __m256i*>(from));
    }
    static void store(void* to, U value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }
    static __m128i load_8(const void* from) {
        return _mm_loadl_epi64(static_cast<const __m128i*>(from));
    }
    static void store_8(void* to, __m128i value) {
        _mm_storel_epi64(static_cast<__m128i*>(to), value);
    }
    static U load_bytes(const std::uint8_t* from) { return _mm256_cvtepu8_epi32(load_8(from)); }
    static void store_bytes(void* to, U value) {
        const U low = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                       0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
        const U bytes = _mm256_shuffle_epi8(value, low);
        store_8(to, _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes),
                                       _mm256_extracti128_si256(bytes, 1)));
    }

    static U add(U a, U b) { return _mm256_add_epi32(a, b); }
    static U sub(U a, U b) { return _mm256_sub_epi32(a, b); }
    static U mul(U a, U b) { return _mm256_mullo_epi32(a, b); }
    static U bit_and(U a, U b) { return _mm256_and_si256(a, b); }
    static U bit_or(U a, U b) { return _mm256_or_si256(a, b); }
    template <int kBits>
    static U right(U a) {
        return _mm256_srli_epi32(a, kBits);
    }
    template <int kBits>
    static U left(U a) {
        return _mm256_slli_epi32(a, kBits);
    }
    static U right(U a, U bits) { return _mm256_srlv_epi32(a, bits); }
    static U left(U a, U bits) { return _mm256_sllv_epi32(a, bits); }

    static U if_negative(U a, U yes, U no) {
        return _mm256_castps_si256(_mm256_blendv_ps(
            _mm256_castsi256_ps(no), _mm256_castsi256_ps(yes), _mm256_castsi256_ps(a)));
    }
    static U min(U a, U b) { return _mm256_min_epu32(a, b); }
    // a >= b, both below 2^31.
    static Mask at_least(U a, U b) { return _mm256_cmpgt_epi32(a, _mm256_sub_epi32(b, set(1))); }
    static unsigned bits(Mask mask) {
        return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(mask)));
    }
    // a, and 1 more where the mask is set.
    static U add_one(Mask mask, U a) { return _mm256_sub_epi32(a, mask); }
    static U select(Mask mask, U yes, U no) { return _mm256_blendv_epi8(no, yes, mask); }

    // Eight loads: gather instructions are slower than this on most processors.
    template <typename Entry, typename Index>
    static U gather(const Entry* from, const Index* at) {
        const auto entry = [from, at](int i) {
            int value;
            __builtin_memcpy(&value, from + at[i], sizeof(value));
            return value;
        };
        const auto four = [entry](int i) {
            __m128i v = _mm_cvtsi32_si128(entry(i));
            v = _mm_insert_epi32(v, entry(i + 1), 1);
            v = _mm_insert_epi32(v, entry(i + 2), 2);
            return _mm_insert_epi32(v, entry(i + 3), 3);
        };
        return _mm256_set_m128i(four(4), four(0));
    }
    template <typename Entry>
    static U gather(const Entry* from, U at) {
        alignas(32) std::uint32_t places[kWidth];
        store(places, at);
        return gather(from, places);
    }

    static void load_steps(const EncoderStep* steps, const std::uint16_t* numbers, U& interval,
                           U& inverse) {
        const auto two = [steps, numbers](int i) {
            std::int64_t second;
            __builtin_memcpy(&second, steps + numbers[i + 1], sizeof(second));
            return _mm_insert_epi64(load_8(steps + numbers[i]), second, 1);
        };
        const __m256 a = _mm256_castsi256_ps(_mm256_set_m128i(two(4), two(0)));
        const __m256 b = _mm256_castsi256_ps(_mm256_set_m128i(two(6), two(2)));
        interval = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
        inverse = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD));
    }
    static U compress(std::uint32_t mask, U value) {
        return _mm256_permutevar8x32_epi32(value, load_bytes(kCompress.rows[mask]));
    }
    static U refill(U state, const std::uint8_t*& words) {
        const U empty = _mm256_cmpeq_epi32(right<kWordBits>(state), _mm256_setzero_si256());
        const unsigned mask = bits(empty);
        const U next =
            _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(words)));
        words += kWordBytes * count_bits(mask);
        const U spread = _mm256_permutevar8x32_epi32(next, load_bytes(kSpread.rows[mask]));
        return select(empty, _mm256_or_si256(left<kWordBits>(state), spread), state);
    }
    static std::uint16_t* emit(U state, Mask full, std::uint16_t* top) {
        const U words = _mm256_and_si256(state, set(0xFFFF));
        const __m128i packed =
            _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        const unsigned mask = bits(full);
        const __m128i row = _mm_load_si128(reinterpret_cast<const __m128i*>(kHighWords.rows[mask]));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(top - 8), _mm_shuffle_epi8(packed, row));
        return top - count_bits(mask);
    }
    static U inverse(U frequency) {
        return _mm256_castps_si256(
            _mm256_div_ps(_mm256_set1_ps(kInverseFactor), _mm256_cvtepi32_ps(frequency)));
    }
    static U quotient(U state, U inverse) {
        // Only signed integers can be converted: those from 2^31 on become 2^32 less. Both
        // roundings together are at most 1.5 * 2^-24.
        const __m256 missing = _mm256_blendv_ps(_mm256_setzero_ps(), _mm256_set1_ps(0x1p32F),
                                                _mm256_castsi256_ps(state));
        const __m256 whole = _mm256_add_ps(_mm256_cvtepi32_ps(state), missing);
        return _mm256_cvttps_epi32(_mm256_mul_ps(whole, _mm256_castsi256_ps(inverse)));
    }

    static std::uint64_t at_least(const std::uint8_t* bytes, std::uint8_t bound) {
        const U least = _mm256_set1_epi8(static_cast<char>(bound));
        return compare(bytes,
                       [least](U v) { return _mm256_cmpeq_epi8(_mm256_max_epu8(v, least), v); });
    }
    static std::uint64_t equal(const void* bytes, int value) {
        const U wanted = _mm256_set1_epi8(static_cast<char>(value));
        return compare(bytes, [wanted](U v) { return _mm256_cmpeq_epi8(v, wanted); });
    }
    template <typename Compare>
    static std::uint64_t compare(const void* bytes, Compare is) {
        const auto* from = static_cast<const std::uint8_t*>(bytes);
        const auto low = static_cast<std::uint32_t>(_mm256_movemask_epi8(is(load(from))));
        const auto high = static_cast<std::uint32_t>(_mm256_movemask_epi8(is(load(from + 32))));
        return std::uint64_t{high} << 32 | low;
    }

    static U spread(const std::int8_t* bins, std::uint64_t mask) {
        const __m128i row = load_8(kSpread.rows[mask]);
        return _mm256_cvtepi8_epi32(_mm_shuffle_epi8(load_8(bins), row));
    }
    static void shuffle(const std::uint8_t* from, const std::uint8_t* row, std::uint8_t* to) {
        store_8(to, _mm_shuffle_epi8(load_8(from), load_8(row)));
    }
    static void replace(const std::int8_t* from, const std::uint8_t* row, std::int8_t* bytes) {
        const __m128i places = load_8(row);
        store_8(bytes,
                _mm_blendv_epi8(_mm_shuffle_epi8(load_8(from), places), load_8(bytes), places));
    }
    static std::uint8_t* move(const std::uint8_t* from, std::uint64_t mask, std::uint8_t* to) {
        return simd::move<Avx2>(from, mask, to);
    }
};

struct Look {
    explicit Look(const std::uint32_t* tables) : tables(tables) {}
    void operator()(const std::uint8_t* indexes, __m256i* words) const {
        for (std::size_t i = 0; i < kLanes / Avx2::kWidth; ++i) {
            words[i] = Avx2::gather(tables, indexes + i * Avx2::kWidth);
        }
    }
    const std::uint32_t* tables;
};

// Up to 64 tables, byte by byte of their words: four shuffles find a byte in 16 tables each, the
// two higher bits of the index choose among the four.
struct SmallLook {
    explicit SmallLook(const std::uint32_t* tables) {
        for (int byte = 0; byte < 4; ++byte) {
            for (int part = 0; part < 4; ++part) {
                alignas(16) std::uint8_t bytes[16];
                for (int i = 0; i < 16; ++i) {
                    bytes[i] = static_cast<std::uint8_t>(tables[16 * part + i] >> (8 * byte));
                }
                planes[byte][part] = _mm256_broadcastsi128_si256(
                    _mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
            }
        }
    }
    void operator()(const std::uint8_t* indexes, __m256i* words) const {
        half(indexes, words);
        half(indexes + 32, words + 4);
    }
    void half(const std::uint8_t* indexes, __m256i* words) const {
        const __m256i index = Avx2::load(indexes);
        const __m256i odd = _mm256_slli_epi16(index, 3);
        const __m256i upper = _mm256_slli_epi16(index, 2);
        const auto find = [&](int byte) {
            const __m256i* const plane = planes[byte];
            const auto pair = [&](int part) {
                return _mm256_blendv_epi8(_mm256_shuffle_epi8(plane[part], index),
                                          _mm256_shuffle_epi8(plane[part + 1], index), odd);
            };
            return _mm256_blendv_epi8(pair(0), pair(2), upper);
        };
        const __m256i byte_0 = find(0);
        const __m256i byte_1 = find(1);
        const __m256i byte_2 = find(2);
        const __m256i byte_3 = find(3);
        const __m256i low_a = _mm256_unpacklo_epi8(byte_0, byte_1);
        const __m256i low_b = _mm256_unpackhi_epi8(byte_0, byte_1);
        const __m256i high_a = _mm256_unpacklo_epi8(byte_2, byte_3);
        const __m256i high_b = _mm256_unpackhi_epi8(byte_2, byte_3);
        // Indexes 0 to 3 and 16 to 19, and so on: shuffles stay within halves.
        const __m256i word_0 = _mm256_unpacklo_epi16(low_a, high_a);
        const __m256i word_4 = _mm256_unpackhi_epi16(low_a, high_a);
        const __m256i word_8 = _mm256_unpacklo_epi16(low_b, high_b);
        const __m256i word_12 = _mm256_unpackhi_epi16(low_b, high_b);
        words[0] = _mm256_permute2x128_si256(word_0, word_4, 0x20);
        words[1] = _mm256_permute2x128_si256(word_8, word_12, 0x20);
        words[2] = _mm256_permute2x128_si256(word_0, word_4, 0x31);
        words[3] = _mm256_permute2x128_si256(word_8, word_12, 0x31);
    }
    __m256i planes[4][4];
};

std::size_t decode(const View& tables, const std::uint8_t* indexes, std::size_t rounds,
                   DecodeState& state, std::int8_t* bins) {
    return tables.small ? decode_rounds<Avx2, SmallLook>(tables, indexes, rounds, state, bins)
                        : decode_rounds<Avx2, Look>(tables, indexes, rounds, state, bins);
}

// Finds kinds in bytes: FirstStep::kKindRows.
struct FindKinds {
    explicit FindKinds(const std::uint8_t* not_near)
        : lower(twice(not_near)), upper(twice(not_near + 16)), rows(twice(FirstStep::kKindRows)) {}
    void operator()(const __m256i* symbols, const std::uint8_t* indexes,
                    std::uint8_t* kinds) const {
        Avx2::store(kinds, half(symbols, Avx2::load(indexes)));
        Avx2::store(kinds + 32, half(symbols + 4, Avx2::load(indexes + 32)));
    }
    __m256i half(const __m256i* symbols, __m256i index) const {
        const __m256i low = _mm256_packs_epi32(symbols[0], symbols[1]);
        const __m256i high = _mm256_packs_epi32(symbols[2], symbols[3]);
        // Packed within halves: fours of symbols 0, 8, 16, 24, then 4, 12, 20, 28.
        const __m256i symbol = _mm256_permutevar8x32_epi32(
            _mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        const __m256i place =
            _mm256_min_epu8(_mm256_add_epi8(symbol, _mm256_set1_epi8(1)), _mm256_set1_epi8(3));
        const __m256i byte = _mm256_and_si256(_mm256_srli_epi16(index, 3), _mm256_set1_epi8(15));
        const __m256i bits = _mm256_blendv_epi8(_mm256_shuffle_epi8(lower, byte),
                                                _mm256_shuffle_epi8(upper, byte), index);
        const __m256i bit = _mm256_shuffle_epi8(_mm256_set1_epi64x(kBitPlaces),
                                                _mm256_and_si256(index, _mm256_set1_epi8(7)));
        const __m256i not_near = _mm256_cmpeq_epi8(_mm256_and_si256(bits, bit), bit);
        const __m256i row = _mm256_and_si256(not_near, _mm256_set1_epi8(FirstStep::kNotNear));
        return _mm256_shuffle_epi8(rows, _mm256_or_si256(row, place));
    }
    static __m256i twice(const std::uint8_t* from) {
        return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    }
    __m256i lower, upper, rows;
};

std::uint32_t sum_sparse(const View& tables, const std::uint8_t* indexes) {
    const __m256i slots = FindKinds::twice(tables.sparse_slots);
    const auto sums = [slots](const std::uint8_t* from) {
        return _mm256_sad_epu8(_mm256_shuffle_epi8(slots, Avx2::load(from)),
                               _mm256_setzero_si256());
    };
    const __m256i four = _mm256_add_epi64(sums(indexes), sums(indexes + 32));
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 2));
}

}  // namespace

const Path kAvx2{"avx2",
                 decode,
                 decode_far_rounds<Avx2>,
                 encode_rounds<Avx2>,
                 encode_kind_rounds<Avx2>,
                 split<Avx2>,
                 select_far<Avx2>,
                 replace_far<Avx2>,
                 merge_blocks<Avx2>,
                 look_up_blocks<Avx2, FindKinds>,
                 sum_sparse};

}  // namespace cca::simd
