/* SPDX-License-Identifier: BSD-3-Clause
 * require.c: are the wires there that a job counts on? What is unknown does not count as there. */
#include "machine.h"

#include <string.h>

#include "internal/log.h"
#include "line.h"

typedef void check(const struct ww_machine *machine, int wanted, struct line *unmet);

static void say(struct line *unmet, const char *sentence)
{
    line_say(unmet, "%s%s", unmet->used > 0 ? "; " : "", sentence);
}

static void check_gpu(const struct ww_machine *machine, int wanted, struct line *unmet)
{
    (void)wanted;
    if (machine->gpu_count == 0) {
        say(unmet, fact_is_known(machine->gpus_known) ? "gpu: there is none"
                                                      : "gpu: whether there is one is unknown");
    }
}

static bool is_of(enum ww_link_kind kind, int wanted)
{
    return (int)kind == wanted || (wanted == WW_LINK_NVLINK && kind == WW_LINK_NVSWITCH);
}

/* Each GPU has a link of that kind to another one. */
static void check_links(const struct ww_machine *machine, int wanted, struct line *unmet)
{
    const char *name = ww_link_kind_name((enum ww_link_kind)wanted);
    if (machine->gpu_count < 2) {
        line_say(unmet, "%s%s: there %s", unmet->used > 0 ? "; " : "", name,
                 machine->gpu_count == 1 ? "is 1 GPU" : "are 0 GPUs");
        return;
    }
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        bool found = false;
        bool unknown = false;
        for (int peer = 0; peer < machine->gpu_count; peer++) {
            enum ww_link_kind kind = machine->links[gpu * machine->gpu_count + peer].kind;
            found = found || (peer != gpu && is_of(kind, wanted));
            unknown = unknown || (peer != gpu && kind == WW_LINK_UNKNOWN);
        }
        if (!found) {
            line_say(unmet, "%s%s: GPU %d (%s) %s", unmet->used > 0 ? "; " : "", name, gpu,
                     machine->gpus[gpu].pci,
                     unknown ? "has links that are unknown" : "has none to any other GPU");
            return;
        }
    }
}

static void check_nics(const struct ww_machine *machine, int wanted, struct line *unmet)
{
    int down = 0;
    int unknown = 0;
    for (int i = 0; i < machine->nic_count; i++) {
        const struct ww_nic *nic = &machine->nics[i];
        for (int p = 0; p < nic->port_count; p++) {
            bool counts = wanted < 0 ? nic->rdma : (int)nic->ports[p].kind == wanted;
            if (counts && nic->ports[p].state == WW_PORT_UP) {
                return;
            }
            down += counts && nic->ports[p].state == WW_PORT_DOWN;
            unknown += counts && nic->ports[p].state == WW_PORT_UNKNOWN;
        }
    }
    line_say(unmet, "%s%s: no port is known to be UP (%d DOWN, %d in unknown state)",
             unmet->used > 0 ? "; " : "",
             wanted < 0 ? "RDMA" : ww_nic_kind_name((enum ww_nic_kind)wanted), down, unknown);
}

static void check_up(const struct ww_machine *machine, int wanted, struct line *unmet)
{
    (void)wanted;
    int ports = 0;
    for (int i = 0; i < machine->nic_count; i++) {
        const struct ww_nic *nic = &machine->nics[i];
        ports += nic->rdma ? nic->port_count : 0;
        for (int p = 0; nic->rdma && p < nic->port_count; p++) {
            if (nic->ports[p].state != WW_PORT_UP) {
                line_say(unmet, "%sup: %s port %d is %s", unmet->used > 0 ? "; " : "", nic->name,
                         nic->ports[p].number,
                         nic->ports[p].state == WW_PORT_DOWN ? "DOWN" : "in unknown state");
            }
        }
    }
    if (!fact_is_known(machine->nics_known)) {
        say(unmet, "up: the network cards are unknown");
    } else if (ports == 0) {
        say(unmet, "up: there is no port with RDMA");
    }
}

/* Whether a NIC that jobs use is UP in the GPU's package, or may be, for all that is known; the one
 * to use may be further away. */
static bool has_near(const struct ww_machine *machine, int gpu, bool maybe)
{
    bool found = false;
    for (int i = 0; i < machine->nic_count; i++) {
        const struct ww_nic *nic = &machine->nics[i];
        enum ww_place place = machine->places[gpu * machine->nic_count + i];
        bool up = nic->state == WW_PORT_UP || (maybe && nic->state == WW_PORT_UNKNOWN);
        bool here = place <= WW_PLACE_PACKAGE || (maybe && place == WW_PLACE_UNKNOWN);
        found = found || (nic->wanted && up && here);
    }
    return found;
}

static void check_near(const struct ww_machine *machine, int wanted, struct line *unmet)
{
    (void)wanted;
    check_gpu(machine, 0, unmet);
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        if (!has_near(machine, gpu, false)) {
            line_say(unmet, "%snear: GPU %d (%s) has no NIC that is %sUP in its own package",
                     unmet->used > 0 ? "; " : "", gpu, machine->gpus[gpu].pci,
                     has_near(machine, gpu, true) ? "known to be " : "");
        }
    }
}

static const struct {
    const char *word;
    check *check;
    int wanted;
} requirements[] = {{"gpu", check_gpu, 0},
                    {"nvlink", check_links, WW_LINK_NVLINK},
                    {"nvswitch", check_links, WW_LINK_NVSWITCH},
                    {"xgmi", check_links, WW_LINK_XGMI},
                    {"xelink", check_links, WW_LINK_XELINK},
                    {"rdma", check_nics, -1},
                    {"ib", check_nics, WW_NIC_INFINIBAND},
                    {"roce", check_nics, WW_NIC_ROCE},
                    {"iwarp", check_nics, WW_NIC_IWARP},
                    {"efa", check_nics, WW_NIC_EFA},
                    {"slingshot", check_nics, WW_NIC_SLINGSHOT},
                    {"opa", check_nics, WW_NIC_OMNIPATH},
                    {"bxi", check_nics, WW_NIC_BXI},
                    {"up", check_up, 0},
                    {"near", check_near, 0}};

enum ww_status ww_machine_require(const struct ww_machine *machine, const char *words, char *unmet,
                                  size_t bytes)
{
    if (machine == NULL || words == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_machine_require got NULL for %s",
                           machine == NULL ? "the machine" : "what is required");
    }
    struct line line = line_begin(unmet, bytes);
    while (true) {
        size_t length = strcspn(words, ",");
        size_t i = 0;
        size_t count = sizeof requirements / sizeof *requirements;
        while (i < count && (strlen(requirements[i].word) != length ||
                             memcmp(requirements[i].word, words, length) != 0)) {
            i++;
        }
        if (i == count) {
            return log_failure(WW_BAD_ARGUMENT,
                               "\"%.*s\" cannot be required; say gpu, nvlink, nvswitch, xgmi, "
                               "xelink, rdma, ib, roce, iwarp, efa, slingshot, opa, bxi, up or "
                               "near, with commas",
                               length > 60 ? 60 : (int)length, words);
        }
        requirements[i].check(machine, requirements[i].wanted, &line);
        if (words[length] == '\0') {
            return WW_OK;
        }
        words += length + 1;
    }
}
