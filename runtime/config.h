/* SPDX-License-Identifier: BSD-3-Clause
 * config.h: the settings of a context after program and environment had their say. */
#ifndef RUNTIME_CONFIG_H
#define RUNTIME_CONFIG_H

#include <wirewise/wirewise.h>

enum config_origin { ORIGIN_DEFAULT, ORIGIN_PROGRAM, ORIGIN_ENVIRONMENT };
#define CONFIG_ROWS_MAX 48

struct settings {
    struct ww_config values; /* its texts point into these: */
    char algorithm[64];
    char codec[64];
    char codecs_allowed[192];
    char ledger[1024];
    char metrics[1024];
    char trace[1024];
    char run[64];
    char labels[512];
    char host[64];
    char place[64];
    char shape[96];
    char nccl[1024];
    char calibration_file[1024];
    enum config_origin origins[CONFIG_ROWS_MAX]; /* by row of the table */
};

/* Default < program < environment. NULL = no wishes of the program. Warns about WIREWISE_
 * variables that mean nothing. Returns WW_OK, WW_BAD_ARGUMENT (struct_bytes), WW_BAD_CONFIG. */
enum ww_status config_resolve(const struct ww_config *program, struct settings *settings);

/* "name=value" of the settings that all ranks must share, separated by spaces. */
void config_print_shared(const struct settings *settings, char *text, size_t bytes);

/* The folder for what this user's programs may forget: $XDG_CACHE_HOME, or .cache in $HOME; ""
 * where neither is known or it does not fit. It need not exist. */
void config_cache_folder(char *path, size_t bytes);

/* The whole table with origins and help; returns what snprintf would. */
size_t config_print(const struct settings *settings, char *text, size_t bytes);

#endif
