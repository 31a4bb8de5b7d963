/* Sixteen int32 lanes, and the one product that convolutions need: lane j adds x[4]·w[j][4], x unsigned and w signed bytes.
   Three ways to the same integers: AVX-512 VNNI, AVX2 (with or without its VNNI), and plain C.
   VPDPBUSD does not saturate (VPDPBUSDS does); VPMADDUBSW does, so the AVX2 path widens to 16 bits first. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES 16

#if defined(ARITHMOS_PLAIN)
#elif defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && !defined(ARITHMOS_256)
#define PATH_AVX512 1
#elif defined(__AVX2__) && defined(__FMA__)
#define PATH_AVX2 1
#if defined(ARITHMOS_AVX2)
#elif defined(__AVXVNNI__)
#define DOT_256 _mm256_dpbusd_avx_epi32
#elif defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define DOT_256 _mm256_dpbusd_epi32 /* the same instruction in its other encoding, so that any VNNI processor tests this path */
#endif
#endif

#if defined(PATH_AVX512)
#include <immintrin.h>
#define PATH_NAME "avx512-vnni"
#define TILE_SPAN 8     /* most pixels of one row segment in a tile */
#define TILE_SEGMENTS 2 /* row segments in a tile */
#define TILE_VECTORS 2  /* blocks of 16 output channels in a tile */
typedef __m512i v16;
INLINE v16 v_load(const int32_t *p) { return _mm512_loadu_si512(p); }
INLINE void v_store(int32_t *p, v16 v) { _mm512_storeu_si512(p, v); }
typedef __m512i vweights;
typedef __m512i vpixel;
INLINE vweights v_weights(const int8_t *p) { return _mm512_loadu_si512(p); }
INLINE vpixel v_pixel(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
}
INLINE v16 v_dot(v16 acc, vpixel x, vweights w) { return _mm512_dpbusd_epi32(acc, x, w); }
/* Lane by lane: x is (byte, 0) in pairs of int16, so the pair sum is one product. */
INLINE v16 v_multiply_add(v16 acc, const uint8_t *x, const int8_t *w) {
    const __m512i lanes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)x));
    return _mm512_add_epi32(acc, _mm512_madd_epi16(lanes, _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)w))));
}

#elif defined(PATH_AVX2)
#include <immintrin.h>
#define TILE_SEGMENTS 1
#define TILE_VECTORS 1
typedef struct {
    __m256i low, high;
} v16;
INLINE v16 v_load(const int32_t *p) {
    return (v16){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 8))};
}
INLINE void v_store(int32_t *p, v16 v) {
    _mm256_storeu_si256((__m256i *)p, v.low);
    _mm256_storeu_si256((__m256i *)(p + 8), v.high);
}
INLINE __m256i four_bytes(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
}
INLINE __m256i multiply_eight(const uint8_t *x, const int8_t *w) {
    return _mm256_madd_epi16(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)x)),
                             _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)w)));
}
/* Lane by lane: x is (byte, 0) in pairs of int16, so the pair sum is one product. */
INLINE v16 v_multiply_add(v16 acc, const uint8_t *x, const int8_t *w) {
    return (v16){_mm256_add_epi32(acc.low, multiply_eight(x, w)), _mm256_add_epi32(acc.high, multiply_eight(x + 8, w + 8))};
}
#if defined(DOT_256)
#define PATH_NAME "avx-vnni"
#define TILE_SPAN 6
typedef v16 vweights;
typedef __m256i vpixel;
INLINE vweights v_weights(const int8_t *p) { return v_load((const int32_t *)(const void *)p); }
INLINE vpixel v_pixel(const uint8_t *p) { return four_bytes(p); }
INLINE v16 v_dot(v16 acc, vpixel x, vweights w) {
    return (v16){DOT_256(acc.low, x, w.low), DOT_256(acc.high, x, w.high)};
}
#else
#define PATH_NAME "avx2"
#define TILE_SPAN 4
typedef struct {
    v16 even, odd; /* bytes 0 and 2, and bytes 1 and 3, of every lane as int16 */
} vweights;
typedef struct {
    __m256i even, odd;
} vpixel;
INLINE __m256i even_bytes(__m256i w) { return _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8); }
INLINE vweights v_weights(const int8_t *p) {
    const v16 w = v_load((const int32_t *)(const void *)p);
    return (vweights){{even_bytes(w.low), even_bytes(w.high)},
                      {_mm256_srai_epi16(w.low, 8), _mm256_srai_epi16(w.high, 8)}};
}
INLINE vpixel v_pixel(const uint8_t *p) {
    const __m256i x = four_bytes(p);
    return (vpixel){_mm256_and_si256(x, _mm256_set1_epi16(255)), _mm256_srli_epi16(x, 8)};
}
INLINE __m256i dot_pairs(__m256i acc, vpixel x, __m256i even, __m256i odd) {
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x.even, even));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(x.odd, odd));
}
INLINE v16 v_dot(v16 acc, vpixel x, vweights w) {
    return (v16){dot_pairs(acc.low, x, w.even.low, w.odd.low), dot_pairs(acc.high, x, w.even.high, w.odd.high)};
}
#endif

#else
#define PATH_NAME "plain"
#define TILE_SPAN 4
#define TILE_SEGMENTS 1
#define TILE_VECTORS 1
#define LANES_TOGETHER 1 /* weights are [4][16], not [16][4] */
/* Vectors of the compiler: it makes them of whatever the processor has. */
typedef int32_t v16 __attribute__((vector_size(4 * LANES)));
typedef int16_t half16 __attribute__((vector_size(2 * LANES)));
typedef int8_t byte16 __attribute__((vector_size(LANES)));
typedef struct {
    half16 of[4];
} vweights;
typedef const uint8_t *vpixel;
INLINE v16 v_load(const int32_t *p) {
    v16 v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void v_store(int32_t *p, v16 v) { memcpy(p, &v, sizeof v); }
INLINE vweights v_weights(const int8_t *p) {
    vweights w;
    for (int b = 0; b < 4; b++) {
        byte16 bytes;
        memcpy(&bytes, p + b * LANES, sizeof bytes);
        w.of[b] = __builtin_convertvector(bytes, half16);
    }
    return w;
}
INLINE vpixel v_pixel(const uint8_t *p) { return p; }
INLINE v16 v_dot(v16 acc, vpixel x, vweights w) {
    for (int b = 0; b < 4; b++) acc += __builtin_convertvector(w.of[b] * (int16_t)x[b], v16); /* 255 · -128 is an int16 */
    return acc;
}
INLINE v16 v_multiply_add(v16 acc, const uint8_t *x, const int8_t *w) {
    int16_t product[LANES];
    half16 lanes;
    for (int j = 0; j < LANES; j++) product[j] = (int16_t)(x[j] * w[j]);
    memcpy(&lanes, product, sizeof lanes);
    return acc + __builtin_convertvector(lanes, v16);
}
#endif
#ifndef LANES_TOGETHER
#define LANES_TOGETHER 0
#endif
