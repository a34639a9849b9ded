/* SPDX-License-Identifier: BSD-3-Clause
 * command.c: how subcommands end. */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int command_flush(const char *name)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return EXIT_FINE;
    }
    fprintf(stderr, "%s: the output cannot be written: %s\n", name, strerror(errno));
    return EXIT_FAILED;
}
