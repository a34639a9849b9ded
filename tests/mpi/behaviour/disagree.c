/* SPDX-License-Identifier: BSD-3-Clause
 * disagree.c: ranks that ask for different things all learn it within a second, from the same
 * words, and the job still ends in order. */
#include "check.h"

#include <string.h>

enum call { ALL_REDUCE, ALL_GATHER, BROADCAST };

struct request {
    enum call call;
    size_t count;
    enum ww_type type;
    enum ww_op op;
    int root;
};

struct mismatch {
    struct request usual;
    struct request odd; /* rank 1's */
    const char *usual_words;
    const char *odd_words;
};

static const struct mismatch mismatches[] = {
    {{ALL_REDUCE, 100, WW_F32, WW_SUM, 0},
     {ALL_REDUCE, 101, WW_F32, WW_SUM, 0},
     "of 100",
     "of 101"},
    {{ALL_REDUCE, 100, WW_F32, WW_SUM, 0}, {ALL_REDUCE, 100, WW_I32, WW_SUM, 0}, "f32", "i32"},
    {{ALL_REDUCE, 100, WW_F32, WW_MIN, 0}, {ALL_REDUCE, 100, WW_F32, WW_MAX, 0}, "(min)", "(max)"},
    {{BROADCAST, 9, WW_F32, WW_SUM, 0}, {BROADCAST, 9, WW_F32, WW_SUM, 1}, "root 0", "root 1"},
    {{ALL_GATHER, 9, WW_F32, WW_SUM, 0},
     {BROADCAST, 9, WW_F32, WW_SUM, 0},
     "all_gather",
     "broadcast"},
};

static enum ww_status make(struct ww_context *context, const struct request *request)
{
    static float input[200], output[4000];
    switch (request->call) {
    case ALL_REDUCE:
        return ww_all_reduce(context, input, output, request->count, request->type, request->op);
    case ALL_GATHER:
        return ww_all_gather(context, input, output, request->count, request->type);
    default:
        return ww_broadcast(context, output, request->count, request->type, request->root);
    }
}

static void disagree(const struct mismatch *mismatch)
{
    struct ww_world world;
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_context *context = NULL;
    config.timeout_s = 10;
    check(ranks_world(&world) == WW_OK, "world");
    check(ww_context_create(&world, &config, &context) == WW_OK, "context");
    ranks_meet();
    double begin = seconds_now();
    enum ww_status status = make(context, world.rank == 1 ? &mismatch->odd : &mismatch->usual);
    check(seconds_now() - begin < 1, "it took %.3f s", seconds_now() - begin);
    check(status == WW_MISMATCH, "%s", ww_status_name(status));
    const char *said = ww_last_error(context);
    check(strstr(said, "rank 1 (") != NULL && strstr(said, mismatch->odd_words) != NULL &&
              strstr(said, mismatch->usual_words) != NULL,
          "\"%s\"", said);
    check_line("rank 1 (");
    check(make(context, &mismatch->usual) == WW_MISMATCH, "the context is whole again");
    ww_context_destroy(context);
}

int main(int argc, char **argv)
{
    checks_begin();
    ranks_begin(&argc, &argv);
    for (size_t i = 0; i < LENGTH(mismatches); i++) {
        disagree(&mismatches[i]);
    }
    ranks_end();
    return checks_end();
}
