/* SPDX-License-Identifier: BSD-3-Clause
 * test_coded.c: what travels encoded, among up to 64 ranks: exact where the numbers allow it,
 * errors that do not grow with the ranks, and no more bytes than promised. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"

#define LIMIT_S 100.0

static void run_all(struct cluster *cluster, struct exercise *exercise)
{
    exercise_start_all(exercise);
    cr_expect(cluster_run(cluster, LIMIT_S), "%s, %d ranks: nothing moves any more",
              exercise->job.algorithm, cluster->size);
    for (int rank = 0; rank < cluster->size; rank++) {
        cr_expect_eq(cluster->members[rank].status, WW_OK, "%s, rank %d of %d: %s",
                     exercise->job.algorithm, rank, cluster->size, cluster->members[rank].sentence);
    }
}

/* ---- Frames of no fixed length --------------------------------------------------------------- */

/* Everything but zeros is sent, as bf16, which is exact for these sums. */
Test(coded, frames_of_no_fixed_length_are_exact)
{
    static const char *const names[] = {"coded", "sparse"};
    static const int sizes[] = {1, 2, 3, 5, 8, 17};
    static const size_t counts[] = {0, 1, 2, 17, 1000, 70001};
    for (size_t n = 0; n < 2; n++) {
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
                struct cluster_options options = cluster_options(sizes[s], s * 7 + c + 1);
                options.ranks_per_host = 1 + (int)(c % 3);
                options.seen = c % 2 == 0;
                struct job job = job_of(COLLECTIVE_ALL_REDUCE, names[n], counts[c]);
                job.codec = (struct codec_spec){CODEC_TOPK, 1.0F, c % 4 == 3};
                job.hierarchical = c % 2 == 1;
                job.in_place = s % 2 == 0;
                job.segment_bytes = c == 5 ? 100000 : 512;
                struct cluster *cluster = cluster_create(&options);
                struct exercise exercise = exercise_init(cluster, &job);
                run_all(cluster, &exercise);
                cr_expect_eq(exercise_wrong_rank(&exercise), -1, "%s, %d ranks, %zu elements",
                             names[n], sizes[s], counts[c]);
                exercise_finish(&exercise);
                cluster_destroy(cluster);
            }
        }
    }
}

/* ---- Errors and bytes ------------------------------------------------------------------------ */

static double uniform(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t x = (*state ^ *state >> 33) * UINT64_C(0xff51afd7ed558ccd);
    return ((double)(x >> 11) + 0.5) * 0x1p-53;
}

/* Independent Gaussian vectors; their exact sum goes to `sum`. */
static void fill_gaussian(const struct exercise *exercise, double *sum)
{
    memset(sum, 0, exercise->job.count * sizeof(*sum));
    for (int rank = 0; rank < exercise->cluster->size; rank++) {
        uint64_t state = (uint64_t)rank * 977 + 5;
        float *values = (float *)(void *)exercise->outputs[rank];
        for (size_t i = 0; i < exercise->job.count; i++) {
            values[i] = (float)(sqrt(-2 * log(uniform(&state))) * cos(6.2831853 * uniform(&state)));
            sum[i] += values[i];
        }
    }
}

struct outcome {
    double error;        /* |got - sum|^2 / |sum|^2 */
    uint64_t most_bytes; /* sent by one rank */
};

static struct outcome run_gaussian(const char *algorithm, struct codec_spec codec, int size,
                                   size_t count)
{
    struct cluster_options options = cluster_options(size, 3);
    options.ranks_per_host = 1;
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, algorithm, count);
    job.in_place = true;
    job.codec = codec;
    job.segment_bytes = 1 << 20;
    struct cluster *cluster = cluster_create(&options);
    struct exercise exercise = exercise_init(cluster, &job);
    double *sum = malloc(count * sizeof(*sum));
    fill_gaussian(&exercise, sum);
    run_all(cluster, &exercise);
    double error = 0;
    double norm = 0;
    const float *got = (const float *)(const void *)exercise_result(&exercise, 0);
    for (size_t i = 0; i < count; i++) {
        error += (got[i] - sum[i]) * (got[i] - sum[i]);
        norm += sum[i] * sum[i];
    }
    struct outcome outcome = {.error = error / norm};
    for (int rank = 0; rank < size; rank++) {
        uint64_t planned[WW_LEVELS_MAX];
        struct ww_traffic traffic[WW_LEVELS_MAX];
        uint64_t sent = 0;
        engine_counters(cluster->members[rank].engine, planned, traffic);
        for (int level = 0; level < cluster->members[rank].topology.levels; level++) {
            sent += traffic[level].data_bytes;
        }
        outcome.most_bytes = sent > outcome.most_bytes ? sent : outcome.most_bytes;
        cr_expect_arr_eq(exercise_result(&exercise, rank), got, count * sizeof(*got),
                         "%s, %d ranks: rank %d has other bits", algorithm, size, rank);
    }
    free(sum);
    exercise_finish(&exercise);
    cluster_destroy(cluster);
    return outcome;
}

/* Limits: 1.2 times the errors of one all-to-all with fp32 sums and one more encoding of the sum,
 * simulated for Gaussian vectors and 8 bits per element in blocks: 2.0e-4 of the squares, and for
 * bf16 2.4e-3 of the root. */
Test(coded, errors_do_not_grow_with_the_number_of_ranks)
{
    static const int sizes[] = {4, 16, 64};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        static const struct {
            enum codec_kind kind;
            double most;
        } rows[] = {{CODEC_FP16, 1.2 * 1.2 * 2.4e-3 * 2.4e-3},
                    {CODEC_BF16, 1.2 * 1.2 * 2.4e-3 * 2.4e-3},
                    {CODEC_INT8, 1.2 * 1.9e-4}};
        for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
            struct codec_spec spec = {rows[r].kind, 0, false};
            struct outcome outcome = run_gaussian("coded", spec, sizes[s], 65536);
            cr_expect(outcome.error <= rows[r].most && outcome.error > 0,
                      "codec %d, %d ranks: %g of the squares is wrong, at most %g", rows[r].kind,
                      sizes[s], outcome.error, rows[r].most);
        }
    }
}

/* A word is 4 bytes; k elements are chosen (Li and Hoefler, Ok-Topk, 2022: 6 k words). */
Test(coded, sparse_sums_send_no_more_than_6_k_words_at_any_number_of_ranks)
{
    static const int sizes[] = {2, 8, 64};
    size_t count = (size_t)1 << 18;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct codec_spec spec = {CODEC_TOPK, 0.01F, false};
        struct outcome outcome = run_gaussian("coded", spec, sizes[s], count);
        double words = (double)outcome.most_bytes / 4 / (0.01 * (double)count);
        cr_expect(words <= 6.0 && words >= 0.5, "%d ranks: %g k words from one rank", sizes[s],
                  words);
        printf("    top-k 1 %%, %d ranks: at most %.2f k words from one rank\n", sizes[s], words);
    }
}
