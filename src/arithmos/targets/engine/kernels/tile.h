/* One tile of a convolution: the accumulators of SEGMENTS × SPAN pixels and 16·VECTORS output channels stay in registers
   while the loop runs over the window. A pixel is four input bytes broadcast; a weight vector is 16 channels × 4 bytes. */

/* The window of a tile: `runs` stretches of 4·length consecutive input bytes, at these offsets from the first pixel. */
typedef struct {
    int64_t runs, length;
    const int64_t *offset;
} window;

typedef void tile_function(const uint8_t *const *segment, int64_t pitch, const window *win, const int8_t *weights,
                           const int32_t *bias, int32_t *acc);

INLINE void tile(const int vectors, const int segments, const int span, const uint8_t *const *segment, int64_t pitch,
                 const window *win, const int8_t *weights, const int32_t *bias, int32_t *restrict acc) {
    v16 sum[TILE_SEGMENTS * TILE_SPAN][TILE_VECTORS];
#pragma GCC unroll 16
    for (int p = 0; p < segments * span; p++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) sum[p][v] = v_load(bias + LANES * v);
    for (int64_t run = 0; run < win->runs; run++) {
        const int64_t offset = win->offset[run];
        const uint8_t *x[TILE_SEGMENTS];
#pragma GCC unroll 2
        for (int s = 0; s < segments; s++) x[s] = segment[s] + offset;
        for (int64_t k = 0; k < win->length; k++) {
            vweights w[TILE_VECTORS];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) w[v] = v_weights(weights + 4 * LANES * v);
            weights += 4 * LANES * vectors;
#pragma GCC unroll 2
            for (int s = 0; s < segments; s++) {
#pragma GCC unroll 8
                for (int p = 0; p < span; p++) {
                    const vpixel four = v_pixel(x[s] + p * pitch);
#pragma GCC unroll 2
                    for (int v = 0; v < vectors; v++) sum[s * span + p][v] = v_dot(sum[s * span + p][v], four, w[v]);
                }
                x[s] += 4;
            }
        }
    }
#pragma GCC unroll 16
    for (int p = 0; p < segments * span; p++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) v_store(acc + LANES * (p * vectors + v), sum[p][v]);
}

#define TILE(VECTORS, SEGMENTS, SPAN)                                                                                  \
    static void tile_##VECTORS##_##SEGMENTS##_##SPAN(const uint8_t *const *segment, int64_t pitch, const window *win, \
                                                     const int8_t *weights, const int32_t *bias, int32_t *acc) {      \
        tile(VECTORS, SEGMENTS, SPAN, segment, pitch, win, weights, bias, acc);                                       \
    }

#if TILE_SPAN == 8
#define TILES_7(V, S) TILE(V, S, 1) TILE(V, S, 2) TILE(V, S, 3) TILE(V, S, 4) TILE(V, S, 5) TILE(V, S, 6) TILE(V, S, 7)
#define ROW_7(V, S) tile_##V##_##S##_1, tile_##V##_##S##_2, tile_##V##_##S##_3, tile_##V##_##S##_4, tile_##V##_##S##_5, \
                    tile_##V##_##S##_6, tile_##V##_##S##_7
TILES_7(1, 1) TILE(1, 1, 8)
TILES_7(1, 2) TILE(1, 2, 8)
TILES_7(2, 1) TILE(2, 1, 8)
TILES_7(2, 2) /* 2 × 2 × 8 would be all 32 registers */
static tile_function *const tiles[TILE_VECTORS][TILE_SEGMENTS][TILE_SPAN] = {
    {{ROW_7(1, 1), tile_1_1_8}, {ROW_7(1, 2), tile_1_2_8}}, {{ROW_7(2, 1), tile_2_1_8}, {ROW_7(2, 2), 0}}};
#else
#define TILES_2(V, S) TILE(V, S, 1) TILE(V, S, 2)
#define TILES_4(V, S) TILES_2(V, S) TILE(V, S, 3) TILE(V, S, 4)
#define TILES_6(V, S) TILES_4(V, S) TILE(V, S, 5) TILE(V, S, 6)
#define ROW_2(V, S) tile_##V##_##S##_1, tile_##V##_##S##_2
#define ROW_4(V, S) ROW_2(V, S), tile_##V##_##S##_3, tile_##V##_##S##_4
#define ROW_6(V, S) ROW_4(V, S), tile_##V##_##S##_5, tile_##V##_##S##_6
#define JOINED_(NAME, SPAN) NAME##SPAN(1, 1)
#define JOINED(NAME, SPAN) JOINED_(NAME, SPAN)
JOINED(TILES_, TILE_SPAN)
static tile_function *const tiles[TILE_VECTORS][TILE_SEGMENTS][TILE_SPAN] = {{{JOINED(ROW_, TILE_SPAN)}}};
#endif
