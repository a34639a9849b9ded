/* SPDX-License-Identifier: BSD-3-Clause
 * ledger.h: what a run wrote about itself, in memory; docs/ledger.md describes the file. A number
 * that is not known is NAN. */
#ifndef BENCH_LEDGER_H
#define BENCH_LEDGER_H

#include <stdbool.h>
#include <stddef.h>

#define LEDGER_SCHEMA 1
#define LEDGER_LEVELS_MAX 8
#define LEDGER_CODECS_MAX 255

/* The header's texts, "" where they are missing. */
enum ledger_text {
    LEDGER_VERSION,
    LEDGER_RUN,
    LEDGER_STARTED,
    LEDGER_HOST,
    LEDGER_FABRIC,
    LEDGER_CODEC,
    LEDGER_ALLOWED,
    LEDGER_BASIS,
    LEDGER_TEXTS
};
extern const char *const ledger_text_names[LEDGER_TEXTS];

/* The header's numbers. */
enum ledger_fact {
    LEDGER_RANK,
    LEDGER_RANKS,
    LEDGER_HOSTS,
    LEDGER_INSIDE, /* so many levels, from the first on, stay inside a host */
    LEDGER_TENSORS,
    LEDGER_BUCKETS,
    LEDGER_GRADIENT_BYTES,
    LEDGER_FACTS
};
extern const char *const ledger_fact_names[LEDGER_FACTS];

/* The numbers of a step line; seconds where they end in _S. */
enum ledger_number {
    LEDGER_STEP,
    LEDGER_STEPS,
    LEDGER_T,
    LEDGER_PROBES,
    LEDGER_CONTROL, /* bytes, as the next one */
    LEDGER_SHADOW,
    LEDGER_STEP_S,
    LEDGER_COMMUNICATION_S,
    LEDGER_EXPOSED_S,
    LEDGER_ENCODE_S,
    LEDGER_DECODE_S,
    LEDGER_SKEW_S,
    LEDGER_SLOWEST, /* a rank */
    LEDGER_COMPARING_S,
    LEDGER_RESIDUAL,
    LEDGER_CAPTURED,
    LEDGER_ENCODED, /* elements, as the next two */
    LEDGER_CHOSEN,
    LEDGER_WILD,
    LEDGER_NUMBERS
};

struct ledger_member {
    const char *name;
    bool whole; /* an integer that is not negative */
    bool adds;  /* over steps; the others tell how it was at the last one */
};
extern const struct ledger_member ledger_members[LEDGER_NUMBERS];

/* Bytes over each level. */
enum ledger_traffic { LEDGER_SENT, LEDGER_DENSE32, LEDGER_DENSE16, LEDGER_TRAFFICS };
extern const char *const ledger_traffic_names[LEDGER_TRAFFICS];

enum ledger_evidence {
    LEDGER_UNTOLD,
    LEDGER_DENSE, /* nothing was encoded */
    LEDGER_INSUFFICIENT,
    LEDGER_MODELLED,
    LEDGER_MEASURED,
    LEDGER_EVIDENCES
};
extern const char *const ledger_evidence_names[LEDGER_EVIDENCES];

/* Ends of a 95 % interval and what lies between them. */
struct interval {
    double low;
    double estimate;
    double high;
};

/* A step, several steps, or the whole run. */
struct ledger_line {
    double numbers[LEDGER_NUMBERS];
    double traffic[LEDGER_TRAFFICS][LEDGER_LEVELS_MAX];
    struct interval saved; /* seconds; negative = lost */
    int codec;             /* its place in the ledger's codecs, or -1 */
    enum ledger_evidence evidence;
};

struct ledger_event {
    double step;
    char *kind;
    char *text;
};

struct ledger_label {
    char *name;
    char *text;
};

struct ledger_audit {
    bool known;
    double claimed; /* bytes, as the next two */
    double counted;
    double overhead;
    double unexplained; /* a share */
    double nvlink_sent; /* bytes; older ledgers do not have it, nor the next */
    double nvlink_received;
    char *interface; /* NULL = not told */
};

struct ledger {
    const char *path; /* borrowed from the command line */
    char *texts[LEDGER_TEXTS];
    double facts[LEDGER_FACTS];
    struct ledger_label *labels;
    size_t label_count;
    char *levels[LEDGER_LEVELS_MAX]; /* innermost first */
    int level_count;
    char **codecs; /* the names that occur in step lines */
    int codec_count;
    struct ledger_line *lines; /* in order of their steps */
    size_t line_count;
    struct ledger_event *events;
    size_t event_count;

    bool ended;                 /* the rest comes from the last line and is not known without */
    struct ledger_line summary; /* of the whole run */
    double dense_s;
    double coded_s;
    double energy_j;     /* of the host's processors */
    double gpu_energy_j; /* of its GPUs; older ledgers do not have it */
    struct ledger_audit audit;

    bool cut;       /* the last line was cut short, and left out */
    double missing; /* steps that no line is about, between others that lines are about */
};

/* Reads a file, or standard input for "-". Returns an exit_code; what is wrong has been said, with
 * file and line. The caller has to free the ledger in any case; `path` is borrowed until then. */
int ledger_read(const char *path, struct ledger *ledger);
void ledger_free(struct ledger *ledger);

/* The name of a line's codec, "" = not known. */
const char *ledger_codec(const struct ledger *ledger, const struct ledger_line *line);

/* A line about nothing: what adds is 0, the rest is not known. */
struct ledger_line ledger_line_none(void);

#endif
