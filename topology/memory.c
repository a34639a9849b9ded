/* SPDX-License-Identifier: BSD-3-Clause
 * memory.c: copies and sums, alone and in the pattern of a staged all-reduce, by all ranks of a
 * host at once: their cores share caches, memory, and the clock of the processor. */
#include "memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "internal/memory.h"

#define PART_BYTES ((size_t)128 << 10)
#define PART_LEAST ((size_t)4 << 10)
#define BLOCK_BYTES ((size_t)128 << 10)
#define FETCH_BYTES ((size_t)1 << 20)
#define FETCH_FEW_BYTES ((size_t)64)
/* Vectors of all ranks together, in caches: more than one, so that nothing stays. */
#define FAR_CACHES 1.5
#define FAR_CACHES_LEAST 1.2
/* Of the share: first touches, which are slow on some machines; each kind of pass. */
#define TOUCH_SHARE 0.35
#define ALONE_SHARE 0.05
#define NEAR_SHARE 0.1
#define FAR_SHARE 0.25
#define PASSES_MAX 64
/* What other programs disturb takes longer, and nothing takes less than it does. */
#define UNDISTURBED 0.25
#define AWAITS 30
#define AWAITS_WARM 5
#define FETCHES 7
/* More ranks on one host are taken not to see each other, as far as this goes. */
#define CREW_MAX 128

/* What ranks of a host see of each other: counters that only grow. */
struct line {
    _Atomic uint64_t meets;
    _Atomic uint64_t over; /* the first rank's word: no further pass */
    _Atomic uint64_t ball;
    char rest[64 - 3 * sizeof(uint64_t)];
};
#define LINE_ROOM 4096

/* One rank tells the others before they begin. */
struct greeting {
    uint64_t key;
    uint64_t address; /* of its vector */
    uint64_t touched_bytes;
    uint64_t sees;
};

struct crew {
    struct meter *meter;
    int count;
    int me;
    int *ranks;          /* [count] */
    struct line **lines; /* [count]; NULL = they do not see each other */
    float **scratch;     /* [count] parts of all, count * part_bytes each */
    size_t part_bytes;
    void *memory; /* own lines and scratch */
    size_t memory_bytes;
    float *vector; /* private */
    size_t vector_bytes;
    size_t touched_bytes; /* on the rank of this host that managed the least */
    float *block;         /* private, 2 * BLOCK_BYTES */
    uint64_t neighbour;   /* address of the next rank's vector */
};

static double seconds_since(const struct crew *crew, uint64_t begin_ns)
{
    return (double)(meter_now_ns(crew->meter) - begin_ns) * 1e-9;
}

/* ---- Meeting ------------------------------------------------------------------------------ */

static enum ww_status await_word(struct crew *crew, _Atomic uint64_t *word, uint64_t value,
                                 int peer)
{
    uint64_t since_ns = 0;
    while (atomic_load_explicit(word, memory_order_acquire) < value) {
        since_ns = since_ns == 0 ? meter_now_ns(crew->meter) : since_ns;
        enum ww_status status = meter_wait(crew->meter, WW_WAIT_MEMORY, since_ns, peer);
        if (status != WW_OK) {
            return status;
        }
    }
    crew->meter->moves++;
    return WW_OK;
}

static enum ww_status meet(struct crew *crew)
{
    enum ww_status status = WW_OK;
    if (crew->lines == NULL) {
        return WW_OK;
    }
    struct line *own = crew->lines[crew->me];
    uint64_t value = atomic_load_explicit(&own->meets, memory_order_relaxed) + 1;
    atomic_store_explicit(&own->meets, value, memory_order_release);
    for (int i = 0; i < crew->count && status == WW_OK; i++) {
        status = await_word(crew, &crew->lines[i]->meets, value, crew->ranks[i]);
    }
    return status;
}

/* The first two play ball; the others wait for them at the next meeting. */
static enum ww_status play_ball(struct crew *crew, double *await_s)
{
    double times[AWAITS];
    for (int i = -AWAITS_WARM; i < AWAITS && crew->me < 2; i++) {
        uint64_t begin_ns = meter_now_ns(crew->meter);
        uint64_t turn = (uint64_t)(i + AWAITS_WARM + 1);
        _Atomic uint64_t *own = &crew->lines[crew->me]->ball;
        _Atomic uint64_t *other = &crew->lines[1 - crew->me]->ball;
        if (crew->me == 0) {
            atomic_store_explicit(own, turn, memory_order_release);
        }
        enum ww_status status = await_word(crew, other, turn, crew->ranks[1 - crew->me]);
        if (status != WW_OK) {
            return status;
        }
        if (crew->me == 1) {
            atomic_store_explicit(own, turn, memory_order_release);
        }
        times[i < 0 ? 0 : i] = seconds_since(crew, begin_ns) / 2;
    }
    *await_s = crew->me == 0 ? fit_median(times, AWAITS) : 0;
    return meet(crew);
}

/* ---- Passes ------------------------------------------------------------------------------- */

static void copy_block(struct crew *crew)
{
    memory_copy(crew->block, (char *)crew->block + BLOCK_BYTES, BLOCK_BYTES);
}

static void add_blocks(struct crew *crew)
{
    const void *sources[2] = {crew->block, (char *)crew->block + BLOCK_BYTES};
    crew->meter->setup->sum(crew->block, sources, 2, BLOCK_BYTES / sizeof(float), 1.0);
}

/* Adds a block to each block of the vector. */
static void add_to_vector(struct crew *crew)
{
    for (size_t at = 0; at + BLOCK_BYTES <= crew->touched_bytes; at += BLOCK_BYTES) {
        float *values = (float *)(void *)((char *)crew->vector + at);
        const void *sources[2] = {values, crew->block};
        crew->meter->setup->sum(values, sources, 2, BLOCK_BYTES / sizeof(float), 1.0);
    }
}

/* Time of what a rank does without its neighbours, though at the same time. */
static double time_alone(struct crew *crew, void (*work)(struct crew *), double slot_s)
{
    double times[PASSES_MAX];
    int count = 0;
    uint64_t begin_ns = meter_now_ns(crew->meter);
    work(crew);
    do {
        uint64_t pass_ns = meter_now_ns(crew->meter);
        work(crew);
        times[count++] = seconds_since(crew, pass_ns);
    } while (count < PASSES_MAX && seconds_since(crew, begin_ns) < slot_s);
    return fit_quantile(times, count, UNDISTURBED);
}

/* One segment through scratch, as the plan "staged" leads it; see collectives/. */
static enum ww_status stage_segment(struct crew *crew, float *values)
{
    size_t part = crew->part_bytes / sizeof(float);
    int count = crew->count;
    int me = crew->me;
    const void *sources[CREW_MAX];
    for (int i = 1; i < count; i++) {
        size_t at = (size_t)((me + i) % count) * part;
        memory_copy(crew->scratch[me] + at, values + at, crew->part_bytes);
    }
    enum ww_status status = meet(crew);
    if (status != WW_OK) {
        return status;
    }
    float *own = values + (size_t)me * part;
    for (int i = 0; i < count; i++) {
        sources[i] = i == me ? own : crew->scratch[i] + (size_t)me * part;
    }
    /* In pieces that stay near the core until they are written everywhere. */
    size_t step = PART_LEAST / sizeof(float);
    for (size_t at = 0; at < part; at += step) {
        crew->meter->setup->sum(own + at, sources, count, step, 1.0);
        for (int i = 0; i < count; i++) {
            sources[i] = (const float *)sources[i] + step;
            if (i != me) {
                memory_copy(crew->scratch[i] + (size_t)me * part + at, own + at, PART_LEAST);
            }
        }
    }
    status = meet(crew);
    for (int i = 1; i < count && status == WW_OK; i++) {
        size_t at = (size_t)((me + i) % count) * part;
        memory_copy(values + at, crew->scratch[me] + at, crew->part_bytes);
    }
    return status;
}

/* Passes over so much of the vector until the first rank finds that it took long enough. */
static enum ww_status time_staged(struct crew *crew, size_t bytes, double slot_s, double *byte_s)
{
    double times[PASSES_MAX];
    int count = -1; /* the first pass does not count */
    size_t segment = crew->part_bytes * (size_t)crew->count;
    uint64_t begin_ns = meter_now_ns(crew->meter);
    struct line *first = crew->lines[0];
    enum ww_status status = WW_OK;
    bytes = bytes / segment * segment;
    atomic_store_explicit(&crew->lines[crew->me]->over, 0, memory_order_relaxed);
    for (; status == WW_OK; count++) {
        bool over = count == PASSES_MAX || (count > 2 && seconds_since(crew, begin_ns) > slot_s);
        if (crew->me == 0 && over) {
            atomic_store_explicit(&first->over, 1, memory_order_relaxed);
        }
        status = meet(crew); /* everybody comes here before the first rank says anything else */
        if (status != WW_OK || atomic_load_explicit(&first->over, memory_order_relaxed) != 0) {
            break;
        }
        uint64_t pass_ns = meter_now_ns(crew->meter);
        for (size_t at = 0; at < bytes && status == WW_OK; at += segment) {
            status = stage_segment(crew, (float *)(void *)((char *)crew->vector + at));
        }
        if (count < PASSES_MAX) {
            times[count < 0 ? 0 : count] = seconds_since(crew, pass_ns);
        }
    }
    *byte_s = bytes > 0 ? fit_quantile(times, count, UNDISTURBED) / (double)bytes : 0;
    return status == WW_OK ? meet(crew) : status;
}

static enum ww_status time_fetches(struct crew *crew, struct memory_record *record)
{
    const struct calibration_setup *setup = crew->meter->setup;
    int next = crew->ranks[(crew->me + 1) % crew->count];
    const size_t bytes[2] = {FETCH_FEW_BYTES, FETCH_BYTES};
    double seconds[2] = {0, 0};
    double times[FETCHES];
    if (setup->transport->fetch == NULL || !setup->transport->fetches(setup->fabric) ||
        crew->touched_bytes < 2 * FETCH_BYTES) {
        return WW_OK;
    }
    for (int kind = 0; kind < 2; kind++) {
        for (int i = 0; i < FETCHES; i++) {
            uint64_t begin_ns = meter_now_ns(crew->meter);
            enum ww_status status = setup->transport->fetch(setup->fabric, next, crew->neighbour,
                                                            (char *)crew->vector + FETCH_BYTES,
                                                            bytes[kind]);
            if (status != WW_OK) {
                return status;
            }
            times[i] = seconds_since(crew, begin_ns);
        }
        seconds[kind] = fit_median(times, FETCHES);
    }
    record->fetch_s = seconds[0];
    record->fetch_byte_s = (seconds[1] - seconds[0]) / (double)FETCH_BYTES;
    return meet(crew);
}

/* ---- Crew --------------------------------------------------------------------------------- */

/* After a failure peers may still look at the shared memory: it stays until the fabric closes. */
static void crew_finish(struct crew *crew, bool failed)
{
    const struct calibration_setup *setup = crew->meter->setup;
    if (crew->memory != NULL && !failed && setup->transport->reserve != NULL) {
        setup->transport->release(setup->fabric, crew->memory, crew->memory_bytes);
    } else if (!failed) {
        memory_release(crew->memory, crew->memory_bytes);
    }
    memory_release(crew->vector, crew->vector_bytes);
    memory_release(crew->block, 2 * BLOCK_BYTES);
    free(crew->ranks);
    free(crew->lines);
    free(crew->scratch);
}

static enum ww_status find_crew(struct crew *crew)
{
    const struct topology *topology = crew->meter->setup->topology;
    crew->ranks = calloc((size_t)topology->local_size, sizeof *crew->ranks);
    if (crew->ranks == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for %d ranks", topology->local_size);
    }
    for (int rank = 0; rank < topology->size; rank++) {
        if (topology->host_of[rank] == topology->host_of[topology->rank]) {
            crew->ranks[crew->count++] = rank;
        }
    }
    crew->me = topology->local_rank;
    return WW_OK;
}

/* Own memory, as far as the share of time lets it be touched. */
static enum ww_status take_memory(struct crew *crew, double cache_bytes, double share_s)
{
    double cache = cache_bytes_or_usual(cache_bytes);
    double part = cache / (2.0 * crew->count * crew->count);
    crew->part_bytes = part > (double)PART_BYTES ? PART_BYTES : (size_t)part;
    crew->part_bytes = crew->part_bytes / PART_LEAST * PART_LEAST;
    crew->part_bytes = crew->part_bytes < PART_LEAST ? PART_LEAST : crew->part_bytes;
    size_t segment = crew->part_bytes * (size_t)crew->count;
    crew->vector_bytes = (size_t)(FAR_CACHES * cache / crew->count) / segment * segment + segment;
    crew->vector = memory_reserve(crew->vector_bytes);
    crew->block = memory_reserve(2 * BLOCK_BYTES);
    if (crew->vector == NULL || crew->block == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to measure memory: %zu bytes",
                           crew->vector_bytes);
    }
    memset(crew->block, 0, 2 * BLOCK_BYTES);
    uint64_t begin_ns = meter_now_ns(crew->meter);
    for (size_t at = 0; at < crew->vector_bytes; at += segment) {
        memset((char *)crew->vector + at, 0, segment);
        crew->touched_bytes += segment;
        if (seconds_since(crew, begin_ns) > TOUCH_SHARE * share_s) {
            break;
        }
    }
    return WW_OK;
}

static enum ww_status take_shared_memory(struct crew *crew, struct greeting *greeting)
{
    const struct calibration_setup *setup = crew->meter->setup;
    crew->memory_bytes = LINE_ROOM + crew->part_bytes * (size_t)crew->count;
    if (setup->transport->reserve != NULL) {
        enum ww_status status = setup->transport->reserve(setup->fabric, crew->memory_bytes,
                                                          &crew->memory);
        if (status != WW_OK) {
            return status;
        }
    } else if ((crew->memory = memory_reserve(crew->memory_bytes)) == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to measure shared memory: %zu bytes",
                           crew->memory_bytes);
    }
    memset(crew->memory, 0, crew->memory_bytes);
    greeting->sees = setup->transport->share(setup->fabric, crew->memory, crew->memory_bytes,
                                             &greeting->key);
    return WW_OK;
}

static enum ww_status look_around(struct crew *crew, const struct greeting *all)
{
    const struct calibration_setup *setup = crew->meter->setup;
    bool sees = true;
    for (int i = 0; i < crew->count; i++) {
        const struct greeting *greeting = &all[crew->ranks[i]];
        sees = sees && greeting->sees != 0;
        if (greeting->touched_bytes < crew->touched_bytes) {
            crew->touched_bytes = (size_t)greeting->touched_bytes;
        }
    }
    crew->neighbour = all[crew->ranks[(crew->me + 1) % crew->count]].address;
    if (!sees) {
        return WW_OK;
    }
    size_t count = (size_t)setup->topology->local_size;
    crew->lines = calloc(count, sizeof *crew->lines);
    crew->scratch = calloc(count, sizeof *crew->scratch);
    if (crew->lines == NULL || crew->scratch == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to see %d ranks", crew->count);
    }
    for (int i = 0; i < crew->count; i++) {
        int rank = crew->ranks[i];
        char *seen = i == crew->me ? crew->memory
                                   : setup->transport->view(setup->fabric, rank, all[rank].key);
        crew->lines[i] = (struct line *)(void *)seen;
        crew->scratch[i] = (float *)(void *)(seen + LINE_ROOM);
    }
    return WW_OK;
}

static enum ww_status greet(struct crew *crew, struct greeting *own)
{
    const struct ww_world *world = crew->meter->setup->world;
    struct greeting *all = calloc((size_t)world->size, sizeof *all);
    if (all == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to hear from %d ranks", world->size);
    }
    own->address = (uint64_t)(uintptr_t)crew->vector;
    own->touched_bytes = crew->touched_bytes;
    enum ww_status status = meter_gather(crew->meter, own, all, sizeof *own);
    if (status == WW_OK) {
        status = look_around(crew, all);
    }
    free(all);
    return status;
}

static enum ww_status crew_work(struct crew *crew, double cache_bytes, double share_s,
                                struct memory_record *record)
{
    double cache = cache_bytes_or_usual(cache_bytes);
    bool far = (double)crew->touched_bytes * crew->count >= FAR_CACHES_LEAST * cache;
    enum ww_status status = meet(crew);
    record->copy_byte_s = time_alone(crew, copy_block, ALONE_SHARE * share_s) / BLOCK_BYTES;
    record->sum_byte_s = time_alone(crew, add_blocks, ALONE_SHARE * share_s) / (2 * BLOCK_BYTES);
    if (crew->lines == NULL) {
        record->alone_far_byte_s = !far ? 0
                                        : time_alone(crew, add_to_vector, FAR_SHARE * share_s) /
                                              (double)crew->touched_bytes;
        return status;
    }
    status = status == WW_OK ? meet(crew) : status;
    status = status == WW_OK ? play_ball(crew, &record->await_s) : status;
    if (status == WW_OK) {
        status = time_staged(crew, crew->part_bytes * (size_t)crew->count, NEAR_SHARE * share_s,
                             &record->staged_near_byte_s);
    }
    if (status == WW_OK && far) {
        status = time_staged(crew, crew->touched_bytes, FAR_SHARE * share_s,
                             &record->staged_far_byte_s);
    }
    return status == WW_OK ? time_fetches(crew, record) : status;
}

enum ww_status memory_measure(struct meter *meter, double cache_bytes, double share_s,
                              struct memory_record *records)
{
    struct crew crew = {.meter = meter};
    struct greeting greeting = {0};
    struct memory_record record = {0};
    enum ww_status status = find_crew(&crew);
    if (status == WW_OK) {
        status = take_memory(&crew, cache_bytes, share_s);
    }
    if (status == WW_OK && meter->setup->seen && crew.count > 1 && crew.count <= CREW_MAX) {
        status = take_shared_memory(&crew, &greeting);
    }
    if (status == WW_OK) {
        status = greet(&crew, &greeting);
    }
    if (status == WW_OK) {
        status = crew_work(&crew, cache_bytes, share_s, &record);
    }
    if (status == WW_OK) {
        status = meet(&crew);
    }
    /* Only now does nobody look at another one's memory any more. */
    if (status == WW_OK) {
        status = meter_gather(meter, &record, records, sizeof record);
    }
    crew_finish(&crew, status != WW_OK);
    return status;
}
