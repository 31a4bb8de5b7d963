/* The end of every convolution and join: multipliers, residual, one rounding, clip, store. It decides the speed of the
   narrow layers, so its inner loops have constant width 16. */

/* Where the pixels of one row segment go, and where their summands come from. */
typedef struct {
    uint8_t *out;
    int64_t pitch;
    const uint8_t *term[MAX_TERMS];
    int64_t term_pitch[MAX_TERMS], term_width[MAX_TERMS];
} target;

/* FINISH_FLOAT: floor(acc·real + Σ term·real + offset) in float32, exact: acc and real are floats exactly (|acc| ≤ 2^24,
   |multiplier| < 2^24), the inner sum is a float exactly (the planner checks it), the last product and sum are rounded once
   and downwards, and no float lies between a number and its floor, if that floor is below 2^24; beyond, the clip decides.
   FINISH_DOUBLE: the whole sum is below 2^53 in units of 2^-shift, so nothing is rounded at all before the floor. */

#if defined(PATH_AVX512)
#define DOWN (_MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)

INLINE v16 term_lanes(const uint8_t *p, int64_t width) {
    return width == 1 ? _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)) : _mm512_loadu_si512(p);
}

INLINE v16 finish_float(const finish *f, const target *t, int64_t pixel, int64_t channel, v16 acc, __m512 real, __m512 offset) {
    __m512 sum = offset;
    for (int64_t i = 0; i < f->terms; i++) {
        const v16 lanes = term_lanes(t->term[i] + pixel * t->term_pitch[i] + channel * t->term_width[i], t->term_width[i]);
        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(lanes), _mm512_loadu_ps(f->term[i].real + channel), sum);
    }
    sum = _mm512_fmadd_round_ps(_mm512_cvtepi32_ps(acc), real, sum, DOWN);
    return _mm512_cvt_roundps_epi32(sum, DOWN);
}

INLINE v16 finish_int64(const finish *f, const target *t, int64_t pixel, int64_t channel, v16 acc) {
    const v16 mul = _mm512_loadu_si512(f->multiplier + channel);
    __m512i even = _mm512_loadu_si512(f->constant + channel), odd = _mm512_loadu_si512(f->constant + channel + 8);
    even = _mm512_add_epi64(even, _mm512_mul_epi32(acc, mul));
    odd = _mm512_add_epi64(odd, _mm512_mul_epi32(_mm512_srli_epi64(acc, 32), _mm512_srli_epi64(mul, 32)));
    for (int64_t i = 0; i < f->terms; i++) {
        const v16 lanes = term_lanes(t->term[i] + pixel * t->term_pitch[i] + channel * t->term_width[i], t->term_width[i]);
        const v16 by = _mm512_loadu_si512(f->term[i].multiplier + channel);
        even = _mm512_add_epi64(even, _mm512_mul_epi32(lanes, by));
        odd = _mm512_add_epi64(odd, _mm512_mul_epi32(_mm512_srli_epi64(lanes, 32), _mm512_srli_epi64(by, 32)));
    }
    const __m128i count = _mm_cvtsi64_si128(f->shift);
    even = _mm512_sra_epi64(even, count);
    odd = _mm512_sra_epi64(odd, count);
    if (!f->fits) {
        const __m512i low = _mm512_set1_epi64(f->low), high = _mm512_set1_epi64(f->high);
        even = _mm512_min_epi64(_mm512_max_epi64(even, low), high);
        odd = _mm512_min_epi64(_mm512_max_epi64(odd, low), high);
    }
    return _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
}

/* Four pixels of 16 channels, clipped to 0..255 by the saturation of the two packs. */
INLINE __m512i pack_pixels(v16 a, v16 b, v16 c, v16 d) {
    const __m512i packed = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, packed);
}

INLINE void store_pixels(uint8_t *out, int64_t pitch, int64_t count, __m512i packed) {
    if (count >= 4 && pitch == LANES) {
        _mm512_storeu_si512(out, packed);
        return;
    }
    _mm_storeu_si128((__m128i *)out, _mm512_castsi512_si128(packed));
    if (count > 1) _mm_storeu_si128((__m128i *)(out + pitch), _mm512_extracti32x4_epi32(packed, 1));
    if (count > 2) _mm_storeu_si128((__m128i *)(out + 2 * pitch), _mm512_extracti32x4_epi32(packed, 2));
    if (count > 3) _mm_storeu_si128((__m128i *)(out + 3 * pitch), _mm512_extracti32x4_epi32(packed, 3));
}

INLINE void finish_bytes(const finish *f, const target *t, int64_t channel, const int32_t *acc, int64_t acc_pitch,
                         int64_t count, const int kind, const int limits) {
    const __m512 real = kind == FINISH_FLOAT ? _mm512_loadu_ps(f->real + channel) : _mm512_setzero_ps();
    const __m512 offset = kind == FINISH_FLOAT ? _mm512_loadu_ps(f->offset + channel) : _mm512_setzero_ps();
    const __m512i low = _mm512_set1_epi8((char)f->low), high = _mm512_set1_epi8((char)f->high);
    for (int64_t p = 0; p < count; p += 4) {
        v16 y[4];
#pragma GCC unroll 4
        for (int64_t i = 0; i < 4; i++) {
            const int64_t pixel = p + i < count ? p + i : count - 1; /* past the end: the last one again, not stored */
            const v16 lanes = v_load(acc + pixel * acc_pitch);
            y[i] = kind == FINISH_FLOAT ? finish_float(f, t, pixel, channel, lanes, real, offset)
                                        : finish_int64(f, t, pixel, channel, lanes);
        }
        __m512i packed = pack_pixels(y[0], y[1], y[2], y[3]);
        if (limits) packed = _mm512_min_epu8(_mm512_max_epu8(packed, low), high);
        store_pixels(t->out + p * t->pitch + channel, t->pitch, count - p, packed);
    }
}

INLINE void finish_words(const finish *f, const target *t, int64_t channel, const int32_t *acc, int64_t acc_pitch, int64_t count) {
    const v16 low = _mm512_set1_epi32((int32_t)f->low), high = _mm512_set1_epi32((int32_t)f->high);
    for (int64_t p = 0; p < count; p++) {
        const v16 y = finish_int64(f, t, p, channel, v_load(acc + p * acc_pitch));
        _mm512_storeu_si512(t->out + p * t->pitch + 4 * channel, _mm512_min_epi32(_mm512_max_epi32(y, low), high));
    }
}

/* These two rounding modes are in the instructions, not in a register. */
INLINE unsigned round_down(void) { return 0; }
INLINE void round_as(unsigned mode) { (void)mode; }

#else
#if defined(PATH_AVX2)
/* A thread rounds downwards while it runs steps: then multiply-add and conversion to integers both take the floor. */
INLINE unsigned round_down(void) {
    const unsigned mode = _mm_getcsr();
    _mm_setcsr((mode & ~_MM_ROUND_MASK) | _MM_ROUND_DOWN);
    return mode;
}
INLINE void round_as(unsigned mode) { _mm_setcsr(mode); }

INLINE __m256i term_eight(const uint8_t *p, int64_t width) {
    return width == 1 ? _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)) : _mm256_loadu_si256((const __m256i *)p);
}

INLINE __m256i finish_eight(const finish *f, const target *t, int64_t pixel, int64_t channel, __m256i acc, const int kind) {
    if (kind == FINISH_FLOAT) {
        __m256 sum = _mm256_loadu_ps(f->offset + channel);
        for (int64_t i = 0; i < f->terms; i++) {
            const __m256i lanes = term_eight(t->term[i] + pixel * t->term_pitch[i] + channel * t->term_width[i], t->term_width[i]);
            sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(lanes), _mm256_loadu_ps(f->term[i].real + channel), sum);
        }
        return _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(f->real + channel), sum));
    }
    __m256d low = _mm256_loadu_pd(f->wide_offset + channel), high = _mm256_loadu_pd(f->wide_offset + channel + 4);
    for (int64_t i = 0; i < f->terms; i++) {
        const __m256i lanes = term_eight(t->term[i] + pixel * t->term_pitch[i] + channel * t->term_width[i], t->term_width[i]);
        const double *by = f->term[i].wide + channel;
        low = _mm256_fmadd_pd(_mm256_cvtepi32_pd(_mm256_castsi256_si128(lanes)), _mm256_loadu_pd(by), low);
        high = _mm256_fmadd_pd(_mm256_cvtepi32_pd(_mm256_extracti128_si256(lanes, 1)), _mm256_loadu_pd(by + 4), high);
    }
    low = _mm256_fmadd_pd(_mm256_cvtepi32_pd(_mm256_castsi256_si128(acc)), _mm256_loadu_pd(f->wide + channel), low);
    high = _mm256_fmadd_pd(_mm256_cvtepi32_pd(_mm256_extracti128_si256(acc, 1)), _mm256_loadu_pd(f->wide + channel + 4), high);
    return _mm256_setr_m128i(_mm256_cvtpd_epi32(low), _mm256_cvtpd_epi32(high));
}

INLINE __m256i finish_pixel(const finish *f, const target *t, int64_t pixel, int64_t channel, const int32_t *acc, const int kind) {
    const v16 lanes = v_load(acc);
    return _mm256_packs_epi32(finish_eight(f, t, pixel, channel, lanes.low, kind),
                              finish_eight(f, t, pixel, channel + 8, lanes.high, kind));
}

/* Two pixels at a time; the saturation of the two packs clips to 0..255. */
INLINE void finish_bytes(const finish *f, const target *t, int64_t channel, const int32_t *acc, int64_t acc_pitch,
                         int64_t count, const int kind) {
    const __m256i low = _mm256_set1_epi8((char)f->low), high = _mm256_set1_epi8((char)f->high);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int64_t p = 0; p < count; p += 2) {
        const int64_t next = p + 1 < count ? p + 1 : p;
        const __m256i first = finish_pixel(f, t, p, channel, acc + p * acc_pitch, kind);
        const __m256i second = finish_pixel(f, t, next, channel, acc + next * acc_pitch, kind);
        __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(first, second), order);
        packed = _mm256_min_epu8(_mm256_max_epu8(packed, low), high);
        _mm_storeu_si128((__m128i *)(t->out + p * t->pitch + channel), _mm256_castsi256_si128(packed));
        _mm_storeu_si128((__m128i *)(t->out + next * t->pitch + channel),
                         next > p ? _mm256_extracti128_si256(packed, 1) : _mm256_castsi256_si128(packed));
    }
}
#else
INLINE unsigned round_down(void) { return 0; }
INLINE void round_as(unsigned mode) { (void)mode; }
#endif

INLINE int64_t term_lane(const uint8_t *p, int64_t width) {
    int32_t word;
    if (width == 1) return *p;
    memcpy(&word, p, 4);
    return word;
}

INLINE void finish_lanes(const finish *f, const target *t, int64_t channel, const int32_t *restrict acc, int64_t pixel,
                         int64_t *restrict sum) {
    for (int j = 0; j < LANES; j++)
        sum[j] = (int64_t)acc[j] * f->multiplier[channel + j] + f->constant[channel + j / 2 + j % 2 * 8];
    for (int64_t i = 0; i < f->terms; i++) {
        const uint8_t *from = t->term[i] + pixel * t->term_pitch[i] + channel * t->term_width[i];
        const int32_t *by = f->term[i].multiplier + channel;
        for (int j = 0; j < LANES; j++) sum[j] += by[j] * term_lane(from + j * t->term_width[i], t->term_width[i]);
    }
    for (int j = 0; j < LANES; j++) {
        const int64_t y = sum[j] >> f->shift;
        sum[j] = y < f->low ? f->low : y > f->high ? f->high : y;
    }
}
#endif

/* Finishes `count` pixels of the 16 channels from `channel` on; acc: their accumulators, acc_pitch int32 apart. */
static void finish_segment(const finish *f, const target *t, int64_t width, int64_t channel, const int32_t *acc,
                           int64_t acc_pitch, int64_t count) {
    if (f->kind == FINISH_RAW) {
        for (int64_t p = 0; p < count; p++)
            memcpy(t->out + p * t->pitch + 4 * channel, acc + p * acc_pitch, 4 * LANES);
        return;
    }
#if defined(PATH_AVX512)
    const int limits = f->low != 0 || f->high != 255;
    if (width == 4)
        finish_words(f, t, channel, acc, acc_pitch, count);
    else if (f->kind == FINISH_FLOAT && limits)
        finish_bytes(f, t, channel, acc, acc_pitch, count, FINISH_FLOAT, 1);
    else if (f->kind == FINISH_FLOAT)
        finish_bytes(f, t, channel, acc, acc_pitch, count, FINISH_FLOAT, 0);
    else
        finish_bytes(f, t, channel, acc, acc_pitch, count, FINISH_INT64, limits);
#else
#if defined(PATH_AVX2)
    if (width == 1 && f->kind != FINISH_INT64) {
        if (f->kind == FINISH_FLOAT)
            finish_bytes(f, t, channel, acc, acc_pitch, count, FINISH_FLOAT);
        else
            finish_bytes(f, t, channel, acc, acc_pitch, count, FINISH_DOUBLE);
        return;
    }
#endif
    for (int64_t p = 0; p < count; p++) {
        int64_t y[LANES];
        finish_lanes(f, t, channel, acc + p * acc_pitch, p, y);
        uint8_t *out = t->out + p * t->pitch + channel * width;
        if (width == 1)
            for (int j = 0; j < LANES; j++) out[j] = (uint8_t)y[j];
        else
            for (int j = 0; j < LANES; j++) ((int32_t *)(void *)out)[j] = (int32_t)y[j];
    }
#endif
}

/* Sets the pointers of `count` pixels from (image, y, x) on; `across` steps through images instead of along the row. */
INLINE void aim(const scene *now, const finish *f, const buffer *out, int64_t image, int64_t y, int64_t x, int across, target *t) {
    t->out = at(now, out, image, y, x);
    t->pitch = across ? out->image_pitch : out->pixel_pitch;
    for (int64_t i = 0; i < f->terms; i++) {
        const term *m = f->term + i;
        const buffer *from = now->plan->buffers + m->buffer;
        t->term[i] = at(now, from, image, y * m->stride_y, x * m->stride_x) + m->channel * from->width;
        t->term_pitch[i] = across ? from->image_pitch : from->pixel_pitch * m->stride_x;
        t->term_width[i] = from->width;
    }
}
