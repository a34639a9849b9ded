/* SPDX-License-Identifier: BSD-3-Clause
 * plan.c: `wirewise plan` prints what a collective will do before it does it. */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/tools.h>

#include "command.h"
#include "launch.h"

#define RANKS_MAX 4096

enum { KEY_LIST = 0x100, KEY_ROOT, KEY_MESSAGES };

struct wishes {
    struct ww_plan_query query;
    int host_of[RANKS_MAX];
    bool hosts_given;
    bool all_ranks;
    bool list;
};

static const struct argp_option rows[] = {
    {"ranks", 'n', "COUNT", 0, "how many ranks (4); --hosts says it as well", 0},
    {"hosts", 'H', "LIST", 0, "ranks on each host, for example 2,2 or 4,2,1", 0},
    {"algorithm", 'a', "NAME", 0,
     "see --list; hierarchical, hierarchical+ring ... (scatter_gather)", 0},
    {"collective", 'c', "NAME", 0, "all_reduce, reduce_scatter, all_gather or broadcast", 0},
    {"rank", 'r', "RANK", 0, "this rank's plan only (all)", 0},
    {"root", KEY_ROOT, "RANK", 0, "who broadcasts (0)", 0},
    {"messages", KEY_MESSAGES, 0, 0,
     "ranks of one host do not see each other's memory (hierarchical only)", 0},
    {"list", KEY_LIST, 0, 0, "list the algorithms", 0},
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
    for (char *word = strtok(list, ","); word != NULL; word = strtok(NULL, ","), host++) {
        int ranks = read_int(state, "a host's ranks", word, 1, RANKS_MAX);
        if (size + ranks > RANKS_MAX) {
            argp_error(state, "--hosts names more than %d ranks", RANKS_MAX);
        }
        for (int i = 0; i < ranks; i++) {
            wishes->host_of[size++] = host;
        }
    }
    if (size == 0) {
        argp_error(state, "--hosts is empty: say for example 2,2");
    }
    wishes->query.size = size;
    wishes->hosts_given = true;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct wishes *wishes = state->input;
    switch (key) {
    case 'n':
        wishes->query.size = read_int(state, "--ranks", text, 1, RANKS_MAX);
        return 0;
    case 'H':
        read_hosts(state, wishes, text);
        return 0;
    case 'a':
        wishes->query.algorithm = text;
        return 0;
    case 'c':
        wishes->query.collective = text;
        return 0;
    case 'r':
        wishes->query.rank = read_int(state, "--rank", text, 0, INT_MAX);
        wishes->all_ranks = false;
        return 0;
    case KEY_ROOT:
        wishes->query.root = read_int(state, "--root", text, 0, INT_MAX);
        return 0;
    case KEY_MESSAGES:
        wishes->query.messages_only = true;
        return 0;
    case KEY_LIST:
        wishes->list = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
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
    return EXIT_FINE;
}

int plan_command(int argc, char **argv)
{
    static const struct argp argp = {
        rows,
        parse,
        NULL,
        "Prints each rank's part in a collective: rounds of local actions and messages over "
        "numbered chunks. Nothing is sent.",
        NULL,
        NULL,
        NULL};
    static struct wishes wishes = {.query = WW_PLAN_QUERY_INIT, .all_ranks = true};
    wishes.query.size = 4;
    if (launch_read().rank != 0) {
        return EXIT_FINE; /* one process says it all */
    }
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &wishes) != 0) {
        return EXIT_USAGE;
    }
    if (wishes.list) {
        ww_algorithms_print(stdout);
        return EXIT_FINE;
    }
    return print_plans(&wishes);
}
