/* SPDX-License-Identifier: BSD-3-Clause
 * refused.c: on a host whose name has 64 letters, and where it would get no thread, UCX is refused,
 * which would abort the program. Where half of it is missing, the sentence says which. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
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

static bool is_refused(const char *words)
{
    void *fabric = NULL;
    enum ww_status status = alone_open(&fabric);
    const char *said = ww_last_error(NULL);
    if (status != WW_UNSUPPORTED || strstr(said, words) == NULL) {
        fprintf(stderr, "failed: %s: %s\n", ww_status_text(status), said);
        return false;
    }
    return true;
}

int main(void)
{
    name_is_long = true;
    bool good = is_refused("more than 63 letters");
    name_is_long = false;
    half_is_missing = true;
    good = is_refused("cannot be loaded: /nowhere/libucp.so.0") && good;
    half_is_missing = false;
    threads_are_refused = true;
    return is_refused("needs a thread, and none can be started") && good ? 0 : 1;
}
