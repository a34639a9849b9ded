/* SPDX-License-Identifier: BSD-3-Clause
 * ucx.c: a fabric over UCX's tagged messages; the only file that calls it.
 *
 * A fabric is a worker of its own, so fabrics do not hear each other; their addresses travel by the
 * world's all_gather. A message carries its sender's rank and its tag, and UCX matches messages of
 * one such number in the order in which they were posted. UCX's library is found at run time: a
 * program that never needs it does not load it. */
#include <wirewise/ucx.h>

#include <assert.h>
#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucp/api/ucp.h>
#include <unistd.h>

#include <wirewise/transport.h>

#include "flights.h"
#include "internal/clock.h"
#include "internal/fabrics.h"
#include "internal/gather.h"
#include "internal/log.h"
#include "internal/size_guard.h"

#define UCP_LIBRARY "libucp.so.0"
#define UCS_LIBRARY "libucs.so.0"

/* How long close waits for peers that close as well, and for what is still to be sent. */
#define CLOSE_NS (CLOCK_NS_PER_S / 5)
#define CLOSE_FAILED_NS (CLOCK_NS_PER_S / 50)

/* Whoever gives up stays so long for its last words to be heard: a connection that ends under a
 * peer's hands takes away what that has not read yet. */
#define HEARD_NS (CLOCK_NS_PER_S / 10)

/* How long UCX may take to let go of what was taken back. It does so at once; only a receive whose
 * sender announced much and then fell silent it never lets go of (1.13), and a failure is
 * told only after this. */
#define RELEASE_NS (CLOCK_NS_PER_S / 10)

/* Up to so many ranks all are connected when the fabric is opened. */
#define MESH_MAX 64
#define GREETING_NS (60 * CLOCK_NS_PER_S)
#define LATE_NS (5 * CLOCK_NS_PER_S) /* whoever has not greeted by then is called */

/* Where nobody answers. Then comes what was chosen. */
#define NETWORK_ADVICE                                                                             \
    "does a firewall stand between its host and this one? UCX_NET_DEVICES names the networks to "  \
    "take%s"

/* Where a peer answered, and does no more: UCX gives up long before timeout_s is over. */
#define OUTAGE_ADVICE                                                                              \
    "; is the network between its host and this one down? Where that passes, UCX_TCP_KEEPIDLE "    \
    "(10s) has UCX wait longer"

/* Who waits so long for a peer wants to know whether it is there. */
#define LONG_NS CLOCK_NS_PER_S

/* UCX moves some ten kilobytes at a time; a poll moves what is there, within reason. */
#define PROGRESS_STEPS 64

/* Names of hosts have 64 letters at most. */
#define HOST_BYTES 72

/* Tags that no message has. */
#define HELLO_TAG WW_TRANSPORT_TAGS
#define GOODBYE_TAG (WW_TRANSPORT_TAGS + 1)
#define TAG_BITS 32
#define WHOLE_TAG UINT64_MAX

/* ---- UCX's library -------------------------------------------------------------------------- */

#define UCP_CALLS(X)                                                                               \
    X(ucp_get_version)                                                                             \
    X(ucp_config_read)                                                                             \
    X(ucp_config_modify)                                                                           \
    X(ucp_config_print)                                                                            \
    X(ucp_config_release)                                                                          \
    X(ucp_init_version)                                                                            \
    X(ucp_cleanup)                                                                                 \
    X(ucp_worker_create)                                                                           \
    X(ucp_worker_destroy)                                                                          \
    X(ucp_worker_get_address)                                                                      \
    X(ucp_worker_release_address)                                                                  \
    X(ucp_worker_progress)                                                                         \
    X(ucp_ep_create)                                                                               \
    X(ucp_ep_close_nbx)                                                                            \
    X(ucp_tag_send_nbx)                                                                            \
    X(ucp_tag_recv_nbx)                                                                            \
    X(ucp_tag_recv_request_test)                                                                   \
    X(ucp_tag_probe_nb)                                                                            \
    X(ucp_tag_msg_recv_nbx)                                                                        \
    X(ucp_request_check_status)                                                                    \
    X(ucp_request_cancel)                                                                          \
    X(ucp_request_free)

/* What all fabrics of this process share. */
static struct {
    pthread_mutex_t lock;
    bool loaded;
    ucp_context_h context; /* while a fabric is open */
    int fabrics;
    struct fabric *abandoned;
    char chosen[256]; /* by a person, in words; "" = nothing */
    __typeof__(ucs_status_string) *ucs_status_string;
#define UCP_POINTER(name) __typeof__(name) *name;
    UCP_CALLS(UCP_POINTER)
#undef UCP_POINTER
} ucx = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* POSIX says that a function's address may be read out of dlsym's. */
static bool find_symbol(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

/* UCX 1.13 copies the host's name to where 63 letters have room, as soon as it is loaded: the
 * program would be aborted. */
static bool host_name_fits(void)
{
    char name[256]; /* musl would cut it without a word */
    return gethostname(name, sizeof name) != 0 || strnlen(name, sizeof name) <= 63;
}

/* It stays loaded: it has threads' keys and handlers of its own. */
static enum ww_status library_load(void)
{
    if (ucx.loaded) {
        return WW_OK;
    }
    if (!host_name_fits()) {
        return log_failure(WW_UNSUPPORTED,
                           "UCX, which is to carry messages between hosts, ends programs on a host "
                           "whose name has more than 63 letters: give this host a shorter one");
    }
    void *ucp = dlopen(UCP_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    void *ucs = ucp == NULL ? NULL : dlopen(UCS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (ucs == NULL) { /* the latest failure is what dlerror tells */
        return log_failure(WW_UNSUPPORTED,
                           "UCX, which is to carry messages between hosts, cannot be loaded: %s; "
                           "install it (Debian: libucx0)",
                           dlerror());
    }
    bool whole = find_symbol(ucs, "ucs_status_string", &ucx.ucs_status_string);
#define UCP_FIND(name) whole = find_symbol(ucp, #name, &ucx.name) && whole;
    UCP_CALLS(UCP_FIND)
#undef UCP_FIND
    if (!whole) {
        return log_failure(WW_UNSUPPORTED, "the UCX of this machine is older than 1.10, which is "
                                           "the first that can carry messages between hosts");
    }
    ucx.loaded = true;
    return WW_OK;
}

static bool has_rdma(void)
{
    DIR *devices = opendir("/sys/class/infiniband");
    const struct dirent *entry = NULL;
    while (devices != NULL && (entry = readdir(devices)) != NULL && entry->d_name[0] == '.') {
        continue;
    }
    if (devices != NULL) {
        closedir(devices);
    }
    return entry != NULL;
}

/* Lines "NAME=value\n", to be freed; NULL where there is no memory. */
static char *config_text(const ucp_config_t *config)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    if (stream == NULL) {
        return NULL;
    }
    ucx.ucp_config_print(config, stream, NULL, UCS_CONFIG_PRINT_CONFIG);
    fclose(stream);
    return text;
}

/* Did nobody set a variable, so that its line is "NAME=default\n"? */
static bool is_free(const ucp_config_t *config, const char *line)
{
    char *text = config_text(config);
    bool found = text != NULL && strstr(text, line) != NULL;
    free(text);
    return found;
}

/* What a person had UCX take may not be there: notes it, in words that follow a sentence. */
static void note_choice(const ucp_config_t *config)
{
    static const char *const names[] = {"UCX_TLS=", "UCX_NET_DEVICES="};
    char *text = config_text(config);
    size_t used = 0;
    ucx.chosen[0] = '\0';
    for (size_t i = 0; text != NULL && i < sizeof names / sizeof names[0]; i++) {
        const char *line = strstr(text, names[i]);
        int bytes = line == NULL ? 0 : (int)strcspn(line, "\n");
        bool all = line != NULL && strncmp(line + strlen(names[i]), "all\n", 4) == 0;
        if (bytes > 0 && !all && used < sizeof ucx.chosen) {
            used += (size_t)snprintf(ucx.chosen + used, sizeof ucx.chosen - used, "%s%.*s",
                                     used == 0 ? "; set for this rank: " : ", ", bytes, line);
        }
    }
    free(text);
}

/* Over TCP a message that asks for permission first wins nothing, and its question waits behind
 * bulk data on the one socket between two hosts: at 1 Gbit/s that costs a fifth. */
static void tune_for_tcp(ucp_config_t *config)
{
    if (!has_rdma() && is_free(config, "UCX_RNDV_THRESH=auto\n")) {
        ucx.ucp_config_modify(config, "RNDV_THRESH", "inf");
    }
}

/* UCX 1.10 would look for a transport with the name "^sm", and find none. */
static bool knows_exceptions(void)
{
    unsigned major, minor, release;
    ucx.ucp_get_version(&major, &minor, &release);
    return major > 1 || minor > 10;
}

/* UCX's own shared memory does not notice peers that fail, so it carries nothing here; but each
 * worker would take megabytes of /dev/shm, of which a container has 64. */
static void leave_memory_out(ucp_config_t *config)
{
    if (knows_exceptions() && is_free(config, "UCX_TLS=all\n")) {
        ucx.ucp_config_modify(config, "TLS", "^sm");
    }
}

/* UCX's TCP connects in calls that hold the program for two minutes where packets to a peer vanish:
 * no time-out could end that, and nobody would say whom it waits for. Versions name this setting
 * differently, and warn of names that they do not know; so does 1.13 where it opens no TCP. What
 * UCX_TCP_CONN_NB says does not count then. */
static void connect_in_background(ucp_config_t *config)
{
    unsigned major, minor, release;
    ucx.ucp_get_version(&major, &minor, &release);
    if (major == 1 && minor == 13 && !has_rdma()) {
        ucx.ucp_config_modify(config, "CONN_NB", "y");
    }
}

static enum ww_status context_create(int size)
{
    ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES |
                                         UCP_PARAM_FIELD_ESTIMATED_NUM_EPS |
                                         UCP_PARAM_FIELD_MT_WORKERS_SHARED,
                           .features = UCP_FEATURE_TAG,
                           .estimated_num_eps = (size_t)size,
                           .mt_workers_shared = 1};
    ucp_config_t *config = NULL;
    ucs_status_t cause = ucx.ucp_config_read(NULL, NULL, &config);
    if (cause == UCS_OK) {
        note_choice(config);
        tune_for_tcp(config);
        leave_memory_out(config);
        connect_in_background(config);
        cause = ucx.ucp_init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &ucx.context);
        ucx.ucp_config_release(config);
    }
    return cause == UCS_OK ? WW_OK
                           : log_failure(WW_TRANSPORT_FAILED, "UCX could not be initialised: %s%s",
                                         ucx.ucs_status_string(cause), ucx.chosen);
}

static void *do_nothing(void *nothing)
{
    return nothing;
}

/* UCX starts a thread of its own, and ends the program where it gets none. */
static enum ww_status threads_check(void)
{
    pthread_t thread;
    int trouble = pthread_create(&thread, NULL, do_nothing, NULL);
    if (trouble != 0) {
        return log_failure(
            WW_UNSUPPORTED,
            "UCX, which is to carry messages between hosts, needs a thread, and none "
            "can be started: %s (are threads limited, ulimit -u?)",
            strerror(trouble));
    }
    pthread_join(thread, NULL);
    return WW_OK;
}

/* One more fabric needs UCX. */
static enum ww_status library_join(int size)
{
    pthread_mutex_lock(&ucx.lock);
    enum ww_status status = library_load();
    status = status == WW_OK ? threads_check() : status;
    if (status == WW_OK && ucx.fabrics == 0) {
        status = context_create(size);
    }
    ucx.fabrics += status == WW_OK;
    pthread_mutex_unlock(&ucx.lock);
    return status;
}

static void library_leave(void)
{
    pthread_mutex_lock(&ucx.lock);
    if (--ucx.fabrics == 0) {
        ucx.ucp_cleanup(ucx.context);
        ucx.context = NULL;
    }
    pthread_mutex_unlock(&ucx.lock);
}

/* ---- The fabric ----------------------------------------------------------------------------- */

/* One message. */
struct piece {
    void *request; /* UCX's; NULL = it is done */
    enum ww_message_kind kind;
    int peer;
    size_t bytes;
};

/* A posted round. */
struct flight {
    struct flight_link link;
    struct piece *pieces;
    struct copies copies; /* of control sends */
    int tag;
    bool control;
    uint64_t begin_ns;
    int first; /* pieces before it are done */
    int count; /* posted */
    int capacity;
};

/* A rank that this one has to do with. */
struct peer {
    ucp_ep_h endpoint;  /* NULL = nothing was sent to it */
    ucs_status_t cause; /* why the connection ended; UCS_OK = it did not */
    bool known;         /* something was posted */
    bool heard;         /* something came: it has a connection, and will say goodbye */
    bool left;          /* it said goodbye: that its connection ends is as it should be */
    void *greeting;     /* the receive of its hello */
    void *own_greeting; /* the send of ours */
    void *farewell;     /* the receive of its goodbye */
    void *own_farewell; /* the send of ours */
    void *closing;      /* the end of the connection */
    unsigned char word; /* what hellos and goodbyes carry: nothing */
};

struct fabric {
    int rank;
    int size;
    int levels;
    int host_levels;
    const uint8_t *peer_level;
    ucp_worker_h worker;
    struct peer *peers;       /* [size] */
    unsigned char *addresses; /* [size * address_bytes] of their workers, with their hosts' names */
    size_t address_bytes;     /* of which HOST_BYTES, the last ones, are the name's */
    struct flights flights;
    struct ww_traffic traffic[WW_LEVELS_MAX];
    struct fabric *next; /* of those that are abandoned */
};

static ucp_tag_t tag_of(int sender, int tag)
{
    return (ucp_tag_t)(unsigned)sender << TAG_BITS | (ucp_tag_t)(unsigned)tag;
}

/* UCX tells it amid its progress, hence amid poll. */
static void on_error(void *argument, ucp_ep_h endpoint, ucs_status_t cause)
{
    struct peer *peer = argument;
    (void)endpoint;
    peer->cause = cause;
}

static bool is_over(void *request)
{
    return request == NULL || ucx.ucp_request_check_status(request) != UCS_INPROGRESS;
}

/* A request is ours until it is freed, whatever became of it. */
static void request_drop(void **request)
{
    if (*request != NULL) {
        ucx.ucp_request_free(*request);
        *request = NULL;
    }
}

static bool has_left(struct peer *peer)
{
    ucp_tag_recv_info_t info;
    if (peer->farewell != NULL && ucx.ucp_tag_recv_request_test(peer->farewell, &info) == UCS_OK) {
        request_drop(&peer->farewell);
        peer->left = true;
    }
    return peer->left;
}

/* A word without bytes, to or from a peer. NULL when it is sent, or cannot be. */
static void *word_send(struct fabric *fabric, int rank, int tag)
{
    struct peer *peer = &fabric->peers[rank];
    ucp_request_param_t params = {.op_attr_mask = 0};
    void *request = ucx.ucp_tag_send_nbx(peer->endpoint, &peer->word, 0, tag_of(fabric->rank, tag),
                                         &params);
    return UCS_PTR_IS_ERR(request) ? NULL : request;
}

static void *word_expect(struct fabric *fabric, int rank, int tag)
{
    ucp_request_param_t params = {.op_attr_mask = UCP_OP_ATTR_FLAG_NO_IMM_CMPL};
    void *request = ucx.ucp_tag_recv_nbx(fabric->worker, &fabric->peers[rank].word, 0,
                                         tag_of(rank, tag), WHOLE_TAG, &params);
    return UCS_PTR_IS_ERR(request) ? NULL : request;
}

/* From the first message of a peer on its goodbye is waited for, whenever it comes. */
static void peer_know(struct fabric *fabric, int rank)
{
    struct peer *peer = &fabric->peers[rank];
    if (!peer->known) {
        peer->farewell = word_expect(fabric, rank, GOODBYE_TAG);
        peer->known = true;
    }
}

static void *peer_address(const struct fabric *fabric, int rank)
{
    return fabric->addresses + (size_t)rank * fabric->address_bytes;
}

static const char *peer_host(const struct fabric *fabric, int rank)
{
    return (const char *)peer_address(fabric, rank + 1) - HOST_BYTES;
}

/* A host that vanished says nothing, and neither does a network that is down for a while. */
static enum ww_status peer_lost(const struct fabric *fabric, int rank, ucs_status_t cause)
{
    bool silent = cause == UCS_ERR_ENDPOINT_TIMEOUT;
    return log_failure(WW_PEER_FAILED,
                       "rank %d is gone%s: UCX lost the connection to it on %s: %s%s", rank,
                       silent ? " or cannot be reached" : "", peer_host(fabric, rank),
                       ucx.ucs_status_string(cause), silent ? OUTAGE_ADVICE : "");
}

/* Connects when the first message to a peer is posted; UCX does the rest while it makes progress.
 */
static enum ww_status peer_connect(struct fabric *fabric, int rank)
{
    struct peer *peer = &fabric->peers[rank];
    if (peer->endpoint != NULL) {
        return WW_OK;
    }
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS |
                                            UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                                            UCP_EP_PARAM_FIELD_ERR_HANDLER,
                              .address = peer_address(fabric, rank),
                              .err_mode = UCP_ERR_HANDLING_MODE_PEER,
                              .err_handler = {.cb = on_error, .arg = peer}};
    ucs_status_t cause = ucx.ucp_ep_create(fabric->worker, &params, &peer->endpoint);
    if (cause != UCS_OK) {
        peer->endpoint = NULL;
        return log_failure(WW_TRANSPORT_FAILED,
                           "UCX cannot connect to rank %d on %s: %s; " NETWORK_ADVICE, rank,
                           peer_host(fabric, rank), ucx.ucs_status_string(cause), ucx.chosen);
    }
    return WW_OK;
}

/* ---- Flights -------------------------------------------------------------------------------- */

static void flight_give(struct fabric *fabric, struct flight *flight)
{
    flight->first = flight->count;
    flights_give(&fabric->flights, flight);
}

static bool flight_hold(struct flight *flight, bool control, const struct ww_message *messages,
                        int count)
{
    return array_hold(&flight->pieces, &flight->capacity, count, sizeof *flight->pieces) &&
           (!control || copies_hold(&flight->copies, messages, count, false));
}

/* A flight with room for these messages. NULL when there is no memory. */
static struct flight *flight_take(struct fabric *fabric, bool control,
                                  const struct ww_message *messages, int count)
{
    struct flight *flight = flights_take(&fabric->flights, sizeof *flight);
    if (flight == NULL) {
        return NULL;
    }
    if (!flight_hold(flight, control, messages, count)) {
        flight_give(fabric, flight);
        return NULL;
    }
    flight->first = 0;
    flight->count = 0;
    flight->control = control;
    return flight;
}

static enum ww_status piece_failed(const struct fabric *fabric, const struct flight *flight,
                                   const struct piece *piece, ucs_status_t cause)
{
    const struct peer *peer = &fabric->peers[piece->peer];
    if (peer->cause != UCS_OK) {
        return peer_lost(fabric, piece->peer, peer->cause);
    }
    return log_failure(WW_TRANSPORT_FAILED, "UCX could not %s %zu bytes %s rank %d (tag %d): %s",
                       piece->kind == WW_SEND ? "send" : "receive", piece->bytes,
                       piece->kind == WW_SEND ? "to" : "from", piece->peer, flight->tag,
                       ucx.ucs_status_string(cause));
}

/* A done receive must have brought all its bytes, but for a control message. */
static enum ww_status piece_check(const struct flight *flight, const struct piece *piece,
                                  size_t bytes)
{
    if (!fabric_fits(bytes, piece->bytes, flight->control)) {
        return log_failure(WW_TRANSPORT_FAILED,
                           "rank %d sent %zu bytes with tag %d where %zu were expected: both ends "
                           "must state the same size",
                           piece->peer, bytes, flight->tag, piece->bytes);
    }
    return WW_OK;
}

static void *piece_start(struct fabric *fabric, const struct flight *flight, void *memory,
                         const struct piece *piece)
{
    ucp_request_param_t params = {.op_attr_mask = 0};
    if (piece->kind == WW_SEND) {
        return ucx.ucp_tag_send_nbx(fabric->peers[piece->peer].endpoint, memory, piece->bytes,
                                    tag_of(fabric->rank, flight->tag), &params);
    }
    /* Done at once or not, poll asks for the bytes that came. */
    params.op_attr_mask = UCP_OP_ATTR_FLAG_NO_IMM_CMPL;
    return ucx.ucp_tag_recv_nbx(fabric->worker, memory, piece->bytes,
                                tag_of(piece->peer, flight->tag), WHOLE_TAG, &params);
}

static enum ww_status piece_post(struct fabric *fabric, struct flight *flight,
                                 const struct ww_message *message)
{
    struct piece piece = {NULL, message->kind, message->peer, message->bytes};
    void *memory = message->memory;
    peer_know(fabric, piece.peer);
    enum ww_status status = piece.kind == WW_SEND ? peer_connect(fabric, piece.peer) : WW_OK;
    if (status != WW_OK) {
        return status;
    }
    if (piece.kind == WW_SEND && fabric->peers[piece.peer].cause != UCS_OK) {
        return peer_lost(fabric, piece.peer, fabric->peers[piece.peer].cause);
    }
    if (flight->control && piece.kind == WW_SEND && piece.bytes > 0) {
        memory = copies_keep(&flight->copies, memory, piece.bytes);
    }
    void *request = piece_start(fabric, flight, memory, &piece);
    if (UCS_PTR_IS_ERR(request)) {
        return piece_failed(fabric, flight, &piece, UCS_PTR_STATUS(request));
    }
    piece.request = request;
    flight->pieces[flight->count++] = piece;
    return WW_OK;
}

static void count_send(struct fabric *fabric, const struct ww_message *message, bool control)
{
    struct ww_traffic *traffic = &fabric->traffic[fabric->peer_level[message->peer]];
    if (control) {
        traffic->control_bytes += message->bytes;
    } else {
        traffic->data_bytes += message->bytes;
        traffic->data_messages++;
    }
}

static enum ww_status kind_post(struct fabric *fabric, struct flight *flight,
                                enum ww_message_kind kind, const struct ww_message *messages,
                                int count)
{
    enum ww_status status = WW_OK;
    for (int index = 0; status == WW_OK && index < count; index++) {
        if (messages[index].kind == kind) {
            status = piece_post(fabric, flight, &messages[index]);
        }
        if (messages[index].kind == kind && kind == WW_SEND) {
            count_send(fabric, &messages[index], flight->control);
        }
    }
    return status;
}

/* WW_PENDING; or an error where the peer will never answer. Without a connection nobody hears that
 * a peer is gone, so whoever waits long for one connects to it. */
static enum ww_status piece_wait(struct fabric *fabric, const struct flight *flight,
                                 const struct piece *piece)
{
    struct peer *peer = &fabric->peers[piece->peer];
    if (peer->endpoint == NULL && clock_now_ns() - flight->begin_ns > LONG_NS) {
        enum ww_status status = peer_connect(fabric, piece->peer);
        if (status != WW_OK) {
            return status;
        }
    }
    return peer->cause == UCS_OK || has_left(peer) ? WW_PENDING
                                                   : peer_lost(fabric, piece->peer, peer->cause);
}

static enum ww_status piece_test(struct fabric *fabric, struct flight *flight, struct piece *piece)
{
    ucp_tag_recv_info_t info = {.length = piece->bytes};
    if (piece->request == NULL) {
        return WW_OK;
    }
    ucs_status_t cause = piece->kind == WW_SEND
                             ? ucx.ucp_request_check_status(piece->request)
                             : ucx.ucp_tag_recv_request_test(piece->request, &info);
    if (cause == UCS_INPROGRESS) {
        return piece_wait(fabric, flight, piece);
    }
    request_drop(&piece->request);
    fabric->peers[piece->peer].heard |= piece->kind == WW_RECEIVE && cause == UCS_OK;
    return cause == UCS_OK ? piece_check(flight, piece, info.length)
                           : piece_failed(fabric, flight, piece, cause);
}

/* In order from the first piece that is not done: each is tested about once however many there are,
 * and a flight is done only when its last one is. */
static enum ww_status flight_test(struct fabric *fabric, struct flight *flight)
{
    for (; flight->first < flight->count; flight->first++) {
        enum ww_status status = piece_test(fabric, flight, &flight->pieces[flight->first]);
        if (status != WW_OK) {
            return status;
        }
    }
    return WW_OK;
}

/* ---- Closing -------------------------------------------------------------------------------- */

typedef bool fabric_question(struct fabric *fabric);

/* Makes progress until it is so, or until the time is over. Returns whether it is so. */
static bool wait_until(struct fabric *fabric, fabric_question *is_so, uint64_t end_ns)
{
    while (!is_so(fabric)) {
        if (clock_now_ns() > end_ns) {
            return false;
        }
        if (ucx.ucp_worker_progress(fabric->worker) == 0) {
            sched_yield();
        }
    }
    return true;
}

/* All that this rank has to say is said, and every peer that lives has said goodbye: a socket that
 * is closed before everything is read takes away what the other end has not read yet. */
static bool all_have_parted(struct fabric *fabric)
{
    for (int rank = 0; rank < fabric->size; rank++) {
        struct peer *peer = &fabric->peers[rank];
        bool told = peer->cause != UCS_OK || is_over(peer->own_farewell);
        bool parted = peer->cause != UCS_OK || !peer->heard || has_left(peer);
        if (!told || !parted) {
            return false;
        }
    }
    return true;
}

/* Sends are on their way; what comes from others is not waited for. */
static bool all_is_sent(struct fabric *fabric)
{
    struct flight *flight = flights_first(&fabric->flights);
    for (; flight != NULL; flight = flights_next(flight)) {
        for (int index = flight->first; index < flight->count; index++) {
            const struct piece *piece = &flight->pieces[index];
            if (piece->kind == WW_SEND && !is_over(piece->request)) {
                return false;
            }
        }
    }
    return true;
}

/* Of peers that were told something last nobody is left: they give up as well, and end their
 * connections. */
static bool all_who_were_told_are_gone(struct fabric *fabric)
{
    struct flight *flight = flights_first(&fabric->flights);
    for (; flight != NULL; flight = flights_next(flight)) {
        for (int index = flight->first; index < flight->count; index++) {
            const struct piece *piece = &flight->pieces[index];
            if (piece->kind == WW_SEND && fabric->peers[piece->peer].cause == UCS_OK) {
                return false;
            }
        }
    }
    return true;
}

static bool all_is_released(struct fabric *fabric)
{
    struct flight *flight = flights_first(&fabric->flights);
    for (; flight != NULL; flight = flights_next(flight)) {
        for (int index = flight->first; index < flight->count; index++) {
            if (!is_over(flight->pieces[index].request)) {
                return false;
            }
        }
    }
    for (int rank = 0; rank < fabric->size; rank++) {
        const struct peer *peer = &fabric->peers[rank];
        if (!is_over(peer->farewell) || !is_over(peer->own_farewell) || !is_over(peer->greeting) ||
            !is_over(peer->own_greeting) || !is_over(peer->closing)) {
            return false;
        }
    }
    return true;
}

/* Also to those who were only heard: UCX does not bear a connection that ends half made. */
static void say_goodbye(struct fabric *fabric)
{
    for (int rank = 0; rank < fabric->size; rank++) {
        struct peer *peer = &fabric->peers[rank];
        if (peer->heard && peer->cause == UCS_OK) {
            peer_connect(fabric, rank);
        }
        if (peer->endpoint != NULL && peer->cause == UCS_OK) {
            peer->own_farewell = word_send(fabric, rank, GOODBYE_TAG);
        }
    }
}

static void receives_cancel(struct fabric *fabric)
{
    struct flight *flight = flights_first(&fabric->flights);
    for (; flight != NULL; flight = flights_next(flight)) {
        for (int index = flight->first; index < flight->count; index++) {
            struct piece *piece = &flight->pieces[index];
            if (piece->kind == WW_RECEIVE && !is_over(piece->request)) {
                ucx.ucp_request_cancel(fabric->worker, piece->request);
            }
        }
    }
    for (int rank = 0; rank < fabric->size; rank++) {
        if (!is_over(fabric->peers[rank].farewell)) {
            ucx.ucp_request_cancel(fabric->worker, fabric->peers[rank].farewell);
        }
        if (!is_over(fabric->peers[rank].greeting)) {
            ucx.ucp_request_cancel(fabric->worker, fabric->peers[rank].greeting);
        }
    }
}

/* What came and nobody asked for: UCX would warn of it. Its bytes stay where they are. */
static void strays_drop(struct fabric *fabric)
{
    ucp_tag_message_h stray;
    ucp_tag_recv_info_t info;
    ucp_request_param_t params = {.op_attr_mask = 0};
    unsigned char nothing;
    while ((stray = ucx.ucp_tag_probe_nb(fabric->worker, 0, 0, 1, &info)) != NULL) {
        void *request = ucx.ucp_tag_msg_recv_nbx(fabric->worker, &nothing, 0, stray, &params);
        uint64_t end_ns = clock_now_ns() + CLOSE_FAILED_NS;
        while (UCS_PTR_IS_PTR(request) && !is_over(request) && clock_now_ns() < end_ns) {
            ucx.ucp_worker_progress(fabric->worker);
        }
        if (UCS_PTR_IS_PTR(request)) {
            ucx.ucp_request_free(request);
        }
    }
}

/* By force: what is under way comes back, and nobody is waited for. */
static void endpoints_close(struct fabric *fabric)
{
    ucp_request_param_t force = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
                                 .flags = UCP_EP_CLOSE_FLAG_FORCE};
    for (int rank = 0; rank < fabric->size; rank++) {
        struct peer *peer = &fabric->peers[rank];
        if (peer->endpoint != NULL) {
            void *request = ucx.ucp_ep_close_nbx(peer->endpoint, &force);
            peer->closing = UCS_PTR_IS_PTR(request) ? request : NULL;
        }
    }
}

static void requests_free(struct fabric *fabric)
{
    struct flight *flight = flights_first(&fabric->flights);
    for (; flight != NULL; flight = flights_next(flight)) {
        for (int index = flight->first; index < flight->count; index++) {
            request_drop(&flight->pieces[index].request);
        }
    }
    for (int rank = 0; rank < fabric->size; rank++) {
        request_drop(&fabric->peers[rank].greeting);
        request_drop(&fabric->peers[rank].own_greeting);
        request_drop(&fabric->peers[rank].farewell);
        request_drop(&fabric->peers[rank].own_farewell);
        request_drop(&fabric->peers[rank].closing);
    }
}

static void fabric_free(struct fabric *fabric)
{
    struct flight *flight;
    while ((flight = flights_pop(&fabric->flights)) != NULL) {
        free(flight->copies.memory);
        free(flight->pieces);
        free(flight);
    }
    free(fabric->addresses);
    free(fabric->peers);
    free(fabric);
}

/* Connections that were not ended by both sides may be half made, and of some of these UCX aborts
 * the program when their worker is destroyed. It stays, and nobody lets it make progress. */
static void abandon(struct fabric *fabric)
{
    pthread_mutex_lock(&ucx.lock);
    fabric->next = ucx.abandoned;
    ucx.abandoned = fabric;
    pthread_mutex_unlock(&ucx.lock);
}

/* Takes back all memory. Returns whether the fabric ended in order. */
static bool part(struct fabric *fabric, bool failed)
{
    uint64_t end_ns = clock_now_ns() + (failed ? CLOSE_FAILED_NS : CLOSE_NS);
    bool parted = false;
    if (failed) {
        wait_until(fabric, all_is_sent, end_ns); /* such as the words about what failed */
        wait_until(fabric, all_who_were_told_are_gone, clock_now_ns() + HEARD_NS);
    } else {
        say_goodbye(fabric);
        parted = wait_until(fabric, all_have_parted, end_ns) && all_is_sent(fabric);
    }
    receives_cancel(fabric);
    strays_drop(fabric);
    endpoints_close(fabric);
    if (!wait_until(fabric, all_is_released, clock_now_ns() + RELEASE_NS)) {
        log_warn("UCX did not let go of messages of a context that ended: keep the gradients or "
                 "buffers handed to it until the program ends");
        return false;
    }
    requests_free(fabric);
    strays_drop(fabric);
    return parted;
}

static void ucx_close(void *self, bool failed)
{
    struct fabric *fabric = self;
    if (!part(fabric, failed)) {
        abandon(fabric);
        return;
    }
    ucx.ucp_worker_destroy(fabric->worker);
    library_leave();
    fabric_free(fabric);
}

/* ---- Opening -------------------------------------------------------------------------------- */

#define WHAT_IS_OPENED "open UCX"

/* How long the longest address of a worker is, with its host's name, before the addresses
 * themselves. Every rank comes here, however it fares (`own`), or the others would wait for it. */
static enum ww_status introduce(const struct ww_world *world, enum ww_status own, size_t own_bytes,
                                size_t *address_bytes)
{
    uint32_t mine = (uint32_t)own_bytes;
    uint32_t *all = calloc((size_t)world->size, sizeof *all);
    if (own == WW_OK && all == NULL) {
        own = log_failure(WW_NO_MEMORY, "no memory to hear of %d ranks", world->size);
    }
    enum ww_status status = world_all_well(world, own, WHAT_IS_OPENED);
    if (status == WW_OK) {
        status = world_gather(world, &mine, all, sizeof mine);
    }
    size_t most = 0;
    for (int rank = 0; status == WW_OK && rank < world->size; rank++) {
        most = all[rank] > most ? all[rank] : most;
    }
    free(all);
    if (status == WW_OK) {
        *address_bytes = most + HOST_BYTES;
    }
    return status;
}

static enum ww_status worker_create(struct fabric *fabric)
{
    ucp_worker_params_t params = {.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
                                  .thread_mode = UCS_THREAD_MODE_SERIALIZED};
    struct size_guard guard;
    size_guard_begin(&guard); /* UCX writes its shared memory as files */
    ucs_status_t cause = ucx.ucp_worker_create(ucx.context, &params, &fabric->worker);
    size_guard_end(&guard);
    return cause == UCS_OK ? WW_OK
                           : log_failure(WW_TRANSPORT_FAILED, "UCX could not make a worker: %s",
                                         ucx.ucs_status_string(cause));
}

static enum ww_status addresses_gather(struct fabric *fabric, const struct ww_world *world,
                                       const ucp_address_t *own, size_t own_bytes)
{
    unsigned char *padded = calloc(1, fabric->address_bytes);
    fabric->addresses = calloc((size_t)world->size, fabric->address_bytes);
    enum ww_status status = WW_OK;
    if (padded == NULL || fabric->addresses == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for the addresses of %d ranks", world->size);
    }
    status = world_all_well(world, status, WHAT_IS_OPENED);
    if (status == WW_OK) {
        char *host = (char *)padded + fabric->address_bytes - HOST_BYTES;
        memcpy(padded, own, own_bytes);
        if (gethostname(host, HOST_BYTES) != 0) {
            snprintf(host, HOST_BYTES, "an unknown host");
        }
        status = world_gather(world, padded, fabric->addresses, fabric->address_bytes);
    }
    free(padded);
    return status;
}

/* Hears of all peers' workers. The worker is there, if `status` says so. */
static enum ww_status meet(struct fabric *fabric, const struct ww_world *world,
                           enum ww_status status)
{
    ucp_address_t *own = NULL;
    size_t own_bytes = 0;
    if (status == WW_OK) {
        ucs_status_t cause = ucx.ucp_worker_get_address(fabric->worker, &own, &own_bytes);
        status = cause == UCS_OK ? WW_OK
                                 : log_failure(WW_TRANSPORT_FAILED, "UCX has no address: %s",
                                               ucx.ucs_status_string(cause));
    }
    status = introduce(world, status, own_bytes, &fabric->address_bytes);
    if (status == WW_OK) {
        status = addresses_gather(fabric, world, own, own_bytes);
    }
    if (own != NULL) {
        ucx.ucp_worker_release_address(fabric->worker, own);
    }
    return status;
}

/* ---- Greeting ------------------------------------------------------------------------------- */

static enum ww_status greet(struct fabric *fabric, int rank)
{
    enum ww_status status = peer_connect(fabric, rank);
    if (status == WW_OK) {
        fabric->peers[rank].own_greeting = word_send(fabric, rank, HELLO_TAG);
    }
    return status;
}

/* One look at a peer: *done tells whether both have heard each other. */
static enum ww_status greeting_look(struct fabric *fabric, int rank, bool is_late, bool *done)
{
    struct peer *peer = &fabric->peers[rank];
    ucp_tag_recv_info_t info;
    if (peer->cause != UCS_OK) {
        return log_failure(WW_TRANSPORT_FAILED,
                           "UCX cannot reach rank %d on %s: %s; " NETWORK_ADVICE, rank,
                           peer_host(fabric, rank), ucx.ucs_status_string(peer->cause), ucx.chosen);
    }
    if (peer->greeting != NULL && ucx.ucp_tag_recv_request_test(peer->greeting, &info) == UCS_OK) {
        request_drop(&peer->greeting);
        peer->heard = true;
    }
    if (peer->endpoint == NULL && (peer->heard || is_late)) {
        return greet(fabric, rank);
    }
    *done = peer->heard && is_over(peer->own_greeting);
    return WW_OK;
}

static enum ww_status greetings_begin(struct fabric *fabric)
{
    enum ww_status status = WW_OK;
    for (int rank = 0; status == WW_OK && rank < fabric->size; rank++) {
        if (rank != fabric->rank) {
            peer_know(fabric, rank);
            fabric->peers[rank].greeting = word_expect(fabric, rank, HELLO_TAG);
            status = rank > fabric->rank ? greet(fabric, rank) : WW_OK;
        }
    }
    return status;
}

/* Connects all ranks where they are few, so that nothing is half made later and what cannot be
 * reached is known now. Of two the lower one begins, so that they do not run into each other; where
 * it is late the other one calls too, as only who calls learns that nobody is there any more. */
static enum ww_status greet_all(struct fabric *fabric)
{
    if (fabric->size > MESH_MAX) {
        return WW_OK;
    }
    enum ww_status status = greetings_begin(fabric);
    uint64_t begin_ns = clock_now_ns();
    int missing = fabric->size - 1, last = -1;
    while (status == WW_OK && missing > 0) {
        uint64_t waited_ns = clock_now_ns() - begin_ns;
        missing = 0;
        if (ucx.ucp_worker_progress(fabric->worker) == 0) {
            sched_yield();
        }
        for (int rank = 0; status == WW_OK && rank < fabric->size; rank++) {
            bool done = rank == fabric->rank;
            status = done ? WW_OK : greeting_look(fabric, rank, waited_ns > LATE_NS, &done);
            missing += !done;
            last = done ? last : rank;
        }
        if (status == WW_OK && missing > 0 && waited_ns > GREETING_NS) {
            status = log_failure(
                WW_TIMED_OUT, "UCX did not reach rank %d on %s within %d s; " NETWORK_ADVICE, last,
                peer_host(fabric, last), (int)(GREETING_NS / CLOCK_NS_PER_S), ucx.chosen);
        }
    }
    return status;
}

static struct fabric *fabric_create(const struct ww_transport_setup *setup)
{
    struct fabric *made = calloc(1, sizeof *made);
    struct peer *peers = calloc((size_t)setup->world->size, sizeof *peers);
    if (made == NULL || peers == NULL) {
        free(peers);
        free(made);
        return NULL;
    }
    made->rank = setup->world->rank;
    made->size = setup->world->size;
    made->levels = setup->levels;
    made->host_levels = setup->host_levels;
    made->peer_level = setup->peer_level;
    made->peers = peers;
    return made;
}

static enum ww_status ucx_open(const struct ww_transport_setup *setup, void **fabric)
{
    assert(setup->levels >= 1 && setup->levels <= WW_LEVELS_MAX);
    struct fabric *made = fabric_create(setup);
    size_t unused;
    if (made == NULL) {
        enum ww_status status = log_failure(WW_NO_MEMORY, "no memory for a fabric over UCX");
        return introduce(setup->world, status, 0, &unused);
    }
    enum ww_status joined = library_join(made->size);
    enum ww_status status = joined == WW_OK ? worker_create(made) : joined;
    status = meet(made, setup->world, status);
    if (status == WW_OK) {
        status = greet_all(made);
        if (status == WW_OK) {
            *fabric = made;
        } else {
            ucx_close(made, true);
        }
        return status;
    }
    if (made->worker != NULL) {
        ucx.ucp_worker_destroy(made->worker);
    }
    if (joined == WW_OK) {
        library_leave();
    }
    fabric_free(made);
    return status;
}

/* ---- The fabric's slots --------------------------------------------------------------------- */

static enum ww_wait messages_wait(const struct fabric *fabric, const struct ww_message *messages,
                                  int count)
{
    for (int index = 0; index < count; index++) {
        if (fabric->peer_level[messages[index].peer] >= fabric->host_levels) {
            return WW_WAIT_NETWORK;
        }
    }
    return WW_WAIT_MEMORY;
}

static enum ww_status ucx_post(void *self, int tag, bool control, const struct ww_message *messages,
                               int count, struct ww_flight *posted)
{
    assert(tag >= 0 && tag < WW_TRANSPORT_TAGS);
    struct fabric *fabric = self;
    struct flight *flight = flight_take(fabric, control, messages, count);
    if (flight == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to post %d messages", count);
    }
    flight->tag = tag;
    flight->begin_ns = clock_now_ns();
    /* Receives first: what arrives meanwhile needs no copy. */
    enum ww_status status = kind_post(fabric, flight, WW_RECEIVE, messages, count);
    if (status == WW_OK) {
        status = kind_post(fabric, flight, WW_SEND, messages, count);
    }
    *posted = (struct ww_flight){flight, messages_wait(fabric, messages, count)};
    return status;
}

static enum ww_status ucx_poll(void *self, struct ww_flight *posted)
{
    struct fabric *fabric = self;
    struct flight *flight = posted->state;
    for (int step = 0; step < PROGRESS_STEPS && ucx.ucp_worker_progress(fabric->worker) > 0;) {
        step++;
    }
    enum ww_status status = flight_test(fabric, flight);
    if (status == WW_OK) {
        flight_give(fabric, flight);
        posted->state = NULL;
    }
    return status;
}

static int ucx_waits_for(void *self, const struct ww_flight *posted)
{
    (void)self;
    const struct flight *flight = posted->state;
    return flight->first < flight->count ? flight->pieces[flight->first].peer : -1;
}

static void ucx_counters(void *self, struct ww_traffic *traffic)
{
    const struct fabric *fabric = self;
    memcpy(traffic, fabric->traffic, (size_t)fabric->levels * sizeof *traffic);
}

static const struct ww_transport transport = {
    .name = "ucx",
    .yields_to_memory = true,
    .thread_trouble = NULL, /* a worker may be used by any thread, one at a time */
    .open = ucx_open,
    .close = ucx_close,
    .reserve = NULL, /* plain memory serves: UCX registers what it needs */
    .release = NULL,
    .post = ucx_post,
    .poll = ucx_poll,
    .waits_for = ucx_waits_for,
    .counters = ucx_counters,
    .control_room = fabric_control_room,
};

const struct ww_transport *ww_ucx_transport(void)
{
    return &transport;
}
