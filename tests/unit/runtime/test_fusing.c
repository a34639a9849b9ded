/* SPDX-License-Identifier: BSD-3-Clause
 * test_fusing.c: which tensors travel together: those of one kind, whatever was registered between
 * them; and results that do not depend on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define TENSORS_MAX 48

TestSuite(fusing, .init = capture_start, .fini = capture_finish);

/* A letter is a tensor: W a matrix that follows the codec, b a vector, d one of fp64, h one of
 * fp16, o a matrix with a codec of its own, w a matrix too small, e a matrix without elements. */
struct layout {
    const char *letters;
    const char *codec;
    size_t bucket_bytes;
    int buckets;
};

struct kind {
    char letter;
    enum ww_type type;
    int dims;
    size_t shape[2];
    const char *codec;
};

static const struct kind kinds[] = {
    {'W', WW_F32, 2, {40, 40}, NULL}, {'b', WW_F32, 1, {40, 1}, NULL},
    {'d', WW_F64, 1, {30, 1}, NULL},  {'h', WW_F16, 2, {50, 40}, NULL},
    {'o', WW_F32, 2, {9, 9}, "bf16"}, {'w', WW_F32, 2, {20, 20}, NULL},
    {'e', WW_F32, 2, {0, 40}, NULL},
};

static const struct kind *kind_of(char letter)
{
    const struct kind *kind = kinds;
    while (kind->letter != letter) {
        kind++;
    }
    return kind;
}

static size_t count_of(const struct kind *kind)
{
    return kind->shape[0] * kind->shape[1];
}

/* 1 of rank 0, 2 of rank 1 ..., times something of the tensor's: exact in every type and codec. */
static double given(int rank, size_t tensor)
{
    return (rank + 1) * (double)(tensor % 5 + 1);
}

static void put(void *values, enum ww_type type, size_t i, double value)
{
    static const uint16_t halves[] = {0,      0x3c00, 0x4000, 0x4200, 0x4400, 0x4500,
                                      0x4600, 0x4700, 0x4800, 0x4880, 0x4900, 0x4980,
                                      0x4a00, 0x4a80, 0x4b00, 0x4b80, 0x4c00};
    if (type == WW_F64) {
        ((double *)values)[i] = value;
    } else if (type == WW_F16) {
        ((uint16_t *)values)[i] = halves[value <= 16 ? (int)value : 0];
    } else {
        ((float *)values)[i] = (float)value;
    }
}

static void step(const struct layout *layout, struct ww_context *context,
                 struct ww_tensor **tensors, void *const *values, struct ww_report *report)
{
    size_t count = strlen(layout->letters);
    check_status(ww_step_begin(context), WW_OK);
    for (size_t t = count; t-- > 0;) {
        const struct kind *kind = kind_of(layout->letters[t]);
        for (size_t i = 0; i < count_of(kind); i++) {
            put(values[t], kind->type, i, given(ww_rank(context), t));
        }
        check_status(ww_tensor_start(tensors[t], values[t]), WW_OK);
    }
    check_status(ww_step_end(context, report), WW_OK);
    for (size_t t = 0; t < count; t++) {
        const struct kind *kind = kind_of(layout->letters[t]);
        double sum[1] = {0};
        double wanted = 0;
        size_t wrong = 0;
        for (int rank = 0; rank < ww_size(context); rank++) {
            wanted += given(rank, t);
        }
        put(sum, kind->type, 0, wanted);
        size_t bytes = ww_type_bytes(kind->type);
        for (size_t i = 0; i < count_of(kind); i++) {
            wrong += memcmp((char *)values[t] + i * bytes, sum, bytes) != 0;
        }
        check(wrong == 0, "%s: %zu elements of tensor %zu are wrong", layout->letters, wrong, t);
    }
}

static void fuse(const struct ww_world *world, void *shared)
{
    const struct layout *layout = shared;
    struct ww_config config = trainer_config(world, layout->codec, 1);
    struct ww_context *context;
    struct ww_tensor *tensors[TENSORS_MAX];
    void *values[TENSORS_MAX];
    size_t count = strlen(layout->letters);
    config.bucket_bytes = layout->bucket_bytes;
    config.probe = WW_PROBE_OFF;
    context = world_context(world, &config);
    for (size_t t = 0; t < count; t++) {
        const struct kind *kind = kind_of(layout->letters[t]);
        char name[32];
        snprintf(name, sizeof name, "%c%zu", kind->letter, t);
        values[t] = calloc(count_of(kind) + 1, ww_type_bytes(kind->type));
        check_status(ww_tensor_add(context, name, kind->type, kind->dims, kind->shape, &tensors[t]),
                     WW_OK);
        if (kind->codec != NULL) {
            check_status(ww_tensor_codec(tensors[t], kind->codec), WW_OK);
        }
    }
    check_status(ww_tensors_commit(context), WW_OK);
    for (int i = 0; i < 5; i++) {
        struct ww_report report = WW_REPORT_INIT;
        step(layout, context, tensors, values, &report);
        check(report.buckets == layout->buckets, "%s, %s: %d buckets, not %d", layout->letters,
              layout->codec, report.buckets, layout->buckets);
    }
    ww_context_destroy(context);
    for (size_t t = 0; t < count; t++) {
        free(values[t]);
    }
}

Test(fusing, tensors_of_one_kind_travel_together)
{
    static const size_t all = (size_t)1 << 30;
    const struct layout layouts[] = {
        {"WbWbWbWbWbWbWbWbWbWbWbWb", "fp16", all, 2},
        {"bWbWbWbWbWbWbWbWbWbWbWbW", "fp16", all, 2},
        {"WbWbWbWbWbWbWbWbWbWbWbWb", "none", all, 1},
        {"WbWbWbWbWbWbWbWbWbWbWbWb", "fp16", 2 * 6400, 7},
        {"WbWbWbWbWbWbWbWbWbWbWbWb", "fp16", 1, 24},
        {"WbdWbdWbdWbd", "fp16", all, 3},
        {"WbdhoWbdhoWbdhoWbdho", "fp16", all, 5},
        {"ohdbWWbdhoohdbW", "topk:1", all, 5},
        {"WwWbwW", "fp16", all, 2},
        {"WeWebe", "fp16", all, 2},
        {"eee", "fp16", all, 1},
        {"W", "fp16", all, 1},
        {"b", "fp16", all, 1},
        {"dhdhdhdh", "none", all, 2},
    };
    for (size_t i = 0; i < LENGTH(layouts); i++) {
        struct layout layout = layouts[i];
        world_run(2, fuse, &layout);
        if (strchr(layout.letters, 'h') == NULL) {
            world_run(3, fuse, &layout);
        }
        world_run(1, fuse, &layout);
    }
}
