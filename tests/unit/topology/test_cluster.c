/* SPDX-License-Identifier: BSD-3-Clause
 * test_cluster.c: what follows from a cluster file: ranks in their places, and what wires cost. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "capture.h"
#include "text_file.h"
#include "topology.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define NODE(lines) "[nodes]\nA = 4\n[shape A]\n" lines
#define GPUS(lines)                                                                                \
    "[cluster]\ndevice = gpu\n" NODE("gpus = 8\ngpu.links = 450 GB/s\nports = 4\n"                 \
                                     "port = 400 Gb/s InfiniBand\n" lines)

static struct cluster_file cluster;
static struct topology topology;
static struct wires wires;

TestSuite(cluster, .init = text_file_start, .fini = text_file_finish);

static enum ww_status read_text(const char *text)
{
    return cluster_read(text_file_write(text), &cluster);
}

static void make(const char *text)
{
    cr_assert_eq(read_text(text), WW_OK, "%s", capture_all());
    cr_assert_eq(cluster_topology(&cluster, &topology), WW_OK);
    wires = cluster_wires(&cluster, &topology);
}

static void unmake(void)
{
    topology_finish(&topology);
    cluster_finish(&cluster);
}

/* 10^9 bytes per second of all messages that leave a unit, of one message; microseconds. */
static void expect_wire(int level, double port, double flow, double us)
{
    const struct link *link = &wires.link[level];
    double said[] = {1e-9 / link->port_byte_s, 1e-9 / link->flow.byte_s, 1e6 * link->flow.fixed_s};
    double wanted[] = {port, flow, us};
    for (int i = 0; i < 3; i++) {
        cr_expect_float_eq(said[i], wanted[i], 1e-6 * wanted[i], "wire %d, %d: %g is not %g", level,
                           i, said[i], wanted[i]);
    }
}

static bool notes(const char *text)
{
    bool found = false;
    for (int i = 0; i < cluster.note_count; i++) {
        found = found || strstr(cluster.notes[i], text) != NULL;
    }
    return found;
}

Test(cluster, ranks_fill_nodes_or_are_dealt_out)
{
    make("[nodes]\nA = 1\nB = 1\nA = 1\n[shape A]\nranks = 1\ncores = 4\n[shape B]\nranks = 2\n"
         "cores = 2\n[network]\nrate = 1 Gb/s\nkind = Ethernet\n");
    int filled[] = {0, 1, 1, 2};
    for (int rank = 0; rank < 4; rank++) {
        cr_expect_eq(topology.host_of[rank], filled[rank]);
    }
    cr_expect_str_eq(topology.host_name[2], "A2");
    cr_expect_eq(wires.cores, 2);
    cr_expect_eq(topology.fullest, 2);
    cr_expect(topology.hierarchy.seen);
    unmake();
    make("[cluster]\nplacement = slot\n[nodes]\nA = 1\nB = 1\nA = 1\n[shape A]\nranks = 1\n"
         "cores = 4\n[shape B]\nranks = 2\ncores = 2\n[network]\nrate = 1 Gb/s\nkind = Ethernet\n");
    int dealt[] = {0, 1, 2, 1};
    for (int rank = 0; rank < 4; rank++) {
        cr_expect_eq(topology.host_of[rank], dealt[rank]);
    }
    unmake();
}

Test(cluster, the_files_numbers_go_first)
{
    make(NODE("ranks = 2\ncores = 4\n[network]\nkind = Ethernet\nrate = 1 Gb/s\nlatency = 40 us\n"
              "efficiency = 0.8\n[memory]\ncopy = 12 GB/s\nsum = 10 GB/s\ncache = 1M\n"));
    cr_expect_eq(topology.levels, 2);
    expect_wire(1, 0.1, 0.1, 40);
    cr_expect_eq(wires.link[1].source, COST_GIVEN);
    cr_expect_float_eq(wires.memory.copy_byte_s, 1 / 12e9, 1e-15);
    cr_expect_eq(wires.memory.cache_bytes, 1 << 20);
    cr_expect_eq(wires.memory.source, COST_GIVEN);
    cr_expect_eq(cluster.note_count, 0);
    unmake();
    make(NODE("ranks = 2\ncores = 4\n[network]\nkind = InfiniBand\nrate = 100 Gb/s\n"));
    cr_expect_eq(wires.link[1].source, COST_NOMINAL);
    cr_expect_eq(wires.memory.source, COST_ASSUMED);
    cr_expect_lt(1 / wires.link[1].port_byte_s, 12.5e9);
    unmake();
}

Test(cluster, ranks_may_have_less_than_a_core)
{
    make(NODE("ranks = 1\ncores = 0.5\n[network]\nkind = Ethernet\nrate = 1 Gb/s\n"
              "latency = 40 us\nmessage = 4 us\ncore = 2 GB/s\n"));
    cr_expect_eq(wires.cores, 0.5);
    cr_expect_eq(topology.cores, 1);
    cr_expect_float_eq(wires.link[1].core_byte_s, 0.5e-9, 1e-15);
    cr_expect_float_eq(wires.link[1].message_s, 8e-6, 1e-12);
    cr_expect_float_eq(wires.link[1].flow.fixed_s, 49e-6, 1e-12); /* and a turn of 5 us */
    cr_expect_not_null(strstr(cluster.shape[0].about, "; 0.5 cores"));
    unmake();
}

Test(cluster, a_message_has_one_port_and_a_node_has_all)
{
    make(GPUS("[network]\nefficiency = 1\nlatency = 5 us\n"));
    cr_expect_eq(topology.size, 32);
    cr_expect_eq(topology.levels, 2);
    cr_expect_not(topology.hierarchy.seen);
    expect_wire(0, 369, 369, 4);
    expect_wire(1, 200, 50, 5);
    cr_expect_str_eq(wires.link[0].name, "GPU links");
    cr_expect_str_eq(wires.link[1].name, "InfiniBand");
    unmake();
}

Test(cluster, gpus_without_common_links_meet_over_pcie)
{
    make(GPUS("gpu.pair = 100 GB/s\ngpu.island = 4\ngpu.pcie = 50 GB/s\n"
              "[network]\nefficiency = 1\nlatency = 5 us\n"));
    cr_expect_eq(topology.levels, 3);
    cr_expect_str_eq(topology.level_name[0], "island");
    expect_wire(0, 369, 82, 4);
    expect_wire(1, 4 * 43.5, 43.5, 6);
    cr_expect_str_eq(wires.link[1].name, "PCIe");
    unmake();
}

/* A GPU has links to each peer, and all of them together are its total. */
Test(cluster, a_pair_is_not_all_that_a_gpu_has)
{
    make("[cluster]\ndevice = gpu\n[nodes]\nA = 1\n[shape A]\ngpus = 8\ngpu.pair = 50 GB/s\n");
    expect_wire(0, 7 * 41, 41, 4);
    cr_expect(notes("links of a GPU of shape A together are unknown: assumed are 7 times 50 GB/s"));
    unmake();
    make("[cluster]\ndevice = gpu\n[nodes]\nA = 1\n[shape A]\ngpus = 8\ngpu.pair = 50 GB/s\n"
         "gpu.island = 4\ngpu.pcie = 20 GB/s\n");
    expect_wire(0, 3 * 41, 41, 4);
    unmake();
    /* Links to a CPU do not count, and where nobody told a total, pairs tell it. */
    make("[cluster]\ndevice = gpu\n[nodes]\nA = 1\n[shape A]\nxml = " MACHINES "/power.nccl.xml\n");
    expect_wire(0, 61.5, 61.5, 4);
    cr_expect_eq(cluster.note_count, 0);
    unmake();
}

Test(cluster, what_leaves_gpus_crosses_their_pcie_links)
{
    make("[cluster]\ndevice = gpu\n[nodes]\nA = 2\n[shape A]\ngpus = 8\ngpu.pcie = 20 GB/s\n"
         "ports = 8\nport = 400 Gb/s InfiniBand\n[network]\nefficiency = 1\nlatency = 5 us\n");
    expect_wire(0, 17.4, 17.4, 6);
    expect_wire(1, 8 * 17.4, 17.4, 5);
    cr_expect_float_eq(wires.link[1].core_byte_s, 1 / 17.4e9, 1e-15);
    cr_expect(wires.link[1].core_duplex);
    unmake();
    /* Links keep what stays inside off PCIe; an uplink's share is one of the ports. */
    make(GPUS("gpu.pcie = 20 GB/s\n[network]\nefficiency = 1\nlatency = 5 us\n"
              "[rack]\nnodes = 2\nuplink = 0.25\n"));
    expect_wire(1, 8 * 17.4, 17.4, 5);
    expect_wire(2, 100, 17.4, 5);
    cr_expect_eq(wires.link[1].core_byte_s, 0);
    cr_expect_eq(wires.link[1].source, COST_GIVEN);
    unmake();
}

Test(cluster, uplinks_thin_out_what_leaves_a_rack)
{
    make(GPUS("[network]\nefficiency = 1\nlatency = 5 us\n"
              "[rack]\nnodes = 2\nuplink = 0.25\nlatency = 1 us\n"));
    cr_expect_eq(topology.levels, 3);
    cr_expect_str_eq(topology.level_name[1], "rack");
    cr_expect_eq(topology.unit_count[1], 2);
    expect_wire(1, 200, 50, 1);
    expect_wire(2, 100, 50, 5);
    unmake();
    /* Not worth a level of its own, but a node gets no more out of its rack. */
    make(GPUS("[network]\nefficiency = 1\nlatency = 5 us\n[rack]\nnodes = 2\nuplink = 0.8\n"));
    cr_expect_eq(topology.levels, 2);
    expect_wire(1, 160, 50, 5);
    unmake();
}

Test(cluster, sites_meet_over_their_own_wires)
{
    make(GPUS("[network]\nefficiency = 1\nlatency = 5 us\n"
              "[site]\nnodes = 2\nrate = 10 Gb/s\nlatency = 20 ms\n"));
    cr_expect_str_eq(topology.level_name[1], "site");
    expect_wire(1, 200, 50, 5);
    expect_wire(2, 1.25, 1.25, 20000);
    cr_expect_str_eq(wires.link[2].name, "WAN");
    cr_expect_eq(wires.link[2].source, COST_GIVEN);
    unmake();
}

/* What holds all nodes has no way out: not by its uplinks, and not by the wires between sites. */
Test(cluster, a_unit_that_holds_all_nodes_is_the_network)
{
    static const struct {
        const char *units;
        double us;
    } examples[] = {
        {"[rack]\nnodes = 4\nuplink = 0.1\nlatency = 2 us\n", 2},
        {"[rack]\nnodes = 64\nuplink = 0.1\n", 5},
        {"[rail]\nnodes = 4\nuplink = 0.1\nlatency = 1 us\n[rack]\nnodes = 8\nlatency = 2 us\n", 1},
        {"[rail]\nnodes = 4\nuplink = 0.1\n[rack]\nnodes = 8\nlatency = 2 us\n", 2},
        {"[site]\nnodes = 4\nrate = 1 Gb/s\nlatency = 20 ms\n", 5},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s", GPUS("[network]\nefficiency = 1\nlatency = 5 us\n"),
                 examples[i].units);
        make(text);
        cr_expect_eq(topology.levels, 2, "'%s'", examples[i].units);
        expect_wire(1, 200, 50, examples[i].us);
        cr_expect_str_eq(wires.link[1].name, "InfiniBand");
        unmake();
    }
}

Test(cluster, cores_share_caches_and_packages_as_they_are_bound)
{
    make("[nodes]\nA = 2\n[shape A]\nranks = 4\ncores = 8\npackages = 2\nbind = spread\n"
         "[network]\nrate = 1 Gb/s\nkind = Ethernet\n");
    cr_expect_eq(topology.host_of[3], topology.host_of[0]);
    cr_expect_eq(topology.cores, 8);
    unmake();
    make("[nodes]\nA = 2\n[shape A]\nranks = 4\ncores = 8\npackages = 2\nbind = none\n"
         "[network]\nrate = 1 Gb/s\nkind = Ethernet\n");
    cr_expect_eq(topology.levels, 2);
    unmake();
}

Test(cluster, what_nobody_knows_is_assumed_in_words)
{
    make(NODE("ranks = 2\n[network]\nkind = Ethernet\nrate = 1 Gb/s\n"));
    cr_expect(notes("How many cores a node of shape A has is unknown: assumed is one for each"));
    unmake();
    make("[cluster]\ndevice = gpu\n" NODE("gpus = 4\nports = 4\nport = 100 Gb/s RoCE\n"));
    cr_expect(notes("How the GPUs of shape A are linked is unknown: assumed is PCIe only"));
    cr_expect(notes("PCIe links of the GPUs of shape A are unknown: assumed are 31.5 GB/s"));
    cr_expect_eq(wires.link[0].source, COST_ASSUMED);
    unmake();
    make("[cluster]\ndevice = gpu\n[nodes]\nA = 1\nB = 1\n[shape A]\ngpus = 1\nports = 1\n"
         "port = 100 Gb/s RoCE\n[shape B]\ngpus = 1\nports = 1\nport = 25 Gb/s RoCE\n");
    cr_expect(notes("shape A have 100 Gb/s and nodes of shape B 25 Gb/s: all are priced as the"));
    unmake();
}

Test(cluster, machines_out_of_files_are_read)
{
    cr_assert_eq(cluster_read(MACHINES "/switched.ini", &cluster), WW_OK, "%s", capture_all());
    cr_expect_eq(cluster.ranks, 248);
    cr_expect_eq(cluster.shape[0].gpus, 4);
    cr_expect_eq(cluster.shape[0].links_s, 425e9);
    cr_expect_eq(cluster.shape[0].link_kind, WW_LINK_NVSWITCH);
    cr_expect_not_null(strstr(cluster.shape[0].about, "NVSwitch"), "%s", cluster.shape[0].about);
    cluster_finish(&cluster);
}

Test(cluster, ports_of_the_worthiest_kind_connect_nodes)
{
    make(NODE("xml = " MACHINES "/storage.nccl.xml\nranks = 2\ncores = 2\n"));
    cr_expect_eq(cluster.shape[0].port_kind, WW_NIC_INFINIBAND);
    cr_expect_eq(cluster.shape[0].ports, 2);
    cr_expect_float_eq(cluster.shape[0].port_s, 50e9, 1);
    cr_expect_float_eq(cluster.shape[0].node_s, 81.5e9, 0.1e9);
    cr_expect_not_null(strstr(cluster.shape[0].about, "2 x 400 Gb/s InfiniBand, of which PCIe"),
                       "%s", cluster.shape[0].about);
    unmake();
}

Test(cluster, what_cannot_be_assumed_is_refused)
{
#define NET "[network]\nrate = 1 Gb/s\nkind = Ethernet\n"
    static const struct {
        const char *text;
        const char *sentence;
    } examples[] = {
        {NODE("cores = 8\n" NET), ":3: [shape A] does not say how many ranks run on a node"},
        {"[cluster]\ndevice = gpu\n" NODE("ranks = 8\n" NET), "[shape A] has no GPUs that are"},
        {GPUS("ranks = 9\n"), ":10: ranks = 9, but a node of [shape A] has 8 GPUs"},
        {NODE("ranks = 2\n"), ":3: [shape A] has no ports that are known to work"},
        {NODE("ranks = 2\nports = 2\n"), ":3: the rate of some or all of the 2 ports of"},
        {NODE("ranks = 2\n[network]\nrate = 1 Gb/s\n"), "what kind of network connects the nodes"},
        {GPUS("xml = " MACHINES "/switched.nccl.xml\n"), ":6: gpus = 8, but xml of [shape A]"},
        {GPUS("gpu.pair = 900 GB/s\n"),
         ":10: gpu.pair = 900 GB/s, but gpu.links, all links of a GPU together, are 450 GB/s in"},
        {GPUS("gpu.island = 16\n"), ":10: gpu.island = 16, but a node of [shape A] has 8 GPUs"},
        {NODE("xml = nowhere.xml\nranks = 2\n" NET), ":3: xml of [shape A]: cannot open /tmp/now"},
        {"[nodes]\nA = 80\n[shape A]\nranks = 1024\n" NET, ":2: up to here there are 81920 ranks"},
        {"[nodes]\nA = 1\nB = 1\n[shape A]\nranks = 1\nports = 1\nport = 1 Gb/s Ethernet\n"
         "[shape B]\nranks = 1\nports = 1\nport = 100 Gb/s EFA\n",
         ":8: [shape A] has Ethernet and [shape B] EFA: say in [network] by kind"},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        cr_expect_eq(read_text(examples[i].text), WW_BAD_ARGUMENT, "'%s'", examples[i].text);
        const char *said = capture_take(WW_LOG_ERROR, examples[i].sentence);
        cr_expect_not_null(said, "'%s' does not say '%s': %s", examples[i].text,
                           examples[i].sentence, capture_all());
        while (capture_take(WW_LOG_ERROR, "cannot open") != NULL) {
        }
    }
}
