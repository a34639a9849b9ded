/* SPDX-License-Identifier: BSD-3-Clause
 * test_machine.c: whole machines out of files, through the public door. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "paper.h"

TestSuite(machine, .init = capture_start, .fini = capture_finish);

static enum ww_status read_file(const char *name, struct ww_machine **machine)
{
    char path[512];
    struct ww_machine_query query = WW_MACHINE_QUERY_INIT;
    snprintf(path, sizeof path, "%s/%s", MACHINES, name);
    query.xml = path;
    return ww_machine_discover(&query, machine);
}

static void expect_unmet(const struct ww_machine *machine, const char *words, const char *sentence)
{
    char unmet[512] = "";
    cr_expect_eq(ww_machine_require(machine, words, unmet, sizeof unmet), WW_OK);
    cr_expect(*sentence == '\0' ? *unmet == '\0' : strstr(unmet, sentence) != NULL, "%s: \"%s\"",
              words, unmet);
}

Test(machine, a_file_in_nccl_s_format_is_read)
{
    struct ww_machine *machine = NULL;
    cr_assert_eq(read_file("switched.nccl.xml", &machine), WW_OK);
    cr_assert_eq(machine->gpu_count, 4);
    cr_assert_eq(machine->nic_count, 2);
    cr_expect_eq(machine->places[0 * 2 + 0], WW_PLACE_PIX);
    cr_expect_eq(machine->places[1 * 2 + 0], WW_PLACE_PXB);
    cr_expect_eq(machine->places[2 * 2 + 0], WW_PLACE_SYS);
    cr_expect_eq(machine->places[2 * 2 + 1], WW_PLACE_NODE);
    cr_expect_eq(machine->gpus[0].nic, 0);
    cr_expect_eq(machine->gpus[3].nic, 1);
    cr_expect_eq(machine->nics[0].rate_gbit_s.value < 400, true, "PCIe carries 252 Gb/s");
    cr_expect_eq(machine->nics[1].kind, WW_NIC_EFA);
    cr_expect_eq(machine->gpus[1].pcie_gb_s.known, WW_FACT_UNKNOWN, "a width of 0 is no width");
    cr_expect_eq(machine->links[1].gb_s.value, 425);
    cr_expect_eq(machine->gpus[2].cpu_gb_s.value, 450);
    cr_expect_eq(machine->gpus[3].cpu_gb_s.known, WW_FACT_ABSENT);
    cr_expect_eq(machine->packages.known, WW_FACT_UNKNOWN);
    expect_unmet(machine, "gpu,nvlink,nvswitch", "");
    expect_unmet(machine, "ib", "InfiniBand: no port is known to be UP (0 DOWN, 1 in unknown");
    expect_unmet(machine, "efa", "0 DOWN, 1 in unknown state");
    expect_unmet(machine, "near", "GPU 0 (0000:11:00.0) has no NIC that is known to be UP in its");
    ww_machine_destroy(machine);
}

Test(machine, a_sentence_sums_it_up)
{
    struct ww_machine *machine = NULL;
    char text[256];
    cr_assert_eq(read_file("switched.nccl.xml", &machine), WW_OK);
    ww_machine_verdict(machine, text, sizeof text);
    cr_expect_not_null(strstr(text, "4 GPUs on NVSwitch, 425 to 450 GB/s each; 1 x 400 Gb/s"), "%s",
                       text);
    cr_expect_eq(ww_machine_level(machine, 0, text, sizeof text), 3);
    cr_expect_str_eq(text, "NVSwitch island of 4 GPUs");
    ww_machine_verdict(machine, text, 8);
    cr_expect_str_eq(text, "4 GPUs ");
    ww_machine_destroy(machine);
}

Test(machine, bridges_and_ends_of_containers_are_no_wires)
{
    struct ww_machine *machine = NULL;
    cr_assert_eq(read_file("bridged.nccl.xml", &machine), WW_OK);
    cr_assert_eq(machine->nic_count, 2);
    cr_expect_str_eq(machine->nics[0].name, "bond0");
    cr_expect_eq(machine->places[0], WW_PLACE_UNKNOWN, "it stands under both CPUs");
    cr_expect_str_eq(machine->nics[1].name, "eno1");
    cr_expect_eq(machine->places[1], WW_PLACE_SYS);
    cr_expect_eq(machine->nics_known.value, 2);
    expect_note(machine, "2 interfaces without a card and a rate");
    ww_machine_destroy(machine);
}

/* Reads a machine out of a text. */
static enum ww_status read_text(const char *text, struct ww_machine **machine)
{
    char path[] = "/tmp/wirewise-machine-XXXXXX";
    int file = mkstemp(path);
    FILE *stream = file < 0 ? NULL : fdopen(file, "w");
    cr_assert_not_null(stream);
    fputs(text, stream);
    cr_assert_eq(fclose(stream), 0);
    struct ww_machine_query query = WW_MACHINE_QUERY_INIT;
    query.xml = path;
    enum ww_status status = ww_machine_discover(&query, machine);
    remove(path);
    return status;
}

Test(machine, only_the_first_of_several_hosts_is_read)
{
    struct ww_machine *machine = NULL;
    cr_assert_eq(read_text("<system version=\"1\"><cpu host_hash=\"0x1\" numaid=\"0\">"
                           "<pci busid=\"0:1:0\" class=\"0x030200\"/></cpu>"
                           "<cpu host_hash=\"0x2\" numaid=\"0\">"
                           "<pci busid=\"0:1:0\" class=\"0x030200\"/></cpu></system>",
                           &machine),
                 WW_OK);
    cr_expect_eq(machine->gpu_count, 1);
    cr_expect_eq(machine->numa_nodes.value, 1);
    expect_note(machine, "describes several hosts: this is the first one");
    ww_machine_destroy(machine);
}

Test(machine, who_has_links_to_a_switch_is_told)
{
    struct ww_machine *machine = NULL;
    cr_assert_eq(read_text("<system version=\"1\"><cpu numaid=\"0\">"
                           "<pci busid=\"8:6:0\" class=\"0x030200\"><gpu dev=\"0\" sm=\"103\">"
                           "<nvlink target=\"fffffff:ff:ff.0\" count=\"18\" tclass=\"0x068000\"/>"
                           "</gpu></pci><pci busid=\"9:6:0\" class=\"0x030200\">"
                           "<gpu dev=\"1\" sm=\"70\"/></pci></cpu></system>",
                           &machine),
                 WW_OK);
    cr_expect_eq(machine->gpus[0].links.value, 18);
    expect_note(machine, "The links of 1 GPU are unknown, not absent: nobody told them. Such a "
                         "part has up to 6 NVLinks");
    ww_machine_destroy(machine);
}

Test(machine, ranks_that_share_a_gpu_have_one_and_it_is_said)
{
    struct ww_machine *machine = NULL;
    cr_assert_eq(read_text("<system version=\"1\"><cpu numaid=\"0\">"
                           "<pci busid=\"2:81:0\" class=\"0x030200\"><gpu dev=\"0\" sm=\"100\" "
                           "mlopart=\"0\"/><gpu dev=\"0\" sm=\"100\" mlopart=\"1\"/></pci>"
                           "<pci busid=\"3:81:0\" class=\"0x030200\"><gpu dev=\"1\" sm=\"100\"/>"
                           "</pci></cpu></system>",
                           &machine),
                 WW_OK);
    cr_expect_eq(machine->gpu_count, 2);
    expect_note(machine, "GPU 0002:81:00.0 is listed 2 times, once for each rank or part of it");
    cr_expect_not(paper_notes(machine, "GPU 0003:81:00.0 is listed"));
    ww_machine_destroy(machine);
}

Test(machine, xgmi_links_have_the_rate_of_their_part)
{
    struct ww_machine *machine = NULL;
    cr_assert_eq(read_text("<system version=\"2\"><cpu numaid=\"0\">"
                           "<pci busid=\"0:1:0\" class=\"0x120000\"><gpu dev=\"0\" sm=\"304\" "
                           "gcn=\"gfx942\"><xgmi target=\"0:2:0\" count=\"1\"/></gpu></pci>"
                           "<pci busid=\"0:2:0\" class=\"0x120000\"><gpu dev=\"1\" sm=\"304\" "
                           "gcn=\"gfx942\"><xgmi target=\"0:1:0\" count=\"1\"/></gpu></pci>"
                           "</cpu></system>",
                           &machine),
                 WW_OK);
    cr_expect_eq(machine->links[1].kind, WW_LINK_XGMI);
    cr_expect_eq(machine->links[1].links.value, 1);
    cr_expect_eq(machine->links[1].gb_s.value, 64);
    ww_machine_destroy(machine);
}

Test(machine, links_to_a_cpu_are_no_links_to_a_switch)
{
    static const struct {
        const char *class;
        enum ww_link_kind kind;
        double cpu_gb_s;
    } examples[] = {{"0x068000", WW_LINK_NVSWITCH, 0}, {"0x068001", WW_LINK_NONE, 75}};
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct ww_machine *machine = NULL;
        char text[1024];
        size_t used = (size_t)snprintf(text, sizeof text,
                                       "<system version=\"1\"><cpu numaid=\"0\">");
        for (int gpu = 1; gpu <= 2; gpu++) {
            used += (size_t)snprintf(text + used, sizeof text - used,
                                     "<pci busid=\"0:%d:0\" class=\"0x030200\"><gpu sm=\"70\">"
                                     "<nvlink target=\"ffffff:ffff:ff\" count=\"3\" "
                                     "tclass=\"%s\"/></gpu></pci>",
                                     gpu, examples[i].class);
        }
        snprintf(text + used, sizeof text - used, "</cpu></system>");
        cr_assert_eq(read_text(text, &machine), WW_OK, "%s", capture_all());
        cr_expect_eq(machine->links[1].kind, examples[i].kind, "%s", examples[i].class);
        cr_expect_eq(machine->gpus[0].cpu_gb_s.value, examples[i].cpu_gb_s, "%s",
                     examples[i].class);
        ww_machine_destroy(machine);
    }
}

/* A virtual machine's sockets are listed under every CPU, and are in no place. */
Test(machine, a_socket_under_every_cpu_is_one)
{
#define ETH0 "<nic><net name=\"eth0\" dev=\"0\" speed=\"10000\" port=\"0\" guid=\"0x0\"/></nic>"
#define ETH1 "<nic><net name=\"eth1\" dev=\"1\" speed=\"10000\" port=\"0\" guid=\"0x0\"/></nic>"
    static const char text[] = "<system version=\"1\"><cpu numaid=\"0\">" ETH0
                               "<pci busid=\"0:1:0\" class=\"0x030200\"/></cpu>"
                               "<cpu numaid=\"1\">" ETH0 ETH1 "</cpu>"
                               "<cpu numaid=\"2\">" ETH0 "</cpu></system>";
    struct ww_machine *machine = NULL;
    cr_assert_eq(read_text(text, &machine), WW_OK, "%s", capture_all());
    cr_assert_eq(machine->nic_count, 2);
    cr_expect_eq(machine->nics[0].numa.known, WW_FACT_UNKNOWN);
    cr_expect_eq(machine->places[0], WW_PLACE_UNKNOWN);
    cr_expect_eq(machine->nics[1].numa.value, 1);
    cr_expect_eq(machine->places[1], WW_PLACE_SYS);
    ww_machine_destroy(machine);
}

/* The InfiniBand that a GPU uses may be further away than what serves storage. */
Test(machine, any_nic_that_is_up_may_be_near)
{
    struct ww_machine *machine = paper_machine();
    paper_gpus(machine, 1, 0x2330);
    for (int i = 0; i < 2; i++) {
        struct ww_nic *nic;
        cr_assert_eq(machine_add_nic(machine, &nic), WW_OK);
        nic->rdma = nic->wanted = true;
        nic->kind = i == 0 ? WW_NIC_INFINIBAND : WW_NIC_ROCE;
        nic->state = WW_PORT_UP;
    }
    cr_assert_eq(machine_make_pairs(machine), WW_OK);
    machine->places[0] = WW_PLACE_SYS;
    machine->places[1] = WW_PLACE_PIX;
    near_choose(machine);
    cr_expect_eq(machine->gpus[0].nic, 0);
    expect_unmet(machine, "near", "");
    machine->nics[1].state = WW_PORT_DOWN;
    expect_unmet(machine, "near", "near: GPU 0 (0000:01:00.0) has no NIC that is UP");
    ww_machine_destroy(machine);
}

Test(machine, files_that_are_no_machine_are_refused)
{
    static const struct {
        const char *text;
        const char *sentence;
    } examples[] = {
        {"<html/>", "begins with <html>"},
        {"<system version=\"1\"/>", "holds neither a GPU nor a NIC"},
        {"<system><cpu><pci class=\"0x030200\"/></cpu></system>", "no busid"},
        {"<system><cpu><pci busid=\"0:1:0\" class=\"0x030200\" vendor=\"x\"/></cpu></system>",
         "vendor=\"x\""},
        {"<system><pci busid=\"0:1:0\" class=\"0x030200\"/><pci busid=\"0:1:0\" "
         "class=\"0x030200\"/></system>",
         "is the second GPU at the same PCI address"},
        {"<system><cpu><nic><net speed=\"1\"/></nic></cpu></system>", "has no name"},
        {"<system><cpu><nic><net name=\"a\" speed=\"fast\"/></nic></cpu></system>",
         "speed=\"fast\""},
        {"<system><pci busid=\"0:1:0\" class=\"0x030200\"><gpu sm=\"90\"><nvlink count=\"-1\"/>"
         "</gpu></pci></system>",
         "count=\"-1\""},
        {"<system><pci busid=\"0:1:0\" class=\"0x030200\"><gpu sm=\"90\"><nvlink count=\"1\"/>"
         "</gpu></pci></system>",
         "has no target"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct ww_machine *machine = NULL;
        cr_expect_eq(read_text(examples[i].text, &machine), WW_BAD_ARGUMENT, "%s",
                     examples[i].text);
        cr_expect_null(machine);
        expect_line(WW_LOG_ERROR, examples[i].sentence);
    }
}

Test(machine, more_devices_than_a_machine_has_are_refused)
{
    static char text[32768];
    struct ww_machine *machine = NULL;
    size_t used = (size_t)snprintf(text, sizeof text, "<system>");
    for (int i = 0; i < 300; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "<pci busid=\"%04x:01:00.0\" class=\"0x030200\"/>", (unsigned)i);
    }
    snprintf(text + used, sizeof text - used, "</system>");
    cr_expect_neq(read_text(text, &machine), WW_OK);
    expect_line(WW_LOG_ERROR, "more than 256 GPUs in one machine cannot be");
}

Test(machine, this_machine_has_a_description)
{
    struct ww_machine_query query = WW_MACHINE_QUERY_INIT;
    struct ww_machine *machine = NULL;
    char text[512];
    cr_assert_eq(ww_machine_discover(&query, &machine), WW_OK);
    cr_expect_str_eq(machine->origin, "this machine");
    cr_expect_eq(ww_machine_require(machine, "gpu,teapot", text, sizeof text), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "\"teapot\" cannot be required");
    cr_expect_eq(ww_machine_require(machine, NULL, text, sizeof text), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "got NULL for what is required");
    cr_expect_eq(ww_machine_require(NULL, "gpu", text, sizeof text), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "got NULL for the machine");
    cr_expect_eq(ww_machine_require(machine, "gpu", NULL, sizeof text), WW_OK);
    ww_machine_verdict(machine, NULL, sizeof text);
    ww_machine_verdict(machine, text, sizeof text);
    cr_expect_str_not_empty(text);
    ww_machine_verdict(NULL, text, sizeof text);
    cr_expect_str_empty(text);
    cr_expect_eq(ww_machine_level(NULL, 0, text, sizeof text), 0);
    ww_machine_destroy(machine);
    ww_machine_destroy(NULL);
    query.struct_bytes = 1;
    cr_expect_eq(ww_machine_discover(&query, &machine), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "not made by WW_MACHINE_QUERY_INIT");
}
