/* SPDX-License-Identifier: BSD-3-Clause
 * nccl.c: messages and collectives between GPUs by NCCL.
 *
 * Communicators block, because those that do not start a thread for every group of calls; where
 * NCCL_COMM_BLOCKING=0 makes them all the same, what they began is waited for. A call
 * only waits while ranks connect, the first time they speak to each other; whoever finds out that a
 * rank is gone aborts from another thread, and the call returns. Making a communicator and parting
 * are what nobody can abort: a thread of its own does it, and is left behind where it does not come
 * back. */
#include "internal/nccl.h"

#include <dlfcn.h>
#include <nccl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/clock.h"
#include "internal/gpu.h"
#include "internal/gather.h"
#include "internal/log.h"
#include "internal/thread.h"

#define ABORT_PATIENCE_NS UINT64_C(1000000000) /* for a call that may come out by itself */
#define VERSION_LEAST 21400

/* ---- The library ------------------------------------------------------------------------ */

static struct {
    void *library;
    ncclResult_t (*get_version)(int *version);
    ncclResult_t (*get_unique_id)(ncclUniqueId *id);
    ncclResult_t (*init)(ncclComm_t *comm, int size, ncclUniqueId id, int rank,
                         ncclConfig_t *config);
    ncclResult_t (*finalize)(ncclComm_t comm);
    ncclResult_t (*destroy)(ncclComm_t comm);
    ncclResult_t (*abort)(ncclComm_t comm);
    ncclResult_t (*async_error)(ncclComm_t comm, ncclResult_t *error);
    const char *(*error_string)(ncclResult_t result);
    const char *(*last_error)(ncclComm_t comm);
    ncclResult_t (*group_start)(void);
    ncclResult_t (*group_end)(void);
    ncclResult_t (*send)(const void *from, size_t count, ncclDataType_t type, int peer,
                         ncclComm_t comm, cudaStream_t stream);
    ncclResult_t (*receive)(void *into, size_t count, ncclDataType_t type, int peer,
                            ncclComm_t comm, cudaStream_t stream);
    ncclResult_t (*all_reduce)(const void *input, void *output, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);
    ncclResult_t (*reduce_scatter)(const void *input, void *output, size_t count,
                                   ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                                   cudaStream_t stream);
    ncclResult_t (*all_gather)(const void *input, void *output, size_t count, ncclDataType_t type,
                               ncclComm_t comm, cudaStream_t stream);
    ncclResult_t (*broadcast)(const void *input, void *output, size_t count, ncclDataType_t type,
                              int root, ncclComm_t comm, cudaStream_t stream);
} library;
static int library_version;
static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;

static const struct {
    const char *name;
    void *function; /* points to a function's pointer in `library` */
} symbols[] = {
    {"ncclGetVersion", &library.get_version},
    {"ncclGetUniqueId", &library.get_unique_id},
    {"ncclCommInitRankConfig", &library.init},
    {"ncclCommFinalize", &library.finalize},
    {"ncclCommDestroy", &library.destroy},
    {"ncclCommAbort", &library.abort},
    {"ncclCommGetAsyncError", &library.async_error},
    {"ncclGetErrorString", &library.error_string},
    {"ncclGetLastError", &library.last_error},
    {"ncclGroupStart", &library.group_start},
    {"ncclGroupEnd", &library.group_end},
    {"ncclSend", &library.send},
    {"ncclRecv", &library.receive},
    {"ncclAllReduce", &library.all_reduce},
    {"ncclReduceScatter", &library.reduce_scatter},
    {"ncclAllGather", &library.all_gather},
    {"ncclBroadcast", &library.broadcast},
};

/* POSIX says that a function's address may be read out of dlsym's. */
static bool find_symbols(void *handle, char *why, size_t bytes)
{
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *symbol = dlsym(handle, symbols[i].name);
        if (symbol == NULL) {
            snprintf(why, bytes, "it has no %s: NCCL 2.14 or later is needed", symbols[i].name);
            return false;
        }
        memcpy(symbols[i].function, &symbol, sizeof symbol);
    }
    return true;
}

static int load(const char *name, char *why, size_t bytes)
{
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    int version = 0;
    if (handle == NULL) {
        const char *trouble = dlerror();
        snprintf(why, bytes, "%s", trouble == NULL ? "it cannot be loaded" : trouble);
        return 0;
    }
    if (!find_symbols(handle, why, bytes)) {
        dlclose(handle);
        return 0;
    }
    if (library.get_version(&version) != ncclSuccess || version < VERSION_LEAST) {
        snprintf(why, bytes, "it is version %d, and %d or later is needed", version, VERSION_LEAST);
        dlclose(handle);
        return 0;
    }
    library.library = handle;
    return version;
}

int nccl_load(const char *name, char *why, size_t bytes)
{
    pthread_mutex_lock(&library_lock);
    if (library_version == 0) {
        library_version = load(name == NULL ? NCCL_LIBRARY : name, why, bytes);
    }
    int version = library_version;
    pthread_mutex_unlock(&library_lock);
    return version;
}

/* ---- One communicator ------------------------------------------------------------------- */

struct nccl {
    ncclComm_t comm;
    pthread_mutex_t lock; /* around every call on comm */
    atomic_bool aborted;
    int device;
    int size;
    int rank;
    int world_rank;
    double timeout_s;
};

static enum ww_status failure(struct nccl *nccl, ncclResult_t result, const char *what)
{
    const char *detail = library.last_error(nccl->comm);
    bool says = detail != NULL && detail[0] != '\0';
    bool twice = says && strstr(detail, "Duplicate GPU") != NULL;
    const char *remedy = twice ? "; give each rank a GPU of its own" : "";
    return log_failure(twice ? WW_UNSUPPORTED : WW_TRANSPORT_FAILED,
                       "NCCL: %s failed: %s%s%.300s%s", what, library.error_string(result),
                       says ? ": " : "", says ? detail : "", remedy);
}

static enum ww_status aborted(void)
{
    return log_failure(WW_TRANSPORT_FAILED, "NCCL: the ranks gave up");
}

/* What a communicator that does not block has begun comes to its end, or is left. */
static ncclResult_t settled(ncclComm_t comm, ncclResult_t result, const atomic_bool *left)
{
    while (result == ncclInProgress && !atomic_load(left)) {
        sched_yield();
        ncclResult_t asked = library.async_error(comm, &result);
        result = asked == ncclSuccess ? result : asked;
    }
    return result;
}

/* Calls begin so and end by `finish`. */
static bool begin(struct nccl *nccl)
{
    pthread_mutex_lock(&nccl->lock);
    return !atomic_load(&nccl->aborted);
}

static enum ww_status finish(struct nccl *nccl, bool whole, ncclResult_t result, const char *what)
{
    result = whole ? settled(nccl->comm, result, &nccl->aborted) : result;
    bool over = !whole || atomic_load(&nccl->aborted);
    enum ww_status status = over                    ? aborted()
                            : result == ncclSuccess ? WW_OK
                                                    : failure(nccl, result, what);
    pthread_mutex_unlock(&nccl->lock);
    return status;
}

/* ---- Connecting ------------------------------------------------------------------------- */

/* What a leader tells those who are connected with it; `well` = it could make an id. */
struct greeting {
    ncclUniqueId id;
    int64_t well;
};

static enum ww_status share_id(const struct nccl_setup *setup, bool has_memory, ncclUniqueId *id)
{
    const struct ww_world *world = setup->world;
    struct greeting own = {.well = 1};
    struct greeting *all = calloc((size_t)world->size, sizeof *all);
    bool leads = world->rank == setup->leader;
    ncclResult_t made = leads ? library.get_unique_id(&own.id) : ncclSuccess;
    own.well = made == ncclSuccess;
    enum ww_status status = WW_OK;
    if (!has_memory || all == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for NCCL between %d ranks", world->size);
    }
    status = world_all_well(world, status, "open NCCL");
    if (status == WW_OK) {
        status = world_gather(world, &own, all, sizeof own);
    }
    if (status == WW_OK && !all[setup->leader].well) {
        status = log_failure(WW_TRANSPORT_FAILED,
                             "NCCL: rank %d could not make an id for %d ranks%s%s", setup->leader,
                             setup->size, made != ncclSuccess ? ": " : "",
                             made != ncclSuccess ? library.error_string(made) : "");
    }
    if (status == WW_OK) {
        *id = all[setup->leader].id;
    }
    free(all);
    return status;
}

/* What has no end where a rank is gone: a thread of its own does it, and whoever of the two leaves
 * last frees it. */
struct errand {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    atomic_bool left; /* nobody waits for it any more */
    ncclResult_t (*work)(struct errand *self);
    ncclResult_t result;
    ncclComm_t comm;
    ncclUniqueId id;
    int device;
    int size;
    int rank;
    int world_rank; /* by which logs name it */
};

static void errand_destroy(struct errand *self)
{
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->changed);
    free(self);
}

static void *run_errand(void *argument)
{
    struct errand *self = argument;
    log_set_rank(self->world_rank);
    ncclResult_t result = self->work(self);
    pthread_mutex_lock(&self->lock);
    self->result = result;
    self->done = true;
    bool left = atomic_load(&self->left);
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
    if (left) {
        errand_destroy(self);
    }
    return NULL;
}

/* True when it was done in time; else it is the thread's. */
static bool await_errand(struct errand *self, double timeout_s)
{
    struct timespec until = clock_deadline(timeout_s);
    int failure = 0;
    pthread_mutex_lock(&self->lock);
    while (!self->done && failure == 0) {
        failure = pthread_cond_timedwait(&self->changed, &self->lock, &until);
    }
    bool done = self->done;
    atomic_store(&self->left, !done);
    pthread_mutex_unlock(&self->lock);
    return done;
}

/* Does the work for this end of the ranks. WW_OK: *made is the caller's to destroy. WW_TIMED_OUT
 * without a word, WW_NO_MEMORY. */
static enum ww_status errand_do(const struct nccl *nccl, const ncclUniqueId *id,
                                ncclResult_t (*work)(struct errand *self), struct errand **made)
{
    pthread_t thread;
    struct errand *self = calloc(1, sizeof *self);
    *made = NULL;
    if (self == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for NCCL");
    }
    self->work = work;
    self->comm = nccl->comm;
    self->id = *id;
    self->device = nccl->device;
    self->size = nccl->size;
    self->rank = nccl->rank;
    self->world_rank = nccl->world_rank;
    pthread_mutex_init(&self->lock, NULL);
    clock_condition_init(&self->changed);
    int trouble = thread_start(&thread, run_errand, self);
    if (trouble != 0) {
        errand_destroy(self);
        return log_failure(WW_NO_MEMORY, "no thread for NCCL: %s", strerror(trouble));
    }
    if (!await_errand(self, nccl->timeout_s)) {
        pthread_detach(thread);
        return WW_TIMED_OUT;
    }
    pthread_join(thread, NULL);
    *made = self;
    return WW_OK;
}

static ncclResult_t join(struct errand *self)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    if (gpu_use(self->device) != WW_OK) {
        return ncclInvalidUsage;
    }
    ncclResult_t begun = library.init(&self->comm, self->size, self->id, self->rank, &config);
    return settled(self->comm, begun, &self->left);
}

static enum ww_status connect_all(const ncclUniqueId *id, struct nccl *nccl)
{
    struct errand *joined;
    enum ww_status status = errand_do(nccl, id, join, &joined);
    if (status == WW_TIMED_OUT) {
        return log_failure(WW_TIMED_OUT,
                           "NCCL: connecting %d ranks did not come to an end within %.3g s: does "
                           "NCCL find a network between them (NCCL_DEBUG=INFO tells)?",
                           nccl->size, nccl->timeout_s);
    }
    if (status == WW_OK) {
        nccl->comm = joined->comm;
        ncclResult_t result = joined->result;
        errand_destroy(joined);
        status = result == ncclSuccess ? WW_OK : failure(nccl, result, "connecting the ranks");
    }
    return status;
}

enum ww_status nccl_open(const struct nccl_setup *setup, struct nccl **nccl)
{
    ncclUniqueId id;
    struct nccl *made = calloc(1, sizeof *made);
    *nccl = NULL;
    enum ww_status status = share_id(setup, made != NULL, &id);
    if (status == WW_OK) {
        pthread_mutex_init(&made->lock, NULL);
        made->device = setup->device;
        made->size = setup->size;
        made->rank = setup->rank;
        made->world_rank = setup->world->rank;
        made->timeout_s = setup->timeout_s;
        status = connect_all(&id, made);
    }
    if (status != WW_OK) {
        if (made != NULL && made->comm != NULL) { /* one that does not block is there at once */
            library.abort(made->comm);
        }
        free(made);
        return status;
    }
    *nccl = made;
    return WW_OK;
}

/* A call that waits for a rank which is gone never comes out by itself: it is aborted under its
 * feet, as NCCL allows. */
static void *abort_one(void *argument)
{
    struct nccl *nccl = argument;
    if (nccl == NULL || atomic_exchange(&nccl->aborted, true)) {
        return NULL;
    }
    bool locked = pthread_mutex_trylock(&nccl->lock) == 0;
    for (uint64_t since_ns = clock_now_ns();
         !locked && clock_now_ns() - since_ns < ABORT_PATIENCE_NS;) {
        sched_yield();
        locked = pthread_mutex_trylock(&nccl->lock) == 0;
    }
    library.abort(nccl->comm);
    if (locked) {
        pthread_mutex_unlock(&nccl->lock);
    }
    return NULL;
}

/* On a thread of its own, which has no GPU yet: NCCL would come back to GPU 0. */
static void *abort_apart(void *argument)
{
    const struct nccl *nccl = argument;
    gpu_use(nccl->device);
    return abort_one(argument);
}

/* NCCL comes back once the communicator's stream has come past all its work, which may lie behind
 * work of the other one. */
void nccl_abort(struct nccl *nccl, struct nccl *other)
{
    pthread_t thread;
    bool apart = other != NULL && thread_start(&thread, abort_apart, other) == 0;
    abort_one(nccl);
    if (apart) {
        pthread_join(thread, NULL);
    } else {
        abort_one(other);
    }
}

/* NCCL makes the thread's GPU current again when it is done, which would be GPU 0. */
static ncclResult_t part(struct errand *self)
{
    gpu_use(self->device);
    settled(self->comm, library.finalize(self->comm), &self->left);
    return library.destroy(self->comm);
}

/* The ranks part together. One that is gone by now is none of the results' concern. */
static void part_all(const struct nccl *nccl)
{
    static const ncclUniqueId none;
    struct errand *parted;
    enum ww_status status = errand_do(nccl, &none, part, &parted);
    if (status == WW_TIMED_OUT) {
        log_warn("NCCL: %d ranks did not part within %.3g s, so one of them is gone or hangs; what "
                 "NCCL holds stays behind",
                 nccl->size, nccl->timeout_s);
    }
    if (status == WW_NO_MEMORY) { /* for another thread, so this one does it */
        part(&(struct errand){.comm = nccl->comm, .device = nccl->device});
    }
    if (status == WW_OK) {
        errand_destroy(parted);
    }
}

void nccl_close(struct nccl *nccl)
{
    if (nccl == NULL) {
        return;
    }
    if (!atomic_load(&nccl->aborted)) {
        part_all(nccl);
    }
    pthread_mutex_destroy(&nccl->lock);
    free(nccl);
}

enum ww_status nccl_look(struct nccl *nccl)
{
    ncclResult_t result = ncclSuccess;
    if (pthread_mutex_trylock(&nccl->lock) != 0) {
        return WW_OK; /* a call is inside: it will tell */
    }
    if (!atomic_load(&nccl->aborted)) {
        library.async_error(nccl->comm, &result);
    }
    bool well = result == ncclSuccess || result == ncclInProgress;
    enum ww_status status = well ? WW_OK : failure(nccl, result, "work");
    pthread_mutex_unlock(&nccl->lock);
    return status;
}

/* ---- Enqueueing ------------------------------------------------------------------------- */

static const ncclDataType_t types[WW_TYPE_COUNT] = {
    [WW_F32] = ncclFloat32,   [WW_F64] = ncclFloat64, [WW_F16] = ncclFloat16,
    [WW_BF16] = ncclBfloat16, [WW_I32] = ncclInt32,   [WW_I64] = ncclInt64,
};

static const ncclRedOp_t ops[WW_OP_COUNT] = {
    [WW_SUM] = ncclSum,
    [WW_MEAN] = ncclSum,
    [WW_MIN] = ncclMin,
    [WW_MAX] = ncclMax,
};

bool nccl_suits(enum ww_type type, enum ww_op op)
{
    bool whole = type == WW_I32 || type == WW_I64;
    bool sum = op == WW_SUM || op == WW_MEAN;
    return whole || (sum && (type == WW_F32 || type == WW_F64));
}

enum ww_status nccl_post(struct nccl *nccl, const struct ww_message *messages, int count,
                         void *stream)
{
    bool whole = begin(nccl);
    ncclResult_t result = whole ? library.group_start() : ncclSuccess;
    bool odd = false;
    ncclResult_t posted = ncclSuccess;
    for (int i = 0; whole && result == ncclSuccess && !odd && i < count; i++) {
        const struct ww_message *message = &messages[i];
        posted = message->kind == WW_SEND
                     ? library.send(message->memory, message->bytes, ncclUint8, message->peer,
                                    nccl->comm, stream)
                     : library.receive(message->memory, message->bytes, ncclUint8, message->peer,
                                       nccl->comm, stream);
        odd = posted != ncclSuccess && posted != ncclInProgress;
    }
    if (whole && result == ncclSuccess) {
        result = library.group_end();
    }
    return finish(nccl, whole, odd ? posted : result, "a round of messages");
}

enum ww_status nccl_all_reduce(struct nccl *nccl, const void *input, void *output, size_t count,
                               enum ww_type type, enum ww_op op, void *stream)
{
    bool whole = begin(nccl);
    ncclResult_t result = whole ? library.all_reduce(input, output, count, types[type], ops[op],
                                                     nccl->comm, stream)
                                : ncclSuccess;
    return finish(nccl, whole, result, "an all-reduce");
}

enum ww_status nccl_reduce_scatter(struct nccl *nccl, const void *input, void *output, size_t count,
                                   enum ww_type type, enum ww_op op, void *stream)
{
    bool whole = begin(nccl);
    ncclResult_t result = whole ? library.reduce_scatter(input, output, count, types[type], ops[op],
                                                         nccl->comm, stream)
                                : ncclSuccess;
    return finish(nccl, whole, result, "a reduce-scatter");
}

enum ww_status nccl_all_gather(struct nccl *nccl, const void *input, void *output, size_t count,
                               enum ww_type type, void *stream)
{
    bool whole = begin(nccl);
    ncclResult_t result = whole ? library.all_gather(input, output, count, types[type], nccl->comm,
                                                     stream)
                                : ncclSuccess;
    return finish(nccl, whole, result, "an all-gather");
}

enum ww_status nccl_broadcast(struct nccl *nccl, void *values, size_t count, enum ww_type type,
                              int root, void *stream)
{
    bool whole = begin(nccl);
    ncclResult_t result = whole ? library.broadcast(values, values, count, types[type], root,
                                                    nccl->comm, stream)
                                : ncclSuccess;
    return finish(nccl, whole, result, "a broadcast");
}
