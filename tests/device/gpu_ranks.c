/* SPDX-License-Identifier: BSD-3-Clause
 * gpu_ranks.c: one rank of several on a real GPU, started from the environment (wirewise/env.h).
 *
 *     gpu_ranks collectives   every collective, type and operation at many sizes, checked on the
 *                             host
 *     gpu_ranks steps         steps with every codec beside the same steps in the host's memory:
 *                             equal bits where sums are exact, equal hashes on all ranks always
 *     gpu_ranks dies          the last rank is killed amid its steps: the others name it and end
 *     gpu_ranks overhead      a dense all-reduce of this library beside NCCL's own call
 *     gpu_ranks ledger        steps with a ledger and without one, in turn
 *     gpu_ranks huge          an all-reduce of 2^31 + 3 elements
 *
 * Where several ranks share a GPU, NCCL wants each to have an NCCL_HOSTID of its own.
 * Exit: 0 = all is well, 1 = not, 77 = there is no GPU or no NCCL here. */
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <math.h>
#include <nccl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <wirewise/cuda.h>
#include <wirewise/env.h>

static int failures;
static struct ww_env_world *env;
static struct ww_world world;
static int gpu;
static cudaStream_t stream;

#define SKIP 77

static void cuda(cudaError_t error, const char *what)
{
    if (error != cudaSuccess) {
        fprintf(stderr, "rank %d: %s failed: %s\n", world.rank, what, cudaGetErrorString(error));
        exit(1);
    }
}
#define CUDA(call) cuda((call), #call)

static void must(struct ww_context *context, enum ww_status status, const char *what)
{
    if (status != WW_OK) {
        fprintf(stderr, "rank %d: %s gave %s: %s\n", world.rank, what, ww_status_name(status),
                ww_last_error(context));
        exit(1);
    }
}
#define MUST(context, call) must((context), (call), #call)

static void complain(const char *what, size_t at, double got, double wanted)
{
    if (failures++ < 10) {
        fprintf(stderr, "rank %d: %s: element %zu is %.9g, not %.9g\n", world.rank, what, at, got,
                wanted);
    }
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static struct ww_context *open_context(struct ww_config *config, bool on_gpu)
{
    struct ww_context *context = NULL;
    config->log_level = WW_LOG_WARN;
    config->discover = false;
    MUST(NULL, ww_context_create(&world, config, &context));
    if (on_gpu) {
        MUST(context, ww_cuda_attach(context, gpu, stream));
    }
    return context;
}

/* ---- Values: small integers, so that sums are exact in every type and order -------------------
 */

static int value_of(int rank, size_t i)
{
    uint64_t key = (uint64_t)(rank + 1) * UINT64_C(0x9e3779b97f4a7c15) + i * 7 + i / 1021;
    key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (int)((key ^ (key >> 31)) % 15) - 7;
}

static uint16_t half_of(int value, enum ww_type type)
{
    float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (type == WW_BF16) {
        return (uint16_t)(bits >> 16);
    }
    if (value == 0) {
        return 0;
    }
    uint32_t sign = bits >> 16 & 0x8000;
    return (uint16_t)(sign | ((((bits >> 23) & 255) - 112) << 10) | (bits >> 13 & 0x3ff));
}

static double widen(uint16_t half, enum ww_type type)
{
    uint32_t bits = (uint32_t)half << 16;
    float f;
    if (type == WW_F16) {
        uint32_t rest = half & 0x7fff;
        bits = (uint32_t)(half & 0x8000) << 16;
        bits |= rest == 0 ? 0 : ((rest >> 10) + 112) << 23 | (rest & 0x3ff) << 13;
    }
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static void put(enum ww_type type, void *values, size_t i, int value)
{
    switch (type) {
    case WW_F32:
        ((float *)values)[i] = (float)value;
        break;
    case WW_F64:
        ((double *)values)[i] = value;
        break;
    case WW_I32:
        ((int32_t *)values)[i] = value;
        break;
    case WW_I64:
        ((int64_t *)values)[i] = value;
        break;
    default:
        ((uint16_t *)values)[i] = half_of(value, type);
    }
}

static double get(enum ww_type type, const void *values, size_t i)
{
    switch (type) {
    case WW_F32:
        return (double)((const float *)values)[i];
    case WW_F64:
        return ((const double *)values)[i];
    case WW_I32:
        return (double)((const int32_t *)values)[i];
    case WW_I64:
        return (double)((const int64_t *)values)[i];
    default:
        return widen(((const uint16_t *)values)[i], type);
    }
}

static double fold(enum ww_op op, size_t i)
{
    double result = value_of(0, i);
    for (int rank = 1; rank < world.size; rank++) {
        double next = value_of(rank, i);
        result = op == WW_MIN   ? fmin(result, next)
                 : op == WW_MAX ? fmax(result, next)
                                : result + next;
    }
    return op == WW_MEAN ? result / world.size : result;
}

/* ---- Collectives ------------------------------------------------------------------------ */

struct buffers {
    void *host;
    void *input;
    void *output;
};

static void fill(const struct buffers *buffers, void *into, enum ww_type type, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put(type, buffers->host, i, value_of(world.rank, i));
    }
    CUDA(cudaMemcpyAsync(into, buffers->host, count * ww_type_bytes(type), cudaMemcpyDefault,
                         stream));
    CUDA(cudaStreamSynchronize(stream));
}

static void fetch(struct ww_context *context, const struct buffers *buffers, const void *from,
                  size_t bytes)
{
    memset(buffers->host, 0x5a, bytes);
    CUDA(cudaMemcpyAsync(buffers->host, from, bytes, cudaMemcpyDefault, stream));
    MUST(context, ww_cuda_synchronize(context));
}

static const char *const type_names[] = {"f32", "f64", "f16", "bf16", "i32", "i64"};

static void reduce_one(struct ww_context *context, const struct buffers *buffers, enum ww_type type,
                       enum ww_op op, size_t count, bool in_place)
{
    char what[96];
    snprintf(what, sizeof what, "all-reduce of %zu %s, op %d%s", count, type_names[type], (int)op,
             in_place ? ", in place" : "");
    void *output = in_place ? buffers->input : buffers->output;
    fill(buffers, buffers->input, type, count);
    CUDA(cudaMemsetAsync(buffers->output, 0xa5, 64, stream));
    MUST(context, ww_cuda_all_reduce(context, buffers->input, output, count, type, op));
    fetch(context, buffers, output, count * ww_type_bytes(type));
    double slack = op == WW_MEAN ? type == WW_F16 || type == WW_BF16 ? 0.02 : 1e-6 : 0;
    for (size_t i = 0; i < count; i++) {
        double wanted = fold(op, i);
        double got = get(type, buffers->host, i);
        if (fabs(got - wanted) > slack) {
            complain(what, i, got, wanted);
            return;
        }
    }
}

static void move_one(struct ww_context *context, const struct buffers *buffers, enum ww_type type,
                     size_t count)
{
    size_t bytes = count * ww_type_bytes(type);
    size_t size = (size_t)world.size;
    fill(buffers, buffers->input, type, count);
    MUST(context, ww_cuda_all_gather(context, buffers->input, buffers->output, count, type));
    fetch(context, buffers, buffers->output, size * bytes);
    for (size_t i = 0; i < size * count; i++) {
        double wanted = value_of((int)(i / count), i % count);
        if (get(type, buffers->host, i) != wanted) {
            complain("all-gather", i, get(type, buffers->host, i), wanted);
            break;
        }
    }
    fill(buffers, buffers->input, type, size * count);
    MUST(context,
         ww_cuda_reduce_scatter(context, buffers->input, buffers->output, count, type, WW_SUM));
    fetch(context, buffers, buffers->output, bytes);
    for (size_t i = 0; i < count; i++) {
        double wanted = fold(WW_SUM, i + (size_t)world.rank * count);
        if (get(type, buffers->host, i) != wanted) {
            complain("reduce-scatter", i, get(type, buffers->host, i), wanted);
            break;
        }
    }
    fill(buffers, buffers->input, type, count);
    MUST(context, ww_cuda_broadcast(context, buffers->input, count, type, world.size - 1));
    fetch(context, buffers, buffers->input, bytes);
    for (size_t i = 0; i < count; i++) {
        if (get(type, buffers->host, i) != value_of(world.size - 1, i)) {
            complain("broadcast", i, get(type, buffers->host, i), value_of(world.size - 1, i));
            break;
        }
    }
}

static void run_collectives(void)
{
    static const size_t counts[] = {0, 1, 3, 17, 1000, 65537, 1048576 + 5};
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_context *context = open_context(&config, true);
    size_t most = (size_t)(1048576 + 64) * 8 * (size_t)world.size;
    struct buffers buffers = {.host = malloc(most)};
    CUDA(cudaMalloc(&buffers.input, most));
    CUDA(cudaMalloc(&buffers.output, most));
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (enum ww_type type = WW_F32; type < WW_TYPE_COUNT; type++) {
            bool whole = type == WW_I32 || type == WW_I64;
            for (enum ww_op op = WW_SUM; op < WW_OP_COUNT; op++) {
                if (!(whole && op == WW_MEAN)) {
                    reduce_one(context, &buffers, type, op, counts[c], c % 2 == 0);
                }
            }
            move_one(context, &buffers, type, counts[c]);
        }
    }
    if (world.rank == 0) {
        printf("collectives over %s: %d ranks, %d failures\n", ww_cuda_describe(context),
               world.size, failures);
    }
    CUDA(cudaFree(buffers.input));
    CUDA(cudaFree(buffers.output));
    free(buffers.host);
    ww_context_destroy(context);
}

/* ---- Steps ------------------------------------------------------------------------------ */

#define TENSORS 3
#define LEAST_CODED 1000
static const size_t shapes[TENSORS][2] = {{1000, 700}, {257, 1}, {90000, 3}};

static size_t tensor_count(int t)
{
    return shapes[t][0] * shapes[t][1];
}

struct course {
    const char *codec;
    bool on_gpu;
    const char *host;
    float *results[TENSORS]; /* of the latest step, on the host */
    uint64_t hash;           /* of all results */
    uint64_t coded_hash; /* of those that were encoded: sums in NCCL have an order of their own */
    struct ww_report report;
};

static float gradient(int step, int tensor, size_t i, bool whole)
{
    int value = value_of(world.rank + 16 * step, i + (size_t)tensor);
    return whole ? (float)value : (float)value * 0.37f + 0.01f * (float)(i % 97);
}

static uint64_t hash_more(uint64_t hash, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        hash = (hash ^ bits) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* The tensors, on this machine's memory or on the GPU's. */
struct model {
    struct ww_context *context;
    struct ww_tensor *tensors[TENSORS];
    float *memory[TENSORS]; /* on the GPU; NULL = none */
};

static struct model model_create(const struct course *course)
{
    struct ww_config config = WW_CONFIG_INIT;
    config.codec = course->codec;
    config.gradient_op = WW_SUM;
    config.bucket_bytes = (size_t)1 << 20;
    config.codec_least_count = LEAST_CODED;
    config.segment_bytes = (size_t)1 << 20; /* so that blocks of codecs lie alike */
    config.probe = WW_PROBE_OFF;
    config.host = course->host;
    config.timeout_s = 60;
    struct model model = {.context = open_context(&config, course->on_gpu)};
    for (int t = 0; t < TENSORS; t++) {
        char name[8];
        snprintf(name, sizeof name, "t%d", t);
        MUST(model.context,
             ww_tensor_add(model.context, name, WW_F32, 2, shapes[t], &model.tensors[t]));
        if (course->on_gpu) {
            CUDA(cudaMalloc((void **)&model.memory[t], tensor_count(t) * sizeof(float)));
        }
    }
    MUST(model.context, ww_tensors_commit(model.context));
    return model;
}

static void model_destroy(struct model *model)
{
    ww_context_destroy(model->context);
    for (int t = 0; t < TENSORS; t++) {
        CUDA(cudaFree(model->memory[t]));
    }
}

static void start_tensor(const struct model *model, int t, float *values)
{
    if (model->memory[t] != NULL) {
        CUDA(cudaMemcpyAsync(model->memory[t], values, tensor_count(t) * sizeof(float),
                             cudaMemcpyDefault, stream));
        values = model->memory[t];
    }
    MUST(model->context, ww_tensor_start(model->tensors[t], values));
}

static void fetch_results(const struct model *model, struct course *course)
{
    if (!course->on_gpu) {
        return;
    }
    for (int t = 0; t < TENSORS; t++) {
        CUDA(cudaMemcpyAsync(course->results[t], model->memory[t], tensor_count(t) * sizeof(float),
                             cudaMemcpyDefault, stream));
    }
    MUST(model->context, ww_cuda_synchronize(model->context));
}

static void hash_results(struct course *course)
{
    for (int t = 0; t < TENSORS; t++) {
        size_t count = tensor_count(t);
        bool coded = count >= LEAST_CODED && strcmp(course->codec, "none") != 0;
        course->hash = hash_more(course->hash, course->results[t], count);
        course->coded_hash = hash_more(course->coded_hash, course->results[t], coded ? count : 0);
    }
}

static void train(struct course *course, int steps, bool whole)
{
    struct model model = model_create(course);
    course->hash = UINT64_C(0xcbf29ce484222325);
    course->coded_hash = course->hash;
    for (int step = 1; step <= steps; step++) {
        MUST(model.context, ww_step_begin(model.context));
        for (int t = TENSORS; t-- > 0;) {
            for (size_t i = 0; i < tensor_count(t); i++) {
                course->results[t][i] = gradient(step, t, i, whole);
            }
            start_tensor(&model, t, course->results[t]);
        }
        course->report = (struct ww_report)WW_REPORT_INIT;
        MUST(model.context, ww_step_end(model.context, &course->report));
        fetch_results(&model, course);
        hash_results(course);
    }
    model_destroy(&model);
}

static void check_hashes(const char *what, uint64_t hash)
{
    uint64_t *all = calloc((size_t)world.size, sizeof *all);
    if (world.size > 1 && world.all_gather(world.self, &hash, all, sizeof hash) != 0) {
        fprintf(stderr, "rank %d: all_gather failed\n", world.rank);
        exit(1);
    }
    for (int rank = 1; rank < world.size; rank++) {
        if (all[rank] != all[0]) {
            failures++;
            fprintf(stderr, "rank %d: %s: rank %d has other bits than rank 0\n", world.rank, what,
                    rank);
        }
    }
    free(all);
}

/* hosts: ranks that share a name count as one host. */
static void run_steps(void)
{
    static const char *const codecs[] = {"none",          "fp16", "bf16", "int8", "topk:0.01:fixed",
                                         "topk:0.2:fixed"};
    static const char *const pairs[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    float *host[TENSORS];
    float *device[TENSORS];
    for (int t = 0; t < TENSORS; t++) {
        host[t] = malloc(tensor_count(t) * sizeof(float));
        device[t] = malloc(tensor_count(t) * sizeof(float));
    }
    for (int spread = 0; spread < 2; spread++) {
        for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
            for (int whole = 1; whole >= 0; whole--) {
                const char *name = spread ? pairs[world.rank / 2 % 8] : NULL;
                struct course one = {.codec = codecs[c], .host = name};
                struct course other = {.codec = codecs[c], .host = name, .on_gpu = true};
                memcpy(one.results, host, sizeof host);
                memcpy(other.results, device, sizeof device);
                char what[96];
                snprintf(what, sizeof what, "%s, %s, %s", codecs[c],
                         spread ? "two ranks a host" : "one host",
                         whole ? "integers" : "fractions");
                train(&other, 4, whole);
                check_hashes(what, other.hash);
                if (!spread) {
                    train(&one, 4, whole);
                }
                bool same = whole ? one.hash == other.hash : one.coded_hash == other.coded_hash;
                if (world.rank == 0) {
                    int last = other.report.levels - 1;
                    printf("%-44s sent %9" PRIu64 " outwards %9" PRIu64 " dense %9" PRIu64
                           " gpu %8.3f ms%s\n",
                           what, other.report.sent_bytes, other.report.level[last].sent_bytes,
                           other.report.dense_bytes, other.report.communication_s * 1e3,
                           spread ? ""
                           : same ? ", as on the host"
                                  : ", other bits than the host");
                }
                if (!spread && !same) {
                    failures++;
                    for (int t = 0; t < TENSORS; t++) {
                        for (size_t i = 0; i < tensor_count(t); i++) {
                            if (host[t][i] != device[t][i]) {
                                complain(what, i, (double)device[t][i], (double)host[t][i]);
                                break;
                            }
                        }
                    }
                }
            }
        }
    }
    if (world.rank == 0) {
        printf("steps: %d ranks, %d failures\n", world.size, failures);
    }
}

/* ---- A rank dies ------------------------------------------------------------------------ */

static void run_dies(void)
{
    struct ww_config config = WW_CONFIG_INIT;
    config.timeout_s = 5;
    struct ww_context *context = open_context(&config, true);
    float *values;
    size_t count = (size_t)16 << 20;
    CUDA(cudaMalloc((void **)&values, count * sizeof *values));
    CUDA(cudaMemsetAsync(values, 0, count * sizeof *values, stream));
    enum ww_status status = WW_OK;
    double since = 0;
    for (int i = 0; status == WW_OK && i < 1000; i++) {
        if (i == 20) {
            since = now_s();
            if (world.rank == world.size - 1) {
                raise(SIGKILL);
            }
        }
        status = ww_cuda_all_reduce(context, values, values, count, WW_F32, WW_SUM);
        if (status == WW_OK && i % 7 == 6) {
            status = ww_cuda_synchronize(context);
        }
    }
    printf("rank %d: %s after %.2f s: %s\n", world.rank, ww_status_name(status), now_s() - since,
           ww_last_error(context));
    failures += status == WW_OK;
    ww_context_destroy(context);
}

/* ---- Beside NCCL ------------------------------------------------------------------------- */

static struct {
    ncclResult_t (*id)(ncclUniqueId *id);
    ncclResult_t (*init)(ncclComm_t *comm, int size, ncclUniqueId id, int rank,
                         ncclConfig_t *config);
    ncclResult_t (*all_reduce)(const void *input, void *output, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);
    ncclResult_t (*async_error)(ncclComm_t comm, ncclResult_t *error);
    ncclResult_t (*destroy)(ncclComm_t comm);
} nccl;

static void find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        fprintf(stderr, "NCCL has no %s\n", name);
        exit(SKIP);
    }
    memcpy(function, &symbol, sizeof symbol);
}

static ncclComm_t open_nccl(bool blocking)
{
    ncclUniqueId id;
    ncclComm_t comm;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclUniqueId *all = calloc((size_t)world.size, sizeof *all);
    memset(&id, 0, sizeof id);
    if (world.rank == 0) {
        nccl.id(&id);
    }
    world.all_gather(world.self, &id, all, sizeof id);
    config.blocking = blocking;
    ncclResult_t result = nccl.init(&comm, world.size, all[0], world.rank, &config);
    while (result == ncclInProgress) {
        nccl.async_error(comm, &result);
    }
    free(all);
    return comm;
}

static int by_size(const void *one, const void *other)
{
    double a = *(const double *)one;
    double b = *(const double *)other;
    return (a > b) - (a < b);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_size);
    return values[count / 2];
}

#define ROUNDS 15

static void meet(void)
{
    char mine = 0;
    char all[64];
    world.all_gather(world.self, &mine, all, 1);
}

/* Batches of calls of the three in turn: NCCL's own, those of a communicator that does not block,
 * and ours: until they are enqueued, and until they are done. Ranks that share a GPU take turns on
 * it, for milliseconds: there only the first says anything. */
enum { OVERHEAD_SIZES = 3, OVERHEAD_CALLS = 16, OVERHEAD_WAYS = 4 };

/* Who is timed, way by way: NCCL, NCCL without blocking, and ours, with values and without any. */
struct race {
    ncclComm_t comms[2];
    struct ww_context *context;
    float *values;
    double enqueued_us[OVERHEAD_WAYS][ROUNDS];
    double done_us[OVERHEAD_WAYS][ROUNDS];
};

static void call_once(const struct race *race, int way, size_t count)
{
    if (way >= 2) {
        MUST(race->context, ww_cuda_all_reduce(race->context, race->values, race->values,
                                               way == 2 ? count : 0, WW_F32, WW_SUM));
        return;
    }
    ncclResult_t result = nccl.all_reduce(race->values, race->values, count, ncclFloat32, ncclSum,
                                          race->comms[way], stream);
    while (result == ncclInProgress) {
        nccl.async_error(race->comms[way], &result);
    }
}

static void time_way(struct race *race, int way, int round, size_t count)
{
    meet();
    double since = now_s();
    for (int i = 0; i < OVERHEAD_CALLS; i++) {
        call_once(race, way, count);
    }
    double called = now_s();
    CUDA(cudaStreamSynchronize(stream));
    if (round >= 0) {
        race->enqueued_us[way][round] = (called - since) / OVERHEAD_CALLS * 1e6;
        race->done_us[way][round] = (now_s() - since) / OVERHEAD_CALLS * 1e6;
    }
}

static void print_overhead(struct race *race, size_t bytes)
{
    double plain = median(race->enqueued_us[0], ROUNDS);
    double ours = median(race->enqueued_us[2], ROUNDS);
    printf("%8zu bytes: enqueued by NCCL in %.2f us (not blocking: %.2f), by wirewise in "
           "%.2f (%.2f to %.2f, of it %.2f to agree): %+.2f us; done in %.2f, %.2f and %.2f us\n",
           bytes, plain, median(race->enqueued_us[1], ROUNDS), ours,
           race->enqueued_us[2][ROUNDS / 4], race->enqueued_us[2][ROUNDS * 3 / 4],
           median(race->enqueued_us[3], ROUNDS), ours - plain, median(race->done_us[0], ROUNDS),
           median(race->done_us[1], ROUNDS), median(race->done_us[2], ROUNDS));
    fflush(stdout);
}

static void load_nccl(void)
{
    const char *name = getenv("WIREWISE_NCCL");
    void *library = dlopen(name == NULL ? "libnccl.so.2" : name, RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(SKIP);
    }
    find(library, "ncclGetUniqueId", &nccl.id);
    find(library, "ncclCommInitRankConfig", &nccl.init);
    find(library, "ncclAllReduce", &nccl.all_reduce);
    find(library, "ncclCommGetAsyncError", &nccl.async_error);
    find(library, "ncclCommDestroy", &nccl.destroy);
}

static void run_overhead(void)
{
    static const size_t sizes[OVERHEAD_SIZES] = {4, 65536, 4 << 20};
    struct ww_config config = WW_CONFIG_INIT;
    struct race race;
    load_nccl();
    race.comms[0] = open_nccl(true);
    race.comms[1] = open_nccl(false);
    race.context = open_context(&config, true);
    CUDA(cudaMalloc((void **)&race.values, sizes[OVERHEAD_SIZES - 1]));
    CUDA(cudaMemset(race.values, 0, sizes[OVERHEAD_SIZES - 1]));
    for (size_t s = 0; s < OVERHEAD_SIZES; s++) {
        for (int round = -2; round < ROUNDS; round++) {
            for (int way = 0; way < OVERHEAD_WAYS; way++) {
                time_way(&race, way, round, sizes[s] / sizeof *race.values);
            }
        }
        if (world.rank == 0) {
            print_overhead(&race, sizes[s]);
        }
    }
    CUDA(cudaFree(race.values));
    ww_context_destroy(race.context);
    nccl.destroy(race.comms[0]);
    nccl.destroy(race.comms[1]);
}

/* ---- With a ledger ----------------------------------------------------------------------- */

#define LEDGER_ROUNDS 41
#define LEDGER_COUNT ((size_t)4 << 20)

static struct ww_context *open_for_ledger(const char *file, struct ww_tensor **tensor)
{
    struct ww_config config = WW_CONFIG_INIT;
    size_t shape[2] = {LEDGER_COUNT / 1024, 1024};
    config.codec = "fp16";
    config.probe = WW_PROBE_OFF;
    config.ledger = file;
    config.metrics = file == NULL ? NULL : "gpu_ranks.%r.prom";
    struct ww_context *context = open_context(&config, true);
    MUST(context, ww_tensor_add(context, "t", WW_F32, 2, shape, tensor));
    MUST(context, ww_tensors_commit(context));
    return context;
}

static void run_ledger(void)
{
    struct ww_tensor *tensors[2];
    struct ww_context *contexts[2] = {open_for_ledger(NULL, &tensors[0]),
                                      open_for_ledger("gpu_ranks.%r.jsonl", &tensors[1])};
    double times[2][LEDGER_ROUNDS];
    double ratios[LEDGER_ROUNDS];
    float *values;
    CUDA(cudaMalloc((void **)&values, LEDGER_COUNT * sizeof *values));
    CUDA(cudaMemset(values, 0, LEDGER_COUNT * sizeof *values));
    for (int round = -3; round < LEDGER_ROUNDS; round++) {
        for (int i = 0; i < 2; i++) {
            int way = (i + round) & 1;
            struct ww_report report = WW_REPORT_INIT;
            meet();
            double since = now_s();
            MUST(contexts[way], ww_step_begin(contexts[way]));
            MUST(contexts[way], ww_tensor_start(tensors[way], values));
            MUST(contexts[way], ww_step_end(contexts[way], &report));
            MUST(contexts[way], ww_cuda_synchronize(contexts[way]));
            if (round >= 0) {
                times[way][round] = now_s() - since;
            }
        }
        if (round >= 0) {
            ratios[round] = times[1][round] / times[0][round];
        }
    }
    double ratio = median(ratios, LEDGER_ROUNDS);
    double without = median(times[0], LEDGER_ROUNDS);
    if (world.rank == 0) {
        printf("ledger: a step of %zu MiB takes %.3f ms without and %.3f ms with it, ratio %.4f "
               "(quartiles %.4f to %.4f)\n",
               LEDGER_COUNT * 4 >> 20, without * 1e3, median(times[1], LEDGER_ROUNDS) * 1e3, ratio,
               ratios[LEDGER_ROUNDS / 4], ratios[LEDGER_ROUNDS * 3 / 4]);
    }
    CUDA(cudaFree(values));
    ww_context_destroy(contexts[0]);
    ww_context_destroy(contexts[1]);
}

/* ---- More than 2^31 elements ---------------------------------------------------------------- */

static void run_huge(void)
{
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_context *context = open_context(&config, true);
    size_t count = ((size_t)1 << 31) + 3;
    static const size_t places[] = {0, 1, 1 << 20, ((size_t)1 << 31) - 1, (size_t)1 << 31};
    uint16_t one = half_of(1 + world.rank, WW_BF16);
    uint16_t *values;
    CUDA(cudaMalloc((void **)&values, count * sizeof *values));
    CUDA(cudaMemset(values, 0, count * sizeof *values));
    for (size_t i = 0; i < 6; i++) {
        size_t place = i < 5 ? places[i] : count - 1;
        CUDA(cudaMemcpy(values + place, &one, sizeof one, cudaMemcpyDefault));
    }
    double since = now_s();
    MUST(context, ww_cuda_all_reduce(context, values, values, count, WW_BF16, WW_SUM));
    MUST(context, ww_cuda_synchronize(context));
    double wanted = world.size * (world.size + 1) / 2;
    for (size_t i = 0; i < 7; i++) {
        size_t place = i < 5 ? places[i] : i == 5 ? count - 1 : count - 2;
        uint16_t got;
        CUDA(cudaMemcpy(&got, values + place, sizeof got, cudaMemcpyDefault));
        double sum = widen(got, WW_BF16);
        double right = i == 6 ? 0 : wanted;
        if (sum != right) {
            complain("an all-reduce of 2^31 + 3 elements", place, sum, right);
        }
    }
    if (world.rank == 0) {
        printf("huge: %zu bf16 among %d ranks in %.2f s, %d failures\n", count, world.size,
               now_s() - since, failures);
    }
    CUDA(cudaFree(values));
    ww_context_destroy(context);
}

int main(int argc, char **argv)
{
    int gpus = 0;
    if (cudaGetDeviceCount(&gpus) != cudaSuccess || gpus == 0) {
        printf("no GPU here: skipped\n");
        return SKIP;
    }
    if (ww_env_world_create(NULL, &env, &world) != WW_OK) {
        fprintf(stderr, "%s\n", ww_last_error(NULL));
        return 1;
    }
    gpu = world.rank % gpus;
    CUDA(cudaSetDevice(gpu));
    CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "collectives") == 0) {
            run_collectives();
        } else if (strcmp(argv[i], "steps") == 0) {
            run_steps();
        } else if (strcmp(argv[i], "dies") == 0) {
            run_dies();
        } else if (strcmp(argv[i], "overhead") == 0) {
            run_overhead();
        } else if (strcmp(argv[i], "ledger") == 0) {
            run_ledger();
        } else if (strcmp(argv[i], "huge") == 0) {
            run_huge();
        } else {
            fprintf(stderr, "gpu_ranks: what is \"%s\"?\n", argv[i]);
            return 2;
        }
    }
    ww_env_world_destroy(env);
    return failures > 0;
}
