/* SPDX-License-Identifier: BSD-3-Clause
 * nested.c: an encoded all-reduce between hosts that have equally many GPUs: NCCL's reduce-scatter
 * inside a host leaves each rank a shard of the host's sum, the ranks that hold the same shard
 * exchange it encoded, and NCCL's all-gather brings the shards together. What does not divide by
 * the ranks of a host, a few elements at the end, goes by the plan that hosts of any size have. */
#include <assert.h>
#include <stdlib.h>

#include "end.h"

/* ---- Groups ------------------------------------------------------------------------------- */

static bool hosts_are_alike(const struct topology *topology)
{
    int on_host[2] = {0, 0};
    for (int host = 0; host < topology->hosts; host++) {
        on_host[1] = 0;
        for (int rank = 0; rank < topology->size; rank++) {
            on_host[1] += topology->host_of[rank] == host;
        }
        if (host > 0 && on_host[0] != on_host[1]) {
            return false;
        }
        on_host[0] = on_host[1];
    }
    return true;
}

/* Fills ranks with those who are the so-manyeth of their host as this one is; this rank's place. */
static int find_counterparts(const struct topology *topology, int *ranks)
{
    int me = 0;
    for (int host = 0; host < topology->hosts; host++) {
        int before = 0;
        for (int rank = 0; rank < topology->size; rank++) {
            if (topology->host_of[rank] == host && before++ == topology->local_rank) {
                ranks[host] = rank;
                me = rank == topology->rank ? host : me;
            }
        }
    }
    return me;
}

static int find_leader(const struct topology *topology)
{
    int rank = 0;
    while (topology->host_of[rank] != topology->host_of[topology->rank]) {
        rank++;
    }
    return rank;
}

bool nested_is_possible(const struct device_end *end)
{
    const struct topology *topology = &end->topology;
    return topology->hosts > 1 && topology->local_size > 1 && hosts_are_alike(topology);
}

enum ww_status nested_connect(struct device_end *end)
{
    struct ww_context *context = end->base.context;
    struct nccl_setup setup = {.world = &context->world,
                               .leader = find_leader(&end->topology),
                               .size = end->topology.local_size,
                               .rank = end->topology.local_rank,
                               .device = end->gpu,
                               .timeout_s = context->settings.values.timeout_s};
    return nccl_open(&setup, &end->inner);
}

/* ---- Plans -------------------------------------------------------------------------------- */

/* Among the counterparts; written when it is first asked for. */
static enum ww_status plan_shard(struct device_end *end, const struct algorithm *algorithm,
                                 const struct plan **plan)
{
    struct nested_plan *kept = end->nested;
    while (kept->plan != NULL && kept->algorithm != algorithm) {
        kept++;
        assert(kept < end->nested + NESTED_PLANS);
    }
    if (kept->plan == NULL) {
        int *ranks = calloc((size_t)end->topology.hosts, sizeof *ranks);
        if (ranks == NULL) {
            return log_failure(WW_NO_MEMORY, "no memory for a group of %d ranks",
                               end->topology.hosts);
        }
        struct task task = {.ranks = ranks, .count = end->topology.hosts, .finish = true};
        task.me = find_counterparts(&end->topology, ranks);
        enum ww_status status = plan_group(algorithm, &end->topology, &task, &kept->plan);
        free(ranks);
        if (status != WW_OK) {
            return status;
        }
        kept->algorithm = algorithm;
    }
    *plan = kept->plan;
    return WW_OK;
}

void nested_finish(struct device_end *end)
{
    for (int i = 0; i < NESTED_PLANS; i++) {
        plan_destroy(end->nested[i].plan);
    }
    nccl_close(end->inner);
    end->inner = NULL;
}

/* `count` elements of a request, from `first` on, in place in its output. */
static struct run_request part_of(const struct run_request *request, size_t first, size_t count)
{
    struct run_request part = *request;
    part.output = (float *)request->output + first;
    part.count = count;
    if (part.coding.residual != NULL) {
        part.coding.residual += first;
        part.coding.next += first;
    }
    return part;
}

static enum ww_status shard_of(struct device_end *end, const struct run_request *request,
                               struct run_request *shard)
{
    size_t count = request->count / (size_t)end->topology.local_size;
    struct choice choice = selector_choose_coded(end->selector, &request->coding.spec, false);
    *shard = part_of(request, (size_t)end->topology.local_rank * count, count);
    shard->input = shard->output;
    return plan_shard(end, choice.algorithm, &shard->plan);
}

static struct run_request rest_of(const struct device_end *end, const struct run_request *request)
{
    size_t rest = request->count % (size_t)end->topology.local_size;
    struct run_request part = part_of(request, request->count - rest, rest);
    part.input = (const float *)request->input + (request->count - rest);
    return part;
}

enum ww_status nested_reserve(struct device_end *end, const struct run_request *request)
{
    struct run_request shard;
    struct run_request rest = rest_of(end, request);
    enum ww_status status = shard_of(end, request, &shard);
    if (status == WW_OK) {
        status = enqueue_reserve(end->enqueuer, &shard);
    }
    return status == WW_OK ? enqueue_reserve(end->enqueuer, &rest) : status;
}

/* ---- Running ------------------------------------------------------------------------------ */

/* What NCCL sends inside the host: all but the own shard, out and back. */
static void count_inside(const struct device_end *end, size_t shard, struct device_traffic *traffic)
{
    const struct topology *topology = &end->topology;
    int level = 0;
    for (int rank = 0; rank < topology->size; rank++) {
        bool peer = rank != topology->rank &&
                    topology->host_of[rank] == topology->host_of[topology->rank];
        level = peer && topology->peer_level[rank] > level ? topology->peer_level[rank] : level;
    }
    uint64_t bytes = 2 * (uint64_t)(topology->local_size - 1) * shard * sizeof(float);
    traffic->sent[level].data_bytes += bytes;
    traffic->planned[level] += bytes;
}

static enum ww_status run_part(struct device_end *end, const struct run_request *part,
                               struct cuda_notes *notes, struct device_traffic *traffic,
                               void *stream)
{
    struct enqueue_tally tally = {end->topology.peer_level, traffic->sent};
    if (part->count == 0) {
        return WW_OK;
    }
    end_count_planned(end, part, traffic);
    return enqueue_run(end->enqueuer, part, notes, &tally, stream);
}

enum ww_status nested_run(struct device_end *end, const struct run_request *request,
                          struct cuda_notes *notes, struct device_traffic *traffic, void *stream)
{
    struct run_request shard;
    struct run_request rest = rest_of(end, request);
    enum ww_status status = shard_of(end, request, &shard);
    if (status == WW_OK && shard.count > 0) {
        status = nccl_reduce_scatter(end->inner, request->input, shard.output, shard.count, WW_F32,
                                     WW_SUM, stream);
        count_inside(end, shard.count, traffic);
    }
    if (status == WW_OK) {
        status = run_part(end, &shard, notes, traffic, stream);
    }
    if (status == WW_OK && shard.count > 0) {
        status = nccl_all_gather(end->inner, shard.output, request->output, shard.count, WW_F32,
                                 stream);
    }
    return status == WW_OK ? run_part(end, &rest, notes, traffic, stream) : status;
}
