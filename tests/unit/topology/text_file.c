/* SPDX-License-Identifier: BSD-3-Clause
 * text_file.c: a file below /tmp. */
#include "text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"

static char path[64];

void text_file_start(void)
{
    strcpy(path, "/tmp/text-XXXXXX");
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    capture_start();
}

void text_file_finish(void)
{
    unlink(path);
    capture_finish();
}

const char *text_file_path(void)
{
    return path;
}

const char *text_file_write(const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}
