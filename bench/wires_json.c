/* SPDX-License-Identifier: BSD-3-Clause
 * wires_json.c: a machine as JSON. A fact is {"known": "known" | "absent" | "unknown", "value",
 * "source"}; value is null unless known. */
#include "wires.h"

#include "json.h"

#define VERDICT_BYTES 1024

static void put_fact(struct json *json, const char *name, struct ww_fact fact)
{
    static const char *const words[] = {"unknown", "absent", "known"};
    json_open_object(json, name);
    json_text(json, "known", words[fact.known]);
    if (fact.known == WW_FACT_KNOWN) {
        json_number(json, "value", fact.value);
    } else {
        json_null(json, "value");
    }
    json_text(json, "source", fact.known == WW_FACT_UNKNOWN ? NULL : ww_source_name(fact.source));
    json_close_object(json);
}

static void put_text(struct json *json, const char *name, const char *text)
{
    json_text(json, name, text[0] == '\0' ? NULL : text);
}

static void put_host(struct json *json, const struct ww_machine *machine)
{
    json_open_object(json, "machine");
    put_text(json, "name", machine->name);
    put_text(json, "product", machine->product);
    put_text(json, "cpu", machine->cpu);
    put_fact(json, "packages", machine->packages);
    put_fact(json, "numa_nodes", machine->numa_nodes);
    put_fact(json, "numa_nodes_without_cores", machine->numa_without_cores);
    put_fact(json, "cores", machine->cores);
    put_fact(json, "threads", machine->threads);
    json_open_array(json, "caches");
    for (int i = 0; i < machine->cache_count; i++) {
        json_open_object(json, NULL);
        json_integer(json, "level", machine->caches[i].level);
        json_integer(json, "count", machine->caches[i].count);
        json_number(json, "each_bytes", machine->caches[i].each_bytes);
        json_close_object(json);
    }
    json_close_array(json);
    json_close_object(json);
}

/* The NICs at exactly this place; those that work only, where up. */
static void put_nearest(struct json *json, const struct ww_machine *machine, int gpu, bool up)
{
    enum ww_place place = up ? machine->gpus[gpu].near_up : machine->gpus[gpu].near;
    bool known = false; /* whether some NIC is known to be UP */
    for (int i = 0; i < machine->nic_count; i++) {
        known = known || (machine->nics[i].wanted && machine->nics[i].state == WW_PORT_UP);
    }
    json_open_object(json, up ? "nearest_up" : "nearest");
    json_text(json, "place", place == WW_PLACE_UNKNOWN ? NULL : ww_place_name(place));
    json_open_array(json, "nics");
    for (int i = 0; i < machine->nic_count && place != WW_PLACE_UNKNOWN; i++) {
        const struct ww_nic *nic = &machine->nics[i];
        bool works = nic->state == (known ? WW_PORT_UP : WW_PORT_UNKNOWN);
        if (nic->wanted && (works || !up) &&
            machine->places[gpu * machine->nic_count + i] == place) {
            json_text(json, NULL, nic->name);
        }
    }
    json_close_array(json);
    json_close_object(json);
}

static void put_gpu(struct json *json, const struct ww_machine *machine, int number)
{
    const struct ww_gpu *gpu = &machine->gpus[number];
    json_open_object(json, NULL);
    json_integer(json, "index", number);
    put_text(json, "pci", gpu->pci);
    put_text(json, "model", gpu->model);
    put_text(json, "uuid", gpu->uuid);
    json_count(json, "pci_vendor", gpu->vendor);
    json_count(json, "pci_device", gpu->device);
    json_integer(json, "nvlink_generation", gpu->generation);
    put_fact(json, "package", gpu->package);
    put_fact(json, "numa_node", gpu->numa);
    put_fact(json, "pcie_gb_s", gpu->pcie_gb_s);
    put_fact(json, "links", gpu->links);
    put_fact(json, "links_gb_s", gpu->links_gb_s);
    put_fact(json, "cpu_links_gb_s", gpu->cpu_gb_s);
    json_integer(json, "island", gpu->island);
    put_nearest(json, machine, number, false);
    put_nearest(json, machine, number, true);
    json_text(json, "nic", gpu->nic < 0 ? NULL : machine->nics[gpu->nic].name);
    json_close_object(json);
}

static void put_pairs(struct json *json, const struct ww_machine *machine)
{
    json_open_array(json, "pairs");
    for (int a = 0; a < machine->gpu_count; a++) {
        for (int b = a + 1; b < machine->gpu_count; b++) {
            const struct ww_link *link = &machine->links[a * machine->gpu_count + b];
            json_open_object(json, NULL);
            json_integer(json, "a", a);
            json_integer(json, "b", b);
            json_text(json, "kind", ww_link_kind_name(link->kind));
            put_fact(json, "links", link->links);
            put_fact(json, "gb_s", link->gb_s);
            json_close_object(json);
        }
    }
    json_close_array(json);
}

static void put_port(struct json *json, const struct ww_port *port)
{
    json_open_object(json, NULL);
    json_integer(json, "port", port->number);
    json_text(json, "kind", ww_nic_kind_name(port->kind));
    json_text(json, "state", ww_port_state_name(port->state));
    json_text(json, "state_source",
              port->state == WW_PORT_UNKNOWN ? NULL : ww_source_name(port->state_source));
    put_fact(json, "rate_gbit_s", port->rate_gbit_s);
    json_close_object(json);
}

static void put_nic(struct json *json, const struct ww_nic *nic)
{
    json_open_object(json, NULL);
    put_text(json, "name", nic->name);
    put_text(json, "interface", nic->interface);
    put_text(json, "pci", nic->pci);
    put_text(json, "guid", nic->guid);
    json_count(json, "pci_vendor", nic->vendor);
    json_count(json, "pci_device", nic->device);
    json_bool(json, "rdma", nic->rdma);
    json_text(json, "kind", ww_nic_kind_name(nic->kind));
    json_text(json, "kind_source",
              nic->kind_source == WW_SOURCE_NONE ? NULL : ww_source_name(nic->kind_source));
    json_text(json, "state", ww_port_state_name(nic->state));
    put_fact(json, "package", nic->package);
    put_fact(json, "numa_node", nic->numa);
    put_fact(json, "pcie_gb_s", nic->pcie_gb_s);
    put_fact(json, "usable_gbit_s", nic->rate_gbit_s);
    json_open_array(json, "ports");
    for (int i = 0; i < nic->port_count; i++) {
        put_port(json, &nic->ports[i]);
    }
    json_close_array(json);
    json_close_object(json);
}

static void put_words(struct json *json, const struct ww_machine *machine)
{
    char text[VERDICT_BYTES];
    ww_machine_verdict(machine, text, sizeof text);
    json_text(json, "verdict", text);
    json_open_array(json, "levels");
    int levels = ww_machine_level(machine, -1, NULL, 0);
    for (int i = 0; i < levels; i++) {
        ww_machine_level(machine, i, text, sizeof text);
        json_text(json, NULL, text);
    }
    json_close_array(json);
    json_open_array(json, "notes");
    for (int i = 0; i < machine->note_count; i++) {
        json_text(json, NULL, machine->notes[i]);
    }
    json_close_array(json);
}

void wires_write_json(const struct ww_machine *machine, const char *unmet, FILE *to)
{
    struct json json = {.to = to};
    json_open_object(&json, NULL);
    json_text(&json, "schema", "wirewise.wires/1");
    json_text(&json, "wirewise", ww_version());
    json_text(&json, "origin", machine->origin);
    put_text(&json, "writer", machine->writer);
    put_host(&json, machine);
    put_fact(&json, "gpus_seen", machine->gpus_known);
    json_open_array(&json, "gpus");
    for (int i = 0; i < machine->gpu_count; i++) {
        put_gpu(&json, machine, i);
    }
    json_close_array(&json);
    put_pairs(&json, machine);
    json_integer(&json, "islands", machine->island_count);
    put_fact(&json, "nics_seen", machine->nics_known);
    json_open_array(&json, "nics");
    for (int i = 0; i < machine->nic_count; i++) {
        put_nic(&json, &machine->nics[i]);
    }
    json_close_array(&json);
    put_words(&json, machine);
    json_text(&json, "unmet", unmet);
    json_close_object(&json);
}
