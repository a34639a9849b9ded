/* SPDX-License-Identifier: BSD-3-Clause
 * nccl_peer.c: a communicator of NCCL's own beside that of the library. */
#include "nccl_peer.h"

#include <dlfcn.h>
#include <nccl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "team.h"

struct nccl_peer {
    ncclComm_t comm;
    cudaStream_t stream;
    char name[32];
};

static struct {
    ncclResult_t (*get_version)(int *version);
    ncclResult_t (*get_unique_id)(ncclUniqueId *id);
    ncclResult_t (*init)(ncclComm_t *comm, int size, ncclUniqueId id, int rank,
                         ncclConfig_t *config);
    ncclResult_t (*all_reduce)(const void *input, void *output, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);
    ncclResult_t (*destroy)(ncclComm_t comm);
    const char *(*error_string)(ncclResult_t result);
} library;
static char trouble[256]; /* "" = the library is loaded */
static pthread_once_t loaded = PTHREAD_ONCE_INIT;

static const struct {
    const char *name;
    void *function; /* points to a function's pointer in `library` */
} symbols[] = {
    {"ncclGetVersion", &library.get_version},  {"ncclGetUniqueId", &library.get_unique_id},
    {"ncclCommInitRankConfig", &library.init}, {"ncclAllReduce", &library.all_reduce},
    {"ncclCommDestroy", &library.destroy},     {"ncclGetErrorString", &library.error_string},
};

static const ncclDataType_t types[WW_TYPE_COUNT] = {
    [WW_F32] = ncclFloat32,   [WW_F64] = ncclFloat64, [WW_F16] = ncclFloat16,
    [WW_BF16] = ncclBfloat16, [WW_I32] = ncclInt32,   [WW_I64] = ncclInt64,
};

static const ncclRedOp_t ops[WW_OP_COUNT] = {
    [WW_SUM] = ncclSum,
    [WW_MEAN] = ncclAvg,
    [WW_MIN] = ncclMin,
    [WW_MAX] = ncclMax,
};

/* Until the process ends. */
static void load(void)
{
    const char *wish = getenv("WIREWISE_NCCL");
    const char *name = wish == NULL || *wish == '\0' || strcmp(wish, "auto") == 0 ? "libnccl.so.2"
                                                                                  : wish;
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *why = dlerror();
        snprintf(trouble, sizeof(trouble), "%s", why != NULL ? why : "it cannot be loaded");
        return;
    }
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        void *symbol = dlsym(handle, symbols[i].name);
        if (symbol == NULL) {
            snprintf(trouble, sizeof(trouble), "%s has no %s", name, symbols[i].name);
            return;
        }
        memcpy(symbols[i].function, &symbol, sizeof(symbol));
    }
}

static void connect_ranks(struct nccl_peer *peer, const struct ww_world *world)
{
    ncclUniqueId *ids = calloc((size_t)world->size, sizeof(ids[0]));
    ncclUniqueId id;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    memset(&id, 0, sizeof(id));
    if (ids == NULL) {
        team_fail(world, "no memory for %d names of NCCL's", world->size);
    }
    ncclResult_t result = world->rank == 0 ? library.get_unique_id(&id) : ncclSuccess;
    team_gather(world, &id, ids, sizeof(id));
    if (result == ncclSuccess) {
        result = library.init(&peer->comm, world->size, ids[0], world->rank, &config);
    }
    free(ids);
    if (result != ncclSuccess) {
        team_fail(world, "--versus nccl: NCCL could not connect the ranks: %s",
                  library.error_string(result));
    }
}

struct nccl_peer *nccl_peer_open(const struct ww_world *world, struct CUstream_st *stream)
{
    struct nccl_peer *peer = calloc(1, sizeof(*peer));
    int version = 0;
    pthread_once(&loaded, load);
    if (peer == NULL || trouble[0] != '\0') {
        team_fail(world, "--versus nccl: no NCCL: %s; WIREWISE_NCCL names the library",
                  peer == NULL ? "no memory" : trouble);
    }
    library.get_version(&version);
    peer->stream = stream;
    snprintf(peer->name, sizeof(peer->name), "NCCL %d.%d.%d", version / 10000, version / 100 % 100,
             version % 100);
    connect_ranks(peer, world);
    return peer;
}

void nccl_peer_close(struct nccl_peer *peer)
{
    if (peer != NULL) {
        library.destroy(peer->comm);
        free(peer);
    }
}

const char *nccl_peer_name(const struct nccl_peer *peer)
{
    return peer->name;
}

bool nccl_peer_all_reduce(struct nccl_peer *peer, void *values, size_t count, enum ww_type type,
                          enum ww_op op)
{
    return library.all_reduce(values, values, count, types[type], ops[op], peer->comm,
                              peer->stream) == ncclSuccess;
}
