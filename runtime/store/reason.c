/* SPDX-License-Identifier: BSD-3-Clause
 * reason.c: sentences of the store. */
#include "reason.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum fault reason_set(struct reason *reason, enum fault fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason->text, sizeof reason->text, format, arguments);
    va_end(arguments);
    reason->fault = fault;
    return fault;
}

static const char *remedy_of(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ": make room there, or name a folder with more of it";
    case EACCES:
    case EPERM:
    case EROFS:
        return ": name a folder that this user may write to";
    case ENOENT:
    case ENOTDIR:
        return ": make the folder it lies in, on every host";
    default:
        return "";
    }
}

enum fault reason_errno(struct reason *reason, const char *path, const char *what)
{
    int error = errno;
    char words[128];
    if (strerror_r(error, words, sizeof words) != 0) {
        snprintf(words, sizeof words, "error %d", error);
    }
    return reason_set(reason, error == ENOENT ? FAULT_MISSING : FAULT_SYSTEM,
                      "%.400s cannot be %s: %s%s", path, what, words, remedy_of(error));
}
