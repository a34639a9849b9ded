/* SPDX-License-Identifier: BSD-3-Clause
 * line.c: defaults that depend on other flags, and flags that exclude each other. */
#include "line.h"

#include <string.h>

#include "device.h"
#include "sweep.h"
#include "words.h"
#include "world.h"

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

static void check_sizes(struct argp_state *state, const struct options *options)
{
    if (options->bytes_min > options->bytes_max) {
        refuse(state, "-b is larger than -e: %zu > %zu bytes", options->bytes_min,
               options->bytes_max);
        return;
    }
    for (int i = 0; i < options->expectation_count; i++) {
        size_t bytes = options->expectations[i].bytes;
        if (!sweep_has_size(options, bytes)) {
            refuse(state,
                   "--expect-busbw %zu:%g: this run does not measure %zu bytes; choose -b, -e and "
                   "-f or -i so that it does",
                   bytes, options->expectations[i].gbps, bytes);
        }
    }
}

static void check_launcher(struct argp_state *state, const struct options *options)
{
    if (options->launch.no_mpi) {
        refuse(state,
               "srun started %d tasks but gave them no way to find each other by MPI, so each "
               "would measure itself alone; say srun --mpi=pmix (srun --mpi=list shows what "
               "there is), use mpirun, or set MASTER_ADDR and MASTER_PORT for ranks without MPI",
               options->launch.size);
        return;
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
}

static void check_overhead(struct argp_state *state, const struct options *options)
{
    if (options->overhead && options->beside_overhead) {
        refuse(state,
               "--overhead measures no sizes and no collective: it goes together with -n only");
    }
}

static void check_predict(struct argp_state *state, const struct options *options)
{
    if (options->predict && options->collective->outcome != OUTCOME_REDUCED) {
        refuse(state, "--predict goes through the ways of all_reduce only, not of %s",
               options->collective->name);
    }
}

static void check_versus_mpi(struct argp_state *state, const struct options *options)
{
    if (options->launch.env && options->launch.size > 1) {
        refuse(state, "--versus mpi needs MPI's ranks, and these found each other without it (RANK "
                      "and WORLD_SIZE are set); use mpirun");
    }
    if (options->threads > 1) {
        refuse(state,
               "--versus mpi needs MPI's ranks, not threads: "
               "mpirun -n %d wirewise bench --versus mpi",
               options->threads);
    }
    if (options->memory != MEMORY_MALLOC) {
        refuse(state,
               "--versus mpi compares on malloc'd, huge and shared memory anyway; drop "
               "--memory %s",
               memory_names[options->memory]);
    }
    const struct collective *collective = options->collective;
    for (int i = 0; i < options->type_count * options->op_count; i++) {
        const struct type_name *type = &options->types[i / options->op_count];
        const struct op_name *op = &options->ops[i % options->op_count];
        const char *why = mpi_refuses(collective, type->type, op->op,
                                      options->bytes_max / ww_type_bytes(type->type));
        if (why != NULL) {
            refuse(state, "--versus mpi with -d %s -o %s -e %zu: %s %s", type->name, op->name,
                   options->bytes_max, collective->mpi_function, why);
        }
    }
}

static void check_versus_nccl(struct argp_state *state, const struct options *options)
{
    if (!options->on_gpu) {
        refuse(state, "--versus nccl compares on GPUs: say --device cuda, too");
    }
    if (options->collective->outcome != OUTCOME_REDUCED) {
        refuse(state, "--versus nccl compares all_reduce only, not %s", options->collective->name);
    }
}

static void check_device(struct argp_state *state, const struct options *options)
{
    if (options->threads > device_threads_most) {
        refuse(state,
               "--device cuda with -t %d: NCCL wants a process for each rank; start %d with RANK, "
               "WORLD_SIZE, MASTER_ADDR and MASTER_PORT set, as torchrun does, or by mpirun",
               options->threads, options->threads);
    }
    if (options->versus_mpi) {
        refuse(state, "--device cuda: MPI is a peer in the host's memory only; say --versus nccl");
    }
    if (options->predict) {
        refuse(state, "--device cuda: --predict knows the ways in the host's memory only, not "
                      "NCCL's");
    }
    if (options->cluster_path != NULL) {
        refuse(state, "--device cuda: --cluster-file knows wires between the memory of hosts only");
    }
    if (strcmp(options->codec, "auto") == 0) {
        refuse(state, "--device cuda: single calls on a GPU have no codec auto; name one");
    }
    if (options->memory_asked) {
        refuse(state, "--device cuda: the buffers are the GPU's memory; drop --memory %s",
               memory_names[options->memory]);
    }
}

static void check_files(struct argp_state *state, const struct options *options)
{
    const struct {
        const char *flag;
        const char *path;
    } files[] = {
        {"-J", options->json_path},
        {"--csv", options->csv_path},
        {"--cluster-file", options->cluster_path},
        {"--plot", options->plot_path},
    };
    const size_t count = sizeof(files) / sizeof(files[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (files[i].path != NULL && files[j].path != NULL &&
                strcmp(files[i].path, files[j].path) == 0) {
                refuse(state, "%s and %s name the same file, %s: give each its own", files[i].flag,
                       files[j].flag, files[i].path);
            }
        }
    }
}

/* fp32 sums and means of all-reduces are encoded. */
static void check_codec(struct argp_state *state, const struct options *options)
{
    bool sums = options->collective->outcome == OUTCOME_REDUCED && options->type_count == 1 &&
                options->types[0].type == WW_F32;
    for (int i = 0; i < options->op_count; i++) {
        sums = sums && (options->ops[i].op == WW_SUM || options->ops[i].op == WW_MEAN);
    }
    if (!sums) {
        refuse(state, "--codec %s: only all_reduce of float is encoded, with -o sum or avg",
               options->codec);
    }
    if (options->versus != NULL || options->predict || options->overhead) {
        refuse(state, "--codec %s goes together with neither --versus, --predict nor --overhead",
               options->codec);
    }
}

/* Scripts of nccl-tests let one thread drive all GPUs of a node. */
static void check_count(struct argp_state *state, const struct options *options)
{
    if (options->devices > 1) {
        refuse(state,
               "-g %d: a rank drives one device; start a rank for each of them instead: mpirun -n "
               "%d wirewise bench",
               options->devices, options->devices);
    }
}

void line_finish(struct argp_state *state, struct options *options)
{
    fill_defaults(options);
    check_sizes(state, options);
    check_count(state, options);
    check_launcher(state, options);
    check_overhead(state, options);
    check_files(state, options);
    check_predict(state, options);
    if (options->versus_mpi) {
        check_versus_mpi(state, options);
    }
    if (options->versus_nccl) {
        check_versus_nccl(state, options);
    }
    if (options->on_gpu) {
        check_device(state, options);
        options->memory = MEMORY_DEVICE;
    }
    if (options->lossy) {
        check_codec(state, options);
    }
    if (options->op_count == 1 && options->ops[0].op == WW_MEAN && options->type_count == 1 &&
        type_is_integer(options->types[0].type)) {
        refuse(state, "-o avg: integers have no average; choose -o sum, min or max, "
                      "or a floating type");
    }
}
