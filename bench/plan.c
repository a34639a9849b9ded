/* SPDX-License-Identifier: BSD-3-Clause
 * plan.c: `wirewise plan` prints what a collective will do before it does it: each rank's part, or
 * with a cluster file what it will take there. */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/tools.h>

#include "command.h"
#include "forecast.h"
#include "launch.h"
#include "words.h"

#define RANKS_MAX 4096

enum { KEY_LIST = 0x100, KEY_ROOT, KEY_MESSAGES, KEY_JSON, KEY_ALL, KEY_WHAT_IF };

struct wishes {
    struct ww_plan_query query;
    int host_of[RANKS_MAX];
    bool hosts_given;
    int ranks; /* as --ranks says; 0 = it does not */
    bool all_ranks;
    bool list;
    const char *of_plans;    /* the last flag that counts for printed plans only; NULL = none */
    const char *of_clusters; /* and for clusters only */
    struct forecast_wishes forecast;
};

static const struct argp_option rows[] = {
    {0, 0, 0, 0, "Always:", 1},
    {"algorithm", 'a', "NAME", 0,
     "see --list; hierarchical, hierarchical+ring ... (scatter_gather; on a cluster the fastest)",
     0},
    {"collective", 'c', "NAME", 0, "all_reduce, reduce_scatter, all_gather or broadcast", 0},
    {"list", KEY_LIST, 0, 0, "list the algorithms", 0},
    {0, 0, 0, 0, "Without CLUSTER.ini:", 2},
    {"ranks", 'n', "COUNT", 0, "how many ranks (4); --hosts says it as well", 0},
    {"hosts", 'H', "LIST", 0, "ranks on each host, for example 2,2 or 4,2,1", 0},
    {"rank", 'r', "RANK", 0, "this rank's plan only (all)", 0},
    {"root", KEY_ROOT, "RANK", 0, "who broadcasts (0)", 0},
    {"messages", KEY_MESSAGES, 0, 0,
     "ranks of one host do not see each other's memory (hierarchical only)", 0},
    {0, 0, 0, 0, "With CLUSTER.ini:", 3},
    {"bytes", 'b', "SIZES", 0, "vectors to price, with commas: 25M,64M", 0},
    {"all", KEY_ALL, 0, 0, "price every algorithm, the fastest first", 0},
    {"what-if", KEY_WHAT_IF, "LEVEL=FACTOR", 0,
     "as if that level's wires were so many times as fast: network=2; may be repeated", 0},
    {"json", KEY_JSON, 0, 0, "print one JSON document", 0},
    {0, 0, 0, 0, 0, 0},
};

/* A whole number from least to most, or a usage error that says so. */
static int read_int(struct argp_state *state, const char *what, const char *text, int least,
                    int most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < least || value > most) {
        argp_error(state, "%s is '%s': it must be a number from %d to %d", what, text, least, most);
    }
    return (int)value;
}

/* "4,2,1": rank 0 to 3 on host 0, 4 and 5 on host 1, 6 on host 2. */
static void read_hosts(struct argp_state *state, struct wishes *wishes, char *list)
{
    int size = 0;
    int host = 0;
    for (char *word = list; word != NULL; host++) {
        char *comma = strchr(word, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        int ranks = read_int(state, "a host's ranks", word, 1, RANKS_MAX);
        if (size + ranks > RANKS_MAX) {
            argp_error(state, "--hosts names more than %d ranks", RANKS_MAX);
        }
        for (int i = 0; i < ranks; i++) {
            wishes->host_of[size++] = host;
        }
        word = comma != NULL ? comma + 1 : NULL;
    }
    wishes->query.size = size;
    wishes->hosts_given = true;
}

static void read_sizes(struct argp_state *state, struct forecast_wishes *forecast, const char *list)
{
    const char *at = list;
    forecast->size_count = 0;
    while (at != NULL) {
        if (forecast->size_count == FORECAST_SIZES_MAX) {
            argp_error(state, "--bytes %s: there may be %d sizes, not more", list,
                       FORECAST_SIZES_MAX);
        }
        size_t bytes = 0;
        const char *end = read_size(at, &bytes);
        if (end == NULL || (*end != '\0' && *end != ',')) {
            argp_error(state,
                       "--bytes %s: write bytes, or numbers with K, M or G, 1 or more, joined by "
                       "commas: 25M,64M",
                       list);
        }
        forecast->bytes[forecast->size_count++] = (double)bytes;
        at = *end == ',' ? end + 1 : NULL;
    }
}

/* "network=2" */
static void read_what_if(struct argp_state *state, struct forecast_wishes *forecast, char *text)
{
    char *equals = strchr(text, '=');
    char *end = NULL;
    double factor = equals == NULL ? 0 : strtod(equals + 1, &end);
    if (equals == NULL || equals == text || end == equals + 1 || *end != '\0') {
        argp_error(state, "--what-if %s: write LEVEL=FACTOR, for example network=2", text);
    }
    if (forecast->what_if_count == FORECAST_WHAT_IFS_MAX) {
        argp_error(state, "--what-if may be given %d times, not more", FORECAST_WHAT_IFS_MAX);
    }
    *equals = '\0';
    forecast->what_if[forecast->what_if_count++] = (struct forecast_what_if){text, factor};
}

static void check_words(struct argp_state *state, struct wishes *wishes)
{
    const struct forecast_wishes *forecast = &wishes->forecast;
    if (wishes->hosts_given && wishes->ranks > 0 && wishes->ranks != wishes->query.size) {
        argp_error(state, "--ranks says %d and --hosts %d in all: give one of them", wishes->ranks,
                   wishes->query.size);
    }
    wishes->query.size = wishes->ranks > 0 ? wishes->ranks : wishes->query.size;
    if (forecast->file == NULL && wishes->of_clusters != NULL) {
        argp_error(state, "%s needs a cluster: wirewise plan CLUSTER.ini -b 25M",
                   wishes->of_clusters);
    }
    if (forecast->file != NULL && wishes->of_plans != NULL) {
        argp_error(state, "%s is for plans of ranks; %s says itself where its ranks are",
                   wishes->of_plans, forecast->file);
    }
    if (forecast->file != NULL && forecast->size_count == 0) {
        argp_error(state, "which sizes are to be priced is missing: -b 25M,64M");
    }
    if (forecast->all && forecast->algorithm != NULL) {
        argp_error(state, "--all prices every algorithm and --algorithm one: give one of them");
    }
}

/* Options of plans that are printed. */
static error_t parse_of_plans(int key, char *text, struct argp_state *state)
{
    struct wishes *wishes = state->input;
    switch (key) {
    case 'n':
        wishes->ranks = read_int(state, "--ranks", text, 1, RANKS_MAX);
        wishes->of_plans = "--ranks";
        return 0;
    case 'H':
        read_hosts(state, wishes, text);
        wishes->of_plans = "--hosts";
        return 0;
    case 'r':
        wishes->query.rank = read_int(state, "--rank", text, 0, INT_MAX);
        wishes->all_ranks = false;
        wishes->of_plans = "--rank";
        return 0;
    case KEY_ROOT:
        wishes->query.root = read_int(state, "--root", text, 0, INT_MAX);
        wishes->of_plans = "--root";
        return 0;
    case KEY_MESSAGES:
        wishes->query.messages_only = true;
        wishes->of_plans = "--messages";
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Options of clusters. */
static error_t parse_of_clusters(int key, char *text, struct argp_state *state)
{
    struct wishes *wishes = state->input;
    switch (key) {
    case 'b':
        read_sizes(state, &wishes->forecast, text);
        wishes->of_clusters = "--bytes";
        return 0;
    case KEY_ALL:
        wishes->forecast.all = true;
        wishes->of_clusters = "--all";
        return 0;
    case KEY_WHAT_IF:
        read_what_if(state, &wishes->forecast, text);
        wishes->of_clusters = "--what-if";
        return 0;
    case KEY_JSON:
        wishes->forecast.json = true;
        wishes->of_clusters = "--json";
        return 0;
    default:
        return parse_of_plans(key, text, state);
    }
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct wishes *wishes = state->input;
    switch (key) {
    case 'a':
        wishes->query.algorithm = text;
        wishes->forecast.algorithm = text;
        return 0;
    case 'c':
        wishes->query.collective = text;
        wishes->forecast.collective = text;
        return 0;
    case KEY_LIST:
        wishes->list = true;
        return 0;
    case ARGP_KEY_ARG:
        if (wishes->forecast.file != NULL) {
            argp_error(state, "%s and %s: there can be one cluster file", wishes->forecast.file,
                       text);
        }
        wishes->forecast.file = text;
        return 0;
    case ARGP_KEY_END:
        check_words(state, wishes);
        return 0;
    default:
        return parse_of_clusters(key, text, state);
    }
}

static int print_plans(struct wishes *wishes)
{
    int first = wishes->all_ranks ? 0 : wishes->query.rank;
    int last = wishes->all_ranks ? wishes->query.size - 1 : first;
    wishes->query.host_of = wishes->hosts_given ? wishes->host_of : NULL;
    for (int rank = first; rank <= last; rank++) {
        wishes->query.rank = rank;
        if (ww_plan_print(&wishes->query, stdout) != WW_OK) {
            return EXIT_USAGE; /* the library has said what is wrong */
        }
    }
    return command_flush("wirewise plan");
}

int plan_command(int argc, char **argv)
{
    static const struct argp argp = {
        rows,
        parse,
        "[CLUSTER.ini]",
        "Prints each rank's part in a collective: rounds of local actions and messages over "
        "numbered chunks. With a cluster file: which plan is chosen there, what it takes, and "
        "what limits it. Nothing is sent, and no hardware is needed.",
        NULL,
        NULL,
        NULL};
    static struct wishes wishes = {
        .query = WW_PLAN_QUERY_INIT, .all_ranks = true, .forecast = {.collective = "all_reduce"}};
    wishes.query.size = 4; /* where neither --ranks nor --hosts says it */
    if (launch_read().rank != 0) {
        return EXIT_FINE; /* one process says it all */
    }
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &wishes) != 0) {
        return EXIT_USAGE;
    }
    if (wishes.list) {
        ww_algorithms_print(stdout);
        return command_flush("wirewise plan");
    }
    if (wishes.forecast.file != NULL) {
        return forecast_run(&wishes.forecast);
    }
    return print_plans(&wishes);
}
