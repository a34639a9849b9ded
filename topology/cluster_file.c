/* SPDX-License-Identifier: BSD-3-Clause
 * cluster_file.c: what may stand in a cluster file, as tables, and what may not, as sentences. */
#include "cluster.h"

#include <stddef.h>
#include <string.h>

#include "ini.h"
#include "internal/log.h"
#include "line.h"
#include "quantity.h"

/* What a key's value may be, beyond plain quantities. */
enum form { FORM_QUANTITY, FORM_WORD, FORM_NAME, FORM_PATH, FORM_KIND, FORM_PORT };

struct key {
    const char *name;
    enum form form;
    enum quantity quantity;
    double least; /* of the quantity, as it is written for QUANTITY_COUNT and _NUMBER */
    double most;
    size_t offset;            /* in the section's struct: a struct given, or the text */
    const char *const *words; /* FORM_WORD, ended by NULL */
};

static const char *const placements[] = {"node", "slot", NULL};
static const char *const devices[] = {"host", "gpu", NULL};
static const char *const binds[] = {"spread", "compact", "none", NULL};

#define RATE_LEAST 125 /* bytes per second: 1 Kb/s */
#define RATE_MOST 1e14
#define CLUSTER(member) offsetof(struct cluster_file, member)
#define SHAPE(member) offsetof(struct cluster_shape, member)
#define COUNT(name, most, offset)                                                                  \
    {                                                                                              \
        name, FORM_QUANTITY, QUANTITY_COUNT, 1, most, offset, NULL                                 \
    }
#define NUMBER(name, least, most, offset)                                                          \
    {                                                                                              \
        name, FORM_QUANTITY, QUANTITY_NUMBER, least, most, offset, NULL                            \
    }
#define RATE(name, offset)                                                                         \
    {                                                                                              \
        name, FORM_QUANTITY, QUANTITY_RATE, RATE_LEAST, RATE_MOST, offset, NULL                    \
    }
#define TIME(name, offset)                                                                         \
    {                                                                                              \
        name, FORM_QUANTITY, QUANTITY_TIME, 0, 3600, offset, NULL                                  \
    }
#define SIZE(name, offset)                                                                         \
    {                                                                                              \
        name, FORM_QUANTITY, QUANTITY_SIZE, 1, 1e12, offset, NULL                                  \
    }
#define WORD(name, offset, words)                                                                  \
    {                                                                                              \
        name, FORM_WORD, QUANTITIES, 0, 0, offset, words                                           \
    }
#define OTHER(name, form, offset)                                                                  \
    {                                                                                              \
        name, form, QUANTITIES, 0, 0, offset, NULL                                                 \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, FORM_NAME, QUANTITIES, 0, 0, 0, NULL                                                 \
    }

static const struct key cluster_rows[] = {
    OTHER("name", FORM_NAME, CLUSTER(name)),
    WORD("placement", CLUSTER(keys.placement), placements),
    WORD("device", CLUSTER(keys.device), devices),
    END,
};
static const struct key shape_rows[] = {
    OTHER("xml", FORM_PATH, SHAPE(xml)),        COUNT("ranks", 1024, SHAPE(keys.ranks)),
    WORD("bind", SHAPE(keys.bind), binds),      COUNT("packages", 256, SHAPE(keys.packages)),
    COUNT("numa", 1024, SHAPE(keys.numa)),      NUMBER("cores", 0.01, 65536, SHAPE(keys.cores)),
    COUNT("caches", 4096, SHAPE(keys.caches)),  SIZE("cache", SHAPE(keys.cache)),
    COUNT("gpus", 256, SHAPE(keys.gpus)),       RATE("gpu.links", SHAPE(keys.gpu_links)),
    RATE("gpu.pair", SHAPE(keys.gpu_pair)),     COUNT("gpu.island", 256, SHAPE(keys.gpu_island)),
    RATE("gpu.pcie", SHAPE(keys.gpu_pcie)),     COUNT("ports", 1024, SHAPE(keys.ports)),
    OTHER("port", FORM_PORT, SHAPE(keys.port)), END,
};
static const struct key network_rows[] = {
    OTHER("name", FORM_NAME, CLUSTER(network_name)),
    OTHER("kind", FORM_KIND, CLUSTER(network.kind)),
    RATE("rate", CLUSTER(network.rate)),
    TIME("latency", CLUSTER(network.latency)),
    NUMBER("efficiency", 0.01, 1, CLUSTER(network.efficiency)),
    TIME("message", CLUSTER(network.message)),
    RATE("core", CLUSTER(network.core)),
    END,
};
#define GROUP(section)                                                                             \
    {                                                                                              \
        COUNT("nodes", CLUSTER_RANKS_MAX, CLUSTER(section.nodes)),                                 \
            NUMBER("uplink", 0.001, 1, CLUSTER(section.uplink)),                                   \
            TIME("latency", CLUSTER(section.latency)), END,                                        \
    }
static const struct key rail_rows[] = GROUP(rail);
static const struct key rack_rows[] = GROUP(rack);
static const struct key site_rows[] = {
    COUNT("nodes", CLUSTER_RANKS_MAX, CLUSTER(site.nodes)),
    RATE("rate", CLUSTER(site.rate)),
    TIME("latency", CLUSTER(site.latency)),
    END,
};
static const struct key memory_rows[] = {
    RATE("copy", CLUSTER(memory.copy)),     RATE("sum", CLUSTER(memory.sum)),
    RATE("far", CLUSTER(memory.far)),       RATE("ram", CLUSTER(memory.ram)),
    RATE("fetch", CLUSTER(memory.fetch)),   TIME("await", CLUSTER(memory.await)),
    TIME("action", CLUSTER(memory.action)), TIME("fetch.start", CLUSTER(memory.fetch_start)),
    SIZE("cache", CLUSTER(memory.cache)),   END,
};

static const struct section {
    const char *name;
    const struct key *keys; /* NULL: keys are names of shapes */
    bool named;             /* has an argument, and its struct is a shape's */
} sections[] = {
    {"cluster", cluster_rows, false}, {"shape", shape_rows, true},    {"nodes", NULL, false},
    {"network", network_rows, false}, {"rail", rail_rows, false},     {"rack", rack_rows, false},
    {"site", site_rows, false},       {"memory", memory_rows, false},
};
#define SECTIONS (sizeof sections / sizeof sections[0])

/* What a parse has seen. */
struct parse {
    const struct ini *ini;
    struct cluster_file *cluster;
    const struct section *section;
    int seen[SECTIONS]; /* line of each section */
    int text_line[3];   /* cluster's name, network's name, shape's xml */
};

static const struct section *find_section(const char *name)
{
    for (size_t i = 0; i < SECTIONS; i++) {
        if (strcmp(sections[i].name, name) == 0) {
            return &sections[i];
        }
    }
    return NULL;
}

static enum ww_status begin_shape(struct parse *parse, const struct ini_entry *entry)
{
    struct cluster_file *cluster = parse->cluster;
    for (int i = 0; i < cluster->shape_count; i++) {
        if (strcmp(cluster->shape[i].name, entry->argument) == 0) {
            return ini_refuse(parse->ini, entry->line,
                              "[shape %s] stands in line %d already: give this one another name",
                              entry->argument, cluster->shape[i].line);
        }
    }
    if (strlen(entry->argument) >= CLUSTER_NAME_BYTES || strpbrk(entry->argument, " \t=") != NULL) {
        return ini_refuse(parse->ini, entry->line,
                          "a shape's name is one word of at most %d letters, not '%s'",
                          CLUSTER_NAME_BYTES - 1, entry->argument);
    }
    if (cluster->shape_count == CLUSTER_SHAPES_MAX) {
        return ini_refuse(parse->ini, entry->line, "there may be %d shapes, not more",
                          CLUSTER_SHAPES_MAX);
    }
    struct cluster_shape *shape = &cluster->shape[cluster->shape_count++];
    strcpy(shape->name, entry->argument);
    shape->line = entry->line;
    parse->text_line[2] = 0;
    return WW_OK;
}

static enum ww_status begin_section(struct parse *parse, const struct ini_entry *entry)
{
    const struct section *section = find_section(entry->section);
    parse->section = section;
    if (section == NULL) {
        return ini_refuse(parse->ini, entry->line,
                          "there is no section [%s]; there are [cluster], [shape NAME], [nodes], "
                          "[network], [rail], [rack], [site] and [memory]",
                          entry->section);
    }
    if (section->named && *entry->argument == '\0') {
        return ini_refuse(parse->ini, entry->line, "[%s] has no name: write [%s NAME]",
                          section->name, section->name);
    }
    if (!section->named && *entry->argument != '\0') {
        return ini_refuse(parse->ini, entry->line, "[%s %s] must not have a name: write [%s]",
                          section->name, entry->argument, section->name);
    }
    if (section->named) {
        return begin_shape(parse, entry);
    }
    int *seen = &parse->seen[section - sections];
    if (*seen != 0) {
        return ini_refuse(parse->ini, entry->line,
                          "[%s] stands in line %d already: put both together", section->name,
                          *seen);
    }
    *seen = entry->line;
    return WW_OK;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static enum ww_status bad_value(const struct parse *parse, const struct ini_entry *entry,
                                const char *must)
{
    return ini_refuse(parse->ini, entry->line, "%s = %s: must be %s", entry->key, entry->value,
                      must);
}

static enum ww_status take_quantity(const struct parse *parse, const struct ini_entry *entry,
                                    const struct key *key, struct given *given)
{
    char must[256];
    struct line line = line_begin(must, sizeof must);
    line_say(&line, "%s", quantity_forms[key->quantity]);
    if (key->quantity == QUANTITY_COUNT || key->quantity == QUANTITY_NUMBER) {
        line_say(&line, " from %.12g to %.12g", key->least, key->most);
    }
    double value;
    if (!quantity_read(key->quantity, entry->value, &value)) {
        return bad_value(parse, entry, must);
    }
    if (value < key->least || value > key->most) {
        if (key->quantity == QUANTITY_RATE) {
            line_say(&line, ", from 1 Kb/s to 100 TB/s");
        } else if (key->quantity == QUANTITY_TIME) {
            line_say(&line, ", up to 3600 s");
        } else if (key->quantity == QUANTITY_SIZE) {
            line_say(&line, ", from 1 byte to 931 G");
        }
        return bad_value(parse, entry, must);
    }
    *given = (struct given){value, entry->line};
    return WW_OK;
}

static enum ww_status take_word(const struct parse *parse, const struct ini_entry *entry,
                                const struct key *key, struct given *given)
{
    char must[128];
    struct line line = line_begin(must, sizeof must);
    for (int i = 0; key->words[i] != NULL; i++) {
        if (strcmp(key->words[i], entry->value) == 0) {
            *given = (struct given){i, entry->line};
            return WW_OK;
        }
        line_say(&line, "%s%s",
                 i == 0                      ? ""
                 : key->words[i + 1] == NULL ? " or "
                                             : ", ",
                 key->words[i]);
    }
    return bad_value(parse, entry, must);
}

#define KINDS                                                                                      \
    "InfiniBand, RoCE, iWARP, EFA, Slingshot, Omni-Path, BXI, usNIC or Ethernet (without RDMA)"

/* The number of a kind of network card, 0 = there is no such kind. */
static int find_kind(const char *name)
{
    int kind = WW_NIC_UNKNOWN + 1;
    while (kind < WW_NIC_KIND_COUNT &&
           strcmp(ww_nic_kind_name((enum ww_nic_kind)kind), name) != 0) {
        kind++;
    }
    return kind < WW_NIC_KIND_COUNT ? kind : 0;
}

static enum ww_status take_kind(const struct parse *parse, const struct ini_entry *entry,
                                struct given *given)
{
    int kind = find_kind(entry->value);
    if (kind == 0) {
        return bad_value(parse, entry, KINDS);
    }
    *given = (struct given){kind, entry->line};
    return WW_OK;
}

/* "400 Gb/s InfiniBand": the rate, and the kind into the member behind it. */
static enum ww_status take_port(const struct parse *parse, const struct ini_entry *entry,
                                struct given *given)
{
    double rate = 0;
    const char *kind = "";
    if (!quantity_read_rate(entry->value, &rate, &kind) || find_kind(kind) == 0 ||
        rate < RATE_LEAST || rate > RATE_MOST) {
        return bad_value(parse, entry,
                         "a rate from 1 Kb/s to 100 TB/s and a kind, for example 400 Gb/s "
                         "InfiniBand; kinds are " KINDS);
    }
    given[0] = (struct given){rate, entry->line};
    given[1] = (struct given){find_kind(kind), entry->line};
    return WW_OK;
}

static enum ww_status take_text(struct parse *parse, const struct ini_entry *entry,
                                const struct key *key, char *text)
{
    size_t room = key->form == FORM_PATH ? CLUSTER_PATH_BYTES : CLUSTER_NAME_BYTES;
    if (strlen(entry->value) >= room) {
        return ini_refuse(parse->ini, entry->line, "%s has more than %zu bytes", entry->key,
                          room - 1);
    }
    strcpy(text, entry->value);
    return WW_OK;
}

static enum ww_status take_value(struct parse *parse, const struct ini_entry *entry,
                                 const struct key *key, void *member)
{
    switch (key->form) {
    case FORM_QUANTITY:
        return take_quantity(parse, entry, key, member);
    case FORM_WORD:
        return take_word(parse, entry, key, member);
    case FORM_KIND:
        return take_kind(parse, entry, member);
    case FORM_PORT:
        return take_port(parse, entry, member);
    case FORM_NAME:
    case FORM_PATH:
        break;
    }
    return take_text(parse, entry, key, member);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static enum ww_status unknown_key(const struct parse *parse, const struct ini_entry *entry)
{
    char keys[256];
    struct line line = line_begin(keys, sizeof keys);
    for (const struct key *key = parse->section->keys; key->name != NULL; key++) {
        line_say(&line, "%s%s", key == parse->section->keys ? "" : ", ", key->name);
    }
    return ini_refuse(parse->ini, entry->line, "[%s] has no key '%s'; it may have %s",
                      entry->section, entry->key, keys);
}

static enum ww_status take_nodes(const struct parse *parse, const struct ini_entry *entry)
{
    struct cluster_file *cluster = parse->cluster;
    double nodes;
    if (cluster->line_count == CLUSTER_LINES_MAX) {
        return ini_refuse(parse->ini, entry->line, "[nodes] may have %d lines, not more",
                          CLUSTER_LINES_MAX);
    }
    if (!quantity_read(QUANTITY_COUNT, entry->value, &nodes) || nodes < 1 ||
        nodes > CLUSTER_RANKS_MAX) {
        return ini_refuse(parse->ini, entry->line,
                          "%s = %s: must be a whole number of nodes from 1 to %d", entry->key,
                          entry->value, CLUSTER_RANKS_MAX);
    }
    cluster->line[cluster->line_count++] = (struct cluster_line){
        .shape = -1, .nodes = (int)nodes, .line = entry->line};
    return WW_OK;
}

/* The line of a key that stands in the file already, 0 = it does not. */
static int *line_of(struct parse *parse, const struct key *key, void *member)
{
    if (key->form == FORM_PATH) {
        return &parse->text_line[2];
    }
    if (key->form == FORM_NAME) {
        return &parse->text_line[key->offset == CLUSTER(name) ? 0 : 1];
    }
    return &((struct given *)member)->line;
}

static enum ww_status take_key(struct parse *parse, const struct ini_entry *entry)
{
    if (parse->section->keys == NULL) {
        return take_nodes(parse, entry);
    }
    const struct key *key = parse->section->keys;
    while (key->name != NULL && strcmp(key->name, entry->key) != 0) {
        key++;
    }
    if (key->name == NULL) {
        return unknown_key(parse, entry);
    }
    struct cluster_file *cluster = parse->cluster;
    char *base = parse->section->named ? (char *)&cluster->shape[cluster->shape_count - 1]
                                       : (char *)cluster;
    void *member = base + key->offset;
    int *line = line_of(parse, key, member);
    if (*line != 0) {
        return ini_refuse(parse->ini, entry->line, "%s stands in line %d already: take one out",
                          entry->key, *line);
    }
    enum ww_status status = take_value(parse, entry, key, member);
    if (status == WW_OK) {
        *line = entry->line;
    }
    return status;
}

/* ---- What belongs together ------------------------------------------------------------------- */

/* Shapes may stand behind [nodes], so their names are looked up at the end. */
static enum ww_status find_shapes(const struct parse *parse)
{
    struct cluster_file *cluster = parse->cluster;
    int at = 0;
    for (int i = 0; i < parse->ini->count; i++) {
        const struct ini_entry *entry = &parse->ini->entries[i];
        if (entry->key == NULL || strcmp(entry->section, "nodes") != 0) {
            continue;
        }
        int shape = 0;
        while (shape < cluster->shape_count &&
               strcmp(cluster->shape[shape].name, entry->key) != 0) {
            shape++;
        }
        if (shape == cluster->shape_count) {
            return ini_refuse(parse->ini, entry->line,
                              "there is no shape '%s': describe it in a section [shape %s]",
                              entry->key, entry->key);
        }
        cluster->line[at].shape = shape;
        cluster->shape[shape].nodes += cluster->line[at].nodes;
        cluster->nodes += cluster->line[at++].nodes;
    }
    return WW_OK;
}

static enum ww_status check_sections(const struct parse *parse)
{
    struct cluster_file *cluster = parse->cluster;
    if (cluster->line_count == 0) {
        return ini_refuse(parse->ini, parse->seen[find_section("nodes") - sections],
                          "[nodes] says nothing: which nodes there are must be told, a line "
                          "SHAPE = COUNT for each kind, for example A = 4");
    }
    enum ww_status status = find_shapes(parse);
    for (int i = 0; i < cluster->shape_count && status == WW_OK; i++) {
        if (cluster->shape[i].nodes == 0) {
            status = ini_refuse(
                parse->ini, cluster->shape[i].line,
                "[shape %s] has no nodes: add %s = COUNT to [nodes], or take it out",
                cluster->shape[i].name, cluster->shape[i].name);
        }
    }
    return status;
}

static enum ww_status check_group(const struct parse *parse, const char *name,
                                  const struct group_keys *group, const struct group_keys *inner)
{
    int line = parse->seen[find_section(name) - sections];
    if (line > 0 && group->nodes.line == 0) {
        return ini_refuse(parse->ini, line,
                          "[%s] has no nodes: how many stand in one must be told, for example "
                          "nodes = 16",
                          name);
    }
    if (line > 0 && inner->nodes.line > 0 &&
        (group->nodes.value < inner->nodes.value ||
         (long)group->nodes.value % (long)inner->nodes.value != 0)) {
        return ini_refuse(parse->ini, group->nodes.line,
                          "nodes = %.0f of [%s] is no multiple of the %.0f nodes in line %d: a %s "
                          "is made of whole units",
                          group->nodes.value, name, inner->nodes.value, inner->nodes.line, name);
    }
    return WW_OK;
}

static enum ww_status check_site(const struct parse *parse)
{
    const struct group_keys *site = &parse->cluster->site;
    if (site->nodes.line > 0 && (site->rate.line == 0 || site->latency.line == 0)) {
        return ini_refuse(parse->ini, parse->seen[find_section("site") - sections],
                          "[site] needs rate and latency of what connects sites: nobody can assume "
                          "them; for example rate = 10 Gb/s and latency = 20 ms");
    }
    return WW_OK;
}

static enum ww_status check(const struct parse *parse)
{
    static const struct group_keys none;
    const struct cluster_file *cluster = parse->cluster;
    const struct group_keys *below_rack = cluster->rail.nodes.line > 0 ? &cluster->rail : &none;
    const struct group_keys *below_site = cluster->rack.nodes.line > 0 ? &cluster->rack
                                                                       : below_rack;
    enum ww_status status = check_sections(parse);
    if (status == WW_OK) {
        status = check_group(parse, "rail", &cluster->rail, &none);
    }
    if (status == WW_OK) {
        status = check_group(parse, "rack", &cluster->rack, below_rack);
    }
    if (status == WW_OK) {
        status = check_group(parse, "site", &cluster->site, below_site);
    }
    return status == WW_OK ? check_site(parse) : status;
}

enum ww_status cluster_parse(const char *path, struct cluster_file *cluster)
{
    struct ini ini;
    memset(cluster, 0, sizeof *cluster);
    if (strlen(path) >= sizeof cluster->path) {
        return log_failure(WW_BAD_ARGUMENT, "the path of the cluster file has more than %zu bytes",
                           sizeof cluster->path - 1);
    }
    strcpy(cluster->path, path);
    enum ww_status status = ini_read(path, &ini);
    if (status != WW_OK) {
        return status;
    }
    struct parse parse = {.ini = &ini, .cluster = cluster};
    for (int i = 0; i < ini.count && status == WW_OK; i++) {
        const struct ini_entry *entry = &ini.entries[i];
        status = entry->key == NULL ? begin_section(&parse, entry) : take_key(&parse, entry);
    }
    if (status == WW_OK) {
        status = check(&parse);
    }
    ini_finish(&ini);
    return status;
}
