/* SPDX-License-Identifier: BSD-3-Clause
 * tools.h: what commands need beyond wirewise.h. UNSTABLE: it may change in any release before
 * 1.0. */
#ifndef WIREWISE_TOOLS_H
#define WIREWISE_TOOLS_H

#include <stdio.h>

#include <wirewise/wirewise.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One rank's plan, asked for without any communication. */
struct ww_plan_query {
    size_t struct_bytes;    /* sizeof(struct ww_plan_query), set by WW_PLAN_QUERY_INIT */
    const char *collective; /* "all_reduce", "reduce_scatter", "all_gather", "broadcast" */
    const char *algorithm;  /* a name that ww_algorithms_print lists; for an all_reduce also
                               "hierarchical" or "hierarchical+" one of them */
    int size;               /* ranks, 1 .. 4096 */
    int rank;
    int root;           /* broadcast only */
    const int *host_of; /* [size] number of each rank's host, for hierarchical; NULL = one host */
    bool messages_only; /* ranks of one host do not see each other's memory */
};
#define WW_PLAN_QUERY_INIT                                                                         \
    {                                                                                              \
        sizeof(struct ww_plan_query), "all_reduce", "scatter_gather", 1, 0, 0, NULL, false         \
    }

/* Prints the plan to a stream: a line per round, a line per action.
 * Returns WW_OK, WW_BAD_ARGUMENT (the sentence lists what exists), WW_NO_MEMORY. */
WW_API enum ww_status ww_plan_print(const struct ww_plan_query *query, FILE *to);

/* Prints every algorithm: collective, name, what it does; a line each. */
WW_API void ww_algorithms_print(FILE *to);

/* ---- Codecs -----------------------------------------------------------------------------------
 */

struct ww_codec_facts {
    size_t struct_bytes;      /* sizeof(struct ww_codec_facts), set by WW_CODEC_FACTS_INIT */
    bool lossy;               /* false for "none" */
    bool feeds_back;          /* error feedback is on by default */
    double bytes_per_element; /* of one frame, about; fp32 has 4 */
};
#define WW_CODEC_FACTS_INIT                                                                        \
    {                                                                                              \
        sizeof(struct ww_codec_facts), false, false, 0                                             \
    }

/* Reads a codec as the config spells it. Returns WW_OK, WW_BAD_ARGUMENT (the sentence in
 * ww_last_error(NULL) says what exists). */
WW_API enum ww_status ww_codec_describe(const char *codec, struct ww_codec_facts *facts);

/* ---- Predictions: what a collective of a live context will take ------------------------------ */

struct ww_prediction {
    size_t struct_bytes; /* sizeof(struct ww_prediction), set by WW_PREDICTION_INIT */
    char algorithm[48];  /* "hierarchical+ring"; "announcement" where the values travel with it */
    size_t segment_bytes;
    int window;
    double seconds; /* of one call: of the slowest rank, when all come at once */
    double least_s; /* 95 % of calls lie between */
    double most_s;
    char limit[64]; /* what most of the time goes to: "network ports", "cores" ... */
};
#define WW_PREDICTION_INIT                                                                         \
    {                                                                                              \
        sizeof(struct ww_prediction), "", 0, 0, 0, 0, 0, ""                                        \
    }

/* Predicts an all-reduce of fp32 (or the named collective) over the wires as they were measured, or
 * assumed, when the context was made.
 * which   -1 = what would run; 0 .. = each way that could run, the simplest first
 * Returns WW_OK; WW_BAD_ARGUMENT, also for `which` behind the last one, without a log line then;
 *         WW_UNSUPPORTED (the ranks did not agree on prices); WW_NO_MEMORY.
 * Thread  one at a time; nothing is sent. */
WW_API enum ww_status ww_predict(struct ww_context *context, const char *collective, size_t count,
                                 enum ww_type type, int which, struct ww_prediction *prediction);

/* From now on single all-reduces of this context run as the prediction says; NULL = as chosen
 * again. All ranks call it alike, between calls. Returns WW_OK, WW_BAD_ARGUMENT (no such way, or it
 * cannot run here). 16-bit types follow only ways that round once, else they run as chosen. */
WW_API enum ww_status ww_calls_follow(struct ww_context *context,
                                      const struct ww_prediction *prediction);

/* Writes what is known about the wires, a line each: level, wire, latency, bandwidths, source. And
 * what is chosen from which size on. Returns the bytes needed, as snprintf does. */
WW_API size_t ww_wires_print(const struct ww_context *context, char *text, size_t bytes);

/* Writes the job as a cluster file, which ww_forecast_create reads: its hosts, and what its wires
 * were found to cost, so that what a few hosts measured prices as many as one likes. How hosts are
 * built inside, beyond units that ranks share, and GPUs are left out. To be told with ranks that
 * have a core each: else what they took of each other is taken off by rule.
 * Thread   any, one at a time; nothing is sent
 * Returns  WW_OK (whether the stream took it all, ferror tells), WW_BAD_ARGUMENT, WW_UNSUPPORTED
 *          (the format has no room for so many kinds of hosts), WW_NO_MEMORY. */
WW_API enum ww_status ww_cluster_print(const struct ww_context *context, FILE *to);

/* ---- Machines: what is known about the wires of one host ------------------------------------
 *
 * Every fact says whether it is known and who told it. Unknown is not zero: a container, a virtual
 * machine or an old file may hide what is there, and nobody guesses. Bandwidths are those of one
 * direction, in 10^9 bytes per second (gb_s); ports have 10^9 bits per second (gbit_s). */

enum ww_knowledge { WW_FACT_UNKNOWN, WW_FACT_ABSENT, WW_FACT_KNOWN };
enum ww_source {
    WW_SOURCE_NONE,
    WW_SOURCE_HWLOC,
    WW_SOURCE_SYSFS,
    WW_SOURCE_NVML,
    WW_SOURCE_NCCL_FILE, /* a topology in NCCL's or RCCL's format */
    WW_SOURCE_PARTS,     /* a table of parts: what such a device can do at most */
    WW_SOURCE_COUNT
};
struct ww_fact {
    enum ww_knowledge known;
    enum ww_source source;
    double value; /* 0 unless known */
};

enum ww_link_kind {
    WW_LINK_UNKNOWN,
    WW_LINK_NONE, /* told that there is none */
    WW_LINK_NVLINK,
    WW_LINK_NVSWITCH, /* NVLink through switches */
    WW_LINK_XGMI,
    WW_LINK_XELINK,
    WW_LINK_KIND_COUNT
};
enum ww_nic_kind {
    WW_NIC_UNKNOWN, /* speaks RDMA, but of what kind is not known */
    WW_NIC_INFINIBAND,
    WW_NIC_ROCE,
    WW_NIC_IWARP,
    WW_NIC_EFA,
    WW_NIC_SLINGSHOT,
    WW_NIC_OMNIPATH,
    WW_NIC_BXI,
    WW_NIC_USNIC,
    WW_NIC_ETHERNET, /* without RDMA, as far as is known */
    WW_NIC_KIND_COUNT
};
enum ww_port_state { WW_PORT_UNKNOWN, WW_PORT_UP, WW_PORT_DOWN };

/* How near two devices are, nearest first. hwloc does not tell PIX from PXB: both are PIX. */
enum ww_place {
    WW_PLACE_PIX,     /* below one PCI bridge */
    WW_PLACE_PXB,     /* below several PCI bridges, not through the host */
    WW_PLACE_PHB,     /* below one host bridge */
    WW_PLACE_NODE,    /* one NUMA node */
    WW_PLACE_PACKAGE, /* one package, several NUMA nodes */
    WW_PLACE_SYS,     /* several packages */
    WW_PLACE_UNKNOWN,
    WW_PLACE_COUNT
};

/* Their names: "hwloc", "NVLink", "InfiniBand", "UP", "PIX" ...; static, never NULL. */
WW_API const char *ww_source_name(enum ww_source source);
WW_API const char *ww_link_kind_name(enum ww_link_kind kind);
WW_API const char *ww_nic_kind_name(enum ww_nic_kind kind);
WW_API const char *ww_port_state_name(enum ww_port_state state);
WW_API const char *ww_place_name(enum ww_place place);

#define WW_PORTS_MAX 8
#define WW_CACHES_MAX 8

struct ww_cache {
    int level; /* 1, 2, 3 ...; data or unified */
    int count; /* of this level and size */
    double each_bytes;
};
struct ww_port {
    int number; /* from 1 */
    enum ww_nic_kind kind;
    enum ww_port_state state; /* UP: active, and linked where that is told */
    enum ww_source state_source;
    struct ww_fact rate_gbit_s; /* what the port says; source PARTS: what the card can do at most */
};
struct ww_nic {
    char name[64];      /* "mlx5_0", "hsn0", "eth0" */
    char interface[32]; /* its network interface, "" = none known */
    char pci[24];       /* "0000:43:00.0", "" = not on PCI, as far as is known */
    unsigned vendor;    /* PCI numbers, 0 = unknown */
    unsigned device;
    char guid[24];
    bool rdma;
    bool wanted;           /* GPUs look for it: it speaks RDMA, or is listed in NCCL's file */
    enum ww_nic_kind kind; /* of its best port */
    enum ww_source kind_source;
    enum ww_port_state state; /* UP when a port is */
    struct ww_fact package;
    struct ww_fact numa; /* the system's number */
    struct ww_fact pcie_gb_s;
    struct ww_fact rate_gbit_s; /* the sum of its UP ports, at most what PCIe carries */
    int port_count;
    struct ww_port ports[WW_PORTS_MAX];
};
struct ww_gpu {
    char pci[24];
    char model[96]; /* "" = unknown */
    char uuid[64];
    unsigned vendor;
    unsigned device;
    int generation; /* of its NVLink: 1 P100, 2 V100, 3 A100, 4 H100, 5 B200; 0 = unknown or none */
    struct ww_fact package;
    struct ww_fact numa;
    struct ww_fact pcie_gb_s;
    struct ww_fact links;      /* active links to GPUs, switches and CPUs together */
    struct ww_fact links_gb_s; /* all of them */
    struct ww_fact cpu_gb_s;   /* those of them that go to a CPU */
    int island;                /* GPUs that reach each other over links; -1 = unknown */
    enum ww_place near;        /* to the nearest NIC that is wanted; UNKNOWN where there is none */
    enum ww_place near_up;     /* to the nearest one that is UP */
    int nic; /* the one this GPU should use: UP, near, shared by few; -1 = none is known to work */
};
struct ww_link {
    enum ww_link_kind kind;
    struct ww_fact links; /* direct ones, or through switches the lesser of both ends' */
    struct ww_fact gb_s;
};

struct ww_machine {
    char origin[256]; /* "this machine" or the file */
    char writer[64];  /* "hwloc 2.9.0", who described it */
    char name[64];    /* of the host; "" = unknown, as for all texts */
    char product[128];
    char cpu[128];
    struct ww_fact packages;
    struct ww_fact numa_nodes; /* those without cores included */
    struct ww_fact numa_without_cores;
    struct ww_fact cores;
    struct ww_fact threads;
    int cache_count;
    struct ww_cache caches[WW_CACHES_MAX];
    struct ww_fact
        gpus_known; /* whether and by whom GPUs were looked for; the value is gpu_count */
    int gpu_count;
    struct ww_gpu *gpus;   /* [gpu_count], by PCI address, or in the order of NCCL's file */
    struct ww_link *links; /* [gpu_count * gpu_count], symmetric */
    int island_count;
    struct ww_fact nics_known;
    int nic_count;
    struct ww_nic *nics;   /* [nic_count], those that speak RDMA first, each by PCI address */
    enum ww_place *places; /* [gpu_count * nic_count] */
    int note_count;
    char (*notes)[256]; /* what is odd, broken, or unknown and why; a sentence each */
};

struct ww_machine_query {
    size_t struct_bytes;
    const char *xml;   /* hwloc's or NCCL's description of a machine; NULL = this machine */
    const char *sysfs; /* root of a sysfs tree; NULL = /sys for this machine, none for files */
    const char *nvml;  /* NVML's library; NULL = libnvidia-ml.so.1, which is only asked about this
                          machine and only where hwloc has no links */
};
#define WW_MACHINE_QUERY_INIT                                                                      \
    {                                                                                              \
        sizeof(struct ww_machine_query), NULL, NULL, NULL                                          \
    }

/* Finds out what is there. A file that is missing or broken is an error, never this machine.
 * Allocates; reads files; takes 10 ms to a second. The machine is to be destroyed.
 * Thread   any; the environment must not change meanwhile (hwloc reads it).
 * Returns  WW_OK, WW_BAD_ARGUMENT (a file cannot be read or makes no sense: the sentence has the
 *          line), WW_UNSUPPORTED (this build has no hwloc and the file needs it), WW_NO_MEMORY. */
WW_API enum ww_status ww_machine_discover(const struct ww_machine_query *query,
                                          struct ww_machine **machine);
WW_API void ww_machine_destroy(struct ww_machine *machine);

/* One line: "8 GPUs (NVIDIA H100) on NVSwitch, 450 GB/s each; 8 x 400 Gb/s InfiniBand, 1 DOWN;
 * level 1 = ...", "" for NULL. Cut at bytes - 1. */
WW_API void ww_machine_verdict(const struct ww_machine *machine, char *text, size_t bytes);

/* The levels that the machine itself makes, innermost first, "NVSwitch island of 8 GPUs".
 * Returns how many there are, 0 for NULL; writes level `level`, from 0, where it exists. */
WW_API int ww_machine_level(const struct ww_machine *machine, int level, char *text, size_t bytes);

/* Is all of that there and known? words: gpu, nvlink, nvswitch, xgmi, xelink, rdma, ib, roce,
 * iwarp, efa, slingshot, opa, bxi, up (there are ports with RDMA, and all are UP), near (each GPU
 * has an UP NIC in its own package), joined by commas. Writes into unmet[bytes] a sentence on each
 * that is not, "" when all are.
 * Returns WW_OK (also when something is unmet), WW_BAD_ARGUMENT for a word that does not exist, or
 * NULL. */
WW_API enum ww_status ww_machine_require(const struct ww_machine *machine, const char *words,
                                         char *unmet, size_t bytes);

/* What single calls of "auto" with so many elements and this op go by: the codec's name in
 * text[bytes], cut at bytes - 1. *settled is false while it is being found out. Not inside of a
 * call. Returns WW_OK, WW_BAD_ARGUMENT (there was no such call; NULL). */
WW_API enum ww_status ww_auto_describe(struct ww_context *context, size_t count, enum ww_op op,
                                       char *text, size_t bytes, bool *settled);

/* ---- Forecasts: what a collective will take on a cluster that a file describes ---------------
 *
 * No hardware is needed, and none is looked at. docs/cluster-files.md is the format. */

struct ww_forecast; /* a cluster with its ranks in their places and prices for its wires */

struct ww_forecast_shape {
    const char *name;
    int nodes;
    int ranks;         /* on each */
    const char *about; /* one line: "8 GPUs, 450 GB/s a GPU; 8 x 400 Gb/s InfiniBand" */
};

/* Messages between two ranks cross the wires of one level: the innermost unit that both are in. */
struct ww_forecast_level {
    const char *name; /* "island", "host", "rail", "rack", "site", "network" ... */
    const char *wire; /* "NVSwitch", "memory", "InfiniBand" ... */
    const char *from; /* the units that such messages lead from and to: "rank", or the name of the
                         level below */
    int units;
    int ranks_least; /* in a unit */
    int ranks_most;
    double latency_s;   /* until the first byte of a message is there */
    double flow_gb_s;   /* one message alone; 0 = no wire: each node has one GPU */
    double port_gb_s;   /* all messages that leave one `from` together; likewise */
    const char *source; /* "assumed", "nominal" (a rate, times what such wires reach), "given" */
    double spread;      /* 95 % of times lie within 1 - spread .. 1 + spread times the price */
};

/* A codec between hosts, for large fp32 vectors. It pays where a rank's share of the outermost
 * wires is slower than break_even_gb_s: there what it saves on the wire is more than what two more
 * passes over the vector cost, one that encodes and one that decodes, and with error feedback
 * residuals read and written. */
struct ww_forecast_codec {
    const char *name;
    double bytes_share; /* of the bytes of fp32 */
    double break_even_gb_s;
    double gain; /* dense time over coded time, at the wires of this cluster; bandwidth only */
};

struct ww_forecast_cluster {
    const char *name;
    int ranks;
    int nodes;
    int ports;             /* network ports of a node, the least of all shapes; 0 = unknown */
    const char *device;    /* "host" or "gpu": where the gradients are */
    const char *placement; /* "node" or "slot" */
    int shape_count;
    const struct ww_forecast_shape *shapes;
    int level_count;                        /* 1 .. WW_LEVELS_MAX */
    const struct ww_forecast_level *levels; /* innermost first */
    int codec_count;                        /* 0 on one host */
    const struct ww_forecast_codec *codecs;
    double rank_gb_s; /* a rank's share of the outermost wires; 0 on one host */
    int note_count;
    const char *const *notes; /* what is assumed, and why; a sentence each */
};

/* One way to run a collective, and what it takes. */
struct ww_forecast_row {
    size_t struct_bytes; /* sizeof(struct ww_forecast_row), set by WW_FORECAST_ROW_INIT */
    char algorithm[48];  /* "hierarchical+ring" */
    double segment_bytes;
    int window; /* segments in flight */
    double seconds;
    double least_s; /* 95 % of calls lie between */
    double most_s;
    double algbw_gb_s;
    double busbw_gb_s;                /* as nccl-tests count it */
    char limit[96];                   /* what most of the time goes to, in words */
    double rank_bytes[WW_LEVELS_MAX]; /* that the busiest rank sends over each level */
    double port_bytes[WW_LEVELS_MAX]; /* and that leave the busiest `from` of the level */
    double node_bytes;                /* that leave the busiest node, at most */
    double nic_bytes; /* the same over its ports, shared evenly; where the shapes' ports are
                         unknown, what leaves the node */
};
#define WW_FORECAST_ROW_INIT                                                                       \
    {                                                                                              \
        sizeof(struct ww_forecast_row), "", 0, 0, 0, 0, 0, 0, 0, "", {0}, {0}, 0, 0                \
    }

/* Reads a cluster file. The forecast is to be destroyed.
 * Thread   any, one at a time for each forecast
 * Returns  WW_OK, WW_BAD_ARGUMENT (the sentence begins with file:line), WW_UNSUPPORTED (it names a
 *          file of hwloc, and this build has no hwloc), WW_NO_MEMORY. */
WW_API enum ww_status ww_forecast_create(const char *file, struct ww_forecast **forecast);
WW_API void ww_forecast_destroy(struct ww_forecast *forecast);

/* What was read, and what follows from it; valid until the forecast changes or is destroyed. */
WW_API const struct ww_forecast_cluster *ww_forecast_describe(const struct ww_forecast *forecast);

/* What if: the wires of the named level carry so many times as many bytes per second from now on.
 * Latencies stay. The levels themselves do too.
 * Returns WW_OK, WW_BAD_ARGUMENT (no such level: the sentence lists them; a factor that is not from
 * 0.001 to 1000). */
WW_API enum ww_status ww_forecast_change(struct ww_forecast *forecast, const char *level,
                                         double factor);

/* Prices a collective of fp32 on a vector of so many bytes (all ranks' shares together), in its
 * best segment size; a broadcast is from rank 0. algorithm: a name as in ww_plan_query; NULL = the
 * fastest of all.
 * Returns WW_OK, WW_BAD_ARGUMENT (the sentence lists what exists), WW_NO_MEMORY. */
WW_API enum ww_status ww_forecast_price(struct ww_forecast *forecast, const char *collective,
                                        const char *algorithm, double bytes,
                                        struct ww_forecast_row *row);

/* Prices every way: rows[room], the fastest first. *count is how many there are, which may be more
 * than room. Returns as ww_forecast_price. */
WW_API enum ww_status ww_forecast_list(struct ww_forecast *forecast, const char *collective,
                                       double bytes, struct ww_forecast_row *rows, int room,
                                       int *count);

#ifdef __cplusplus
}
#endif
#endif
