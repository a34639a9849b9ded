/* SPDX-License-Identifier: BSD-3-Clause
 * test_memory_ends.c: whichever allocation of one rank fails, no other rank waits for it in vain.
 */
#include "allocations.h"
#include "world.h"

TestSuite(memory_ends, .init = capture_start, .fini = capture_finish);

#define POOR_RANK 1
#define COUNT 3000

/* A run in which one allocation fails, unless there are fewer. */
struct shortage {
    int allocation; /* of the poor rank, 1 = its first */
    bool in_commit; /* counted from there, else from the context's creation */
    bool came;      /* it did fail */
    enum ww_status status[3];
};

static enum ww_status add_and_commit(struct ww_context *context, struct ww_tensor **tensor)
{
    const size_t shape[] = {30, COUNT / 30};
    enum ww_status status = ww_tensor_add(context, "weights", WW_F32, 2, shape, tensor);
    check_status(status, WW_OK);
    return status;
}

static void run_short(const struct ww_world *world, void *shared)
{
    struct shortage *shortage = shared;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    struct ww_tensor *tensor = NULL;
    float values[COUNT] = {0};
    bool poor = world->rank == POOR_RANK;
    config.timeout_s = 20;
    config.codec = "int8";
    config.codec_least_count = 1;
    allocations_left = poor && !shortage->in_commit ? shortage->allocation : 0;
    enum ww_status status = ww_context_create(world, &config, &context);
    if (status == WW_OK) {
        int left = allocations_left;
        allocations_left = 0;
        add_and_commit(context, &tensor);
        allocations_left = poor && shortage->in_commit ? shortage->allocation : left;
        status = ww_tensors_commit(context);
    }
    if (status == WW_OK) {
        status = ww_step_begin(context);
    }
    if (status == WW_OK) {
        status = ww_tensor_start(tensor, values);
    }
    if (status == WW_OK) {
        status = ww_step_end(context, NULL);
    }
    if (poor) {
        shortage->came = allocations_left == 0;
        allocations_left = 0;
    }
    shortage->status[world->rank] = status;
    ww_context_destroy(context);
}

/* From the first allocation on, until a run has fewer. */
static void fail_each(bool in_commit)
{
    struct shortage shortage = {.allocation = 1, .in_commit = in_commit, .came = true};
    for (; shortage.came; shortage.allocation++) {
        world_run(3, run_short, &shortage);
        world_forgive();
        bool failed = shortage.status[POOR_RANK] != WW_OK;
        for (int rank = 0; rank < 3; rank++) {
            cr_expect((shortage.status[rank] != WW_OK) == failed,
                      "allocation %d: rank %d ends with %s, rank %d with %s", shortage.allocation,
                      rank, ww_status_name(shortage.status[rank]), POOR_RANK,
                      ww_status_name(shortage.status[POOR_RANK]));
        }
    }
}

Test(memory_ends, no_rank_waits_for_one_that_could_not_make_its_context)
{
    fail_each(false);
}

Test(memory_ends, no_rank_waits_for_one_that_could_not_make_its_buckets)
{
    fail_each(true);
}
