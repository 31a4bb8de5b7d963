/* The interpreter of a plan: each thread takes the next block of images and runs all steps on it. Threads share nothing but
   the counter, and no number depends on which thread computed it. */

static void (*const step_functions[])(const scene *, const step *) = {
    [STEP_LOAD] = load,           [STEP_STORE] = store,         [STEP_MARGIN] = fill_margin,
    [STEP_CONV] = convolve,       [STEP_DEPTHWISE] = convolve_depthwise,
    [STEP_JOIN] = join,           [STEP_COPY] = copy,                     [STEP_MAX_POOL] = max_pool,   [STEP_SUM_POOL] = sum_pool,
    [STEP_TABLE] = look_up,
};

typedef struct {
    const plan *plan;
    void *const *external;
    uint8_t *arena;
    int64_t images, block; /* block: images that go through the network together */
    _Atomic int64_t *next;
} worker;

static void *work(void *argument) {
    const worker *w = argument;
    const unsigned mode = round_down();
    for (;;) {
        const int64_t first = atomic_fetch_add(w->next, w->block), left = w->images - first;
        if (left <= 0) break;
        const scene now = {w->plan, w->external, w->arena, first, left < w->block ? left : w->block};
        for (int64_t i = 0; i < w->plan->n_steps; i++)
            step_functions[w->plan->steps[i].op](&now, w->plan->steps + i);
    }
    round_as(mode);
    return 0;
}

#define MAX_THREADS 256

/* Runs the plan on `images` images, `block` at a time; `arena` holds one arena for each thread. */
void engine_run(const plan *p, uint8_t *arena, void *const *external, int64_t images, int64_t block, int64_t threads) {
    worker workers[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    int started[MAX_THREADS];
    _Atomic int64_t next = 0;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    for (int64_t t = 0; t < threads; t++) {
        workers[t] = (worker){p, external, arena + t * p->arena_bytes, images, block, &next};
        started[t] = t > 0 && pthread_create(ids + t, 0, work, workers + t) == 0; /* one that fails to start only slows */
    }
    work(workers);
    for (int64_t t = 1; t < threads; t++)
        if (started[t]) pthread_join(ids[t], 0);
}

const char *engine_path(void) { return PATH_NAME; }
int64_t engine_vectors(void) { return TILE_VECTORS; }
int64_t engine_lanes_together(void) { return LANES_TOGETHER; }
int64_t engine_size(int64_t which) { return which == 0 ? sizeof(buffer) : which == 1 ? sizeof(step) : sizeof(plan); }
