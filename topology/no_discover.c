/* SPDX-License-Identifier: BSD-3-Clause
 * no_discover.c: stands for discover.c in a build without hwloc: nothing is known, in words. */
#include "machine.h"

#include <unistd.h>

#include "internal/log.h"
#include "screen.h"

enum ww_status discover_file(struct ww_machine *machine, const struct xml *xml, const char *text,
                             size_t bytes)
{
    (void)machine;
    (void)text;
    (void)bytes;
    return log_failure(
        WW_UNSUPPORTED,
        "%s is in hwloc's format, and this wirewise was built without hwloc: install "
        "libhwloc-dev and configure again",
        screen_path(xml));
}

enum ww_status discover_here(struct ww_machine *machine, bool *here)
{
    char name[sizeof machine->name] = "";
    if (gethostname(name, sizeof name - 1) == 0) {
        text_copy(machine->name, sizeof machine->name, name);
    }
    text_copy(machine->writer, sizeof machine->writer, "wirewise without hwloc");
    machine_note(machine, "This wirewise was built without hwloc: cores, caches and GPUs are "
                          "unknown. Install libhwloc-dev and configure again");
    *here = true;
    return WW_OK;
}
