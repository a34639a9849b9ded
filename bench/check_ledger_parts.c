/* SPDX-License-Identifier: BSD-3-Clause
 * check_ledger_parts.c: what `wirewise report` reads from its command line, and that no bytes harm
 * it:
 *   check_ledger_parts LEDGER...   with ledgers to be mutated */
#define _GNU_SOURCE /* memfd_create */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "command.h"
#include "ledger_faces.h"
#include "ledger_words.h"

#define ROUNDS 2000 /* per ledger */
#define BYTES_MAX ((size_t)1 << 17)

static int failures;

static void expect(bool holds, const char *what)
{
    if (!holds) {
        printf("FAILED: %s\n", what);
        failures++;
    }
}

/* ---- Words ------------------------------------------------------------------------------------*/

static void check_rates(void)
{
    static const struct {
        const char *text;
        double bits_per_s; /* 0 = no rate */
    } known[] = {{"25gbit", 25e9}, {"25Gbit", 25e9},   {"25 gbit/s", 25e9}, {"100Mb/s", 1e8},
                 {"64kbit", 64e3}, {"12.5GB/s", 1e11}, {"1 kB/s", 8e3},     {".5tbit", 5e11},
                 {"25", 0},        {"25g", 0},         {"gbit", 0},         {"-1gbit", 0},
                 {"0gbit", 0},     {"nangbit", 0},     {"infgbit", 0},      {"0x1gbit", 0},
                 {"1e999gbit", 0}, {"25gbit/s/s", 0},  {"25 gbyte", 0},     {"", 0},
                 {"25  gbit", 0},  {"1e3mbit", 1e9},   {"1.2.3gbit", 0}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        double rate = 0;
        bool read = words_read_rate(known[i].text, &rate);
        expect(read == (known[i].bits_per_s > 0), known[i].text);
        expect(!read || fabs(rate / known[i].bits_per_s - 1) < 1e-12, known[i].text);
    }
}

static void check_seconds_and_numbers(void)
{
    double value = 0;
    expect(words_read_seconds("50us", &value) && fabs(value - 50e-6) < 1e-18, "50us");
    expect(words_read_seconds("0s", &value) && value == 0, "0s");
    expect(!words_read_seconds("50", &value), "a time without a unit");
    expect(!words_read_seconds("-1ms", &value), "a negative time");
    expect(words_read_number("2.5", &value) && value == 2.5, "2.5");
    expect(words_read_number("1e3", &value) && value == 1000, "1e3");
    expect(!words_read_number("nan", &value), "nan");
    expect(!words_read_number("inf", &value), "inf");
    expect(!words_read_number("0x10", &value), "a hexadecimal");
    expect(!words_read_number("2,5", &value), "a comma");
    expect(!words_read_number("-1", &value), "a negative number");
}

static void check_units(void)
{
    static const struct {
        struct word (*word)(double);
        double value;
        const char *text;
    } known[] = {
        {word_seconds, 0.0123, "12.3 ms"},
        {word_seconds, -0.0123, "-12.3 ms"},
        {word_seconds, 90, "90 s"},
        {word_seconds, 3000, "50 min"},
        {word_seconds, 0, "0 s"},
        {word_seconds, (double)NAN, "?"},
        {word_seconds, 0.9999, "1 s"},
        {word_seconds, 1e-9, "0.001 us"},
        {word_seconds, 864000, "10 days"},
        {word_bytes, 1536, "1.5 KiB"},
        {word_bytes, 0, "0 B"},
        {word_bytes, -0x1p31, "-2 GiB"},
        {word_share, 0.0024, "0.24 %"},
        {word_share, 0.5, "50 %"},
        {word_share, 0.05, "5 %"},
        {word_rate, 25e9, "25 Gbit/s"},
        {word_energy, 3.6e6, "1 kWh"},
        {word_count, 1234567, "1234567"},
        {word_count, 5.01e9, "5.01e+09"},
        {word_bytes, 1e300, "9.095e+287 TiB"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct word word = known[i].word(known[i].value);
        if (strcmp(word.text, known[i].text) != 0) {
            printf("FAILED: %g reads '%s', not '%s'\n", known[i].value, word.text, known[i].text);
            failures++;
        }
    }
}

static void check_alert_words(void)
{
    struct alerts_limits limits = alerts_usual();
    expect(limits.on[ALERT_LOSS] && limits.share[ALERT_SKEW] == 0.2, "what is usual");
    expect(alerts_read("loss,skew=30", &limits) == NULL, "loss,skew=30");
    expect(limits.on[ALERT_LOSS] && limits.on[ALERT_SKEW] && !limits.on[ALERT_WILD],
           "only those named");
    expect(fabs(limits.share[ALERT_SKEW] - 0.3) < 1e-12, "30 %");
    expect(alerts_read("none", &limits) == NULL && !limits.on[ALERT_LOSS], "none");
    static const char *const wrong[] = {
        "", "los", "loss=3", "skew=", "skew=x", "loss,", ",", "skew=-1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        expect(alerts_read(wrong[i], &limits) != NULL, wrong[i]);
    }
}

/* ---- Bytes that are no ledger -----------------------------------------------------------------*/

static uint64_t chance = 88172645463325252; /* the same mutations in every run */

static size_t draw(size_t below)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return below == 0 ? 0 : (size_t)(chance % below);
}

struct text {
    char bytes[BYTES_MAX];
    size_t count;
};

/* Puts text[count] in place of `cut` bytes at `at`, where there is room. */
static void splice(struct text *text, size_t at, size_t cut, const char *with, size_t count)
{
    char copy[4096];
    cut = cut < text->count - at ? cut : text->count - at;
    count = count < sizeof(copy) ? count : sizeof(copy);
    if (text->count - cut + count > BYTES_MAX) {
        return;
    }
    memcpy(copy, with, count);
    memmove(text->bytes + at + count, text->bytes + at + cut, text->count - at - cut);
    memcpy(text->bytes + at, copy, count);
    text->count += count - cut;
}

/* Another value in place of the number behind `at`. */
static void swap_number(struct text *text, size_t at)
{
    static const char *const values[] = {"null",
                                         "-1",
                                         "0",
                                         "1e308",
                                         "-1e308",
                                         "9223372036854775807",
                                         "99999999999999999999",
                                         "true",
                                         "[]",
                                         "{}",
                                         "\"\"",
                                         "1.5",
                                         "1e-320",
                                         "[1,2,3]",
                                         "[3,2,1]",
                                         "1e400",
                                         "nan",
                                         "2147483648"};
    while (at < text->count && strchr("0123456789", text->bytes[at]) == NULL) {
        at++;
    }
    size_t end = at;
    while (end < text->count && text->bytes[end] != '\0' &&
           strchr("0123456789.e-", text->bytes[end]) != NULL) {
        end++;
    }
    const char *value = values[draw(sizeof(values) / sizeof(values[0]))];
    splice(text, at < text->count ? at : 0, end - at, value, strlen(value));
}

static void mutate(struct text *text)
{
    size_t at = draw(text->count);
    size_t from = draw(text->count);
    size_t length = draw(200) < text->count - from ? draw(200) : 1;
    char byte = (char)draw(256);
    switch (draw(6)) {
    case 0:
        splice(text, at, 1, &byte, 1);
        break;
    case 1:
        splice(text, at, draw(300), "", 0);
        break;
    case 2:
        splice(text, at, 0, text->bytes + from, length < text->count - from ? length : 0);
        break;
    case 3:
        text->count = at;
        break;
    default:
        swap_number(text, at);
    }
}

static void show(const struct ledger *ledger, FILE *nowhere)
{
    static const struct prices prices = {"EUR", 2, 1, 0.1, 0.3, 100};
    static const struct what_if what_if = {NULL, 25e9, 1e-5};
    struct alerts_limits limits = alerts_usual();
    struct finding two[2] = {{.prices = &prices}};
    struct finding *finding = &two[0];
    expect(account_make(ledger, &finding->account), "memory for an account");
    finding->cost = cost_make(&prices, &finding->account);
    if (ledger->line_count > 0) {
        finding->what_if = &what_if;
        finding->replay = what_if_replay(&what_if, &finding->account);
    }
    finding->alert_count = alerts_find(&limits, &finding->account, &prices, &finding->cost,
                                       finding->alerts);
    two[1] = two[0];
    finding_print(finding, nowhere);
    findings_print_table(two, 2, nowhere);
    findings_write_json(two, 2, nowhere);
    findings_write_csv(two, 2, nowhere);
    finding_draw(nowhere, finding);
}

/* A file in memory, and its name. */
struct scratch {
    int descriptor;
    char path[32];
};

static bool write_to(const struct scratch *scratch, const struct text *text)
{
    return ftruncate(scratch->descriptor, 0) == 0 &&
           pwrite(scratch->descriptor, text->bytes, text->count, 0) == (ssize_t)text->count;
}

/* Reads one mutation; false when that ends in another way than with a ledger or a refusal. */
static bool survive(const struct text *text, const struct scratch *scratch, FILE *nowhere,
                    size_t *taken)
{
    struct ledger ledger;
    if (!write_to(scratch, text)) {
        return false;
    }
    int code = ledger_read(scratch->path, &ledger);
    if (code == EXIT_FINE) {
        show(&ledger, nowhere);
        ++*taken;
    }
    ledger_free(&ledger);
    return code == EXIT_FINE || code == EXIT_USAGE;
}

static void check_mutations(const char *ledger, const struct scratch *scratch, FILE *nowhere)
{
    static struct text whole;
    static struct text text;
    FILE *from = fopen(ledger, "r");
    size_t taken = 0;
    if (from == NULL) {
        expect(false, ledger);
        return;
    }
    whole.count = fread(whole.bytes, 1, BYTES_MAX, from);
    fclose(from);
    for (int i = 0; i < ROUNDS; i++) {
        memcpy(text.bytes, whole.bytes, whole.count);
        text.count = whole.count;
        for (size_t mutations = 1 + draw(3); mutations > 0 && text.count > 0; mutations--) {
            mutate(&text);
        }
        expect(survive(&text, scratch, nowhere, &taken), "a mutation is read or refused");
    }
    printf("%s: %d mutations, %zu taken for ledgers\n", ledger, ROUNDS, taken);
    expect(taken > ROUNDS / 100 && taken < ROUNDS, "some mutations are ledgers, some are not");
}

int main(int argc, char **argv)
{
    check_rates();
    check_seconds_and_numbers();
    check_units();
    check_alert_words();
    struct scratch scratch = {.descriptor = memfd_create("ledger", MFD_CLOEXEC)};
    snprintf(scratch.path, sizeof(scratch.path), "/proc/self/fd/%d", scratch.descriptor);
    FILE *nowhere = fopen("/dev/null", "w");
    FILE *said = stderr;
    if (scratch.descriptor < 0 || nowhere == NULL) {
        return 1;
    }
    stderr = nowhere; /* refusals by the thousand; glibc allows it */
    for (int i = 1; i < argc; i++) {
        check_mutations(argv[i], &scratch, nowhere);
    }
    stderr = said;
    close(scratch.descriptor);
    fclose(nowhere);
    printf("%d failures\n", failures);
    return failures > 0;
}
