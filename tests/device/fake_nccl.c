/* SPDX-License-Identifier: BSD-3-Clause
 * fake_nccl.c: a libnccl.so for ranks that are threads of one process, whose GPUs are fake:
 * messages are copied, collectives summed in the order of the ranks. What does not match is an
 * error, as it would be a hang. */
#include <nccl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RANKS_MAX 16
#define GROUP_MAX 256

struct letter {
    struct letter *next;
    size_t bytes;
    unsigned char data[];
};

static atomic_bool never_connects;

/* From now on collectives wait for ranks that never come, until they are aborted. */
void fake_nccl_never_connects(bool never);
void fake_nccl_never_connects(bool never)
{
    atomic_store(&never_connects, never);
}

static atomic_bool never_parts;
static atomic_int parting;

/* From now on ranks wait in finalizing for one that does not; false lets them go, and waits until
 * they went. */
void fake_nccl_never_parts(bool never);
void fake_nccl_never_parts(bool never)
{
    atomic_store(&never_parts, never);
    while (!never && atomic_load(&parting) > 0) {
        sched_yield();
    }
}

struct world {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int size;
    int joined;
    int left;
    int held; /* calls that wait for ranks which never come */
    bool aborted;
    struct letter *boxes[RANKS_MAX][RANKS_MAX]; /* from, to */
    const void *inputs[RANKS_MAX];
    size_t counts[RANKS_MAX];
    int arrived;
    unsigned round;
};

struct ncclComm {
    struct world *world;
    int rank;
    int gpu;
    cudaStream_t stream; /* of its latest work */
    bool ending;
    int looks; /* until what was begun is over, and came to: */
    ncclResult_t state;
    struct ncclComm *next; /* of all that there are */
};

static pthread_mutex_t comms_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t comms_changed = PTHREAD_COND_INITIALIZER;
static struct ncclComm *comms;
static atomic_bool streams_are_stuck;
static atomic_int aborts_held;

/* From now on streams stand still: an abort comes back once all communicators that worked on the
 * same one are told to end. */
void fake_nccl_stuck_streams(bool stuck);
void fake_nccl_stuck_streams(bool stuck)
{
    atomic_store(&streams_are_stuck, stuck);
}

/* Aborts that waited for another one in vain, for so many seconds. */
#define HELD_S 5
int fake_nccl_aborts_held(void);
int fake_nccl_aborts_held(void)
{
    return atomic_load(&aborts_held);
}

static void join_all(ncclComm_t comm)
{
    pthread_mutex_lock(&comms_lock);
    comm->next = comms;
    comms = comm;
    pthread_mutex_unlock(&comms_lock);
}

static void leave_all(ncclComm_t comm)
{
    pthread_mutex_lock(&comms_lock);
    struct ncclComm **place = &comms;
    while (*place != comm) {
        place = &(*place)->next;
    }
    *place = comm->next;
    pthread_cond_broadcast(&comms_changed);
    pthread_mutex_unlock(&comms_lock);
}

static bool is_held(ncclComm_t comm)
{
    bool held = false;
    for (struct ncclComm *other = comms; other != NULL; other = other->next) {
        held = held || (other->stream == comm->stream && comm->stream != NULL && !other->ending);
    }
    return held && atomic_load(&streams_are_stuck);
}

static void await_stream(ncclComm_t comm)
{
    struct timespec until;
    int failure = 0;
    timespec_get(&until, TIME_UTC);
    until.tv_sec += HELD_S;
    pthread_mutex_lock(&comms_lock);
    comm->ending = true;
    pthread_cond_broadcast(&comms_changed);
    while (is_held(comm) && failure == 0) {
        failure = pthread_cond_timedwait(&comms_changed, &comms_lock, &until);
    }
    pthread_mutex_unlock(&comms_lock);
    atomic_fetch_add(&aborts_held, failure != 0);
}

static int (*current_gpu)(void);
static atomic_int strays;

/* Tells the GPU that is the calling thread's. */
void fake_nccl_look(int (*current)(void));
void fake_nccl_look(int (*current)(void))
{
    current_gpu = current;
}

/* Calls on threads with another GPU than the communicator's. */
int fake_nccl_strays(void);
int fake_nccl_strays(void)
{
    return atomic_load(&strays);
}

static atomic_bool damages;

/* From now on the first byte of every message is wrong. */
void fake_nccl_damages(bool damage);
void fake_nccl_damages(bool damage)
{
    atomic_store(&damages, damage);
}

#define LOOKS 3
static atomic_bool never_blocks;

/* From now on nothing is over when a call comes back, as with NCCL_COMM_BLOCKING=0: until it is no
 * other call may be made. */
void fake_nccl_never_blocks(bool never);
void fake_nccl_never_blocks(bool never)
{
    atomic_store(&never_blocks, never);
}

static ncclResult_t begun(ncclComm_t comm, ncclResult_t result)
{
    bool never = atomic_load(&never_blocks);
    comm->state = result;
    comm->looks = never ? LOOKS : 0;
    return never ? ncclInProgress : result;
}

static bool is_busy(ncclComm_t comm)
{
    return comm->looks > 0;
}

static int gpu_of_thread(void)
{
    return current_gpu == NULL ? 0 : current_gpu();
}

static void check_gpu(ncclComm_t comm)
{
    atomic_fetch_add(&strays, gpu_of_thread() != comm->gpu);
}

static void work_on(ncclComm_t comm, cudaStream_t stream)
{
    check_gpu(comm);
    pthread_mutex_lock(&comms_lock);
    comm->stream = stream;
    pthread_mutex_unlock(&comms_lock);
}

struct pending {
    bool sends;
    void *memory;
    size_t bytes;
    int peer;
    ncclComm_t comm;
};
static _Thread_local struct pending group[GROUP_MAX];
static _Thread_local int group_count;
static _Thread_local int group_depth;

static const size_t type_bytes[] = {
    [ncclInt8] = 1,   [ncclUint8] = 1,   [ncclInt32] = 4,   [ncclUint32] = 4,  [ncclInt64] = 8,
    [ncclUint64] = 8, [ncclFloat16] = 2, [ncclFloat32] = 4, [ncclFloat64] = 8, [ncclBfloat16] = 2};

ncclResult_t ncclGetVersion(int *version)
{
    *version = 22809;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    struct world *world = calloc(1, sizeof *world);
    pthread_mutex_init(&world->lock, NULL);
    pthread_cond_init(&world->changed, NULL);
    memset(id, 0, sizeof *id);
    memcpy(id->internal, &world, sizeof world);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    struct world *world;
    (void)config;
    memcpy(&world, id.internal, sizeof world);
    *comm = calloc(1, sizeof **comm);
    (*comm)->world = world;
    (*comm)->rank = rank;
    (*comm)->gpu = gpu_of_thread();
    join_all(*comm);
    pthread_mutex_lock(&world->lock);
    world->size = size;
    world->joined++;
    pthread_cond_broadcast(&world->changed);
    while (world->joined < size && !world->aborted) {
        pthread_cond_wait(&world->changed, &world->lock);
    }
    pthread_mutex_unlock(&world->lock);
    return begun(*comm, ncclSuccess);
}

static void leave(ncclComm_t comm)
{
    struct world *world = comm->world;
    leave_all(comm);
    pthread_mutex_lock(&world->lock);
    bool last = ++world->left == world->size;
    while (last && world->held > 0) {
        pthread_cond_wait(&world->changed, &world->lock);
    }
    pthread_mutex_unlock(&world->lock);
    if (last) {
        for (int i = 0; i < RANKS_MAX * RANKS_MAX; i++) {
            struct letter **box = &world->boxes[i / RANKS_MAX][i % RANKS_MAX];
            while (*box != NULL) {
                struct letter *letter = *box;
                *box = letter->next;
                free(letter);
            }
        }
        free(world);
    }
    free(comm);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    check_gpu(comm);
    atomic_fetch_add(&parting, 1);
    while (atomic_load(&never_parts)) {
        sched_yield();
    }
    return is_busy(comm) ? ncclInvalidUsage : begun(comm, ncclSuccess);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    check_gpu(comm);
    if (is_busy(comm)) {
        return ncclInvalidUsage; /* and never goes */
    }
    leave(comm);
    atomic_fetch_sub(&parting, 1);
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    struct world *world = comm->world;
    pthread_mutex_lock(&world->lock);
    world->aborted = true;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
    await_stream(comm);
    leave(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error)
{
    bool busy = is_busy(comm);
    comm->looks -= busy;
    *error = busy ? ncclInProgress : comm->state;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    return result == ncclInvalidUsage ? "invalid usage" : "unhandled system error";
}

const char *ncclGetLastError(ncclComm_t comm)
{
    (void)comm;
    return "the fake NCCL found that calls do not match";
}

/* ---- Messages --------------------------------------------------------------------------- */

static void send_letter(const struct pending *message)
{
    struct world *world = message->comm->world;
    struct letter *letter = malloc(sizeof *letter + message->bytes);
    letter->next = NULL;
    letter->bytes = message->bytes;
    memcpy(letter->data, message->memory, message->bytes);
    letter->data[0] ^= atomic_load(&damages) ? 0xff : 0;
    struct letter **end = &world->boxes[message->comm->rank][message->peer];
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = letter;
    pthread_cond_broadcast(&world->changed);
}

static ncclResult_t receive_letter(const struct pending *message)
{
    struct world *world = message->comm->world;
    struct letter **box = &world->boxes[message->peer][message->comm->rank];
    while (*box == NULL && !world->aborted) {
        pthread_cond_wait(&world->changed, &world->lock);
    }
    if (*box == NULL) {
        return ncclSystemError;
    }
    struct letter *letter = *box;
    *box = letter->next;
    bool fits = letter->bytes == message->bytes;
    memcpy(message->memory, letter->data, fits ? message->bytes : 0);
    free(letter);
    return fits ? ncclSuccess : ncclInvalidUsage;
}

ncclResult_t ncclGroupStart(void)
{
    group_depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void)
{
    ncclResult_t result = ncclSuccess;
    if (--group_depth > 0 || group_count == 0) {
        return ncclSuccess;
    }
    struct world *world = group[0].comm->world;
    pthread_mutex_lock(&world->lock);
    for (int i = 0; i < group_count; i++) {
        if (group[i].sends) {
            send_letter(&group[i]);
        }
    }
    for (int i = 0; i < group_count && result == ncclSuccess; i++) {
        if (!group[i].sends) {
            result = receive_letter(&group[i]);
        }
    }
    pthread_mutex_unlock(&world->lock);
    group_count = 0;
    return begun(group[0].comm, result);
}

static ncclResult_t note(bool sends, void *memory, size_t bytes, int peer, ncclComm_t comm)
{
    if (group_count == GROUP_MAX || group_depth == 0 || is_busy(comm)) {
        return ncclInvalidUsage;
    }
    group[group_count++] = (struct pending){sends, memory, bytes, peer, comm};
    return ncclSuccess;
}

ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream)
{
    work_on(comm, stream);
    return note(true, (void *)(uintptr_t)from, count * type_bytes[type], peer, comm);
}

ncclResult_t ncclRecv(void *into, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream)
{
    work_on(comm, stream);
    return note(false, into, count * type_bytes[type], peer, comm);
}

/* ---- Collectives ------------------------------------------------------------------------ */

/* Until all ranks are here. */
static bool meet(struct world *world)
{
    unsigned round = world->round;
    if (++world->arrived == world->size) {
        world->arrived = 0;
        world->round++;
        pthread_cond_broadcast(&world->changed);
    }
    while (world->round == round && !world->aborted) {
        pthread_cond_wait(&world->changed, &world->lock);
    }
    return world->round != round;
}

#define FOLD(ctype)                                                                                \
    static void fold_##ctype(void *into, const void *from, size_t count, ncclRedOp_t op)           \
    {                                                                                              \
        ctype *a = into;                                                                           \
        const ctype *b = from;                                                                     \
        for (size_t i = 0; i < count; i++) {                                                       \
            ctype less = a[i] < b[i] ? a[i] : b[i];                                                \
            ctype more = a[i] < b[i] ? b[i] : a[i];                                                \
            a[i] = op == ncclSum ? (ctype)(a[i] + b[i]) : op == ncclMin ? less : more;             \
        }                                                                                          \
    }
FOLD(float)
FOLD(double)
FOLD(uint32_t)
FOLD(uint64_t)
FOLD(int32_t)
FOLD(int64_t)

static void fold(ncclDataType_t type, void *into, const void *from, size_t count, ncclRedOp_t op)
{
    bool sum = op == ncclSum; /* which wraps */
    switch (type) {
    case ncclFloat32:
        fold_float(into, from, count, op);
        break;
    case ncclFloat64:
        fold_double(into, from, count, op);
        break;
    case ncclInt32:
        (sum ? fold_uint32_t : fold_int32_t)(into, from, count, op);
        break;
    case ncclInt64:
        (sum ? fold_uint64_t : fold_int64_t)(into, from, count, op);
        break;
    default:
        abort();
    }
}

/* Everybody shows its input; `made` bytes are this rank's from offset `first` of what all inputs
 * come to. */
struct show {
    const void *input;
    size_t bytes; /* of the input: alike on all ranks */
    bool folds;
    bool joins; /* inputs behind one another */
    int root;   /* whose input it is, where it neither folds nor joins */
    size_t first;
    void *output;
    size_t made;
    ncclDataType_t type;
    ncclRedOp_t op;
};

static void make(const struct world *world, const struct show *show, unsigned char *result)
{
    size_t each = type_bytes[show->type];
    const unsigned char *first = world->inputs[show->folds ? 0 : show->root];
    if (show->joins) {
        for (int rank = 0; rank < world->size; rank++) {
            memcpy(result + (size_t)rank * show->bytes, world->inputs[rank], show->bytes);
        }
        return;
    }
    memcpy(result, first + show->first, show->made);
    for (int rank = 1; show->folds && rank < world->size; rank++) {
        const unsigned char *input = world->inputs[rank];
        fold(show->type, result, input + show->first, show->made / each, show->op);
    }
}

static ncclResult_t hold(struct world *world)
{
    pthread_mutex_lock(&world->lock);
    world->held++;
    while (!world->aborted) {
        pthread_cond_wait(&world->changed, &world->lock);
    }
    world->held--;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
    return ncclSystemError;
}

static ncclResult_t collect(ncclComm_t comm, const struct show *show)
{
    struct world *world = comm->world;
    if (is_busy(comm)) {
        return ncclInvalidUsage;
    }
    if (atomic_load(&never_connects)) {
        return hold(world);
    }
    unsigned char *result = malloc(show->made + 1);
    pthread_mutex_lock(&world->lock);
    world->inputs[comm->rank] = show->input;
    world->counts[comm->rank] = show->bytes;
    bool whole = meet(world);
    bool alike = true;
    for (int rank = 0; whole && rank < world->size; rank++) {
        alike = alike && world->counts[rank] == show->bytes;
    }
    if (whole && alike) {
        make(world, show, result);
    }
    whole = whole && meet(world); /* nobody writes while somebody reads */
    if (whole && alike) {
        memcpy(show->output, result, show->made);
    }
    pthread_mutex_unlock(&world->lock);
    free(result);
    return begun(comm, !alike ? ncclInvalidUsage : whole ? ncclSuccess : ncclSystemError);
}

ncclResult_t ncclAllReduce(const void *input, void *output, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    size_t bytes = count * type_bytes[type];
    work_on(comm, stream);
    return collect(comm, &(struct show){.input = input,
                                        .bytes = bytes,
                                        .folds = true,
                                        .output = output,
                                        .made = bytes,
                                        .type = type,
                                        .op = op});
}

ncclResult_t ncclReduceScatter(const void *input, void *output, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    size_t bytes = count * type_bytes[type];
    work_on(comm, stream);
    return collect(comm, &(struct show){.input = input,
                                        .bytes = bytes * (size_t)comm->world->size,
                                        .folds = true,
                                        .first = bytes * (size_t)comm->rank,
                                        .output = output,
                                        .made = bytes,
                                        .type = type,
                                        .op = op});
}

ncclResult_t ncclAllGather(const void *input, void *output, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream)
{
    size_t bytes = count * type_bytes[type];
    work_on(comm, stream);
    return collect(comm, &(struct show){.input = input,
                                        .bytes = bytes,
                                        .joins = true,
                                        .output = output,
                                        .made = bytes * (size_t)comm->world->size,
                                        .type = type});
}

ncclResult_t ncclBroadcast(const void *input, void *output, size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream)
{
    size_t bytes = count * type_bytes[type];
    work_on(comm, stream);
    return collect(comm, &(struct show){.input = input,
                                        .bytes = bytes,
                                        .root = root,
                                        .output = output,
                                        .made = bytes,
                                        .type = type});
}
