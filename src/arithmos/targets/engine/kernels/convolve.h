/* Convolutions over byte buffers. Linear layers are convolutions too: a window that covers the whole image. */

#define MAX_TAPS 1024

/* The window of block `block` as stretches of consecutive bytes, the longest that the layout allows. */
static window window_of(const step *s, const buffer *in, int64_t *offset) {
    window win = {0, s->window / 4, offset};
    int64_t rows = s->kernel_y, columns = s->kernel_x;
    if (s->dilation_x == 1 && s->window == in->pixel_pitch) {
        win.length *= columns;
        columns = 1;
        if (s->dilation_y == 1 && 4 * win.length == in->row_pitch) {
            win.length *= rows;
            rows = 1;
        }
    }
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x++)
            offset[win.runs++] = y * s->dilation_y * in->row_pitch + x * s->dilation_x * in->pixel_pitch;
    return win;
}

/* Pixels of a row segment: as many accumulators as registers hold, all segments of a row about equally long. */
static int64_t span_of(int64_t breadth, int64_t vectors) {
    if (breadth % TILE_SPAN == 0) return TILE_SPAN;
    const int64_t most = vectors > 1 && TILE_SPAN > 1 ? TILE_SPAN - 1 : TILE_SPAN;
    const int64_t segments = (breadth + most - 1) / most;
    return (breadth + segments - 1) / segments;
}

static void convolve(const scene *now, const step *s) {
    const buffer *in = now->plan->buffers + s->in, *out = now->plan->buffers + s->out;
    const int across = out->height * out->breadth == 1; /* one pixel an image: a row goes through the images */
    const int64_t breadth = across ? now->images : out->breadth, rows = across ? 1 : now->images * out->height;
    const int64_t pitch = across ? in->image_pitch : s->stride_x * in->pixel_pitch;
    const int64_t blocks = out->padded / LANES;
    int64_t offset[MAX_TAPS];
    int32_t acc[TILE_SEGMENTS * TILE_SPAN * TILE_VECTORS * LANES] __attribute__((aligned(64)));
    const window win = window_of(s, in, offset);
    const int8_t *weights = s->weights;
    for (int64_t block = 0; block < blocks;) {
        const int64_t vectors = s->channel == 0 && blocks - block >= TILE_VECTORS ? TILE_VECTORS : 1;
        const int64_t channel = s->channel ? s->channel[block] : 0, span = span_of(breadth, vectors);
        for (int64_t x = 0; x < breadth; x += span) {
            const int64_t count = breadth - x < span ? breadth - x : span;
            const int64_t most = tiles[vectors - 1][TILE_SEGMENTS - 1][count - 1] ? TILE_SEGMENTS : 1;
            for (int64_t row = 0; row < rows;) {
                const int64_t segments = rows - row < most ? rows - row : most;
                const uint8_t *segment[TILE_SEGMENTS];
                target aims[TILE_SEGMENTS];
                for (int64_t i = 0; i < segments; i++) {
                    const int64_t image = across ? x : (row + i) / out->height, y = across ? 0 : (row + i) % out->height;
                    const int64_t start = across ? 0 : x;
                    segment[i] = at(now, in, image, y * s->stride_y - s->pad_y, start * s->stride_x - s->pad_x) + channel;
                    aim(now, &s->finish, out, image, y, start, across, aims + i);
                }
                tiles[vectors - 1][segments - 1][count - 1](segment, pitch, &win, weights, s->bias + block * LANES, acc);
                for (int64_t i = 0; i < segments; i++)
                    for (int64_t v = 0; v < vectors; v++)
                        finish_segment(&s->finish, aims + i, out->width, (block + v) * LANES,
                                       acc + (i * count * vectors + v) * LANES, vectors * LANES, count);
                row += segments;
            }
        }
        weights += vectors * LANES * win.runs * win.length * 4;
        block += vectors;
    }
}
