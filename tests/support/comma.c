/* SPDX-License-Identifier: BSD-3-Clause
 * comma.c: the category LC_NUMERIC as glibc's localedef writes it, for numbers with a comma. */
#include "comma.h"

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

/* A magic number, how many fields follow, where they begin, and the fields. In the machine's order
 * of bytes. */
static const struct {
    uint32_t magic;
    uint32_t count;
    uint32_t begins[6];
    char point[2];
    char thousands[2];
    char grouping[4];
    uint32_t wide_point;
    uint32_t wide_thousands;
    char codeset[8];
} numeric = {0x20031114, 6, {32, 34, 36, 40, 44, 48}, ",", ".", {3, 3}, ',', '.', "UTF-8"};

static bool file_write(const char *path)
{
    FILE *file = fopen(path, "w");
    bool good = file != NULL && fwrite(&numeric, sizeof numeric, 1, file) == 1;
    return file != NULL && fclose(file) == 0 && good;
}

void comma_start(void)
{
    char root[] = "/tmp/comma-XXXXXX";
    char folder[64];
    char path[80];
    cr_assert_not_null(mkdtemp(root));
    snprintf(folder, sizeof folder, "%s/comma", root);
    snprintf(path, sizeof path, "%s/LC_NUMERIC", folder);
    cr_assert(mkdir(folder, 0700) == 0 && file_write(path));
    setenv("LOCPATH", root, 1);
    bool taken = setlocale(LC_NUMERIC, "comma") != NULL;
    remove(path);
    rmdir(folder);
    rmdir(root);
    if (!taken || strcmp(localeconv()->decimal_point, ",") != 0) {
        cr_skip_test("this C library has no such locale");
    }
}

void comma_finish(void)
{
    setlocale(LC_NUMERIC, "C");
}
