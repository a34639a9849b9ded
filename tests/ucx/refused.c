/* SPDX-License-Identifier: BSD-3-Clause
 * refused.c: on a host whose name has 64 letters, and where it would get no thread, UCX is refused,
 * which would abort the program. Where half of it is missing, the sentence says which; where what
 * was chosen is not there, what that was. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alone.h"
#include "threads.h"

static bool name_is_long;

/* The library's, as it is linked in; not UCX's own. */
int gethostname(char *name, size_t bytes)
{
    if (!name_is_long) {
        snprintf(name, bytes, "short");
        return 0;
    }
    memset(name, 'x', bytes); /* cut, where there is no room, as musl has it */
    name[bytes <= 64 ? bytes - 1 : 64] = '\0';
    return 0;
}

static bool half_is_missing;

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags)
{
    bool missing = half_is_missing && strstr(name, "libucp") != NULL;
    return __real_dlopen(missing ? "/nowhere/libucp.so.0" : name, flags);
}

static bool is_refused(enum ww_status expected, const char *words)
{
    void *fabric = NULL;
    enum ww_status status = alone_open(&fabric);
    const char *said = ww_last_error(NULL);
    if (status != expected || strstr(said, words) == NULL) {
        fprintf(stderr, "failed: %s: %s\n", ww_status_text(status), said);
        return false;
    }
    return true;
}

int main(void)
{
    name_is_long = true;
    bool good = is_refused(WW_UNSUPPORTED, "more than 63 letters");
    name_is_long = false;
    half_is_missing = true;
    good = is_refused(WW_UNSUPPORTED, "cannot be loaded: /nowhere/libucp.so.0") && good;
    half_is_missing = false;
    setenv("UCX_TLS", "nowhere", 1);
    setenv("UCX_NET_DEVICES", "eth7", 1);
    good = is_refused(WW_TRANSPORT_FAILED, "; set for this rank: UCX_TLS=nowhere, "
                                           "UCX_NET_DEVICES=eth7") &&
           good;
    threads_are_refused = true;
    return is_refused(WW_UNSUPPORTED, "needs a thread, and none can be started") && good ? 0 : 1;
}
