/* SPDX-License-Identifier: BSD-3-Clause
 * exercise.c: one collective on all ranks of a cluster, with numbers whose sums are exact. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"

#define VALUES 7 /* inputs are 0 .. VALUES - 1 */

static void *demand(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "no memory for an exercise\n");
        abort();
    }
    return memory;
}

struct job job_of(enum collective collective, const char *algorithm, size_t count)
{
    bool reduces = collective == COLLECTIVE_ALL_REDUCE || collective == COLLECTIVE_REDUCE_SCATTER;
    return (struct job){.collective = collective,
                        .algorithm = algorithm,
                        .count = count,
                        .type = WW_F32,
                        .op = reduces ? WW_SUM : WW_OP_COUNT,
                        .segment_bytes = 4096,
                        .window = 2,
                        .codec = {.kind = CODEC_FP16}};
}

/* ---- Numbers -------------------------------------------------------------------------------- */

/* A whole number 0 .. 2048 as binary16 or the upper half of binary32. */
static uint16_t narrow(unsigned number, enum ww_type type)
{
    float wide = (float)number;
    uint32_t bits;
    memcpy(&bits, &wide, sizeof(bits));
    if (type == WW_BF16) {
        return (uint16_t)(bits >> 16); /* exact up to 256 */
    }
    if (number == 0) {
        return 0;
    }
    uint32_t exponent = (bits >> 23) - 127 + 15;
    return (uint16_t)(exponent << 10 | (bits >> 13 & 0x3ff));
}

static void put(uint8_t *at, enum ww_type type, unsigned number)
{
    switch (type) {
    case WW_F32: {
        float value = (float)number;
        memcpy(at, &value, sizeof(value));
        break;
    }
    case WW_F64: {
        double value = number;
        memcpy(at, &value, sizeof(value));
        break;
    }
    case WW_I32: {
        int32_t value = (int32_t)number;
        memcpy(at, &value, sizeof(value));
        break;
    }
    case WW_I64: {
        int64_t value = (int64_t)number;
        memcpy(at, &value, sizeof(value));
        break;
    }
    default: {
        uint16_t value = narrow(number, type);
        memcpy(at, &value, sizeof(value));
        break;
    }
    }
}

/* What rank contributes at an index of the whole vector. */
static unsigned number_of(int rank, size_t index)
{
    return (unsigned)((index * 5 + (size_t)rank * 3 + index / 11) % VALUES);
}

static unsigned combine(enum ww_op op, unsigned one, unsigned other)
{
    switch (op) {
    case WW_MIN:
        return one < other ? one : other;
    case WW_MAX:
        return one > other ? one : other;
    default:
        return one + other;
    }
}

/* What everybody's numbers make at an index. For a mean the inputs are size times as large, which
 * is exact where size is a power of two. */
static unsigned reduced_number(const struct exercise *exercise, size_t index)
{
    unsigned result = number_of(0, index);
    for (int rank = 1; rank < exercise->cluster->size; rank++) {
        result = combine(exercise->job.op, result, number_of(rank, index));
    }
    return result;
}

static unsigned wanted_number(const struct exercise *exercise, int rank, size_t index)
{
    const struct job *job = &exercise->job;
    switch (job->collective) {
    case COLLECTIVE_ALL_REDUCE:
        return reduced_number(exercise, index);
    case COLLECTIVE_REDUCE_SCATTER:
        return reduced_number(exercise, (size_t)rank * job->count + index);
    case COLLECTIVE_ALL_GATHER:
        return number_of((int)(index / job->count), index % job->count);
    default:
        return number_of(job->root, index);
    }
}

/* ---- Buffers -------------------------------------------------------------------------------- */

static size_t elements_in(const struct exercise *exercise, bool output)
{
    size_t size = (size_t)exercise->cluster->size;
    enum collective collective = exercise->job.collective;
    bool whole = (collective == COLLECTIVE_REDUCE_SCATTER && !output) ||
                 (collective == COLLECTIVE_ALL_GATHER && output);
    return whole ? size * exercise->job.count : exercise->job.count;
}

/* In place, one buffer holds both: the larger one, and the share stands at the rank's place. */
static size_t share_offset(const struct exercise *exercise, int rank)
{
    return (size_t)rank * exercise->job.count * ww_type_bytes(exercise->job.type);
}

static bool is_one_buffer(const struct exercise *exercise)
{
    return exercise->job.in_place || exercise->job.collective == COLLECTIVE_BROADCAST;
}

static uint8_t *input_of(const struct exercise *exercise, int rank)
{
    if (!is_one_buffer(exercise)) {
        return exercise->inputs[rank];
    }
    bool share = exercise->job.collective == COLLECTIVE_ALL_GATHER;
    return exercise->outputs[rank] + (share ? share_offset(exercise, rank) : 0);
}

static uint8_t *output_of(const struct exercise *exercise, int rank)
{
    bool share = exercise->job.in_place && exercise->job.collective == COLLECTIVE_REDUCE_SCATTER;
    return exercise->outputs[rank] + (share ? share_offset(exercise, rank) : 0);
}

static void fill(struct exercise *exercise, int rank)
{
    size_t element_bytes = ww_type_bytes(exercise->job.type);
    uint8_t *input = input_of(exercise, rank);
    unsigned factor = exercise->job.op == WW_MEAN ? (unsigned)exercise->cluster->size : 1;
    for (size_t i = 0; i < elements_in(exercise, false); i++) {
        put(input + i * element_bytes, exercise->job.type, factor * number_of(rank, i));
    }
}

static void make_buffers(struct exercise *exercise, int rank)
{
    size_t element_bytes = ww_type_bytes(exercise->job.type);
    size_t in = elements_in(exercise, false) * element_bytes;
    size_t out = elements_in(exercise, true) * element_bytes;
    if (is_one_buffer(exercise)) {
        out = in > out ? in : out;
    } else {
        exercise->inputs[rank] = demand(malloc(in + 1));
    }
    exercise->outputs[rank] = demand(malloc(out + 1));
    memset(exercise->outputs[rank], 0xee, out);
    fill(exercise, rank);
}

void exercise_fill_fractions(struct exercise *exercise)
{
    for (int rank = 0; rank < exercise->cluster->size; rank++) {
        uint64_t state = (uint64_t)rank + 1;
        for (size_t i = 0; i < elements_in(exercise, false); i++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            float fraction = (float)(int32_t)(state >> 32) / 65536.0f;
            memcpy(input_of(exercise, rank) + i * sizeof(fraction), &fraction, sizeof(fraction));
        }
    }
}

/* ---- Plans and life ------------------------------------------------------------------------- */

static struct plan *make_plan(const struct exercise *exercise, int rank)
{
    const struct job *job = &exercise->job;
    const struct algorithm *algorithm = algorithm_find(job->collective, job->algorithm);
    const struct topology *topology = &exercise->cluster->members[rank].topology;
    struct plan *plan = NULL;
    enum ww_status status = job->hierarchical
                                ? plan_hierarchical(demand((void *)(uintptr_t)algorithm),
                                                    &topology->hierarchy, rank, &plan)
                                : plan_flat(demand((void *)(uintptr_t)algorithm), rank,
                                            topology->size, job->root, &plan);
    return demand(status == WW_OK ? plan : NULL);
}

static struct run_request request_of(const struct exercise *exercise, int rank)
{
    const struct job *job = &exercise->job;
    struct way viewed = {NULL, 0, 0, true};
    if (algorithm_find(job->collective, job->algorithm)->needs == NEEDS_VIEW) {
        viewed = (struct way){exercise->plans[rank], job->segment_bytes, job->window, true};
    }
    return (struct run_request){.plan = exercise->plans[rank],
                                .viewed = viewed,
                                .input = input_of(exercise, rank),
                                .output = output_of(exercise, rank),
                                .count = job->count,
                                .type = job->type,
                                .op = job->op,
                                .root = job->collective == COLLECTIVE_BROADCAST ? job->root : -1,
                                .segment_bytes = job->segment_bytes,
                                .window = job->window,
                                .with_announcement = job->announced,
                                .label = job->label,
                                .coding = {.spec = exercise->plans[rank]->coded
                                                       ? job->codec
                                                       : (struct codec_spec){CODEC_NONE, 0, false},
                                           .seed = 1}};
}

bool algorithm_sends(const struct algorithm *algorithm)
{
    return algorithm->needs == NEEDS_MESSAGES;
}

void cluster_options_suit(struct cluster_options *options, const struct job *job)
{
    if (!algorithm_sends(algorithm_find(job->collective, job->algorithm))) {
        options->seen = true;
        options->ranks_per_host = options->sim.size;
    }
}

struct exercise exercise_init(struct cluster *cluster, const struct job *job)
{
    size_t size = (size_t)cluster->size;
    struct exercise exercise = {.cluster = cluster, .job = *job};
    exercise.plans = demand(calloc(size, sizeof(*exercise.plans)));
    exercise.inputs = demand(calloc(size, sizeof(*exercise.inputs)));
    exercise.outputs = demand(calloc(size, sizeof(*exercise.outputs)));
    for (int rank = 0; rank < cluster->size; rank++) {
        exercise.plans[rank] = make_plan(&exercise, rank);
        make_buffers(&exercise, rank);
        struct run_request request = request_of(&exercise, rank);
        if (engine_reserve(cluster->members[rank].engine, &request) != WW_OK) {
            demand(NULL);
        }
    }
    return exercise;
}

void exercise_finish(struct exercise *exercise)
{
    for (int rank = 0; rank < exercise->cluster->size; rank++) {
        plan_destroy(exercise->plans[rank]);
        free(exercise->inputs[rank]);
        free(exercise->outputs[rank]);
    }
    free(exercise->plans);
    free(exercise->inputs);
    free(exercise->outputs);
    *exercise = (struct exercise){0};
}

void exercise_start(struct exercise *exercise, int rank)
{
    struct cluster *cluster = exercise->cluster;
    struct member *member = &cluster->members[rank];
    struct run_request request = request_of(exercise, rank);
    uint64_t number;
    if (!engine_has_room(member->engine)) {
        fprintf(stderr, "rank %d has no room for another collective\n", rank);
        abort();
    }
    cluster->current = rank;
    enum ww_status status = engine_start(member->engine, &request, &number);
    cluster->current = -1;
    member->status = status == WW_OK ? WW_PENDING : status;
}

/* Rank by rank, from a rank that the seed picks, forwards or backwards. */
void exercise_start_all(struct exercise *exercise)
{
    int size = exercise->cluster->size;
    uint64_t seed = exercise->cluster->options.sim.seed;
    int first = (int)(seed * 7 % (uint64_t)size);
    for (int i = 0; i < size; i++) {
        exercise_start(exercise, (first + (seed % 3 == 0 ? size - i : i)) % size);
    }
}

const uint8_t *exercise_result(const struct exercise *exercise, int rank)
{
    return output_of(exercise, rank);
}

size_t exercise_result_bytes(const struct exercise *exercise)
{
    return elements_in(exercise, true) * ww_type_bytes(exercise->job.type);
}

/* The result that a rank should have; the same for all but in a reduce-scatter. */
static void fill_wanted(const struct exercise *exercise, int rank, uint8_t *wanted)
{
    size_t element_bytes = ww_type_bytes(exercise->job.type);
    for (size_t i = 0; i < elements_in(exercise, true); i++) {
        put(wanted + i * element_bytes, exercise->job.type, wanted_number(exercise, rank, i));
    }
}

int exercise_wrong_rank(const struct exercise *exercise)
{
    size_t bytes = exercise_result_bytes(exercise);
    uint8_t *wanted = demand(malloc(bytes + 1));
    int wrong = -1;
    for (int rank = 0; rank < exercise->cluster->size && wrong < 0; rank++) {
        if (rank == 0 || exercise->job.collective == COLLECTIVE_REDUCE_SCATTER) {
            fill_wanted(exercise, rank, wanted);
        }
        if (memcmp(exercise_result(exercise, rank), wanted, bytes) != 0) {
            wrong = rank;
        }
    }
    free(wanted);
    return wrong;
}

uint64_t exercise_planned_bytes(const struct exercise *exercise)
{
    uint64_t bytes = 0;
    for (int rank = 0; rank < exercise->cluster->size; rank++) {
        uint64_t levels[WW_LEVELS_MAX] = {0};
        struct run_request request = request_of(exercise, rank);
        engine_planned_bytes(exercise->cluster->members[rank].engine, &request, levels);
        for (int level = 0; level < WW_LEVELS_MAX; level++) {
            bytes += levels[level];
        }
    }
    return bytes;
}
