/* SPDX-License-Identifier: BSD-3-Clause
 * words.c: what a word may be, and the sentences about words that may not. */
#include "words.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/tools.h>

#define DAY_S 86400.0
#define GBPS_MOST 1e6

/* argp_error ends the process on rank 0; the other ranks parse silently, and go on to here. */
void refuse(struct argp_state *state, const char *format, ...)
{
    char sentence[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    argp_error(state, "%s", sentence);
    ((struct options *)state->input)->refused = true;
}

const char *read_size(const char *text, size_t *bytes)
{
    static const char suffixes[] = "KMG";
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || errno != 0 || text[0] < '0' || text[0] > '9') {
        return NULL;
    }
    char letter = *end >= 'a' && *end <= 'z' ? (char)(*end - 'a' + 'A') : *end;
    const char *suffix = letter != '\0' ? strchr(suffixes, letter) : NULL;
    int shift = suffix != NULL ? 10 * (int)(suffix - suffixes + 1) : 0;
    if (value == 0 || value > SIZE_MAX >> shift) {
        return NULL;
    }
    *bytes = (size_t)value << shift;
    return suffix != NULL ? end + 1 : end;
}

static bool read_real(const char *text, double *value)
{
    char *end = NULL;
    *value = strtod(text, &end);
    return end != text && *end == '\0';
}

void take_size(struct argp_state *state, const char *flag, const char *text, size_t *bytes)
{
    const char *end = read_size(text, bytes);
    if (end == NULL || *end != '\0') {
        refuse(state,
               "%s %s: not a size; write bytes, or a number with K, M or G, "
               "1 or more: 64M",
               flag, text);
    }
}

void take_number(struct argp_state *state, const char *flag, const char *text, int least, int most,
                 int *number)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < least || value > most) {
        refuse(state, "%s %s: must be a whole number from %d to %d", flag, text, least, most);
        return;
    }
    *number = (int)value;
}

void take_seconds(struct argp_state *state, const char *flag, const char *text, double least,
                  double *seconds)
{
    double value;
    if (!read_real(text, &value) || !(value == 0.0 || (value >= least && value <= DAY_S))) {
        refuse(state, "%s %s: must be 0 (no limit), or seconds from %g to %g", flag, text, least,
               DAY_S);
        return;
    }
    *seconds = value;
}

void take_type(struct argp_state *state, const char *text, struct options *options)
{
    options->type_count = 0;
    for (int i = 0; i < WW_TYPE_COUNT; i++) {
        if (strcmp(text, "all") == 0 || strcmp(text, type_names[i].name) == 0) {
            options->types[options->type_count++] = type_names[i];
        }
    }
    if (options->type_count == 0) {
        refuse(state,
               "-d %s: there is no such type; known are float, double, half, bfloat16, "
               "int32, int64 and all",
               text);
    }
}

void take_op(struct argp_state *state, const char *text, struct options *options)
{
    options->op_count = 0;
    for (int i = 0; i < WW_OP_COUNT; i++) {
        if (strcmp(text, "all") == 0 || strcmp(text, op_names[i].name) == 0) {
            options->ops[options->op_count++] = op_names[i];
        }
    }
    if (options->op_count == 0) {
        refuse(state, "-o %s: there is no such operation; known are sum, avg, min, max and all",
               text);
    }
}

void take_memory(struct argp_state *state, const char *text, struct options *options)
{
    options->memory_asked = true;
    for (int i = 0; i < MEMORY_HOST_COUNT; i++) {
        if (strcmp(text, memory_names[i]) == 0) {
            options->memory = (enum memory)i;
            return;
        }
    }
    refuse(state, "--memory %s: there is no such memory; known are malloc, huge and shared", text);
}

void take_collective(struct argp_state *state, const char *text, struct options *options)
{
    if (state->arg_num > 0) {
        refuse(state, "'%s': one collective is measured at a time", text);
        return;
    }
    for (size_t i = 0; i < collective_count; i++) {
        if (strcmp(text, collectives[i].name) == 0) {
            options->collective = &collectives[i];
            return;
        }
    }
    refuse(state,
           "'%s': there is no such collective; known are all_reduce, reduce_scatter, "
           "all_gather and broadcast",
           text);
}

void take_expectation(struct argp_state *state, const char *text, struct options *options)
{
    if (options->expectation_count == EXPECTATIONS_MAX) {
        refuse(state, "--expect-busbw %s: there may be %d expectations, not more", text,
               EXPECTATIONS_MAX);
        return;
    }
    struct expectation *expectation = &options->expectations[options->expectation_count];
    const char *colon = read_size(text, &expectation->bytes);
    if (colon == NULL || *colon != ':' || !read_real(colon + 1, &expectation->gbps) ||
        !(expectation->gbps > 0.0 && expectation->gbps <= GBPS_MOST)) {
        refuse(state,
               "--expect-busbw %s: write SIZE:GBPS, a size of the sweep and the 10^9 bytes per "
               "second it must reach, above 0: 64M:12.5",
               text);
        return;
    }
    options->expectation_count++;
}

void take_codec(struct argp_state *state, const char *text, struct options *options)
{
    struct ww_codec_facts facts = WW_CODEC_FACTS_INIT;
    if (ww_codec_describe(text, &facts) != WW_OK) {
        refuse(state, "--%s", ww_last_error(NULL));
        return;
    }
    options->codec = text;
    options->lossy = facts.lossy;
    options->feeds_back = facts.feeds_back;
}

void take_versus(struct argp_state *state, const char *text, struct options *options)
{
    options->versus_mpi = strcmp(text, "mpi") == 0;
    options->versus_nccl = strcmp(text, "nccl") == 0;
    if (!options->versus_mpi && !options->versus_nccl) {
        refuse(state, "'%s': there is no such peer; known are mpi and nccl", text);
        return;
    }
    options->versus = text;
}

void take_device(struct argp_state *state, const char *text, struct options *options)
{
    options->on_gpu = strcmp(text, "cuda") == 0;
    if (!options->on_gpu && strcmp(text, "host") != 0) {
        refuse(state, "--device %s: there is no such device; known are host and cuda", text);
    }
}

void take_path(struct argp_state *state, const char *flag, const char *text, const char **path)
{
    if (text[0] == '\0') {
        refuse(state, "%s: the name of the file is empty", flag);
        return;
    }
    *path = text;
}
