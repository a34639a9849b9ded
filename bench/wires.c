/* SPDX-License-Identifier: BSD-3-Clause
 * wires.c: `wirewise wires` shows what is known about a machine's wires, and whether it suffices.
 */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <wirewise/tools.h>

#include "command.h"
#include "launch.h"
#include "wires.h"

#define UNMET_BYTES 4096
#define PATH_BYTES 4096

enum { KEY_XML = 0x100, KEY_SYSFS, KEY_ROOT, KEY_NVML, KEY_JSON, KEY_REQUIRE };

struct wishes {
    struct ww_machine_query query;
    const char *root;
    const char *tree; /* that hwloc is to read; NULL = this machine, or a file */
    const char *require;
    bool json;
    char sysfs[PATH_BYTES];
};

static const struct argp_option rows[] = {
    {"xml", KEY_XML, "FILE", 0,
     "a machine described by hwloc (lstopo --of xml) or by NCCL, in place of this one", 0},
    {"json", KEY_JSON, 0, 0, "print one JSON document", 0},
    {"require", KEY_REQUIRE, "WORDS", 0,
     "exit with 3 unless all is there: gpu, nvlink, nvswitch, xgmi, xelink, rdma, ib, "
     "roce, iwarp, efa, slingshot, opa, bxi, up, near; with commas",
     0},
    {"sysfs", KEY_SYSFS, "DIR", 0, "read ports below DIR (/sys; with --xml nowhere)", 0},
    {"root", KEY_ROOT, "DIR", 0, "a tree that hwloc-gather-topology wrote, in place of this one",
     0},
    {"nvml", KEY_NVML, "FILE", 0, "NVIDIA's management library (libnvidia-ml.so.1)", 0},
    {0, 0, 0, 0, 0, 0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct wishes *wishes = state->input;
    switch (key) {
    case KEY_XML:
        wishes->query.xml = text;
        return 0;
    case KEY_SYSFS:
        wishes->query.sysfs = text;
        return 0;
    case KEY_ROOT:
        wishes->root = text;
        return 0;
    case KEY_NVML:
        wishes->query.nvml = text;
        return 0;
    case KEY_JSON:
        wishes->json = true;
        return 0;
    case KEY_REQUIRE:
        wishes->require = text;
        return 0;
    case ARGP_KEY_END:
        if (wishes->root != NULL && wishes->query.xml != NULL) {
            argp_error(state, "--root and --xml both name a machine: give one");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* hwloc takes a gathered tree from the environment only. */
static int enter_root(struct wishes *wishes)
{
    int bytes = snprintf(wishes->sysfs, sizeof wishes->sysfs, "%s/sys", wishes->root);
    if (bytes >= (int)sizeof wishes->sysfs || setenv("HWLOC_FSROOT", wishes->root, 1) != 0 ||
        setenv("HWLOC_COMPONENTS", "linux,stop", 1) != 0) {
        fprintf(stderr, "wirewise wires: --root %s is too long\n", wishes->root);
        return EXIT_USAGE;
    }
    if (wishes->query.sysfs == NULL) {
        wishes->query.sysfs = wishes->sysfs;
    }
    return EXIT_FINE;
}

static bool has_folder(const char *tree, const char *name)
{
    char path[PATH_BYTES];
    struct stat about;
    int bytes = snprintf(path, sizeof path, "%s/%s", tree, name);
    return bytes < (int)sizeof path && stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* hwloc would ignore a file or tree that is not there, and show this machine. */
static int heed_environment(struct wishes *wishes)
{
    const char *file = getenv("HWLOC_XMLFILE");
    const char *tree = getenv("HWLOC_FSROOT");
    if (wishes->root != NULL) {
        tree = wishes->root;
    }
    if (wishes->query.xml == NULL && tree != NULL && !has_folder(tree, "")) {
        fprintf(stderr, "wirewise wires: %s is no folder: there is no tree of a machine\n", tree);
        return EXIT_USAGE;
    }
    if (wishes->query.xml == NULL && tree != NULL && !has_folder(tree, "sys/devices/system/cpu") &&
        !has_folder(tree, "sys/bus/cpu/devices")) {
        fprintf(stderr,
                "wirewise wires: %s has no sys/devices/system/cpu: it is no tree of a machine, as "
                "hwloc-gather-topology writes them\n",
                tree);
        return EXIT_USAGE;
    }
    wishes->tree = tree;
    if (wishes->query.xml == NULL && wishes->root == NULL && file != NULL && *file != '\0') {
        wishes->query.xml = file;
    }
    return EXIT_FINE;
}

/* Without hwloc it is this machine that was looked at, with the tree's ports beside it. */
static int name_tree(const struct wishes *wishes, struct ww_machine *machine)
{
    if (wishes->tree == NULL || wishes->query.xml != NULL) {
        return EXIT_FINE;
    }
    if (strncmp(machine->writer, "hwloc ", strlen("hwloc ")) != 0) {
        fprintf(stderr,
                "wirewise wires: %s is a tree for hwloc, and this wirewise was built without "
                "hwloc: install libhwloc-dev and configure again\n",
                wishes->tree);
        return EXIT_FAILED;
    }
    snprintf(machine->origin, sizeof machine->origin, "%s", wishes->tree);
    return EXIT_FINE;
}

static int show(const struct wishes *wishes, const struct ww_machine *machine)
{
    static char unmet[UNMET_BYTES];
    if (wishes->require != NULL &&
        ww_machine_require(machine, wishes->require, unmet, sizeof unmet) != WW_OK) {
        return EXIT_USAGE; /* the library has said what is wrong */
    }
    if (wishes->json) {
        wires_write_json(machine, wishes->require == NULL ? NULL : unmet, stdout);
    } else {
        wires_print(machine, stdout);
    }
    if (command_flush("wirewise wires") != EXIT_FINE) {
        return EXIT_FAILED;
    }
    if (unmet[0] != '\0') {
        fprintf(stderr, "wirewise wires: not met: %s\n", unmet);
        return EXIT_UNMET;
    }
    return EXIT_FINE;
}

int wires_command(int argc, char **argv)
{
    static const struct argp argp = {
        rows,
        parse,
        NULL,
        "Shows what is known about the wires of a machine: GPUs and the links between them, "
        "network "
        "cards, ports and rates, levels, and what is unknown and why. Nothing is measured.",
        NULL,
        NULL,
        NULL};
    static struct wishes wishes = {.query = WW_MACHINE_QUERY_INIT};
    if (launch_read().rank != 0) {
        return EXIT_FINE; /* one process says it all */
    }
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &wishes) != 0) {
        return EXIT_USAGE;
    }
    if (heed_environment(&wishes) != EXIT_FINE) {
        return EXIT_USAGE;
    }
    if (wishes.root != NULL && enter_root(&wishes) != EXIT_FINE) {
        return EXIT_USAGE;
    }
    struct ww_machine *machine = NULL;
    enum ww_status status = ww_machine_discover(&wishes.query, &machine);
    if (status != WW_OK) {
        return status == WW_BAD_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
    }
    int code = name_tree(&wishes, machine);
    if (code == EXIT_FINE) {
        code = show(&wishes, machine);
    }
    ww_machine_destroy(machine);
    return code;
}
