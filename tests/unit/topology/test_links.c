/* SPDX-License-Identifier: BSD-3-Clause
 * test_links.c: counted links become bandwidths and islands; what cannot be is not believed. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "paper.h"

#define A100 0x20b0
#define H100 0x2330
#define V100 0x1db1
#define T4 0x1eb8

TestSuite(links, .init = capture_start, .fini = capture_finish);

static struct ww_machine *machine_of(int gpus, unsigned device, struct link_counts *counts)
{
    struct ww_machine *machine = paper_machine();
    paper_gpus(machine, gpus, device);
    cr_assert_eq(link_counts_init(counts, gpus), WW_OK);
    for (int gpu = 0; gpu < gpus; gpu++) {
        counts->told[gpu] = true;
    }
    return machine;
}

static void join(struct link_counts *counts, int a, int b, int links)
{
    counts->direct[a * counts->gpus + b] = links;
    counts->direct[b * counts->gpus + a] = links;
}

static void settle(struct ww_machine *machine, struct link_counts *counts)
{
    links_settle(machine, counts, WW_LINK_NVLINK, WW_SOURCE_NVML);
    links_finish(machine);
    link_counts_finish(counts);
}

static const struct ww_link *pair(const struct ww_machine *machine, int a, int b)
{
    return &machine->links[a * machine->gpu_count + b];
}

Test(links, direct_links_make_islands)
{
    struct link_counts counts;
    struct ww_machine *machine = machine_of(4, V100, &counts);
    join(&counts, 0, 2, 3);
    join(&counts, 1, 3, 2);
    counts.to_cpu[0] = 3;
    settle(machine, &counts);
    cr_expect_eq(pair(machine, 0, 2)->kind, WW_LINK_NVLINK);
    cr_expect_eq(pair(machine, 2, 0)->gb_s.value, 75);
    cr_expect_eq(pair(machine, 3, 1)->links.value, 2);
    cr_expect_eq(pair(machine, 0, 1)->kind, WW_LINK_NONE);
    cr_expect_eq(machine->gpus[0].links.value, 6);
    cr_expect_eq(machine->gpus[0].cpu_gb_s.value, 75);
    cr_expect_eq(machine->gpus[1].cpu_gb_s.known, WW_FACT_ABSENT);
    cr_expect_eq(machine->island_count, 2);
    cr_expect_eq(machine->gpus[2].island, machine->gpus[0].island);
    cr_expect_neq(machine->gpus[1].island, machine->gpus[0].island);
    expect_note(machine, "FAULT: GPU 0 has 6 active links");
    ww_machine_destroy(machine);
}

Test(links, a_switch_gives_the_lesser_end)
{
    struct link_counts counts;
    struct ww_machine *machine = machine_of(3, H100, &counts);
    counts.to_switch[0] = 18;
    counts.to_switch[1] = 17;
    counts.to_switch[2] = 18;
    settle(machine, &counts);
    cr_expect_eq(pair(machine, 0, 1)->kind, WW_LINK_NVSWITCH);
    cr_expect_eq(pair(machine, 0, 1)->gb_s.value, 425);
    cr_expect_eq(pair(machine, 2, 0)->gb_s.value, 450);
    cr_expect_eq(machine->island_count, 1);
    expect_note(machine, "GPU 1, the same part, has 17");
    ww_machine_destroy(machine);
}

Test(links, more_links_than_the_part_has_are_not_believed)
{
    struct link_counts counts;
    struct ww_machine *machine = machine_of(2, A100, &counts);
    join(&counts, 0, 1, 13);
    settle(machine, &counts);
    cr_expect_eq(pair(machine, 0, 1)->kind, WW_LINK_UNKNOWN);
    cr_expect_eq(machine->gpus[0].links.known, WW_FACT_UNKNOWN);
    expect_note(machine, "would have 13, such a part has 12 at most");
    expect_note(machine, "The links of 2 GPUs are unknown, not absent");
    ww_machine_destroy(machine);
}

Test(links, a_link_to_itself_and_ends_that_differ_are_named)
{
    struct link_counts counts;
    struct ww_machine *machine = machine_of(2, A100, &counts);
    counts.direct[0] = 12;
    counts.direct[1] = 12;
    counts.direct[2] = 11;
    settle(machine, &counts);
    cr_expect_eq(pair(machine, 0, 1)->links.value, 11);
    expect_note(machine, "GPU 0 (0000:01:00.0) is said to have links to itself");
    expect_note(machine, "FAULT: GPU 1 counts 11 links to GPU 0, which counts 12 back");
    ww_machine_destroy(machine);
}

Test(links, who_was_not_asked_is_unknown)
{
    struct link_counts counts;
    struct ww_machine *machine = machine_of(3, A100, &counts);
    counts.told[1] = false;
    counts.told[2] = false;
    counts.direct[1] = 4;
    settle(machine, &counts);
    cr_expect_eq(pair(machine, 1, 0)->links.value, 4);
    cr_expect_eq(pair(machine, 0, 2)->kind, WW_LINK_UNKNOWN);
    cr_expect_eq(machine->gpus[2].island, -1);
    cr_expect_eq(machine->gpus[1].links.known, WW_FACT_UNKNOWN);
    ww_machine_destroy(machine);
}

Test(links, parts_without_links_have_none)
{
    struct ww_machine *machine = paper_machine();
    paper_gpus(machine, 2, T4);
    links_finish(machine);
    cr_expect_eq(pair(machine, 0, 1)->kind, WW_LINK_NONE);
    cr_expect_eq(machine->gpus[0].links.known, WW_FACT_ABSENT);
    cr_expect_eq(machine->gpus[0].links.source, WW_SOURCE_PARTS);
    cr_expect_eq(machine->note_count, 0);
    ww_machine_destroy(machine);
}

/* A matrix of two GPUs of that generation: is it believed, and how many links is it? */
static void expect_matrix(unsigned device, uint64_t mb_s, bool doubled, int links)
{
    struct link_counts counts;
    struct ww_machine *machine = machine_of(2, device, &counts);
    enum link_end end[] = {LINK_END_GPU, LINK_END_GPU};
    int gpu[] = {0, 1};
    uint64_t values[] = {1000000, mb_s, mb_s, 1000000};
    struct link_matrix matrix = {2, end, gpu, values, doubled};
    bool believed = links_count(machine, &matrix, &counts);
    cr_expect_eq(believed, links >= 0, "%llu MB/s", (unsigned long long)mb_s);
    if (believed) {
        cr_expect_eq(counts.direct[1], links);
    } else {
        expect_note(machine, "is not believed");
    }
    link_counts_finish(&counts);
    ww_machine_destroy(machine);
}

Test(links, a_matrix_is_read_by_who_wrote_it)
{
    expect_matrix(V100, 75000, false, 3);
    expect_matrix(A100, 200000, true, 4);
    expect_matrix(A100, 200000, false, 8);
    expect_matrix(A100, 25000, true, -1);
    expect_matrix(H100, 150000, true, 6);
    expect_matrix(H100, 26562, false, -1);
    expect_matrix(H100, 0, false, -1);
    expect_matrix(H100, UINT64_MAX / 25000 * 25000, false, -1);
    expect_matrix(0x4242, 150000, false, -1);
}

Test(links, uneven_xgmi_is_by_design)
{
    struct link_counts counts;
    struct ww_machine *machine = machine_of(3, 0x7408, &counts);
    join(&counts, 0, 1, 4);
    join(&counts, 1, 2, 1);
    for (int gpu = 0; gpu < 3; gpu++) {
        machine->gpus[gpu].vendor = VENDOR_AMD;
    }
    links_settle(machine, &counts, WW_LINK_XGMI, WW_SOURCE_NCCL_FILE);
    links_finish(machine);
    link_counts_finish(&counts);
    cr_expect_eq(machine->note_count, 0);
    cr_expect_eq(pair(machine, 0, 1)->gb_s.value, 200);
    cr_expect_eq(pair(machine, 0, 2)->kind, WW_LINK_NONE);
    ww_machine_destroy(machine);
}

Test(links, the_verdict_of_a_switch_is_what_each_gpu_has)
{
    struct link_counts counts;
    struct ww_machine *machine = machine_of(2, H100, &counts);
    char text[256];
    counts.to_switch[0] = 18;
    counts.to_switch[1] = 17;
    settle(machine, &counts);
    ww_machine_verdict(machine, text, sizeof text);
    cr_expect_not_null(strstr(text, "2 GPUs on NVSwitch, 425 to 450 GB/s each"), "%s", text);
    ww_machine_destroy(machine);
}

Test(links, displays_of_other_makers_are_no_gpus)
{
    static const struct {
        unsigned class, vendor, device;
        bool gpu;
    } examples[] = {{0x0302, VENDOR_NVIDIA, 0x2330, true},  {0x0300, VENDOR_NVIDIA, 0x2684, true},
                    {0x0680, VENDOR_NVIDIA, 0x22a3, false}, {0x0380, VENDOR_AMD, 0x7408, true},
                    {0x0300, VENDOR_AMD, 0x66a1, true},     {0x0300, VENDOR_AMD, 0x515e, false},
                    {0x1200, VENDOR_AMD, 0x74a1, true},     {0x0380, VENDOR_INTEL, 0x0bd5, true},
                    {0x0300, VENDOR_INTEL, 0x4680, false},  {0x0300, 0x1a03, 0x2000, false},
                    {0x0300, 0x102b, 0x0534, false},        {0x1200, 0x10ee, 0x5000, false}};
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        cr_expect_eq(part_is_gpu(examples[i].class, examples[i].vendor, examples[i].device),
                     examples[i].gpu, "%04x %04x:%04x", examples[i].class, examples[i].vendor,
                     examples[i].device);
    }
}
