// Sixteen lanes in AVX-512 (F, BW, DQ, VL, VBMI2).
#include <immintrin.h>

#include "entropy/simd/decode_rounds.hpp"
#include "entropy/simd/encode_rounds.hpp"
#include "entropy/simd/look_up.hpp"
#include "entropy/simd/merge.hpp"
#include "entropy/simd/paths.hpp"

namespace cca::simd {
namespace {

struct Avx512 {
    using U = __m512i;
    using Mask = __mmask16;
    static constexpr std::size_t kWidth = 16;

    static U set(std::uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }
    static U load(const void* from) { return _mm512_loadu_si512(from); }
    static void store(void* to, U value) { _mm512_storeu_si512(to, value); }
    static __m128i load_16(const void* from) {
        return _mm_loadu_si128(static_cast<const __m128i*>(from));
    }
    static U load_bytes(const std::uint8_t* from) { return _mm512_cvtepu8_epi32(load_16(from)); }
    static void store_bytes(void* to, U value) {
        _mm_storeu_si128(static_cast<__m128i*>(to), _mm512_cvtepi32_epi8(value));
    }

    static U add(U a, U b) { return _mm512_add_epi32(a, b); }
    static U sub(U a, U b) { return _mm512_sub_epi32(a, b); }
    static U mul(U a, U b) { return _mm512_mullo_epi32(a, b); }
    static U bit_and(U a, U b) { return _mm512_and_si512(a, b); }
    template <int kBits>
    static U right(U a) {
        return _mm512_srli_epi32(a, kBits);
    }
    template <int kBits>
    static U left(U a) {
        return _mm512_slli_epi32(a, kBits);
    }
    static U right(U a, U bits) { return _mm512_srlv_epi32(a, bits); }
    static U left(U a, U bits) { return _mm512_sllv_epi32(a, bits); }

    static U if_negative(U a, U yes, U no) {
        return _mm512_mask_mov_epi32(no, _mm512_movepi32_mask(a), yes);
    }
    static U min(U a, U b) { return _mm512_min_epu32(a, b); }
    static Mask at_least(U a, U b) { return _mm512_cmpge_epu32_mask(a, b); }
    // a, and 1 more where the mask is set.
    static U add_one(Mask mask, U a) { return _mm512_mask_add_epi32(a, mask, a, set(1)); }
    static U select(Mask mask, U yes, U no) { return _mm512_mask_mov_epi32(no, mask, yes); }

    // Sixteen loads: gather instructions are slower than this on most processors.
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
        const __m256i low = _mm256_set_m128i(four(4), four(0));
        return _mm512_inserti64x4(_mm512_castsi256_si512(low), _mm256_set_m128i(four(12), four(8)),
                                  1);
    }
    template <typename Entry>
    static U gather(const Entry* from, U at) {
        alignas(64) std::uint32_t places[kWidth];
        store(places, at);
        return gather(from, places);
    }

    static U compress(std::uint32_t mask, U value) {
        return _mm512_maskz_compress_epi32(static_cast<Mask>(mask), value);
    }
    static U refill(U state, const std::uint8_t*& words) {
        const Mask empty = _mm512_cmplt_epu32_mask(state, set(kLowerBound));
        const U next =
            _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
        words += kWordBytes * count_bits(empty);
        return _mm512_or_si512(_mm512_mask_slli_epi32(state, empty, state, kWordBits),
                               _mm512_maskz_expand_epi32(empty, next));
    }
    static std::uint16_t* emit(U state, Mask full, std::uint16_t* top) {
        const std::size_t count = count_bits(full);
        const __m256i words = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(full, state));
        top -= count;
        _mm256_mask_storeu_epi16(top, static_cast<__mmask16>((1U << count) - 1), words);
        return top;
    }
    static U inverse(U frequency) {
        return _mm512_castps_si512(
            _mm512_div_ps(_mm512_set1_ps(kInverseFactor), _mm512_cvtepi32_ps(frequency)));
    }
    static U quotient(U state, U inverse) {
        return _mm512_cvttps_epi32(
            _mm512_mul_ps(_mm512_cvtepu32_ps(state), _mm512_castsi512_ps(inverse)));
    }

    static std::uint64_t at_least(const std::uint8_t* bytes, std::uint8_t bound) {
        return _mm512_cmpge_epu8_mask(load(bytes), _mm512_set1_epi8(static_cast<char>(bound)));
    }
    static std::uint64_t equal(const void* bytes, int value) {
        return _mm512_cmpeq_epi8_mask(load(bytes), _mm512_set1_epi8(static_cast<char>(value)));
    }

    static U spread(const std::int8_t* bins, std::uint64_t mask) {
        return _mm512_maskz_expand_epi32(static_cast<Mask>(mask),
                                         _mm512_cvtepi8_epi32(load_16(bins)));
    }
    static std::uint8_t* move(const std::uint8_t* from, std::uint64_t mask, std::uint8_t* to) {
        store(to, _mm512_maskz_compress_epi8(mask, load(from)));
        return to + count_bits(mask);
    }
};

// Up to 64 tables fit in four registers.
struct SmallLook {
    explicit SmallLook(const std::uint32_t* tables)
        : a(Avx512::load(tables)),
          b(Avx512::load(tables + 16)),
          c(Avx512::load(tables + 32)),
          d(Avx512::load(tables + 48)) {}
    void operator()(const std::uint8_t* indexes, __m512i* words) const {
        for (std::size_t i = 0; i < kLanes / Avx512::kWidth; ++i) {
            const __m512i index = Avx512::load_bytes(indexes + i * Avx512::kWidth);
            const __m512i low = _mm512_permutex2var_epi32(a, index, b);
            const __m512i high = _mm512_permutex2var_epi32(c, index, d);
            words[i] =
                _mm512_mask_mov_epi32(low, _mm512_test_epi32_mask(index, Avx512::set(32)), high);
        }
    }
    __m512i a, b, c, d;
};

struct Look {
    explicit Look(const std::uint32_t* tables) : tables(tables) {}
    void operator()(const std::uint8_t* indexes, __m512i* words) const {
        for (std::size_t i = 0; i < kLanes / Avx512::kWidth; ++i) {
            words[i] = Avx512::gather(tables, indexes + i * Avx512::kWidth);
        }
    }
    const std::uint32_t* tables;
};

std::size_t decode(const View& tables, const std::uint8_t* indexes, std::size_t rounds,
                   DecodeState& state, std::int8_t* bins) {
    return tables.small ? decode_rounds<Avx512, SmallLook>(tables, indexes, rounds, state, bins)
                        : decode_rounds<Avx512, Look>(tables, indexes, rounds, state, bins);
}

// Path::encode_kinds(). `Look` finds the PackedTable of each of kLanes indexes.
template <typename Look>
std::uint16_t* encode_look_ups(const View& tables, const std::uint8_t* indexes,
                               const std::uint8_t* kinds, std::size_t rounds, std::uint32_t* states,
                               std::uint16_t* top) {
    using V = Avx512;
    const Look look(tables.packed);
    __m512i packed[kLanes / V::kWidth];
    const auto begin = [&](std::size_t round) { look(indexes + round * kLanes, packed); };
    const auto find = [&](std::size_t round, std::size_t i) {
        const __m512i table = packed[i];
        const __m512i precision = V::add(V::bit_and(V::right<PackedTable::kPrecisionShift>(table),
                                                    V::set(PackedTable::kPrecisionMask)),
                                         V::set(kMinPrecision));
        const __m512i mode = V::bit_and(table, V::set(PackedTable::kModeMask));
        const __m512i near = V::right<PackedTable::kNearShift>(table);
        const __m512i above = V::add(mode, near);
        const __m512i far = V::add(above, near);
        const __m512i slots = V::left(V::set(1), precision);
        const __m512i kind = V::load_bytes(kinds + round * kLanes + i * V::kWidth);
        const __mmask16 odd = _mm512_test_epi32_mask(kind, V::set(1));
        const __mmask16 upper = _mm512_test_epi32_mask(kind, V::set(2));
        const __m512i start =
            V::select(upper, V::select(odd, far, above), _mm512_maskz_mov_epi32(odd, mode));
        const __m512i frequency =
            V::select(upper, V::select(odd, V::sub(slots, far), near), V::select(odd, near, mode));
        return Steps<V>{start, frequency, V::inverse(frequency), precision};
    };
    return run_rounds_back<V>(rounds, states, top, begin, find);
}

std::uint16_t* encode_kinds(const View& tables, const std::uint8_t* indexes,
                            const std::uint8_t* kinds, std::size_t rounds, std::uint32_t* states,
                            std::uint16_t* top) {
    return tables.small ? encode_look_ups<SmallLook>(tables, indexes, kinds, rounds, states, top)
                        : encode_look_ups<Look>(tables, indexes, kinds, rounds, states, top);
}

// Finds kinds in bytes: FirstStep::kKindRows.
struct FindKinds {
    explicit FindKinds(const std::uint8_t* not_near)
        : lower(four_times(not_near)),
          upper(four_times(not_near + 16)),
          rows(four_times(FirstStep::kKindRows)) {}
    void operator()(const __m512i* symbols, const std::uint8_t* indexes,
                    std::uint8_t* kinds) const {
        const __m512i low = _mm512_packs_epi32(symbols[0], symbols[1]);
        const __m512i high = _mm512_packs_epi32(symbols[2], symbols[3]);
        // Packed within quarters: fours of symbols 0, 16, 32, 48, then 4, 20, 36, 52, and so on.
        const __m512i symbol = _mm512_permutexvar_epi32(
            _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
            _mm512_packs_epi16(low, high));
        const __m512i place =
            _mm512_min_epu8(_mm512_add_epi8(symbol, _mm512_set1_epi8(1)), _mm512_set1_epi8(3));
        const __m512i index = Avx512::load(indexes);
        const __m512i byte = _mm512_and_si512(_mm512_srli_epi16(index, 3), _mm512_set1_epi8(15));
        const __m512i bits = _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(lower, byte),
                                                      _mm512_movepi8_mask(index), upper, byte);
        const __m512i bit = _mm512_shuffle_epi8(_mm512_set1_epi64(kBitPlaces),
                                                _mm512_and_si512(index, _mm512_set1_epi8(7)));
        const __m512i row = _mm512_maskz_mov_epi8(_mm512_test_epi8_mask(bits, bit),
                                                  _mm512_set1_epi8(FirstStep::kNotNear));
        Avx512::store(kinds, _mm512_shuffle_epi8(rows, _mm512_or_si512(row, place)));
    }
    static __m512i four_times(const std::uint8_t* from) {
        return _mm512_broadcast_i32x4(Avx512::load_16(from));
    }
    __m512i lower, upper, rows;
};

// The bytes that are present of 64 from number i of `count` on.
__mmask64 present(std::size_t i, std::size_t count) {
    return count - i >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << (count - i)) - 1;
}

std::size_t split(const std::uint8_t* indexes, std::size_t count, std::uint8_t first_ordinary,
                  std::uint8_t* ordinary, std::uint8_t* sparse) {
    const std::uint8_t* const begin = ordinary;
    const __m512i bound = _mm512_set1_epi8(static_cast<char>(first_ordinary));
    for (std::size_t i = 0; i < count; i += 64) {
        const __mmask64 all = present(i, count);
        const __m512i bytes = Avx512::load(indexes + i);
        const __mmask64 chosen = _mm512_mask_cmpge_epu8_mask(all, bytes, bound);
        Avx512::store(ordinary, _mm512_maskz_compress_epi8(chosen, bytes));
        Avx512::store(sparse, _mm512_maskz_compress_epi8(all & ~chosen, bytes));
        ordinary += count_bits(chosen);
        sparse += count_bits(all & ~chosen);
    }
    return static_cast<std::size_t>(ordinary - begin);
}

std::size_t select_far(const std::uint8_t* indexes, const std::int8_t* bins, std::size_t count,
                       std::uint8_t* far) {
    const std::uint8_t* const begin = far;
    for (std::size_t i = 0; i < count; i += 64) {
        const __mmask64 chosen = Avx512::equal(bins + i, kFar) & present(i, count);
        Avx512::store(far, _mm512_maskz_compress_epi8(chosen, Avx512::load(indexes + i)));
        far += count_bits(chosen);
    }
    return static_cast<std::size_t>(far - begin);
}

void replace_far(std::int8_t* bins, std::size_t count, const std::int8_t* far) {
    for (std::size_t i = 0; i < count; i += 64) {
        const __mmask64 chosen = Avx512::equal(bins + i, kFar) & present(i, count);
        Avx512::store(bins + i,
                      _mm512_mask_expand_epi8(Avx512::load(bins + i), chosen, Avx512::load(far)));
        far += count_bits(chosen);
    }
}

std::uint32_t sum_sparse(const View& tables, const std::uint8_t* indexes) {
    const __m512i slots = FindKinds::four_times(tables.sparse_slots);
    const __m512i sums =
        _mm512_sad_epu8(_mm512_shuffle_epi8(slots, Avx512::load(indexes)), _mm512_setzero_si512());
    return static_cast<std::uint32_t>(_mm512_reduce_add_epi64(sums));
}

}  // namespace

const Path kAvx512{"avx512",
                   decode,
                   decode_far_rounds<Avx512>,
                   encode_rounds<Avx512>,
                   encode_kinds,
                   split,
                   select_far,
                   replace_far,
                   merge_blocks<Avx512>,
                   look_up_blocks<Avx512, FindKinds>,
                   sum_sparse};

}  // namespace cca::simd
