/* What a plan is: buffers, steps and the run. library.py mirrors these structures field by field.

   A buffer holds one tensor for a block of images, channels last: element (image, y, x, c) of `width` bytes is at
   start + image·image_pitch + y·row_pitch + x·pixel_pitch + c·width. Bytes hold an integer plus `zero`: 0 for unsigned
   values, 128 for signed ones, so that every convolution multiplies unsigned bytes. Around the image stands a margin that
   holds the integer 0. Channels are padded to a multiple of 16 (of 4 for byte buffers of at most 4 channels). */
typedef struct {
    int64_t start; /* of the first pixel of the first image, in bytes from the start of a thread's arena */
    int64_t image_pitch, row_pitch, pixel_pitch;
    int64_t height, breadth, channels, padded; /* padded: channels with their padding */
    int64_t top, left, bottom, right;          /* margin in pixels */
    int64_t zero, width;
} buffer;

enum { STEP_LOAD, STEP_STORE, STEP_MARGIN, STEP_CONV, STEP_DEPTHWISE, STEP_JOIN, STEP_COPY, STEP_MAX_POOL, STEP_SUM_POOL, STEP_TABLE };
enum { FINISH_RAW, FINISH_FLOAT, FINISH_DOUBLE, FINISH_INT64 };
enum { TYPE_INT8, TYPE_UINT8, TYPE_INT16, TYPE_UINT16, TYPE_INT32, TYPE_UINT32, TYPE_INT64 };

#define MAX_TERMS 4

/* One summand beside the accumulator: multiplier[c] · stored(image, y·stride_y, x·stride_x, c + channel). */
typedef struct {
    int64_t buffer, stride_y, stride_x, channel;
    const int32_t *multiplier;
    const float *real;  /* FINISH_FLOAT: multiplier · 2^-shift */
    const double *wide; /* FINISH_DOUBLE: the same */
} term;

/* stored = clip((acc·multiplier[c] + Σ term + constant[c]) >> shift, low, high). `constant` holds the half of the rounding
   and the zeros of the output and of the terms. The float forms are exact where the planner chooses them (finish.h). */
typedef struct {
    int64_t kind, shift, low, high;
    int64_t fits; /* the shifted sum is proven to fit in int32 */
    int64_t terms;
    const int32_t *multiplier;
    const int64_t *constant;    /* for each 16 channels the 8 even ones, then the 8 odd ones */
    const float *real, *offset;       /* FINISH_FLOAT: multiplier · 2^-shift and constant · 2^-shift */
    const double *wide, *wide_offset; /* FINISH_DOUBLE: the same */
    term term[MAX_TERMS];
} finish;

typedef struct {
    int64_t op, in, out; /* buffers */
    int64_t kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x, pad_y, pad_x;
    int64_t window;         /* input channels that one block of 16 output channels reads */
    const int64_t *channel; /* the first of them, for each block; null: 0 */
    const int8_t *weights;
    const int32_t *bias;
    const uint8_t *table;
    int64_t first; /* COPY: the output channel of input channel 0 */
    int64_t external, type; /* LOAD, STORE: which array of the call, and its element type */
    int64_t pitch_image, pitch_channel, pitch_y, pitch_x; /* of that array, in elements */
    finish finish;
} step;

typedef struct {
    const buffer *buffers;
    const step *steps;
    int64_t n_steps, arena_bytes; /* of one thread */
} plan;

/* One thread's view of a run: its arena, and which images of the call it holds. */
typedef struct {
    const plan *plan;
    void *const *external;
    uint8_t *arena;
    int64_t first, images;
} scene;

INLINE uint8_t *at(const scene *now, const buffer *b, int64_t image, int64_t y, int64_t x) {
    return now->arena + b->start + image * b->image_pitch + y * b->row_pitch + x * b->pixel_pitch;
}
