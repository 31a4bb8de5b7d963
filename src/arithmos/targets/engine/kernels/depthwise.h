/* One filter a channel. The weights of 16 channels are [kernel_y][shift][16][4]: for each row of the window and each shift
   r = -3 … reach-1 the four taps r, r+1, r+2, r+3 (0 outside the window), where reach = (kernel_x - 1)·dilation_x + 1. */

#define DEPTHWISE_SPAN 8

/* The window of a segment of pixels, and where its rows start. */
typedef struct {
    const uint8_t *first;
    const int8_t *weights;
    int64_t rows, row_pitch, pixel_pitch;
} channels16;

#if defined(PATH_AVX512)
/* Four neighbouring pixels of 16 channels, so turned that each lane holds the four bytes of its channel. */
INLINE __m512i four_pixels(const uint8_t *p, int64_t pitch) {
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)p));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p + pitch)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p + 2 * pitch)), 2);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p + 3 * pitch)), 3);
    v = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
    return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)));
}

/* Every group of four input pixels is turned once and serves all outputs whose windows it touches. */
INLINE void depthwise_row(const channels16 *c, const int reach, const int stride, v16 *sum) {
    for (int64_t y = 0; y < c->rows; y++) {
        const uint8_t *x = c->first + y * c->row_pitch;
        const int8_t *weights = c->weights + y * (reach + 3) * 64;
#pragma GCC unroll 8
        for (int block = 0; block < (DEPTHWISE_SPAN - 1) * stride + reach; block += 4) {
            const __m512i four = four_pixels(x + block * c->pixel_pitch, c->pixel_pitch);
#pragma GCC unroll 8
            for (int p = 0; p < DEPTHWISE_SPAN; p++) {
                const int shift = block - p * stride;
                if (shift > -4 && shift < reach)
                    sum[p] = _mm512_dpbusd_epi32(sum[p], four, _mm512_loadu_si512(weights + (shift + 3) * 64));
            }
        }
    }
}

static int depthwise_known(const channels16 *c, int64_t reach, int64_t stride, const int32_t *bias, int32_t *acc) {
    v16 sum[DEPTHWISE_SPAN];
#pragma GCC unroll 8
    for (int p = 0; p < DEPTHWISE_SPAN; p++) sum[p] = v_load(bias);
    switch (10 * reach + stride) {
    case 31: depthwise_row(c, 3, 1, sum); break;
    case 32: depthwise_row(c, 3, 2, sum); break;
    case 51: depthwise_row(c, 5, 1, sum); break;
    case 52: depthwise_row(c, 5, 2, sum); break;
    case 71: depthwise_row(c, 7, 1, sum); break;
    case 72: depthwise_row(c, 7, 2, sum); break;
    default: return 0;
    }
#pragma GCC unroll 8
    for (int p = 0; p < DEPTHWISE_SPAN; p++) v_store(acc + p * LANES, sum[p]);
    return 1;
}
#else
static int depthwise_known(const channels16 *c, int64_t reach, int64_t stride, const int32_t *bias, int32_t *acc) {
    (void)c, (void)reach, (void)stride, (void)bias, (void)acc;
    return 0;
}
#endif

/* Any window, tap by tap. */
static void depthwise_any(const channels16 *c, const step *s, int64_t reach, int64_t count, const int32_t *bias, int32_t *acc) {
    int8_t row[LANES];
    for (int64_t p = 0; p < count; p++) v_store(acc + p * LANES, v_load(bias));
    for (int64_t y = 0; y < c->rows; y++)
        for (int64_t x = 0; x < reach; x += s->dilation_x) {
            const int8_t *weights = c->weights + (y * (reach + 3) + x + 3) * 64;
            const uint8_t *from = c->first + y * c->row_pitch + x * c->pixel_pitch;
            for (int j = 0; j < LANES; j++) row[j] = weights[4 * j];
            for (int64_t p = 0; p < count; p++) {
                const v16 sum = v_load(acc + p * LANES);
                v_store(acc + p * LANES, v_multiply_add(sum, from + p * s->stride_x * c->pixel_pitch, row));
            }
        }
}

static void convolve_depthwise(const scene *now, const step *s) {
    const buffer *in = now->plan->buffers + s->in, *out = now->plan->buffers + s->out;
    int32_t acc[DEPTHWISE_SPAN * LANES] __attribute__((aligned(64)));
    const int64_t reach = (s->kernel_x - 1) * s->dilation_x + 1;
    for (int64_t row = 0; row < now->images * out->height; row++)
        for (int64_t x = 0; x < out->breadth; x += DEPTHWISE_SPAN)
            for (int64_t channel = 0; channel < out->padded; channel += LANES) {
                const int64_t image = row / out->height, y = row % out->height;
                const int64_t count = out->breadth - x < DEPTHWISE_SPAN ? out->breadth - x : DEPTHWISE_SPAN;
                const channels16 c = {
                    at(now, in, image, y * s->stride_y - s->pad_y, x * s->stride_x - s->pad_x) + channel,
                    s->weights + channel / LANES * s->kernel_y * (reach + 3) * 64,
                    s->kernel_y,
                    s->dilation_y * in->row_pitch,
                    in->pixel_pitch,
                };
                target t;
                if (!depthwise_known(&c, reach, s->stride_x, s->bias + channel, acc))
                    depthwise_any(&c, s, reach, count, s->bias + channel, acc);
                aim(now, &s->finish, out, image, y, x, 0, &t);
                finish_segment(&s->finish, &t, out->width, channel, acc, LANES, count);
            }
}
