/* SPDX-License-Identifier: BSD-3-Clause
 * test_cluster_file.c: a cluster file is understood to the last letter, or refused with its line.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "capture.h"
#include "quantity.h"
#include "text_file.h"
#include "topology.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static struct cluster_file cluster;

TestSuite(cluster_file, .init = text_file_start, .fini = text_file_finish);

static enum ww_status parse(const char *text)
{
    return cluster_parse(text_file_write(text), &cluster);
}

static bool near(double value, double wanted)
{
    return value > wanted * (1 - 1e-12) && value < wanted * (1 + 1e-12);
}

Test(cluster_file, quantities_have_units)
{
    static const struct {
        enum quantity quantity;
        const char *text;
        double value;
    } examples[] = {
        {QUANTITY_COUNT, "8", 8},
        {QUANTITY_NUMBER, "0.956", 0.956},
        {QUANTITY_RATE, "400 Gb/s", 50e9},
        {QUANTITY_RATE, "400Gbit/s", 50e9},
        {QUANTITY_RATE, "12.5\tGB/s", 12.5e9},
        {QUANTITY_RATE, "1 MiB/s", 1048576},
        {QUANTITY_TIME, "30 us", 30e-6},
        {QUANTITY_TIME, "0.5ms", 0.5e-3},
        {QUANTITY_TIME, "2 s", 2},
        {QUANTITY_SIZE, "32M", 32 << 20},
        {QUANTITY_SIZE, "32 MiB", 32 << 20},
        {QUANTITY_SIZE, "100", 100},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        double value = -1;
        cr_expect(quantity_read(examples[i].quantity, examples[i].text, &value), "'%s'",
                  examples[i].text);
        cr_expect(near(value, examples[i].value), "'%s' is %g", examples[i].text, value);
    }
}

Test(cluster_file, what_is_no_quantity_is_refused)
{
    static const struct {
        enum quantity quantity;
        const char *text;
    } examples[] = {
        {QUANTITY_COUNT, ""},        {QUANTITY_COUNT, "8.0"},
        {QUANTITY_COUNT, "-8"},      {QUANTITY_COUNT, "8 x"},
        {QUANTITY_COUNT, "0x8"},     {QUANTITY_NUMBER, "."},
        {QUANTITY_NUMBER, "1."},     {QUANTITY_NUMBER, "1e3"},
        {QUANTITY_NUMBER, "nan"},    {QUANTITY_NUMBER, "1.2.3"},
        {QUANTITY_NUMBER, "inf"},    {QUANTITY_RATE, "400"},
        {QUANTITY_RATE, "400 gb/s"}, {QUANTITY_RATE, "400 Gb"},
        {QUANTITY_RATE, "Gb/s"},     {QUANTITY_RATE, "4 Gb/s fast"},
        {QUANTITY_TIME, "30"},       {QUANTITY_TIME, "30 min"},
        {QUANTITY_SIZE, "32 MB/s"},  {QUANTITY_SIZE, "1234567890123456"},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        double value = -1;
        cr_expect_not(quantity_read(examples[i].quantity, examples[i].text, &value), "'%s'",
                      examples[i].text);
        cr_expect_eq(value, -1, "'%s' left %g", examples[i].text, value);
    }
}

Test(cluster_file, every_key_is_understood)
{
    cr_assert_eq(parse("\r\n; by hand\n[cluster]\nname = a demo\nplacement = slot # dealt\n"
                       "device=gpu\n[nodes]\nA = 2\nB=1\nA = 3\n"
                       "[shape A]\nxml = a;b.xml ; comment\n[shape B]\nranks = 4\nbind = compact\n"
                       "packages = 2\nnuma = 4\ncores = 64\ncaches = 8\ncache = 32M\ngpus = 8\n"
                       "gpu.links = 450 GB/s\ngpu.pair = 64 GB/s\ngpu.island = 4\n"
                       "gpu.pcie = 63 GB/s\nports = 4\nport = 400 Gb/s InfiniBand\n"
                       "[network]\nname = fat tree\nkind = Omni-Path\nrate = 1 Gb/s\n"
                       "latency = 30 us\nefficiency = 0.956\nmessage = 5 us\ncore = 3 GB/s\n"
                       "[rail]\nnodes = 1\nuplink = 0.5\nlatency = 1 us\n[rack]\nnodes = 2\n"
                       "uplink = 1\n[site]\nnodes = 4\nrate = 10 Gb/s\nlatency = 20 ms\n"
                       "[memory]\ncopy = 12 GB/s\nsum = 10 GB/s\nfar = 8 GB/s\nram = 5 GB/s\n"
                       "fetch = 7 GB/s\nawait = 90 ns\naction = 20 ns\nfetch.start = 1 us\n"
                       "cache = 1M\n"),
                 WW_OK);
    cr_expect_str_eq(cluster.name, "a demo");
    cr_expect_str_eq(cluster.network_name, "fat tree");
    cr_expect_eq(cluster.keys.placement.value, PLACEMENT_SLOT);
    cr_expect(cluster_on_gpus(&cluster));
    cr_expect_eq(cluster.shape_count, 2);
    cr_expect_str_eq(cluster.shape[0].xml, "a;b.xml");
    cr_expect_eq(cluster.shape[0].nodes, 5);
    cr_expect_eq(cluster.line_count, 3);
    cr_expect_eq(cluster.line[1].shape, 1);
    cr_expect_eq(cluster.nodes, 6);
    const struct shape_keys *keys = &cluster.shape[1].keys;
    cr_expect_eq(keys->bind.value, BIND_COMPACT);
    cr_expect_eq(keys->port.value, 50e9);
    cr_expect_eq(keys->port_kind.value, WW_NIC_INFINIBAND);
    cr_expect_eq(keys->gpu_island.value, 4);
    cr_expect_eq(cluster.network.kind.value, WW_NIC_OMNIPATH);
    cr_expect_eq(cluster.network.efficiency.line, 33);
    cr_expect(near(cluster.network.message.value, 5e-6));
    cr_expect(near(cluster.network.core.value, 3e9));
    cr_expect_eq(cluster.rack.nodes.value, 2);
    cr_expect_eq(cluster.rack.latency.line, 0);
    cr_expect(near(cluster.site.rate.value, 1.25e9));
    cr_expect(near(cluster.memory.await.value, 90e-9));
}

#define HEAD "[nodes]\nA = 2\n[shape A]\n" /* the next line is line 4 */

Test(cluster_file, what_is_wrong_is_refused_with_its_line)
{
    static const struct {
        const char *text;
        int line; /* 0 = none */
        const char *sentence;
    } examples[] = {
        {"", 0, "[nodes] says nothing"},
        {"[nodes]\n", 1, "a line SHAPE = COUNT for each kind"},
        {"[nodes]\nA = 0\n", 2, "A = 0: must be a whole number of nodes from 1 to 32768"},
        {"[nodes]\nA = many\n", 2, "A = many: must be a whole number"},
        {"[nodes]\nA = 2\n", 2, "there is no shape 'A': describe it in a section [shape A]"},
        {HEAD "[shape B]\n", 4, "[shape B] has no nodes: add B = COUNT"},
        {HEAD "[shape A]\n", 4, "[shape A] stands in line 3 already"},
        {HEAD "[shape]\n", 4, "[shape] has no name: write [shape NAME]"},
        {HEAD "[shape A B]\n", 4, "a shape's name is one word of at most 63 letters, not 'A B'"},
        {HEAD "[nodes]\n", 4, "[nodes] stands in line 1 already"},
        {HEAD "[network A]\n", 4, "[network A] must not have a name: write [network]"},
        {HEAD "[fabric]\n", 4, "there is no section [fabric]; there are [cluster], [shape NAME]"},
        {HEAD "[]\n", 4, "the section has no name"},
        {HEAD "[network\n", 4, "the section '[network' does not end with ']'"},
        {"ranks = 8\n[nodes]\n", 1, "ranks = 8 comes before the first [section]"},
        {HEAD "ranks\n", 4, "'ranks' is neither a [section] nor a line of the form key = value"},
        {HEAD "= 8\n", 4, "'= 8' is neither"},
        {HEAD "ranks =  ; eight\n", 4, "ranks has no value"},
        {HEAD "ranks = 8\nranks = 8\n", 5, "ranks stands in line 4 already: take one out"},
        {HEAD "xml = a\nxml = b\n", 5, "xml stands in line 4 already"},
        {HEAD "\n\nprots = 8\n", 6, "[shape] has no key 'prots'; it may have xml, ranks, bind"},
        {HEAD "ranks = 0\n", 4, "ranks = 0: must be a whole number from 1 to 1024"},
        {HEAD "ranks = 8.5\n", 4, "ranks = 8.5: must be a whole number from 1 to 1024"},
        {HEAD "bind = core\n", 4, "bind = core: must be spread, compact or none"},
        {HEAD "port = 400 Gb/s\n", 4, "a kind, for example 400 Gb/s InfiniBand"},
        {HEAD "port = 400 Gb/s IB\n", 4, "kinds are InfiniBand, RoCE"},
        {HEAD "port = 400 InfiniBand\n", 4, "must be a rate from 1 Kb/s to 100 TB/s and a kind"},
        {HEAD "gpu.links = 450\n", 4, "gpu.links = 450: must be a rate in Kb/s, Mb/s"},
        {HEAD "gpu.links = 999 TB/s\n", 4, "from 1 Kb/s to 100 TB/s"},
        {HEAD "cache = 32 GB/s\n", 4, "must be a size in bytes, or with K, M or G"},
        {HEAD "[cluster]\ndevice = tpu\n", 5, "device = tpu: must be host or gpu"},
        {HEAD "[network]\nlatency = 30\n", 5, "must be a time in ns, us, ms or s"},
        {HEAD "[network]\nlatency = 2 s\nefficiency = 95\n", 6, "a number from 0.01 to 1"},
        {HEAD "[network]\nkind = carrier pigeon\n", 5, "must be InfiniBand, RoCE"},
        {HEAD "[network]\nlatency = 4000 s\n", 5, "up to 3600 s"},
        {HEAD "[rack]\nuplink = 0.5\n", 4, "[rack] has no nodes"},
        {HEAD "[rack]\nnodes = 4\nuplink = 2\n", 6, "uplink = 2: must be a number from 0.001 to 1"},
        {HEAD "[rail]\nnodes = 4\n[rack]\nnodes = 6\n", 7, "no multiple of the 4 nodes in line 5"},
        {HEAD "[site]\nnodes = 4\n", 4, "[site] needs rate and latency"},
        {HEAD "[site]\nnodes = 4\nuplink = 1\n", 6, "it may have nodes, rate, latency"},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        char sentence[256];
        char line[16] = "";
        snprintf(line, sizeof line, "%d:", examples[i].line);
        snprintf(sentence, sizeof sentence, "%s:%s ", text_file_path(),
                 examples[i].line > 0 ? line : "");
        cr_expect_eq(parse(examples[i].text), WW_BAD_ARGUMENT, "'%s'", examples[i].text);
        const char *said = capture_take(WW_LOG_ERROR, sentence);
        cr_expect(said != NULL && strstr(said, examples[i].sentence) != NULL, "'%s' says: %s",
                  examples[i].text, said == NULL ? capture_all() : said);
    }
}

Test(cluster_file, a_byte_order_mark_is_skipped)
{
    cr_expect_eq(parse("\xef\xbb\xbf[nodes]\r\nA = 2\r\n[shape A]\r\n"), WW_OK, "%s",
                 capture_all());
    cr_expect_eq(cluster.nodes, 2);
}

Test(cluster_file, what_is_no_file_is_refused)
{
    cr_expect_eq(cluster_parse("/nowhere/at/all.ini", &cluster), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "cannot open /nowhere/at/all.ini: No such file or directory");
    cr_expect_eq(cluster_parse("/tmp", &cluster), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "/tmp cannot describe a cluster: it cannot be read");
    FILE *file = fopen(text_file_path(), "w");
    fwrite("[nodes]\n\0A = 2\n", 1, 15, file);
    fclose(file);
    cr_expect_eq(cluster_parse(text_file_path(), &cluster), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "it holds zeros");
}

/* However a file is cut, it is read or refused, and nothing worse. */
Test(cluster_file, cut_files_do_no_harm)
{
    static const char whole[] = "[cluster]\nname = x\n[shape A]\nport = 400 Gb/s InfiniBand ; p\n"
                                "ranks = 8\n[nodes]\nA = 2\n[rack]\nnodes = 2\nuplink = 0.5\n";
    char text[sizeof whole];
    for (size_t length = 0; length < sizeof whole; length++) {
        memcpy(text, whole, length);
        text[length] = '\0';
        enum ww_status status = parse(text);
        cr_expect(status == WW_OK || status == WW_BAD_ARGUMENT, "%zu bytes", length);
        while (capture_take(WW_LOG_ERROR, text_file_path()) != NULL) {
        }
    }
}
