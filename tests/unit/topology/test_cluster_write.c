/* SPDX-License-Identifier: BSD-3-Clause
 * test_cluster_write.c: a job that is written as a cluster file comes back out of it. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "comma.h"
#include "text_file.h"
#include "topology.h"

#define CLOSE 2e-3

struct job {
    struct cluster_file file;
    struct topology topology;
    struct wires wires;
};

TestSuite(cluster_write, .init = text_file_start, .fini = text_file_finish);

static void read_job(const char *text, struct job *job)
{
    cr_assert_eq(cluster_read(text_file_write(text), &job->file), WW_OK, "%s\n%s", capture_all(),
                 text);
    cr_assert_eq(cluster_topology(&job->file, &job->topology), WW_OK);
    job->wires = cluster_wires(&job->file, &job->topology);
}

static void finish_job(struct job *job)
{
    topology_finish(&job->topology);
    cluster_finish(&job->file);
}

/* To be freed. */
static char *written(const struct job *job)
{
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    cr_assert_eq(cluster_write(&job->topology, &job->wires, to), WW_OK, "%s", capture_all());
    cr_assert_eq(fclose(to), 0);
    return text;
}

static void expect_close(const char *what, int level, double value, double before)
{
    cr_expect(fabs(value - before) <= CLOSE * fabs(before), "%s of level %d: %g, before %g", what,
              level, value, before);
}

static void expect_wires(const struct wires *now, const struct wires *before)
{
    cr_assert_eq(now->levels, before->levels);
    for (int level = 0; level < now->levels; level++) {
        const struct link *link = &now->link[level];
        const struct link *old = &before->link[level];
        expect_close("latency", level, link->flow.fixed_s, old->flow.fixed_s);
        expect_close("byte", level, link->flow.byte_s, old->flow.byte_s);
        expect_close("port", level, link->port_byte_s, old->port_byte_s);
        expect_close("message", level, link->message_s, old->message_s);
        expect_close("core", level, link->core_byte_s, old->core_byte_s);
    }
    expect_close("cores", -1, now->cores, before->cores);
    expect_close("await", -1, now->memory.await_s, before->memory.await_s);
    expect_close("action", -1, now->memory.action_s, before->memory.action_s);
    expect_close("copy", -1, now->memory.copy_byte_s, before->memory.copy_byte_s);
    expect_close("sum", -1, now->memory.sum_byte_s, before->memory.sum_byte_s);
    expect_close("far", -1, now->memory.far_byte_s, before->memory.far_byte_s);
    expect_close("ram", -1, now->memory.ram_byte_s, before->memory.ram_byte_s);
    expect_close("fetch", -1, now->memory.fetch_byte_s, before->memory.fetch_byte_s);
    expect_close("fetch.start", -1, now->memory.fetch_s, before->memory.fetch_s);
    expect_close("cache", -1, now->memory.cache_bytes, before->memory.cache_bytes);
}

static void expect_same_after(const char *text)
{
    static struct job before, after;
    read_job(text, &before);
    char *again = written(&before);
    read_job(again, &after);
    cr_assert_eq(after.topology.size, before.topology.size, "%s", again);
    cr_assert_eq(after.topology.hosts, before.topology.hosts, "%s", again);
    cr_assert_arr_eq(after.topology.host_of, before.topology.host_of,
                     (size_t)before.topology.size * sizeof(int), "%s", again);
    cr_assert_eq(after.topology.levels, before.topology.levels, "%s", again);
    for (int level = 0; level < before.topology.levels; level++) {
        cr_expect_eq(after.topology.level_kind[level], before.topology.level_kind[level]);
        cr_expect_eq(after.topology.unit_count[level], before.topology.unit_count[level]);
    }
    expect_wires(&after.wires, &before.wires);
    free(again);
    finish_job(&after);
    finish_job(&before);
}

#define WIRE                                                                                       \
    "[network]\nkind = Ethernet\nrate = 4.63 Gb/s\nefficiency = 1\nlatency = 16.8 us\n"            \
    "message = 9.7 us\ncore = 1.37 GB/s\n"
#define MEMORY                                                                                     \
    "[memory]\ncopy = 31.4 GB/s\nsum = 27.1 GB/s\nfar = 9.5 GB/s\nram = 12.25 GB/s\n"              \
    "fetch = 7.5 GB/s\nawait = 312 ns\naction = 21 ns\nfetch.start = 0.8 us\ncache = 32M\n"

Test(cluster_write, two_hosts)
{
    expect_same_after("[nodes]\nA = 2\n[shape A]\nranks = 2\ncores = 2\n" WIRE MEMORY);
}

Test(cluster_write, ranks_that_share_cores)
{
    expect_same_after("[nodes]\nA = 4\n[shape A]\nranks = 3\ncores = 0.5\n" WIRE MEMORY);
}

Test(cluster_write, ragged_hosts_by_slot)
{
    expect_same_after("[cluster]\nplacement = slot\n[nodes]\nA = 3\n[shape A]\nranks = 2\n"
                      "cores = 4\n" WIRE);
    expect_same_after("[cluster]\nplacement = slot\n[nodes]\nA = 1\nB = 1\nA = 1\n[shape A]\n"
                      "ranks = 1\ncores = 2\n[shape B]\nranks = 3\ncores = 4\n" WIRE);
    expect_same_after("[nodes]\nA = 1\nB = 2\nA = 3\n[shape A]\nranks = 2\ncores = 4\n[shape B]\n"
                      "ranks = 5\ncores = 6\n" WIRE);
}

Test(cluster_write, one_host)
{
    expect_same_after("[nodes]\nA = 1\n[shape A]\nranks = 4\ncores = 4\n" MEMORY);
}

Test(cluster_write, packages)
{
    expect_same_after("[nodes]\nA = 2\n[shape A]\nranks = 8\ncores = 8\npackages = 2\n" WIRE);
}

Test(cluster_write, racks_and_sites)
{
    expect_same_after("[nodes]\nA = 6\n[shape A]\nranks = 2\ncores = 2\n" WIRE
                      "[rack]\nnodes = 4\nuplink = 0.25\nlatency = 5 us\n");
    expect_same_after("[nodes]\nA = 8\n[shape A]\nranks = 1\ncores = 2\n" WIRE
                      "[rack]\nnodes = 2\nuplink = 0.5\nlatency = 4 us\n"
                      "[site]\nnodes = 4\nrate = 120 Mb/s\nlatency = 12.5 ms\n");
}

Test(cluster_write, points_where_the_program_has_commas)
{
    comma_start();
    expect_same_after("[nodes]\nA = 2\n[shape A]\nranks = 2\ncores = 1.5\n" WIRE MEMORY);
    comma_finish();
}

Test(cluster_write, racks_that_cannot_be_counted_off_are_told_of)
{
    static struct job job;
    read_job("[nodes]\nA = 6\n[shape A]\nranks = 1\ncores = 2\n" WIRE
             "[rack]\nnodes = 2\nuplink = 0.25\nlatency = 5 us\n",
             &job);
    int *rack = job.topology.unit[job.topology.host_levels];
    rack[2] = 0; /* three hosts, one, two */
    char *text = written(&job);
    cr_expect_not_null(strstr(text, "# racks hold different numbers of hosts"), "%s", text);
    cr_expect_null(strstr(text, "[rack]"), "%s", text);
    free(text);
    finish_job(&job);
}

Test(cluster_write, too_many_kinds_of_hosts_are_refused)
{
    static int host_of[200];
    static struct topology topology = {
        .size = 190, .hosts = 19, .levels = 2, .host_levels = 1, .fullest = 19, .host_of = host_of};
    static struct wires wires = {.levels = 2, .cores = 19};
    for (int host = 0, rank = 0; host < 19; host++) {
        for (int i = 0; i <= host; i++) {
            host_of[rank++] = host;
        }
    }
    cr_expect_eq(cluster_write(&topology, &wires, stdout), WW_UNSUPPORTED);
    expect_line(WW_LOG_ERROR, "more than 16 different numbers of ranks");
}
