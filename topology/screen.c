/* SPDX-License-Identifier: BSD-3-Clause
 * screen.c: the limits of a file in hwloc's format. They are far beyond any machine. */
#include "screen.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

#define INDEX_MAX 1000000
#define SET_BYTES_MAX 16384 /* 50000 cores */
#define MATRIX_MAX 4096
#define DEVICES_MAX 16384     /* hwloc compares each with all others */
#define NO_INDEX 4294967295LL /* what hwloc writes for "none" */

const char *screen_version(const struct xml *xml)
{
    const char *version = xml_value(xml, 0, "version");
    return version == NULL ? "1.x" : version;
}

const char *screen_path(const struct xml *xml)
{
    return xml->path;
}

static enum ww_status complain(const struct xml *xml, int node, const char *what)
{
    return log_failure(WW_BAD_ARGUMENT, "%s:%d: <%s> %s", xml->path, xml->nodes[node].line,
                       xml->nodes[node].name, what);
}

static bool ends(const char *text, const char *with)
{
    size_t bytes = strlen(text);
    size_t wanted = strlen(with);
    return bytes >= wanted && strcmp(text + bytes - wanted, with) == 0;
}

/* "0x0000ffff,,0x1" or "0xf...f,0x0"; empty is what hwloc writes for nothing. hwloc miscounts, and
 * ends the program, when the first part is missing. */
static bool is_set(const char *text)
{
    return text[0] != ',' && strlen(text) <= SET_BYTES_MAX &&
           text[strspn(text, "0123456789abcdefABCDEFx,.")] == '\0';
}

static enum ww_status check_sets(const struct xml *xml, int node)
{
    const struct xml_node *about = &xml->nodes[node];
    for (int i = 0; i < about->attribute_count; i++) {
        const struct xml_attribute *attribute = &xml->attributes[about->attribute + i];
        bool set = ends(attribute->name, "cpuset") || ends(attribute->name, "nodeset");
        if (set && !is_set(attribute->value)) {
            return complain(xml, node, "has a set of cores or memories that is none");
        }
    }
    return WW_OK;
}

/* Devices stand beside cores and memories: they have no sets of them. */
static bool is_device(const char *type)
{
    static const char *const types[] = {"Bridge", "PCIDev", "OSDev", "Misc"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(type, types[i]) == 0) {
            return true;
        }
    }
    return false;
}

static enum ww_status check_devices(const struct xml *xml)
{
    int devices = 0;
    for (int node = 0; node < xml->node_count; node++) {
        const char *type = xml_value(xml, node, "type");
        devices += type != NULL && strcmp(xml->nodes[node].name, "object") == 0 && is_device(type);
    }
    return devices <= DEVICES_MAX ? WW_OK : complain(xml, 0, "holds more than 16384 devices");
}

/* hwloc compares these sets without looking whether they are there. */
static enum ww_status check_sets_are_there(const struct xml *xml, int node, const char *type)
{
    static const char *const sets[] = {"cpuset", "complete_cpuset", "nodeset", "complete_nodeset"};
    bool old = screen_version(xml)[0] == '1';
    for (size_t i = 0; !is_device(type) && i < (old ? 2 : 4); i++) {
        if (xml_value(xml, node, sets[i]) == NULL) {
            return complain(xml, node, "lacks one of its sets of cores and memories");
        }
    }
    return WW_OK;
}

static enum ww_status check_object(const struct xml *xml, int node)
{
    const char *type = xml_value(xml, node, "type");
    long long index = 0;
    if (type == NULL) {
        return complain(xml, node, "has no type");
    }
    bool counted = strcmp(type, "PU") == 0 || strcmp(type, "NUMANode") == 0;
    /* Without one, hwloc makes a set of 2^32 bits. */
    enum ww_status status = xml_number(xml, node, "os_index", -1, NO_INDEX, -1, &index);
    if (status == WW_OK && counted && (index < 0 || index > INDEX_MAX)) {
        status = complain(xml, node, "has an os_index that no core and no memory has");
    }
    if (status == WW_OK) {
        status = check_sets_are_there(xml, node, type);
    }
    return status;
}

/* hwloc multiplies the count with itself. */
static enum ww_status check_matrix(const struct xml *xml, int node)
{
    long long objects = 0;
    enum ww_status status = xml_number(xml, node, "nbobjs", 0, MATRIX_MAX, 0, &objects);
    return status == WW_OK ? xml_number(xml, node, "relative_depth", 0, 1000, 0, &objects) : status;
}

/* The root's first object must be a machine: files may hold other elements before it. */
static enum ww_status check_root(const struct xml *xml)
{
    int child = xml->nodes[0].child;
    while (child >= 0 && strcmp(xml->nodes[child].name, "object") != 0) {
        child = xml->nodes[child].next;
    }
    const char *type = child < 0 ? NULL : xml_value(xml, child, "type");
    if (type == NULL || (strcmp(type, "Machine") != 0 && strcmp(type, "System") != 0)) {
        return complain(xml, 0, "holds no object of type Machine");
    }
    return WW_OK;
}

enum ww_status screen_hwloc(const struct xml *xml)
{
    enum ww_status status = check_root(xml);
    if (status == WW_OK) {
        status = check_devices(xml);
    }
    for (int node = 0; node < xml->node_count && status == WW_OK; node++) {
        const char *name = xml->nodes[node].name;
        status = check_sets(xml, node);
        if (status == WW_OK && strcmp(name, "object") == 0) {
            status = check_object(xml, node);
        } else if (status == WW_OK && strncmp(name, "distances", strlen("distances")) == 0) {
            status = check_matrix(xml, node);
        }
    }
    return status;
}
