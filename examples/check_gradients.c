/* SPDX-License-Identifier: BSD-3-Clause
 * check_gradients.c: compares every gradient of a tiny model, computed in double precision, with
 * the slope of the loss measured by moving each parameter a little. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"
#include "model.h"
#include "random.h"

#define STEP 1e-4       /* a central difference is then off by about 1e-9 */
#define TOLERANCE 1e-6  /* of the slopes' size */
#define FLOOR 1e-8      /* what rounding leaves of a slope that is zero */
#define SAMPLES_MAX 200 /* of a tensor; smaller ones are checked whole */
#define BATCH 3

static const struct model_size tiny = {"tiny", 2, 8, 2, 5, BATCH};

struct check {
    struct model *model;
    struct parameters *parameters;
    uint8_t sequences[BATCH * 6];
    int *told;       /* how often each tensor was reported ready */
    real *when_told; /* the gradients as they were then */
    int failures;
};

/* Nothing may be zero or one by accident: a wrong factor would hide there. The loss shall feel
 * every parameter, so they are larger than in a training. */
static void draw_everything(struct check *check)
{
    uint64_t stream = 7;
    for (size_t i = 0; i < check->parameters->count; i++) {
        check->parameters->values[i] = 0.1 + 0.4 * random_normal(&stream);
    }
    for (size_t i = 0; i < sizeof check->sequences; i++) {
        /* few different bytes, so that some come twice in a sequence */
        check->sequences[i] = (uint8_t)(random_unit(&stream) * 8);
    }
}

static double loss(struct check *check)
{
    return model_forward(check->model, check->sequences, BATCH);
}

static void note_ready(void *self, size_t index)
{
    struct check *check = self;
    const struct tensor *tensor = &check->parameters->tensors[index];
    check->told[index]++;
    memcpy(check->when_told + tensor->first, check->parameters->gradients + tensor->first,
           tensor->count * sizeof(real));
}

static double slope(struct check *check, size_t index)
{
    real *value = &check->parameters->values[index];
    real before = *value;
    *value = before + STEP;
    double above = loss(check);
    *value = before - STEP;
    double below = loss(check);
    *value = before;
    return (above - below) / (2 * STEP);
}

static bool agree(double gradient, double measured)
{
    return fabs(gradient - measured) <= FLOOR + TOLERANCE * (fabs(gradient) + fabs(measured));
}

/* Bytes that do not occur have no gradient, so the embedding is looked at where one is. */
static size_t sample(const struct tensor *tensor, size_t number)
{
    if (tensor->count <= SAMPLES_MAX) {
        return number;
    }
    return tensor->first == 0 ? number % (8 * tiny.width)
                              : (size_t)(random_hash(number) % tensor->count);
}

/* The largest slope of the tensor, or -1 when a gradient is wrong. */
static double check_tensor(struct check *check, const struct tensor *tensor)
{
    size_t samples = tensor->count < SAMPLES_MAX ? tensor->count : SAMPLES_MAX;
    double largest = 0;
    for (size_t n = 0; n < samples; n++) {
        size_t at = sample(tensor, n);
        double gradient = (double)check->when_told[tensor->first + at];
        double measured = slope(check, tensor->first + at);
        if (!agree(gradient, measured)) {
            printf("%s[%zu]: gradient %.9g, measured slope %.9g\n", tensor->name, at, gradient,
                   measured);
            return -1;
        }
        /* The ruler is checked as well: a gradient that is 1e-4 off must be noticed. */
        if (fabs(measured) > 1e-3 && agree(gradient * 1.0001, measured)) {
            printf("%s[%zu]: a gradient off by 1e-4 passes for %.9g\n", tensor->name, at, measured);
            return -1;
        }
        largest = fabs(measured) > largest ? fabs(measured) : largest;
    }
    return largest;
}

static void check_all(struct check *check)
{
    for (size_t i = 0; i < check->parameters->tensor_count; i++) {
        const struct tensor *tensor = &check->parameters->tensors[i];
        if (check->told[i] != 1) {
            printf("%s: reported ready %d times, not once\n", tensor->name, check->told[i]);
            check->failures++;
        }
        if (memcmp(check->when_told + tensor->first, check->parameters->gradients + tensor->first,
                   tensor->count * sizeof(real)) != 0) {
            printf("%s: its gradient changed after it was reported ready\n", tensor->name);
            check->failures++;
        }
        double largest = check_tensor(check, tensor);
        if (largest >= 0 && largest < 1e-3) {
            printf("%s: no slope above 1e-3, so nothing was checked\n", tensor->name);
        }
        check->failures += largest < 1e-3;
    }
}

/* What the float build uses in place of exp must keep its promise. */
static void check_exp(struct check *check)
{
    double worst = 0;
    for (double x = -87; x <= 88; x += 1e-4) {
        double off = fabs((double)real_exp_float((float)x) / exp((double)(float)x) - 1);
        worst = off > worst ? off : worst;
    }
    bool ends = real_exp_float(-1e9f) < 1e-37f && real_exp_float(1e9f) > 1e38f &&
                isnan(real_exp_float(NAN));
    printf("exp in float: off by at most %.3g\n", worst);
    if (worst > 3e-7 || !ends) {
        printf("real_exp_float breaks its promise\n");
        check->failures++;
    }
}

static void run(struct check *check)
{
    check_exp(check);
    draw_everything(check);
    loss(check);
    /* What a step before left in the gradients must not matter. */
    for (size_t i = 0; i < check->parameters->count; i++) {
        check->parameters->gradients[i] = 1e3;
    }
    model_backward(check->model, note_ready, check);
    check_all(check);
    printf("%zu tensors, %d failures\n", check->parameters->tensor_count, check->failures);
}

int main(void)
{
    struct check check = {0};
    matrix_use_one_thread();
    check.model = model_create(&tiny, BATCH);
    if (check.model == NULL) {
        fputs("check_gradients: no memory\n", stderr);
        return 4;
    }
    check.parameters = model_parameters(check.model);
    check.told = calloc(check.parameters->tensor_count, sizeof *check.told);
    check.when_told = calloc(check.parameters->count, sizeof *check.when_told);
    if (check.told != NULL && check.when_told != NULL) {
        run(&check);
    } else {
        fputs("check_gradients: no memory\n", stderr);
        check.failures = 1;
    }
    free(check.when_told);
    free(check.told);
    model_destroy(check.model);
    return check.failures > 0 ? 1 : 0;
}
