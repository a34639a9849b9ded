/* SPDX-License-Identifier: BSD-3-Clause
 * times.c: times kernels for GPUs: memory-bound loops are judged by the bytes they must move, over
 * the rate at which the device copies. */
#include "times.h"

#include <stdio.h>
#include <stdlib.h>

#include "codecs/codec.h"
#include "gpu.h"
#include "gradients.h"
#include "kernels/cuda.h"
#include "kernels/half.h"

#define COUNT ((size_t)64 << 20)
#define COUNT_SMALL ((size_t)25 << 18) /* 25 MiB of fp32 */
#define COUNT_CHOSEN ((size_t)100000000)
#define BLOCK ((size_t)1 << 22)
#define SETS 8 /* of buffers, where one would stay in the cache */
#define WAYS 8

/* Buffers of one call. */
struct set {
    float *values;
    float *residual;
    float *next;
    unsigned char *frame;
};

struct bench {
    const struct device *device;
    size_t count;
    int sets;
    struct set set[SETS];
    struct cuda_notes *notes;
    void *room;
    uint32_t *threshold;
    bool alone;       /* of the values, without what was left before */
    double copy_rate; /* bytes read and written in a microsecond */
    /* What is timed. */
    struct codec_spec spec;
    bool has_residual;
    int ways;
    enum ww_type type;
    uint32_t key;
};

static const struct set *set_of(const struct bench *bench, int turn)
{
    return &bench->set[turn % bench->sets];
}

static struct codec_spec spec_of(const char *text)
{
    struct codec_spec spec = {.kind = CODEC_NONE};
    char reason[200];
    codec_parse(text, &spec, reason, sizeof reason);
    return spec;
}

/* ---- What is timed ------------------------------------------------------------------------ */

static void work_copy(void *argument, int turn, void *stream)
{
    const struct bench *bench = argument;
    const struct set *set = set_of(bench, turn);
    gpu_copy(set->next, set->values, bench->count * sizeof(float), stream);
}

static void work_reduce(void *argument, int turn, void *stream)
{
    const struct bench *bench = argument;
    const struct set *set = set_of(bench, turn);
    const void *from[WAYS];
    size_t shift = bench->count / (2 * WAYS) / 1024 * 1024; /* sources overlap, but in few places */
    for (int way = 0; way < bench->ways; way++) {
        float *source = way % 2 == 0 ? set->values : set->residual;
        from[way] = source + (size_t)(way / 2) * shift;
    }
    size_t elements = (bench->count - shift * WAYS / 2) * sizeof(float) /
                      ww_type_bytes(bench->type);
    gpu_check(cuda_reduce(bench->type, WW_SUM, set->next, from, bench->ways, elements, 1.0, stream),
              "cuda_reduce");
}

static void work_encode(void *argument, int turn, void *stream)
{
    const struct bench *bench = argument;
    const struct set *set = set_of(bench, turn);
    struct cuda_encoding encoding = {.spec = bench->spec,
                                     .in = {.values = set->values, .count = bench->count},
                                     .frame = set->frame + 64,
                                     .notes = bench->notes,
                                     .room = bench->room};
    if (bench->has_residual) {
        encoding.in.residual = set->residual;
        encoding.in.next = set->next;
    }
    gpu_check(cuda_encode(&encoding, stream), "cuda_encode");
}

/* All ways read frames of their own: what `values` and `residual` hold was encoded before. */
static void work_sum(void *argument, int turn, void *stream)
{
    const struct bench *bench = argument;
    const struct set *set = set_of(bench, turn);
    const void *frames[WAYS];
    size_t bytes = (codecs[bench->spec.kind]->frame_bytes_max(&bench->spec, bench->count) + 127) /
                   64 * 64;
    unsigned char *more = (unsigned char *)set->values;
    for (int way = 0; way < bench->ways; way++) {
        frames[way] = bench->ways == 1 ? set->frame + 64 : more + (size_t)way * bytes + 64;
    }
    struct cuda_sum sum = {.spec = bench->spec,
                           .into = set->next,
                           .count = bench->count,
                           .ways = bench->ways,
                           .frames = frames,
                           .scale = 0.5f,
                           .notes = bench->notes};
    gpu_check(cuda_decode_sum(&sum, stream), "cuda_decode_sum");
}

static void choose(const struct bench *bench, const struct set *set, bool feeds_back, void *stream)
{
    size_t chunks = (bench->count + SPARSE_CHUNK - 1) / SPARSE_CHUNK;
    const uint32_t room = 2048;
    struct cuda_choice choice = {.in = {.values = set->values, .count = bench->count},
                                 .threshold = bench->key,
                                 .room = room,
                                 .counts = (uint32_t *)(void *)set->frame,
                                 .notes = bench->notes};
    choice.offsets = (uint16_t *)(choice.counts + chunks);
    choice.codes = choice.offsets + chunks * room;
    if (feeds_back) {
        choice.in.residual = set->residual;
        choice.in.next = set->next;
    }
    gpu_check(cuda_choose(&choice, stream), "cuda_choose");
}

static void work_choose(void *argument, int turn, void *stream)
{
    choose(argument, set_of(argument, turn), true, stream);
}

static void work_choose_alone(void *argument, int turn, void *stream)
{
    choose(argument, set_of(argument, turn), false, stream);
}

static void work_threshold(void *argument, int turn, void *stream)
{
    const struct bench *bench = argument;
    const struct set *set = set_of(bench, turn);
    struct stretch in = {.values = set->values,
                         .residual = bench->alone ? NULL : set->residual,
                         .count = bench->count};
    gpu_check(cuda_threshold(&in, 0.01, bench->threshold, bench->room, stream), "cuda_threshold");
}

static void work_squares(void *argument, int turn, void *stream)
{
    const struct bench *bench = argument;
    const struct set *set = set_of(bench, turn);
    gpu_check(cuda_squares(WW_F32, set->values, bench->count, &bench->notes->given,
                           &bench->notes->wild, bench->room, stream),
              "cuda_squares");
}

static void work_scale(void *argument, int turn, void *stream)
{
    const struct bench *bench = argument;
    const struct set *set = set_of(bench, turn);
    gpu_check(cuda_scale(WW_F32, set->next, bench->count, 1.0000001, NULL, stream), "cuda_scale");
}

static void work_pieces(void *argument, int turn, void *stream)
{
    enum { PIECES = 500 };
    const struct bench *bench = argument;
    const struct set *set = set_of(bench, turn);
    size_t each = bench->count / PIECES;
    void *into[PIECES];
    const void *from[PIECES];
    size_t bytes[PIECES];
    for (int i = 0; i < PIECES; i++) {
        into[i] = set->next + (size_t)i * each;
        from[i] = set->values + (size_t)i * each;
        bytes[i] = each * sizeof(float);
    }
    gpu_check(cuda_copy_pieces(into, from, bytes, PIECES, stream), "cuda_copy_pieces");
}

/* ---- Buffers ------------------------------------------------------------------------------ */

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct bench bench_create(const struct device *device, size_t count, int sets)
{
    struct bench bench = {.device = device, .count = count, .sets = sets, .type = WW_F32};
    struct codec_spec fp16 = {.kind = CODEC_FP16};
    struct cuda_notes notes = {.wild_rank = INT32_MAX};
    struct chance chance = {1};
    float *block = (float *)(void *)memory_or_exit(BLOCK * sizeof *block);
    gradient_fill(&chance, GRADIENT_BELL, block, BLOCK);
    for (int i = 0; i < sets; i++) {
        struct set *set = &bench.set[i];
        set->values = device->allocate(count * 2 * sizeof(float) + (1 << 20));
        set->residual = device->allocate(count * sizeof(float));
        set->next = device->allocate(count * sizeof(float));
        set->frame = device->allocate(64 + count * 5 / 2 + (1 << 20));
        gpu_tile(device, set->values, count * sizeof(float), block, BLOCK * sizeof *block);
        gpu_tile(device, set->residual, count * sizeof(float), block + 1,
                 (BLOCK - 1) * sizeof *block);
    }
    bench.notes = device->allocate(sizeof notes);
    device->put(bench.notes, &notes, sizeof notes);
    bench.room = device->allocate(
        most(most(cuda_encode_room(&fp16, count), cuda_threshold_room(count)),
             cuda_squares_room(count)));
    bench.threshold = device->allocate(sizeof(uint32_t));
    free(block);
    return bench;
}

static void bench_destroy(struct bench *bench)
{
    for (int i = 0; i < bench->sets; i++) {
        bench->device->release(bench->set[i].frame);
        bench->device->release(bench->set[i].next);
        bench->device->release(bench->set[i].residual);
        bench->device->release(bench->set[i].values);
    }
    bench->device->release(bench->threshold);
    bench->device->release(bench->room);
    bench->device->release(bench->notes);
}

/* ---- Tables ------------------------------------------------------------------------------- */

static struct gpu_times row(struct bench *bench, const char *name, double bytes, gpu_work *work)
{
    struct gpu_times times = gpu_time(work, bench, bench->device->stream);
    double rate = bytes / times.row_us;
    if (bench->copy_rate == 0) {
        bench->copy_rate = rate;
    }
    printf("  %-34s %8.0f MB %9.1f us %9.1f us %7.0f GB/s %6.1f %%\n", name, bytes * 1e-6,
           times.alone_us, times.row_us, rate * 1e-3, 100 * rate / bench->copy_rate);
    fflush(stdout);
    return times;
}

static void values_fill_again(struct bench *bench)
{
    struct chance chance = {1};
    float *block = (float *)(void *)memory_or_exit(BLOCK * sizeof *block);
    gradient_fill(&chance, GRADIENT_BELL, block, BLOCK);
    gpu_tile(bench->device, bench->set[0].values, bench->count * sizeof(float), block,
             BLOCK * sizeof *block);
    free(block);
}

/* Numbers of 16 bits: halves of fp32 would be NaNs now and then, as gradients never are. */
static void halves_fill(struct bench *bench)
{
    struct chance chance = {1};
    float *block = (float *)(void *)memory_or_exit(BLOCK * sizeof *block);
    uint16_t *halves = (uint16_t *)(void *)memory_or_exit(BLOCK * sizeof *halves);
    gradient_fill(&chance, GRADIENT_BELL, block, BLOCK);
    for (size_t i = 0; i < BLOCK; i++) {
        halves[i] = f16_narrow(block[i]);
    }
    size_t bytes = bench->count * sizeof(float);
    gpu_tile(bench->device, bench->set[0].values, bytes, halves, BLOCK * sizeof *halves);
    gpu_tile(bench->device, bench->set[0].residual, bytes, halves + 2,
             (BLOCK - 2) * sizeof *halves);
    free(halves);
    free(block);
}

static void rows_reduce(struct bench *bench)
{
    static const struct {
        const char *name;
        enum ww_type type;
        int ways;
    } rows[] = {{"reduce f32, 2 ways", WW_F32, 2}, {"reduce f32, 8 ways", WW_F32, 8},
                {"reduce f64, 2 ways", WW_F64, 2}, {"reduce bf16, 2 ways", WW_BF16, 2},
                {"reduce f16, 2 ways", WW_F16, 2}, {"reduce f16, 8 ways", WW_F16, 8}};
    size_t shift = bench->count / (2 * WAYS) / 1024 * 1024;
    double bytes = (double)(bench->count - shift * WAYS / 2) * sizeof(float);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bench->type = rows[i].type;
        bench->ways = rows[i].ways;
        if (rows[i].type == WW_F16) {
            halves_fill(bench);
        }
        row(bench, rows[i].name, bytes * (rows[i].ways + 1), work_reduce);
    }
}

static void encode_rows(struct bench *bench, const char *text)
{
    char name[60];
    double count = (double)bench->count;
    bench->spec = spec_of(text);
    double frame = (double)codecs[bench->spec.kind]->frame_bytes_max(&bench->spec, bench->count);
    bench->has_residual = false;
    snprintf(name, sizeof name, "encode %s", text);
    row(bench, name, count * 4 + frame, work_encode);
    bench->has_residual = true;
    snprintf(name, sizeof name, "encode %s, error feedback", text);
    row(bench, name, count * 12 + frame, work_encode);
}

/* Copies the frame that was encoded last behind the values, so often that each way has its own. */
static void frames_spread(struct bench *bench, int ways)
{
    const struct set *set = &bench->set[0];
    size_t bytes = codecs[bench->spec.kind]->frame_bytes_max(&bench->spec, bench->count) + 64;
    size_t each = (bytes + 63) / 64 * 64;
    for (int way = 0; way < ways; way++) {
        gpu_copy((unsigned char *)set->values + (size_t)way * each, set->frame, bytes,
                 bench->device->stream);
    }
}

static void sum_rows(struct bench *bench, const char *text, int ways)
{
    char name[60];
    double frame = (double)codecs[bench->spec.kind]->frame_bytes_max(&bench->spec, bench->count);
    bench->ways = 1;
    snprintf(name, sizeof name, "decode %s", text);
    row(bench, name, (double)bench->count * 4 + frame, work_sum);
    bench->ways = ways;
    snprintf(name, sizeof name, "sum of %d %s", ways, text);
    row(bench, name, (double)bench->count * 4 + frame * ways, work_sum);
}

static void print_large(const struct device *device)
{
    static const struct {
        const char *text;
        int ways; /* whose frames fit behind the values */
    } codecs_timed[] = {{"fp16", 4}, {"bf16", 4}, {"int8", 7}, {"topk:0.01:fixed", 8}};
    struct bench bench = bench_create(device, COUNT, 1);
    double count = (double)COUNT;
    printf("%zu Mi elements: bytes moved, one call alone, among many, rate, over copying\n",
           COUNT >> 20);
    row(&bench, "copy on the device", count * 8, work_copy);
    rows_reduce(&bench);
    values_fill_again(&bench);
    for (size_t i = 0; i < sizeof codecs_timed / sizeof codecs_timed[0]; i++) {
        encode_rows(&bench, codecs_timed[i].text);
        frames_spread(&bench, codecs_timed[i].ways);
        sum_rows(&bench, codecs_timed[i].text, codecs_timed[i].ways);
        values_fill_again(&bench);
    }
    work_threshold(&bench, 0, device->stream);
    device->finish();
    device->get(&bench.key, bench.threshold, sizeof bench.key);
    row(&bench, "choose 1 %, error feedback", count * 12, work_choose);
    row(&bench, "squares f32", count * 4, work_squares);
    row(&bench, "copy of 500 pieces", count * 8, work_pieces);
    row(&bench, "scale f32", count * 8, work_scale);
    bench_destroy(&bench);
}

static void print_small(const struct device *device)
{
    static const char *const texts[] = {"fp16", "bf16", "int8", "topk:0.01:fixed"};
    struct bench bench = bench_create(device, COUNT_SMALL, SETS);
    printf("25 MiB: likewise\n");
    row(&bench, "copy on the device", (double)COUNT_SMALL * 8, work_copy);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        encode_rows(&bench, texts[i]);
    }
    bench_destroy(&bench);
}

static void print_chosen(const struct device *device)
{
    struct bench bench = bench_create(device, COUNT_CHOSEN, 1);
    double count = (double)COUNT_CHOSEN;
    printf("1 %% of 100 M elements: likewise\n");
    row(&bench, "copy on the device", count * 8, work_copy);
    struct gpu_times threshold = row(&bench, "threshold", 0, work_threshold);
    device->get(&bench.key, bench.threshold, sizeof bench.key);
    struct gpu_times choose = row(&bench, "choose, error feedback", count * 12, work_choose);
    bench.alone = true;
    work_threshold(&bench, 0, device->stream);
    device->get(&bench.key, bench.threshold, sizeof bench.key);
    struct gpu_times alone = row(&bench, "choose", count * 4, work_choose_alone);
    bench.spec = spec_of("topk:0.01:fixed");
    bench.has_residual = true;
    struct gpu_times fixed = row(&bench, "topk:0.01:fixed, error feedback", count * 12.04,
                                 work_encode);
    bench.has_residual = false;
    struct gpu_times plain = row(&bench, "topk:0.01:fixed", count * 4.04, work_encode);
    printf(
        "chosen_us threshold %.1f choose %.1f choose_alone %.1f fixed_feedback %.1f fixed %.1f\n",
        threshold.row_us, choose.row_us, alone.row_us, fixed.row_us, plain.row_us);
    bench_destroy(&bench);
}

void times_print(const struct device *device)
{
    print_large(device);
    print_small(device);
    print_chosen(device);
}
