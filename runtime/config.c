/* SPDX-License-Identifier: BSD-3-Clause
 * config.c: the one table of settings: name, kind, limits, help. A new setting is a row here and
 * a field in struct ww_config. The only file of the library that reads WIREWISE_ variables, but for
 * those of a world from the environment (transport/env_launch.c). */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "internal/number.h"
#include "topology.h"

extern char **environ;

#define PREFIX "WIREWISE_"
#define VALUE_BYTES 1024 /* of the longest text */
#define NUMBER_BYTES 32
#define NEAR_LEAST 2 /* letters; more where less than a third of a name differs */
#define DIGITS 15    /* of a number: so many are exact */
#define GIB ((double)(1 << 30))

enum kind { KIND_SIZE, KIND_INT, KIND_NUMBER, KIND_BOOL, KIND_NAME, KIND_TEXT };

struct row {
    const char *name;
    enum kind kind;
    size_t offset; /* in struct ww_config */
    bool shared;   /* all ranks must have the same */
    double least;
    double most;
    const char *const *names; /* KIND_NAME: values from 0, ended by NULL */
    size_t room;              /* KIND_TEXT: where in struct settings it is kept, and its bytes */
    size_t room_bytes;
    const char *help;
};

static const char *const op_names[] = {"sum", "mean", NULL};
static const char *const progress_names[] = {"auto", "inline", "thread", NULL};
static const char *const deterministic_names[] = {"off", "plan", NULL};
static const char *const calibrate_names[] = {"auto", "off", "always", NULL};
static const char *const feedback_names[] = {"auto", "off", "on", NULL};
static const char *const probe_names[] = {"auto", "off", "steps", "shadows", NULL};
static const char *const bool_names[] = {"no", "yes", NULL};
static const char *const level_names[] = {"error", "warn", "info", "debug", NULL};

#define FIELD(field) #field, .offset = offsetof(struct ww_config, field)
#define TEXT(field)                                                                                \
    FIELD(field), .kind = KIND_TEXT, .room = offsetof(struct settings, field),                     \
                  .room_bytes = sizeof(((struct settings *)NULL)->field)
static const struct row rows[] = {
    {FIELD(bucket_bytes), .kind = KIND_SIZE, .shared = true, .least = 1, .most = 64 * GIB,
     .help = "small tensors travel together up to this size"},
    {FIELD(segment_bytes), .kind = KIND_SIZE, .shared = true, .least = 0, .most = GIB,
     .help = "piece that slides through a plan; 0 = chosen"},
    {FIELD(segments_in_flight), .kind = KIND_INT, .shared = true, .least = 0, .most = 16,
     .help = "pieces under way at once; 0 = chosen"},
    {FIELD(timeout_s), .kind = KIND_NUMBER, .least = 0.01, .most = 1e7,
     .help = "a collective without any progress for so long fails"},
    {TEXT(algorithm), .shared = true, .help = "all-reduce algorithm, or auto"},
    {FIELD(gradient_op), .kind = KIND_NAME, .shared = true, .names = op_names,
     .help = "what a step does with gradients"},
    {FIELD(progress), .kind = KIND_NAME, .names = progress_names,
     .help = "who moves messages: the caller (inline) or a thread"},
    {FIELD(deterministic), .kind = KIND_NAME, .shared = true, .names = deterministic_names,
     .help = "plan: the same plans in the same order in every run"},
    {FIELD(mpi_quiet), .kind = KIND_BOOL, .names = bool_names,
     .help = "promise: the program makes no MPI call during a step"},
    {FIELD(log_level), .kind = KIND_NAME, .names = level_names,
     .help = "least important line that is printed"},
    {FIELD(shared_memory), .kind = KIND_BOOL, .shared = true, .names = bool_names,
     .help = "ranks of one host meet in memory where the system allows it"},
    {FIELD(calibrate), .kind = KIND_NAME, .shared = true, .names = calibrate_names,
     .help = "measure the wires when a context is made: auto = where a choice depends on them"},
    {FIELD(calibrate_s), .kind = KIND_NUMBER, .shared = true, .least = 0, .most = 3600,
     .help = "how long that may take, about"},
    {TEXT(calibration_file),
     .help = "where measurements are kept: auto = in the user's cache, none = nowhere"},
    {TEXT(codec), .shared = true,
     .help = "how a step's fp32 gradients travel: none, fp16, bf16, int8, topk:0.01, auto"},
    {TEXT(codecs_allowed), .shared = true,
     .help = "what codec auto may choose among besides none: fp16,int8,topk:0.01"},
    {FIELD(probe), .kind = KIND_NAME, .shared = true, .names = probe_names,
     .help = "how savings are measured: dense steps, dense shadows after steps, or not"},
    {FIELD(error_feedback), .kind = KIND_NAME, .shared = true, .names = feedback_names,
     .help = "add in the next step what encoding left out: auto = int8 and topk"},
    {FIELD(codec_least_count), .kind = KIND_SIZE, .shared = true, .least = 0, .most = 1e15,
     .help = "tensors with fewer elements are not encoded"},
    {FIELD(density_warmup_steps), .kind = KIND_INT, .shared = true, .least = 0, .most = 1e9,
     .help = "steps in which topk comes from 0.25 down to its density"},
    {FIELD(momentum), .kind = KIND_NUMBER, .shared = true, .least = 0, .most = 0.9999,
     .help = "of all fp32 tensors, kept here and corrected for topk; 0 = none"},
    {FIELD(momentum_masking), .kind = KIND_BOOL, .shared = true, .names = bool_names,
     .help = "where topk sends an element its momentum starts anew"},
    {FIELD(clip_norm), .kind = KIND_NUMBER, .shared = true, .least = 0, .most = 1e300,
     .help = "largest norm of all results of a step; 0 = any"},
    {FIELD(staleness), .kind = KIND_INT, .shared = true, .least = 0, .most = WW_STALENESS_MAX,
     .help = "results come so many steps after their gradients; 0 = at the step's own end"},
    {FIELD(allow_stale_topk), .kind = KIND_BOOL, .shared = true, .names = bool_names,
     .help = "top-k even with staleness 2 and more, which harms training"},
    {TEXT(ledger), .help = "file for a line of JSON per step; %r = the rank"},
    {FIELD(ledger_bytes), .kind = KIND_SIZE, .least = 65536, .most = 64 * GIB,
     .help = "largest size of the ledger, and of the trace"},
    {TEXT(metrics), .help = "file for Prometheus' textfile collector; %r = the rank"},
    {TEXT(trace), .help = "file for a Chrome trace of buckets; %r = the rank"},
    {TEXT(run), .help = "a name for this run"},
    {TEXT(labels), .help = "name=value,... for this run"},
    {TEXT(host), .help = "name of this rank's host; empty = found out"},
    {TEXT(place),
     .help = "site/rack/rail of the host, rack/rail or rail; empty = found out (Slurm)"},
    {TEXT(shape), .shared = true,
     .help = "imitate hosts and slower wires: hosts=2,rate=1gbit,latency=20us; empty = no"},
    {TEXT(nccl), .help = "NCCL's library, for gradients on GPUs: a file, auto, or none"},
    {FIELD(discover), .kind = KIND_BOOL, .shared = true, .names = bool_names,
     .help = "one rank per host looks at its machine first, for up to a second"},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])
_Static_assert(ROW_COUNT <= CONFIG_ROWS_MAX, "room for origins");

/* ---- Values ----------------------------------------------------------------------------- */

static void *field_of(struct ww_config *values, const struct row *row)
{
    return (char *)values + row->offset;
}

static const void *const_field_of(const struct ww_config *values, const struct row *row)
{
    return (const char *)values + row->offset;
}

/* Every number fits a double exactly where it matters (sizes up to 2^53). */
static double number_of(const struct ww_config *values, const struct row *row)
{
    const void *field = const_field_of(values, row);
    switch (row->kind) {
    case KIND_SIZE:
        return (double)*(const size_t *)field;
    case KIND_NUMBER:
        return *(const double *)field;
    case KIND_BOOL:
        return *(const bool *)field;
    default:
        return *(const int *)field; /* enums are ints */
    }
}

static void set_number(struct ww_config *values, const struct row *row, double number)
{
    void *field = field_of(values, row);
    switch (row->kind) {
    case KIND_SIZE:
        *(size_t *)field = (size_t)number;
        break;
    case KIND_NUMBER:
        *(double *)field = number;
        break;
    case KIND_BOOL:
        *(bool *)field = number != 0;
        break;
    default:
        *(int *)field = (int)number;
        break;
    }
}

static int name_count(const struct row *row)
{
    int count = 0;
    while (row->names[count] != NULL) {
        count++;
    }
    return count;
}

static void value_print(const struct ww_config *values, const struct row *row, char *text,
                        size_t bytes)
{
    if (row->kind == KIND_TEXT) {
        const char *value = *(const char *const *)const_field_of(values, row);
        snprintf(text, bytes, "%s", value == NULL ? "" : value);
    } else if (row->names != NULL) {
        snprintf(text, bytes, "%s", row->names[(int)number_of(values, row)]);
    } else {
        number_print(text, bytes, DIGITS, number_of(values, row));
    }
}

/* Whatever the locale: in Turkish ones toupper leaves an i as it is. */
static char letter_upper(char letter)
{
    return (char)(letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter);
}

static void print_variable(const struct row *row, char *text, size_t bytes)
{
    size_t used = (size_t)snprintf(text, bytes, PREFIX "%s", row->name);
    for (size_t i = sizeof PREFIX - 1; i < used && i < bytes; i++) {
        text[i] = letter_upper(text[i]);
    }
}

/* ---- Checking --------------------------------------------------------------------------- */

static enum ww_status bad_value(const struct row *row, const char *value, const char *from)
{
    char allowed[128] = "";
    if (row->names != NULL) {
        for (int i = 0; row->names[i] != NULL; i++) {
            size_t used = strlen(allowed);
            snprintf(allowed + used, sizeof allowed - used, "%s%s", i == 0 ? "one of " : ", ",
                     row->names[i]);
        }
    } else {
        char least[NUMBER_BYTES];
        char most[NUMBER_BYTES];
        number_print(least, sizeof least, DIGITS, row->least);
        number_print(most, sizeof most, DIGITS, row->most);
        snprintf(allowed, sizeof allowed, "%s from %s to %s",
                 row->kind == KIND_SIZE ? "bytes (K, M, G allowed)" : "a number", least, most);
    }
    return log_failure(WW_BAD_CONFIG, "%s is \"%s\" in %s; it must be %s", row->name, value, from,
                       allowed);
}

static bool in_range(const struct row *row, double number)
{
    if (row->names != NULL) {
        return number >= 0 && number < name_count(row);
    }
    return number >= row->least && number <= row->most; /* false for a NaN */
}

static enum ww_status check_program(const struct ww_config *values, const struct row *row)
{
    if (row->kind == KIND_TEXT || in_range(row, number_of(values, row))) {
        return WW_OK;
    }
    char value[NUMBER_BYTES];
    number_print(value, sizeof value, DIGITS, number_of(values, row));
    return bad_value(row, value, "struct ww_config");
}

/* Doubles from 2^53 on have no fraction. */
static bool is_whole(double number)
{
    bool near = number > -0x1p53 && number < 0x1p53;
    return near ? number == (double)(int64_t)number : !isnan(number);
}

/* "512", "64K", "1.5G"; binary suffixes for sizes only. */
static bool parse_number(const struct row *row, const char *text, double *number)
{
    static const char suffixes[] = "KMG";
    char *end;
    if (*text == '\0' || isspace((unsigned char)*text)) {
        return false;
    }
    errno = 0;
    *number = number_read(text, &end);
    if (end == text || errno != 0) {
        return false;
    }
    const char *suffix = *end != '\0' ? strchr(suffixes, letter_upper(*end)) : NULL;
    if (row->kind == KIND_SIZE && suffix != NULL) {
        *number *= (double)((size_t)1 << (10 * (suffix - suffixes + 1)));
        end++;
    }
    bool whole = row->kind == KIND_NUMBER || is_whole(*number);
    return *end == '\0' && whole;
}

static bool parse_name(const struct row *row, const char *text, double *number)
{
    for (int i = 0; row->names[i] != NULL; i++) {
        if (strcmp(row->names[i], text) == 0) {
            *number = i;
            return true;
        }
    }
    if (row->kind == KIND_BOOL && (strcmp(text, "0") == 0 || strcmp(text, "1") == 0)) {
        *number = text[0] - '0';
        return true;
    }
    return false;
}

/* Copies a text setting to where the settings keep it. */
static enum ww_status keep_text(struct settings *settings, const struct row *row, const char *text,
                                const char *from)
{
    char *room = (char *)settings + row->room;
    if (strlen(text) >= row->room_bytes) {
        return log_failure(WW_BAD_CONFIG, "%s in %s has %zu bytes; %zu are allowed", row->name,
                           from, strlen(text), row->room_bytes - 1);
    }
    snprintf(room, row->room_bytes, "%s", text);
    *(const char **)field_of(&settings->values, row) = room;
    return WW_OK;
}

static enum ww_status apply_variable(struct settings *settings, const struct row *row)
{
    char variable[64];
    print_variable(row, variable, sizeof variable);
    const char *text = getenv(variable);
    if (text == NULL) {
        return WW_OK;
    }
    settings->origins[row - rows] = ORIGIN_ENVIRONMENT;
    if (row->kind == KIND_TEXT) {
        return keep_text(settings, row, text, variable);
    }
    double number;
    bool parsed = row->names != NULL ? parse_name(row, text, &number)
                                     : parse_number(row, text, &number);
    if (!parsed || !in_range(row, number)) {
        return bad_value(row, text, variable);
    }
    set_number(&settings->values, row, number);
    return WW_OK;
}

/* ---- Mistyped variables ----------------------------------------------------------------- */

/* Levenshtein distance, up to 63 characters. */
static int distance(const char *a, const char *b)
{
    int row[64];
    int length = (int)strlen(b);
    length = length < 63 ? length : 63;
    for (int j = 0; j <= length; j++) {
        row[j] = j;
    }
    for (int i = 1; a[i - 1] != '\0'; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= length; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int edit = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            row[j] = change < edit ? change : edit;
        }
    }
    return row[length];
}

/* Settings of a world (transport/env_launch.c) and of the tests, not of a context. */
static bool is_read_elsewhere(const char *name)
{
    static const char *const names[] = {"ADDRESS", "JOB", "ENV_TIMEOUT_S", "MACHINES", "SIM_SEED"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name + sizeof PREFIX - 1, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void warn_unknown(const char *name)
{
    char nearest[64] = "";
    char upper[64];
    snprintf(upper, sizeof upper, "%s", name);
    for (char *at = upper; *at != '\0'; at++) {
        *at = letter_upper(*at);
    }
    int best = 1000;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char variable[64];
        print_variable(&rows[i], variable, sizeof variable);
        int d = distance(upper, variable);
        if (strcmp(name, variable) == 0) {
            return;
        }
        if (d < best) {
            best = d;
            snprintf(nearest, sizeof nearest, "%s", variable);
        }
    }
    int letters = (int)(strlen(name) - (sizeof PREFIX - 1));
    if (best <= NEAR_LEAST || 3 * best <= letters) {
        log_warn("%s is no setting of wirewise and has no effect; did you mean %s?", name, nearest);
    } else {
        log_warn("%s is no setting of wirewise and has no effect", name);
    }
}

static void warn_about_environment(void)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        const char *equals = strchr(*entry, '=');
        char name[64];
        if (strncmp(*entry, PREFIX, sizeof PREFIX - 1) == 0 && equals != NULL) {
            snprintf(name, sizeof name, "%.*s", (int)(equals - *entry), *entry);
            if (!is_read_elsewhere(name)) {
                warn_unknown(name);
            }
        }
    }
}

/* ---- Resolving -------------------------------------------------------------------------- */

static bool same_value(const struct ww_config *a, const struct ww_config *b, const struct row *row)
{
    char x[VALUE_BYTES];
    char y[VALUE_BYTES];
    value_print(a, row, x, sizeof x);
    value_print(b, row, y, sizeof y);
    return strcmp(x, y) == 0;
}

static enum ww_status keep_program_text(struct settings *settings, const struct row *row)
{
    if (row->kind != KIND_TEXT) {
        return WW_OK;
    }
    const char *text = *(const char *const *)const_field_of(&settings->values, row);
    return text == NULL ? WW_OK : keep_text(settings, row, text, "struct ww_config");
}

static enum ww_status take_program(const struct ww_config *program, struct settings *settings)
{
    static const struct ww_config defaults = WW_CONFIG_INIT;
    settings->values = defaults;
    if (program != NULL) {
        if (program->struct_bytes != sizeof *program) {
            return log_failure(WW_BAD_ARGUMENT,
                               "config->struct_bytes is %zu, this library knows %zu: start from "
                               "WW_CONFIG_INIT and build against this version's header",
                               program->struct_bytes, sizeof *program);
        }
        settings->values = *program;
    }
    for (size_t i = 0; i < ROW_COUNT; i++) {
        enum ww_status status = check_program(&settings->values, &rows[i]);
        if (status != WW_OK) {
            return status;
        }
        settings->origins[i] = same_value(&settings->values, &defaults, &rows[i]) ? ORIGIN_DEFAULT
                                                                                  : ORIGIN_PROGRAM;
        status = keep_program_text(settings, &rows[i]);
        if (status != WW_OK) {
            return status;
        }
    }
    return WW_OK;
}

/* Where nobody says where the host stands, Slurm may. */
static void ask_slurm(struct settings *settings)
{
    const char *address = getenv("SLURM_TOPOLOGY_ADDR");
    const char *pattern = getenv("SLURM_TOPOLOGY_ADDR_PATTERN");
    if (settings->place[0] == '\0' && address != NULL && pattern != NULL) {
        topology_place_of_slurm(address, pattern, settings->place, sizeof settings->place);
        settings->values.place = settings->place;
    }
}

enum ww_status config_resolve(const struct ww_config *program, struct settings *settings)
{
    memset(settings, 0, sizeof *settings);
    enum ww_status status = take_program(program, settings);
    for (size_t i = 0; status == WW_OK && i < ROW_COUNT; i++) {
        status = apply_variable(settings, &rows[i]);
    }
    if (status == WW_OK && settings->values.algorithm == NULL) {
        status = log_failure(WW_BAD_CONFIG, "algorithm is NULL; say \"auto\" or a name");
    }
    if (status == WW_OK && settings->values.codec == NULL) {
        status = log_failure(WW_BAD_CONFIG, "codec is NULL; say \"none\" or a codec");
    }
    if (status == WW_OK) {
        ask_slurm(settings);
        status = topology_place_check(settings->place);
    }
    if (status == WW_OK) {
        log_set_level(settings->values.log_level);
        warn_about_environment();
    }
    return status;
}

void config_cache_folder(char *path, size_t bytes)
{
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int needed = 0;
    if (cache != NULL && cache[0] == '/') {
        needed = snprintf(path, bytes, "%s", cache);
    } else if (home != NULL && home[0] == '/') {
        needed = snprintf(path, bytes, "%s/.cache", home);
    }
    if (needed <= 0 || (size_t)needed >= bytes) {
        path[0] = '\0';
    }
}

/* ---- Printing --------------------------------------------------------------------------- */

void config_print_shared(const struct settings *settings, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < ROW_COUNT && used < bytes; i++) {
        if (rows[i].shared) {
            char value[VALUE_BYTES];
            value_print(&settings->values, &rows[i], value, sizeof value);
            used += (size_t)snprintf(text + used, bytes - used, "%s%s=%s", used == 0 ? "" : " ",
                                     rows[i].name, value);
        }
    }
}

size_t config_print(const struct settings *settings, char *text, size_t bytes)
{
    static const char *const origins[] = {"default", "program", "environment"};
    size_t used = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char value[VALUE_BYTES];
        char variable[64];
        value_print(&settings->values, &rows[i], value, sizeof value);
        print_variable(&rows[i], variable, sizeof variable);
        size_t left = used < bytes ? bytes - used : 0;
        used += (size_t)snprintf(left > 0 ? text + used : NULL, left,
                                 "%-18s %-14s %-12s %-28s %s\n", rows[i].name, value,
                                 origins[settings->origins[i]], variable, rows[i].help);
    }
    return used;
}
