/* SPDX-License-Identifier: BSD-3-Clause
 * options.c: the command line of `wirewise bench`; the letters are those of nccl-tests. */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "world.h"

#define THREADS_MAX 1024
#define ITERS_MAX 1000000

enum { KEY_CODEC = 0x100, KEY_COLLECTIVE, KEY_VERSUS, KEY_OVERHEAD, KEY_CORRUPT };

static const struct argp_option rows[] = {
    {0, 0, 0, 0, "Sizes (bytes, or with K, M, G: powers of 1024)", 1},
    {"minbytes", 'b', "SIZE", 0, "first size (32M, or -e where that is less)", 0},
    {"maxbytes", 'e', "SIZE", 0, "last size (32M, or -b where that is more)", 0},
    {"stepfactor", 'f', "FACTOR", 0, "next size = size * FACTOR", 0},
    {"stepbytes", 'i', "SIZE", 0, "next size = size + SIZE, where there is no -f (1M)", 0},
    {0, 0, 0, 0, "What is run", 2},
    {"collective", KEY_COLLECTIVE, "NAME", 0,
     "all_reduce, reduce_scatter, all_gather or broadcast; the bare name does as well "
     "(all_reduce)",
     0},
    {"datatype", 'd', "TYPE", 0, "float, double, half, bfloat16, int32, int64 or all (float)", 0},
    {"op", 'o', "OP", 0, "sum, avg, min, max or all (sum)", 0},
    {"root", 'r', "RANK", 0, "who broadcasts (0)", 0},
    {"codec", KEY_CODEC, "NAME", 0, "how values are coded on the wire: none (none)", 0},
    {"nthreads", 't', "COUNT", 0, "without mpirun: ranks, as threads of this process (1)", 0},
    {0, 0, 0, 0, "How it is measured", 3},
    {"iters", 'n', "COUNT", 0,
     "timed calls per size, out of place and in place (20; with --overhead 20000)", 0},
    {"warmup_iters", 'w', "COUNT", 0, "calls before that (5)", 0},
    {"budget", 'T', "SECONDS", 0,
     "make fewer timed calls, but 3, when they would take longer for one size; 0 = never (10)", 0},
    {"average", 'a', "0..3", 0,
     "whose time is in the table: 0 rank 0's, 1 the mean of all ranks', "
     "2 the least, 3 the greatest (1)",
     0},
    {"check", 'c', "COUNT", 0, "checked calls per size; 0 = results are not looked at (1)", 0},
    {"versus", KEY_VERSUS, "PEER", 0,
     "also run the peer, call by call in turn, on the same buffers: mpi", 0},
    {"overhead", KEY_OVERHEAD, 0, 0,
     "measure instead what the library itself costs, over a fabric that does nothing", 0},
    {"corrupt", KEY_CORRUPT, 0, OPTION_HIDDEN, "spoil one bit of every result", 0},
    {0, 0, 0, 0, 0, 0},
};

static void refuse(struct argp_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* argp_error ends the process on rank 0; the other ranks parse silently, and go on to here. */
static void refuse(struct argp_state *state, const char *format, ...)
{
    char sentence[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    argp_error(state, "%s", sentence);
    ((struct options *)state->input)->refused = true;
}

/* Bytes of "4096", "64K", "1g". */
static bool read_size(const char *text, size_t *bytes)
{
    static const char suffixes[] = "KMG";
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || errno != 0 || strchr(text, '-') != NULL) {
        return false;
    }
    int shift = 0;
    if (*end != '\0') {
        const char *suffix = strchr(suffixes, *end >= 'a' ? *end - 'a' + 'A' : *end);
        if (suffix == NULL || end[1] != '\0') {
            return false;
        }
        shift = 10 * (int)(suffix - suffixes + 1);
    }
    if (value == 0 || value > SIZE_MAX >> shift) {
        return false;
    }
    *bytes = (size_t)value << shift;
    return true;
}

static void take_size(struct argp_state *state, char key, const char *text, size_t *bytes)
{
    if (!read_size(text, bytes)) {
        refuse(state,
               "-%c %s: not a size; write bytes, or a number with K, M or G, "
               "1 or more: 64M",
               key, text);
    }
}

static void take_number(struct argp_state *state, char key, const char *text, int least, int most,
                        int *number)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < least || value > most) {
        refuse(state, "-%c %s: must be a whole number from %d to %d", key, text, least, most);
        return;
    }
    *number = (int)value;
}

static void take_seconds(struct argp_state *state, const char *text, double *seconds)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0.0 && value <= 86400.0)) {
        refuse(state, "-T %s: must be seconds from 0 (no limit) to 86400", text);
        return;
    }
    *seconds = value;
}

static void take_type(struct argp_state *state, const char *text, struct options *options)
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

static void take_op(struct argp_state *state, const char *text, struct options *options)
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

static void take_collective(struct argp_state *state, const char *text, struct options *options)
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

static void take_word(struct argp_state *state, const char *flag, const char *text,
                      const char *only)
{
    if (strcmp(text, only) != 0) {
        refuse(state, "--%s %s: there is no such %s; known is %s", flag, text,
               strcmp(flag, "codec") == 0 ? "codec" : "peer", only);
    }
}

static void fill_defaults(struct options *options)
{
    if (options->iters == 0) {
        options->iters = options->overhead ? 20000 : 20;
    }
    const size_t usual = (size_t)32 << 20;
    if (options->bytes_min == 0) {
        options->bytes_min = options->bytes_max != 0 && options->bytes_max < usual
                                 ? options->bytes_max
                                 : usual;
    }
    if (options->bytes_max == 0) {
        options->bytes_max = options->bytes_min > usual ? options->bytes_min : usual;
    }
}

static void check_versus(struct argp_state *state, const struct options *options)
{
    if (options->threads > 1) {
        refuse(state,
               "--versus mpi needs MPI's ranks, not threads: "
               "mpirun -n %d wirewise bench --versus mpi",
               options->threads);
    }
    if (options->collective->outcome != OUTCOME_REDUCED) {
        refuse(state, "--versus mpi compares all_reduce only, not %s", options->collective->name);
    }
    for (int i = 0; i < options->type_count * options->op_count; i++) {
        const struct type_name *type = &options->types[i / options->op_count];
        const struct op_name *op = &options->ops[i % options->op_count];
        const char *why = mpi_refuses(type->type, op->op, options->bytes_max / 4);
        if (why != NULL) {
            refuse(state, "--versus mpi with -d %s -o %s -e %zu: %s", type->name, op->name,
                   options->bytes_max, why);
        }
    }
}

/* What only the whole line can tell. */
static void check_line(struct argp_state *state, struct options *options)
{
    fill_defaults(options);
    if (options->bytes_min > options->bytes_max) {
        refuse(state, "-b is larger than -e: %zu > %zu bytes", options->bytes_min,
               options->bytes_max);
    }
    if (options->threads > 1 && options->launch.present && options->launch.size != 1) {
        refuse(state,
               "-t %d makes ranks without a launcher, but this process is one of several ranks "
               "already; drop -t",
               options->threads);
    }
    if (options->overhead && options->launch.present && options->launch.size != 1) {
        refuse(state, "--overhead measures one process; run it without mpirun");
    }
    if (options->versus_mpi) {
        check_versus(state, options);
    }
    if (options->op_count == 1 && options->ops[0].op == WW_MEAN && options->type_count == 1 &&
        type_is_integer(options->types[0].type)) {
        refuse(state, "-o avg: integers have no average; choose -o sum, min or max, "
                      "or a floating type");
    }
}

static const struct {
    int key;
    size_t offset; /* of a size_t in struct options */
} sizes[] = {
    {'b', offsetof(struct options, bytes_min)},
    {'e', offsetof(struct options, bytes_max)},
    {'i', offsetof(struct options, step_bytes)},
};

static const struct {
    int key;
    int least;
    int most;
    size_t offset; /* of an int in struct options */
} numbers[] = {
    {'f', 2, INT_MAX, offsetof(struct options, step_factor)},
    {'n', 1, ITERS_MAX, offsetof(struct options, iters)},
    {'w', 0, ITERS_MAX, offsetof(struct options, warmup_iters)},
    {'c', 0, ITERS_MAX, offsetof(struct options, checks)},
    {'a', 0, COMBINE_COUNT - 1, offsetof(struct options, average)},
    {'r', 0, INT_MAX, offsetof(struct options, root)},
    {'t', 1, THREADS_MAX, offsetof(struct options, threads)},
};

/* True when the key was one of the tables'. */
static bool take_from_tables(int key, const char *text, struct argp_state *state)
{
    char *options = state->input;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (sizes[i].key == key) {
            take_size(state, (char)key, text, (size_t *)(void *)(options + sizes[i].offset));
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i].key == key) {
            take_number(state, (char)key, text, numbers[i].least, numbers[i].most,
                        (int *)(void *)(options + numbers[i].offset));
            return true;
        }
    }
    return false;
}

static error_t take(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    if (take_from_tables(key, text, state)) {
        return 0;
    }
    switch (key) {
    case 'T':
        take_seconds(state, text, &options->budget_s);
        return 0;
    case 'd':
        take_type(state, text, options);
        return 0;
    case 'o':
        take_op(state, text, options);
        return 0;
    case ARGP_KEY_ARG:
    case KEY_COLLECTIVE:
        take_collective(state, text, options);
        return 0;
    case KEY_CODEC:
        take_word(state, "codec", text, "none");
        return 0;
    case KEY_VERSUS:
        take_word(state, "versus", text, "mpi");
        options->versus_mpi = true;
        return 0;
    case KEY_OVERHEAD:
        options->overhead = true;
        return 0;
    case KEY_CORRUPT:
        options->corrupt = true;
        return 0;
    case ARGP_KEY_END:
        check_line(state, options);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = rows,
    .parser = take,
    .args_doc = "[COLLECTIVE]",
    .doc = "Measures a collective over all ranks of the job and prints the table of nccl-tests, "
           "then what each call took."
           "\vUnder mpirun every process is a rank; alone, -t makes ranks of threads. Figures are "
           "derived in bench/README.md and in wirewise(1).\n\n"
           "  mpirun -n 4 wirewise bench -b 8 -e 64M -f 2\n"
           "  mpirun -n 2 wirewise bench --versus mpi -b 64M\n"
           "  wirewise bench broadcast -t 3 -d all -c 1",
};

bool options_read(int argc, char **argv, struct options *options, int *code)
{
    *options = (struct options){
        .launch = launch_read(),
        .collective = &collectives[0],
        .types = {type_names[0]},
        .type_count = 1,
        .ops = {op_names[0]},
        .op_count = 1,
        .step_bytes = (size_t)1 << 20,
        .step_factor = 1,
        .warmup_iters = 5,
        .checks = 1,
        .budget_s = 10.0,
        .average = COMBINE_MEAN,
        .threads = 1,
        .codec = "none",
    };
    /* A launcher kills the other ranks as soon as one fails, perhaps before rank 0 has spoken: so
     * rank 0 alone speaks and fails. */
    bool first = options->launch.rank == 0;
    argp_err_exit_status = EXIT_USAGE;
    error_t error = argp_parse(&parser, argc, argv, first ? 0 : ARGP_SILENT, NULL, options);
    *code = first ? EXIT_USAGE : EXIT_FINE;
    return error == 0 && !options->refused;
}
