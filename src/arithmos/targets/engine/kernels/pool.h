/* Pooling, joins, tables, and the way in and out: everything that is not a sum of products. */

/* The part of a pooling window that lies inside the image. */
INLINE void clamp_window(int64_t position, int64_t stride, int64_t pad, int64_t kernel, int64_t size, int64_t *from, int64_t *to) {
    const int64_t start = position * stride - pad;
    *from = start < 0 ? 0 : start;
    *to = start + kernel < size ? start + kernel : size;
}

INLINE void max_bytes(uint8_t *restrict out, const uint8_t *restrict in, int64_t bytes) {
    for (int64_t c = 0; c < bytes; c += 4)
        for (int j = 0; j < 4; j++) out[c + j] = in[c + j] > out[c + j] ? in[c + j] : out[c + j];
}

INLINE void max_words(int32_t *restrict out, const int32_t *restrict in, int64_t count) {
    for (int64_t c = 0; c < count; c++) out[c] = in[c] > out[c] ? in[c] : out[c];
}

/* Maxima of windows; stored bytes keep the order of the integers they stand for. */
static void max_pool(const scene *now, const step *s) {
    const buffer *in = now->plan->buffers + s->in, *out = now->plan->buffers + s->out;
    for (int64_t i = 0; i < now->images; i++)
        for (int64_t y = 0; y < out->height; y++)
            for (int64_t x = 0; x < out->breadth; x++) {
                int64_t top, bottom, left, right;
                clamp_window(y, s->stride_y, s->pad_y, s->kernel_y, in->height, &top, &bottom);
                clamp_window(x, s->stride_x, s->pad_x, s->kernel_x, in->breadth, &left, &right);
                uint8_t *to = at(now, out, i, y, x);
                memcpy(to, at(now, in, i, top, left), (size_t)(out->padded * out->width));
                for (int64_t v = top; v < bottom; v++)
                    for (int64_t u = left; u < right; u++) {
                        const uint8_t *from = at(now, in, i, v, u);
                        if (out->width == 1)
                            max_bytes(to, from, out->padded);
                        else
                            max_words((int32_t *)(void *)to, (const int32_t *)(const void *)from, out->padded);
                    }
            }
}

INLINE void add_bytes(int32_t *restrict out, const uint8_t *restrict in, int64_t count, int32_t zero) {
    for (int64_t c = 0; c < count; c++) out[c] += in[c] - zero;
}

/* Unsigned, because the lanes of padding hold anything and may wrap. */
INLINE void add_words(uint32_t *restrict out, const uint32_t *restrict in, int64_t count) {
    for (int64_t c = 0; c < count; c++) out[c] += in[c];
}

/* Sums of windows as int32; padding adds nothing. */
static void sum_pool(const scene *now, const step *s) {
    const buffer *in = now->plan->buffers + s->in, *out = now->plan->buffers + s->out;
    for (int64_t i = 0; i < now->images; i++)
        for (int64_t y = 0; y < out->height; y++)
            for (int64_t x = 0; x < out->breadth; x++) {
                int64_t top, bottom, left, right;
                clamp_window(y, s->stride_y, s->pad_y, s->kernel_y, in->height, &top, &bottom);
                clamp_window(x, s->stride_x, s->pad_x, s->kernel_x, in->breadth, &left, &right);
                int32_t *to = (int32_t *)(void *)at(now, out, i, y, x);
                memset(to, 0, (size_t)out->padded * 4);
                for (int64_t v = top; v < bottom; v++)
                    for (int64_t u = left; u < right; u++) {
                        const uint8_t *from = at(now, in, i, v, u);
                        if (in->width == 1)
                            add_bytes(to, from, in->padded, (int32_t)in->zero);
                        else
                            add_words((uint32_t *)to, (const uint32_t *)(const void *)from, in->padded);
                    }
            }
}

/* out = finish of an int32 buffer, or of nothing but terms where there is none (in < 0). */
static void join(const scene *now, const step *s) {
    static const int32_t nothing[LANES] = {0};
    const buffer *out = now->plan->buffers + s->out, *in = s->in < 0 ? 0 : now->plan->buffers + s->in;
    for (int64_t i = 0; i < now->images; i++)
        for (int64_t y = 0; y < out->height; y++) {
            target t;
            aim(now, &s->finish, out, i, y, 0, 0, &t);
            for (int64_t channel = 0; channel < out->padded; channel += LANES) {
                const int32_t *acc = in ? (const int32_t *)(const void *)at(now, in, i, y, 0) + channel : nothing;
                finish_segment(&s->finish, &t, out->width, channel, acc, in ? in->pixel_pitch / 4 : 0, out->breadth);
            }
        }
}

INLINE void copy_bytes(uint8_t *restrict out, const uint8_t *restrict in, int64_t count, uint8_t shift) {
    for (int64_t c = 0; c < count; c++) out[c] = (uint8_t)(in[c] + shift);
}

INLINE void widen_bytes(int32_t *restrict out, const uint8_t *restrict in, int64_t count, int32_t zero) {
    for (int64_t c = 0; c < count; c++) out[c] = in[c] - zero;
}

/* All channels of one tensor to the channels of another from s->first on. */
static void copy(const scene *now, const step *s) {
    const buffer *in = now->plan->buffers + s->in, *out = now->plan->buffers + s->out;
    for (int64_t i = 0; i < now->images; i++)
        for (int64_t y = 0; y < out->height; y++)
            for (int64_t x = 0; x < out->breadth; x++) {
                const uint8_t *from = at(now, in, i, y, x);
                uint8_t *to = at(now, out, i, y, x) + s->first * out->width;
                if (out->width == 1)
                    copy_bytes(to, from, in->channels, (uint8_t)(out->zero - in->zero));
                else if (in->width == 1)
                    widen_bytes((int32_t *)(void *)to, from, in->channels, (int32_t)in->zero);
                else
                    memcpy(to, from, (size_t)in->channels * 4);
            }
}

/* out = table[in], stored byte to stored byte. */
static void look_up(const scene *now, const step *s) {
    const buffer *in = now->plan->buffers + s->in, *out = now->plan->buffers + s->out;
    for (int64_t i = 0; i < now->images; i++)
        for (int64_t y = 0; y < out->height; y++)
            for (int64_t x = 0; x < out->breadth; x++) {
                const uint8_t *restrict from = at(now, in, i, y, x);
                uint8_t *restrict to = at(now, out, i, y, x);
                for (int64_t c = 0; c < out->padded; c++) to[c] = s->table[from[c]];
            }
}

/* Writes the integer 0 around every image. */
static void fill_margin(const scene *now, const step *s) {
    const buffer *b = now->plan->buffers + s->out;
    const int zero = (int)b->zero;
    const size_t left = (size_t)(b->left * b->pixel_pitch), right = (size_t)(b->right * b->pixel_pitch);
    const size_t row = (size_t)b->row_pitch;
    for (int64_t i = 0; i < now->images; i++) {
        uint8_t *start = at(now, b, i, -b->top, -b->left);
        memset(start, zero, row * (size_t)b->top);
        for (int64_t y = 0; y < b->height && left + right > 0; y++) {
            memset(at(now, b, i, y, -b->left), zero, left);
            memset(at(now, b, i, y, b->breadth), zero, right);
        }
        memset(at(now, b, i, b->height, -b->left), zero, row * (size_t)b->bottom);
    }
}

INLINE int64_t read_element(const void *array, int64_t type, int64_t i) {
    switch (type) {
    case TYPE_INT8: return ((const int8_t *)array)[i];
    case TYPE_UINT8: return ((const uint8_t *)array)[i];
    case TYPE_INT16: return ((const int16_t *)array)[i];
    case TYPE_UINT16: return ((const uint16_t *)array)[i];
    case TYPE_INT32: return ((const int32_t *)array)[i];
    case TYPE_UINT32: return ((const uint32_t *)array)[i];
    default: return ((const int64_t *)array)[i];
    }
}

INLINE void write_element(void *array, int64_t type, int64_t i, int64_t value) {
    switch (type) {
    case TYPE_INT8: ((int8_t *)array)[i] = (int8_t)value; break;
    case TYPE_UINT8: ((uint8_t *)array)[i] = (uint8_t)value; break;
    case TYPE_INT16: ((int16_t *)array)[i] = (int16_t)value; break;
    case TYPE_UINT16: ((uint16_t *)array)[i] = (uint16_t)value; break;
    case TYPE_INT32: ((int32_t *)array)[i] = (int32_t)value; break;
    case TYPE_UINT32: ((uint32_t *)array)[i] = (uint32_t)value; break;
    default: ((int64_t *)array)[i] = value;
    }
}

/* Row by row and channel by channel: the array is read and written in its own order, the few lines of a row stay in cache. */
INLINE void load_typed(const scene *now, const step *s, const int64_t type) {
    const buffer *out = now->plan->buffers + s->out;
    const void *array = now->external[s->external];
    for (int64_t i = 0; i < now->images; i++)
        for (int64_t y = 0; y < out->height; y++)
            for (int64_t c = 0; c < out->channels; c++) {
                const int64_t from = (now->first + i) * s->pitch_image + y * s->pitch_y + c * s->pitch_channel;
                uint8_t *to = at(now, out, i, y, 0) + c * out->width;
                for (int64_t x = 0; x < out->breadth; x++) {
                    const int64_t value = read_element(array, type, from + x * s->pitch_x) + out->zero;
                    if (out->width == 1)
                        to[x * out->pixel_pitch] = (uint8_t)value;
                    else
                        *(int32_t *)(void *)(to + x * out->pixel_pitch) = (int32_t)value;
                }
            }
}

INLINE void store_typed(const scene *now, const step *s, const int64_t type) {
    const buffer *in = now->plan->buffers + s->in;
    void *array = now->external[s->external];
    for (int64_t i = 0; i < now->images; i++)
        for (int64_t y = 0; y < in->height; y++)
            for (int64_t c = 0; c < in->channels; c++) {
                const int64_t to = (now->first + i) * s->pitch_image + y * s->pitch_y + c * s->pitch_channel;
                const uint8_t *from = at(now, in, i, y, 0) + c * in->width;
                for (int64_t x = 0; x < in->breadth; x++) {
                    const uint8_t *place = from + x * in->pixel_pitch;
                    const int64_t stored = in->width == 1 ? *place : *(const int32_t *)(const void *)place;
                    write_element(array, type, to + x * s->pitch_x, stored - in->zero);
                }
            }
}

#define FOR_EACH_TYPE(FUNCTION)                                                                                       \
    switch (s->type) {                                                                                                \
    case TYPE_INT8: FUNCTION(now, s, TYPE_INT8); break;                                                               \
    case TYPE_UINT8: FUNCTION(now, s, TYPE_UINT8); break;                                                             \
    case TYPE_INT16: FUNCTION(now, s, TYPE_INT16); break;                                                             \
    case TYPE_UINT16: FUNCTION(now, s, TYPE_UINT16); break;                                                           \
    case TYPE_INT32: FUNCTION(now, s, TYPE_INT32); break;                                                             \
    case TYPE_UINT32: FUNCTION(now, s, TYPE_UINT32); break;                                                           \
    default: FUNCTION(now, s, TYPE_INT64);                                                                            \
    }

static void load(const scene *now, const step *s) { FOR_EACH_TYPE(load_typed) }
static void store(const scene *now, const step *s) { FOR_EACH_TYPE(store_typed) }
