/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_command.c: `wirewise report` reads ledgers and tells what runs sent, cost and saved. */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "file.h"
#include "launch.h"
#include "ledger_faces.h"
#include "ledger_words.h"

enum {
    KEY_CSV = 0x100,
    KEY_JSON,
    KEY_SVG,
    KEY_WHAT_IF,
    KEY_PRICES,
    KEY_BUDGET,
    KEY_ALERT,
    KEY_CHECK
};

struct wishes {
    const char **paths;
    size_t count;
    bool csv;
    bool json;
    bool check;
    const char *svg; /* NULL = none, as the next */
    const char *prices_path;
    bool has_what_if;
    struct what_if what_if;
    struct alerts_limits limits;
    struct prices prices;
};

static const struct argp_option rows[] = {
    {0, 0, 0, 0, "What is printed:", 1},
    {"csv", KEY_CSV, 0, 0, "print CSV, a row per step line, in place of the summary", 0},
    {"json", KEY_JSON, 0, 0, "print the summary as one JSON object", 0},
    {"svg", KEY_SVG, "FILE", 0, "draw savings and communication over the steps, too", 0},
    {0, 0, 0, 0, "What it would be, and what it costs:", 2},
    {"what-if", KEY_WHAT_IF, "RATE", 0,
     "as if the outermost link had that RATE: 25gbit, 12.5GB/s; or RATE,LATENCY; or LEVEL=RATE", 0},
    {"prices", KEY_PRICES, "FILE", 0, "an INI file of prices: money and energy as well", 0},
    {0, 0, 0, 0, "What is too much:", 3},
    {"budget", KEY_BUDGET, "AMOUNT", 0, "of money that a run may cost; needs --prices", 0},
    {"alert", KEY_ALERT, "RULES", 0,
     "only these, with commas: wild, loss, unexplained, slow, skew; unexplained=5 (percent); none",
     0},
    {"check", KEY_CHECK, 0, 0, "tell alerts on stderr, and exit with the gravest one's code", 0},
    {0, 0, 0, 0, 0, 0},
};

/* ---- The command line -------------------------------------------------------------------------*/

static void add_path(struct argp_state *state, struct wishes *wishes, const char *path)
{
    const char **longer = realloc(wishes->paths, (wishes->count + 1) * sizeof(longer[0]));
    if (longer == NULL) {
        argp_failure(state, EXIT_FAILED, 0, "there is no memory for the names of files");
        return;
    }
    wishes->paths = longer;
    wishes->paths[wishes->count++] = path;
}

static void check_words(struct argp_state *state, const struct wishes *wishes)
{
    if (wishes->count == 0) {
        argp_error(state, "a ledger is missing: wirewise report run.jsonl; a run writes one where "
                          "WIREWISE_LEDGER=run.jsonl is set");
    }
    if (wishes->csv && wishes->json) {
        argp_error(state, "--csv and --json both want standard output: give one");
    }
    if (wishes->csv && (wishes->prices_path != NULL || wishes->has_what_if)) {
        argp_error(state, "--csv prints what was recorded: drop --prices and --what-if");
    }
    if (wishes->count > 1 && (wishes->svg != NULL || wishes->has_what_if)) {
        argp_error(state, "%s is about one ledger, %zu are given",
                   wishes->svg != NULL ? "--svg" : "--what-if", wishes->count);
    }
    if (!isnan(wishes->limits.budget) && wishes->prices_path == NULL) {
        argp_error(state, "--budget needs --prices FILE, which says what a run costs");
    }
}

static void read_budget(struct argp_state *state, struct wishes *wishes, const char *text)
{
    if (!words_read_number(text, &wishes->limits.budget)) {
        argp_error(state, "--budget %s: write an amount of money, 0 or more, without its currency",
                   text);
    }
}

static void read_alert(struct argp_state *state, struct wishes *wishes, const char *text)
{
    const char *wrong = alerts_read(text, &wishes->limits);
    if (wrong != NULL) {
        argp_error(state,
                   "--alert: '%s' is no rule: write wild, loss, unexplained, slow and skew, "
                   "with commas; the last three may have a limit in percent, skew=30; or "
                   "none",
                   wrong);
    }
}

static void read_what_if(struct argp_state *state, struct wishes *wishes, char *text)
{
    char whole[128];
    snprintf(whole, sizeof(whole), "%s", text);
    const char *help = what_if_read(text, &wishes->what_if);
    if (help != NULL) {
        argp_error(state, "--what-if %s: %s", whole, help);
    }
    wishes->has_what_if = true;
}

static error_t parse_limits(int key, char *text, struct argp_state *state)
{
    struct wishes *wishes = state->input;
    switch (key) {
    case KEY_WHAT_IF:
        read_what_if(state, wishes, text);
        return 0;
    case KEY_BUDGET:
        read_budget(state, wishes, text);
        return 0;
    case KEY_ALERT:
        read_alert(state, wishes, text);
        return 0;
    case KEY_CHECK:
        wishes->check = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct wishes *wishes = state->input;
    switch (key) {
    case KEY_CSV:
        wishes->csv = true;
        return 0;
    case KEY_JSON:
        wishes->json = true;
        return 0;
    case KEY_SVG:
        wishes->svg = text;
        return 0;
    case KEY_PRICES:
        wishes->prices_path = text;
        return 0;
    case ARGP_KEY_ARG:
        add_path(state, wishes, text);
        return 0;
    case ARGP_KEY_END:
        check_words(state, wishes);
        return 0;
    default:
        return parse_limits(key, text, state);
    }
}

/* ---- From ledgers to findings -----------------------------------------------------------------*/

static int complain(const char *path, const char *sentence, int code)
{
    fprintf(stderr, "wirewise report: %s: %s\n", path, sentence);
    return code;
}

static int find_what_if(const struct wishes *wishes, struct finding *finding)
{
    const struct ledger *ledger = finding->account.ledger;
    finding->what_if = &wishes->what_if;
    if (what_if_level(&wishes->what_if, ledger) < 0) {
        fprintf(stderr, "wirewise report: --what-if: %s has no level '%s'; there are", ledger->path,
                wishes->what_if.level);
        for (int i = 0; i < ledger->level_count; i++) {
            fputs(i > 0 ? ", " : " ", stderr);
            words_put(stderr, ledger->levels[i], 32);
        }
        fputc('\n', stderr);
        return EXIT_USAGE;
    }
    if (ledger->line_count == 0) {
        return complain(ledger->path, "no step to replay at another rate", EXIT_USAGE);
    }
    finding->replay = what_if_replay(&wishes->what_if, &finding->account);
    if (isnan(finding->replay.recorded_rate) && finding->replay.level < ledger->level_count - 1) {
        return complain(
            ledger->path,
            "--what-if: steps do not tell how much of the wires' time was that level's, as "
            "dense and coded ones sent as much there or took as long; name the outermost "
            "level",
            EXIT_USAGE);
    }
    return EXIT_FINE;
}

static int find(const struct wishes *wishes, const struct ledger *ledger, struct finding *finding)
{
    *finding = (struct finding){0};
    if (!account_make(ledger, &finding->account)) {
        return complain(ledger->path, "there is no memory to add it up", EXIT_FAILED);
    }
    if (wishes->prices_path != NULL) {
        finding->prices = &wishes->prices;
        finding->cost = cost_make(&wishes->prices, &finding->account);
    }
    finding->alert_count = alerts_find(&wishes->limits, &finding->account, finding->prices,
                                       &finding->cost, finding->alerts);
    return wishes->has_what_if ? find_what_if(wishes, finding) : EXIT_FINE;
}

static bool have_equal_levels(const struct ledger *a, const struct ledger *b)
{
    bool equal = a->level_count == b->level_count;
    for (int i = 0; equal && i < a->level_count; i++) {
        equal = strcmp(a->levels[i], b->levels[i]) == 0;
    }
    return equal;
}

static int print(const struct wishes *wishes, const struct finding *findings)
{
    errno = 0;
    if (wishes->csv) {
        findings_write_csv(findings, wishes->count, stdout);
    } else if (wishes->json) {
        findings_write_json(findings, wishes->count, stdout);
    } else if (wishes->count > 1) {
        findings_print_table(findings, wishes->count, stdout);
    } else {
        finding_print(&findings[0], stdout);
    }
    return command_flush("wirewise report");
}

/* Tells each alert; the code of the gravest one. */
static int check(const struct wishes *wishes, const struct finding *findings)
{
    int code = EXIT_FINE;
    for (size_t i = 0; i < wishes->count; i++) {
        for (int j = 0; j < findings[i].alert_count; j++) {
            const struct alert *alert = &findings[i].alerts[j];
            int found = alert_exit_code(alert->rule);
            fprintf(stderr, "wirewise report: %s: alert %s: %s\n", findings[i].account.ledger->path,
                    alert_name(alert->rule), alert->text);
            code = code == EXIT_FINE || found < code ? found : code;
        }
    }
    return code;
}

/* All is read before anything is printed. */
static int report(struct wishes *wishes, struct ledger *ledgers, struct finding *findings)
{
    int code = wishes->prices_path == NULL ? EXIT_FINE
                                           : prices_read(wishes->prices_path, &wishes->prices);
    for (size_t i = 0; i < wishes->count && code == EXIT_FINE; i++) {
        code = ledger_read(wishes->paths[i], &ledgers[i]);
        if (code == EXIT_FINE && wishes->csv && !have_equal_levels(&ledgers[0], &ledgers[i])) {
            return complain(wishes->paths[i],
                            "has other levels than the first file: --csv prints "
                            "ledgers of equal levels",
                            EXIT_USAGE);
        }
        code = code != EXIT_FINE ? code : find(wishes, &ledgers[i], &findings[i]);
    }
    if (code == EXIT_FINE && wishes->svg != NULL &&
        !file_write("--svg", wishes->svg, finding_draw, &findings[0])) {
        code = EXIT_FAILED;
    }
    code = code != EXIT_FINE ? code : print(wishes, findings);
    return code != EXIT_FINE || !wishes->check ? code : check(wishes, findings);
}

int report_command(int argc, char **argv)
{
    static const struct argp argp = {
        rows,
        parse,
        "FILE...",
        "Reads ledgers, which runs write where WIREWISE_LEDGER names a file, and prints one "
        "screen: "
        "bytes and seconds by level, what compression saved or cost, with which certainty, and "
        "what was odd. Several files become a table. - is standard input.",
        NULL,
        NULL,
        NULL};
    static struct wishes wishes;
    if (launch_read().rank != 0) {
        return EXIT_FINE; /* one process says it all */
    }
    wishes = (struct wishes){.limits = alerts_usual()};
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &wishes) != 0) {
        return EXIT_USAGE;
    }
    int code = EXIT_FAILED;
    struct ledger *ledgers = calloc(wishes.count, sizeof(ledgers[0]));
    struct finding *findings = calloc(wishes.count, sizeof(findings[0]));
    if (ledgers != NULL && findings != NULL) {
        code = report(&wishes, ledgers, findings);
    } else {
        complain("memory", "there is none for so many files", code);
    }
    for (size_t i = 0; ledgers != NULL && i < wishes.count; i++) {
        ledger_free(&ledgers[i]);
    }
    free(ledgers);
    free(findings);
    free(wishes.paths);
    return code;
}
