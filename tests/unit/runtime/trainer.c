/* SPDX-License-Identifier: BSD-3-Clause
 * trainer.c: steps of small integers. */
#include "trainer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "chance.h"

static const size_t shapes[TRAINER_TENSORS][2] = {{80, 64}, {33, 1}, {40, 30}, {8, 8}};
static const int dims[TRAINER_TENSORS] = {2, 1, 2, 2};

void trainer_finish_capture(void)
{
    while (capture_take(WW_LOG_WARN, "encoding costs time here") != NULL) {
        continue;
    }
    capture_finish();
}

size_t trainer_count(int tensor)
{
    return shapes[tensor][0] * shapes[tensor][1];
}

float trainer_gradient(int rank, int step, int tensor, size_t element)
{
    uint64_t key = ((uint64_t)rank * 131 + (uint64_t)step) * UINT64_C(1000003) + element * 7 +
                   (uint64_t)tensor;
    return (float)((int)(chance_mix(key) % 17) - 8);
}

struct ww_config trainer_config(const struct ww_world *world, const char *codec, int ranks_per_host)
{
    static const char *const hosts[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct ww_config config = world_config();
    config.host = hosts[ranks_per_host == 0 ? 0 : world->rank / ranks_per_host];
    config.codec = codec;
    config.codec_least_count = 1000;
    config.gradient_op = WW_SUM;
    config.bucket_bytes = 8 << 10;
    return config;
}

static void *take(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    check(memory != NULL, "no memory");
    return memory;
}

void trainer_begin(struct trainer *trainer, const struct ww_world *world,
                   const struct ww_config *config)
{
    trainer_begin_with(trainer, world, config, NULL);
}

void trainer_begin_with(struct trainer *trainer, const struct ww_world *world,
                        const struct ww_config *config, void (*prepare)(struct ww_context *context))
{
    *trainer = (struct trainer){.context = world_context(world, config)};
    if (prepare != NULL) {
        prepare(trainer->context);
    }
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", t);
        check_status(
            ww_tensor_add(trainer->context, name, WW_F32, dims[t], shapes[t], &trainer->tensors[t]),
            WW_OK);
        trainer->values[t] = take(trainer_count(t), sizeof(float));
        trainer->sums[t] = take(trainer_count(t), sizeof(float));
        trainer->given[t] = take(trainer_count(t), sizeof(double));
    }
    check_status(ww_tensors_commit(trainer->context), WW_OK);
}

void trainer_end(struct trainer *trainer)
{
    ww_context_destroy(trainer->context);
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        free(trainer->values[t]);
        free(trainer->sums[t]);
        free(trainer->given[t]);
    }
}

void trainer_start(struct trainer *trainer, int tensor)
{
    int rank = ww_rank(trainer->context);
    for (size_t i = 0; i < trainer_count(tensor); i++) {
        trainer->values[tensor][i] = trainer_gradient(rank, trainer->steps, tensor, i);
    }
    check_status(ww_tensor_start(trainer->tensors[tensor], trainer->values[tensor]), WW_OK);
}

/* Adds the step's results, or takes them off. */
static void count_step(struct trainer *trainer, float sign)
{
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        for (size_t i = 0; i < trainer_count(t); i++) {
            trainer->sums[t][i] += sign * trainer->values[t][i];
            for (int rank = 0; rank < ww_size(trainer->context); rank++) {
                trainer->given[t][i] += sign * trainer_gradient(rank, trainer->steps, t, i);
            }
        }
    }
}

void trainer_finish(struct trainer *trainer)
{
    trainer->report = (struct ww_report)WW_REPORT_INIT;
    check_status(ww_step_end(trainer->context, &trainer->report), WW_OK);
    count_step(trainer, 1);
    trainer->steps++;
}

void trainer_step(struct trainer *trainer)
{
    check_status(ww_step_begin(trainer->context), WW_OK);
    for (int t = TRAINER_TENSORS; t-- > 0;) {
        trainer_start(trainer, t);
    }
    trainer_finish(trainer);
}

void trainer_discard(struct trainer *trainer)
{
    check_status(ww_step_discard(trainer->context), WW_OK);
    trainer->steps--;
    count_step(trainer, -1);
}

void trainer_settle(struct trainer *trainer)
{
    check_status(ww_step_codec(trainer->context, "none"), WW_OK);
    trainer_step(trainer);
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        size_t wrong = 0;
        for (size_t i = 0; i < trainer_count(t); i++) {
            wrong += trainer->sums[t][i] != trainer->given[t][i];
        }
        check(wrong == 0, "after %d steps %zu of %zu elements of tensor %d lost or found something",
              trainer->steps, wrong, trainer_count(t), t);
    }
}
