/* SPDX-License-Identifier: BSD-3-Clause
 * exceptions.c: UCX is told to leave its shared memory out, and UCX 1.10, which would take that for
 * the name of a transport, is not. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <ucp/api/ucp.h>

#include <wirewise/transport.h>
#include <wirewise/ucx.h>

#include "alone.h"

static unsigned minor_version;
static bool leaves_out;
static __typeof__(ucp_config_modify) *modify;

static void tell_version(unsigned *major, unsigned *minor, unsigned *release)
{
    *major = 1;
    *minor = minor_version;
    *release = 1;
}

static ucs_status_t note_change(ucp_config_t *config, const char *name, const char *value)
{
    leaves_out = leaves_out || (strcmp(name, "TLS") == 0 && strcmp(value, "^sm") == 0);
    return modify(config, name, value);
}

/* The linker leads the library's search for UCX's functions here (--wrap). */
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name)
{
    void *symbol = __real_dlsym(library, name);
    __typeof__(tell_version) *version = tell_version;
    __typeof__(note_change) *change = note_change;
    if (strcmp(name, "ucp_get_version") == 0) {
        memcpy(&symbol, &version, sizeof symbol);
    } else if (strcmp(name, "ucp_config_modify") == 0) {
        memcpy(&modify, &symbol, sizeof modify);
        memcpy(&symbol, &change, sizeof symbol);
    }
    return symbol;
}

/* Opens a fabric over UCX 1.`version`. */
static bool is_told(unsigned version, bool wanted)
{
    void *fabric = NULL;
    minor_version = version;
    leaves_out = false;
    if (alone_open(&fabric) != WW_OK) {
        return false;
    }
    ww_ucx_transport()->close(fabric, false);
    if (leaves_out != wanted) {
        fprintf(stderr, "failed: UCX 1.%u was %stold\n", version, leaves_out ? "" : "not ");
    }
    return leaves_out == wanted;
}

int main(void)
{
    bool good = is_told(10, false);
    return is_told(13, true) && good ? 0 : 1;
}
