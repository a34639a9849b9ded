/* SPDX-License-Identifier: BSD-3-Clause
 * options.c: the flags of `wirewise bench`; the letters are those of nccl-tests. */
#include "options.h"

#include <argp.h>
#include <limits.h>

#include "command.h"
#include "line.h"
#include "words.h"

#define THREADS_MAX 1024
#define ITERS_MAX 1000000
#define TIMEOUT_LEAST_S 0.01 /* the least that the library takes */

enum {
    KEY_CODEC = 0x100,
    KEY_COLLECTIVE,
    KEY_VERSUS,
    KEY_DEVICE,
    KEY_PREDICT,
    KEY_OVERHEAD,
    KEY_CORRUPT,
    KEY_BUDGET,
    KEY_MEMORY,
    KEY_CSV,
    KEY_PLOT,
    KEY_CLUSTER,
    KEY_EXPECT
};

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
    {"memory", KEY_MEMORY, "KIND", 0,
     "where the buffers lie: malloc, huge (2 MiB pages) or shared (ww_alloc) (malloc)", 0},
    {"device", KEY_DEVICE, "WHERE", 0,
     "whose memory the buffers are: host, or cuda: every rank, a process each, takes the GPU "
     "LOCAL_RANK (else its rank) modulo their number (host)",
     0},
    {"codec", KEY_CODEC, "SPEC", 0,
     "how values travel: none, fp16, bf16, int8, topk:0.01, topk:0.01:fixed, or auto: what is the "
     "fastest of those in WIREWISE_CODECS_ALLOWED; other than none: Gaussian values, and the mean "
     "square of the error in the place of #wrong (none)",
     0},
    {"nthreads", 't', "COUNT", 0, "without mpirun: ranks, as threads of this process (1)", 0},
    {"ngpus", 'g', "COUNT", 0, "devices of a thread: 1, the CPU or with --device cuda a GPU (1)",
     0},
    {0, 0, 0, 0, "How it is measured", 3},
    {"iters", 'n', "COUNT", 0,
     "timed calls per size, out of place and in place (20; with --overhead 20000)", 0},
    {"warmup_iters", 'w', "COUNT", 0, "calls before that (5)", 0},
    {"budget", KEY_BUDGET, "SECONDS", 0,
     "make fewer timed calls, but 3, when they would take longer for one size; 0 = never (10)", 0},
    {"average", 'a', "0..3", 0,
     "whose time is in the table: 0 rank 0's, 1 the mean of all ranks', "
     "2 the least, 3 the greatest (1)",
     0},
    {"check", 'c', "COUNT", 0, "checked calls per size; 0 = results are not looked at (1)", 0},
    {"blocking", 'z', "0|1", 0,
     "taken for the sake of scripts, and changes nothing: every call returns when this rank's "
     "part is done, which is what 1 means to nccl-tests (0)",
     0},
    {"timeout", 'T', "SECONDS", 0,
     "end with a sentence and exit code 5 when a test, that is one placement of one size, takes "
     "longer; 0 = never (0)",
     0},
    {"versus", KEY_VERSUS, "PEER", 0,
     "also run the peer in turn: mpi: MPI's own, on malloc'd, huge and shared memory, or with "
     "--device cuda nccl: NCCL's own all-reduce",
     0},
    {"predict", KEY_PREDICT, 0, 0,
     "also run every way that the all-reduce can go, in turn, beside what is predicted for it", 0},
    {"overhead", KEY_OVERHEAD, 0, 0,
     "measure instead what the library itself costs, over a fabric that does nothing", 0},
    {"corrupt", KEY_CORRUPT, 0, OPTION_HIDDEN, "spoil one bit of every result", 0},
    {0, 0, 0, 0, "What becomes of the results", 4},
    {"output_file", 'J', "FILE", 0, "write them as one JSON document, too", 0},
    {"csv", KEY_CSV, "FILE", 0, "write them as CSV, too, a line per measurement", 0},
    {"cluster-file", KEY_CLUSTER, "FILE", 0,
     "measure the wires first, and write the job and them as a cluster file for wirewise plan", 0},
    {"plot", KEY_PLOT, "FILE.svg", 0, "draw bus bandwidth over size", 0},
    {"expect-busbw", KEY_EXPECT, "SIZE:GBPS", 0,
     "end with exit code 3 when any bus bandwidth at that size is less; may be repeated", 0},
    {0, 0, 0, 0, "Help", -1},
    {0, 0, 0, 0, 0, 0},
};

static const struct {
    int key;
    const char *flag;
    size_t offset; /* of a size_t in struct options */
} sizes[] = {
    {'b', "-b", offsetof(struct options, bytes_min)},
    {'e', "-e", offsetof(struct options, bytes_max)},
    {'i', "-i", offsetof(struct options, step_bytes)},
};

static const struct {
    int key;
    const char *flag;
    int least;
    int most;
    size_t offset; /* of an int in struct options */
} numbers[] = {
    {'f', "-f", 2, INT_MAX, offsetof(struct options, step_factor)},
    {'n', "-n", 1, ITERS_MAX, offsetof(struct options, iters)},
    {'w', "-w", 0, ITERS_MAX, offsetof(struct options, warmup_iters)},
    {'c', "-c", 0, ITERS_MAX, offsetof(struct options, checks)},
    {'a', "-a", 0, COMBINE_COUNT - 1, offsetof(struct options, average)},
    {'r', "-r", 0, INT_MAX, offsetof(struct options, root)},
    {'t', "-t", 1, THREADS_MAX, offsetof(struct options, threads)},
    {'g', "-g", 1, INT_MAX, offsetof(struct options, devices)},
    {'z', "-z", 0, 1, offsetof(struct options, blocking)},
};

static const struct {
    int key;
    const char *flag;
    size_t offset; /* of a const char * in struct options */
} paths[] = {
    {'J', "-J", offsetof(struct options, json_path)},
    {KEY_CSV, "--csv", offsetof(struct options, csv_path)},
    {KEY_CLUSTER, "--cluster-file", offsetof(struct options, cluster_path)},
    {KEY_PLOT, "--plot", offsetof(struct options, plot_path)},
};

/* True when the key was one of the tables'. */
static bool take_from_tables(int key, const char *text, struct argp_state *state)
{
    char *options = state->input;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (sizes[i].key == key) {
            take_size(state, sizes[i].flag, text, (size_t *)(void *)(options + sizes[i].offset));
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i].key == key) {
            take_number(state, numbers[i].flag, text, numbers[i].least, numbers[i].most,
                        (int *)(void *)(options + numbers[i].offset));
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (paths[i].key == key) {
            take_path(state, paths[i].flag, text,
                      (const char **)(void *)(options + paths[i].offset));
            return true;
        }
    }
    return false;
}

/* argp's own keys are behind those of options and arguments. */
static bool is_beside_overhead(int key)
{
    return key >= ARGP_KEY_ARG && key < ARGP_KEY_END && key != KEY_OVERHEAD && key != 'n';
}

static error_t take(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    options->beside_overhead = options->beside_overhead || is_beside_overhead(key);
    if (take_from_tables(key, text, state)) {
        return 0;
    }
    switch (key) {
    case 'T':
        take_seconds(state, "-T", text, TIMEOUT_LEAST_S, &options->timeout_s);
        return 0;
    case KEY_BUDGET:
        take_seconds(state, "--budget", text, 0.0, &options->budget_s);
        return 0;
    case 'd':
        take_type(state, text, options);
        return 0;
    case 'o':
        take_op(state, text, options);
        return 0;
    case KEY_MEMORY:
        take_memory(state, text, options);
        return 0;
    case ARGP_KEY_ARG:
    case KEY_COLLECTIVE:
        take_collective(state, text, options);
        return 0;
    case KEY_EXPECT:
        take_expectation(state, text, options);
        return 0;
    case KEY_CODEC:
        take_codec(state, text, options);
        return 0;
    case KEY_VERSUS:
        take_versus(state, text, options);
        return 0;
    case KEY_DEVICE:
        take_device(state, text, options);
        return 0;
    case KEY_PREDICT:
        options->predict = true;
        return 0;
    case KEY_OVERHEAD:
        options->overhead = true;
        return 0;
    case KEY_CORRUPT:
        options->corrupt = true;
        return 0;
    case ARGP_KEY_END:
        line_finish(state, options);
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
           "\vUnder mpirun or srun every process is a rank, and so it is without MPI where RANK, "
           "WORLD_SIZE, MASTER_ADDR and MASTER_PORT are set, as by torchrun; alone, -t makes ranks "
           "of threads. Figures are derived in bench/README.md and in wirewise(1).\n\n"
           "  mpirun -n 4 wirewise bench -b 8 -e 64M -f 2\n"
           "  mpirun -n 2 wirewise bench --versus mpi -b 8 -e 64M -f 4 --plot versus.svg\n"
           "  srun --mpi=pmix -n 8 wirewise bench -J result.json -T 60\n"
           "  mpirun -n 2 wirewise bench -b 64M --expect-busbw 64M:2.5 || echo too slow\n"
           "  torchrun --no_python --nproc_per_node 4 wirewise bench -b 8 -e 64M -f 2\n"
           "  wirewise bench broadcast -t 3 -d all -c 1\n"
           "  torchrun --no_python --nproc_per_node 4 wirewise bench --device cuda -b 8 -e 1G -f 4 "
           "--versus nccl\n\n"
           "Exit codes: 0 done, 1 wrong results, 2 unusable command line, 3 an expectation was "
           "not met, 4 MPI or a GPU is needed and absent, 5 communication or system failure",
};

bool options_read(int argc, char **argv, struct options *options, int *code)
{
    *options = (struct options){
        .argc = argc,
        .argv = argv,
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
        .devices = 1,
        .codec = "none",
    };
    /* A launcher kills the other ranks as soon as one fails, perhaps before rank 0 has spoken: so
     * rank 0 alone speaks and fails. */
    bool first = options->launch.rank == 0;
    argp_err_exit_status = EXIT_USAGE;
    unsigned flags = ARGP_IN_ORDER | (first ? 0 : ARGP_SILENT); /* argv stays as it was typed */
    error_t error = argp_parse(&parser, argc, argv, flags, NULL, options);
    *code = first ? EXIT_USAGE : EXIT_FINE;
    return error == 0 && !options->refused;
}
