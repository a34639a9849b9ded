/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_prices.c: a file of prices is taken as a whole or not at all. */
#include "ledger_prices.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "ledger_words.h"

#define LINE_BYTES 512

static const struct {
    const char *name;
    size_t offset;
    bool positive; /* more than 0, because something is divided by it */
    const char *meaning;
} keys[] = {
    {"gpu_hour", offsetof(struct prices, gpu_hour), false, "money per GPU and hour"},
    {"ranks_per_gpu", offsetof(struct prices, ranks_per_gpu), true, "a number, more than 0"},
    {"gigabyte", offsetof(struct prices, gigabyte), false, "money per 10^9 bytes"},
    {"kilowatt_hour", offsetof(struct prices, kilowatt_hour), false, "money per kWh"},
    {"watts", offsetof(struct prices, watts), false, "watts of a rank"},
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))
static const char key_list[] =
    "currency, gpu_hour, ranks_per_gpu, gigabyte, kilowatt_hour and watts";

struct reading {
    const char *path;
    size_t line;
    bool inside; /* [prices] has come */
    bool seen[KEY_COUNT];
    struct prices prices;
};

static double *value_of(struct prices *prices, size_t key)
{
    return (double *)(void *)((char *)prices + keys[key].offset);
}

static int refuse(const struct reading *reading, const char *found, const char *text,
                  const char *expected)
{
    fprintf(stderr, "wirewise report: --prices %s:%zu: %s", reading->path, reading->line, found);
    if (text != NULL) {
        fputs(" '", stderr);
        words_put(stderr, text, 64);
        fputc('\'', stderr);
    }
    fprintf(stderr, "; %s\n", expected);
    return EXIT_USAGE;
}

/* Cuts blanks off both ends, in place. */
static char *trim(char *text)
{
    text += strspn(text, " \t\r\n");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL) {
        text[--length] = '\0';
    }
    return text;
}

static int take_currency(struct reading *reading, const char *text)
{
    struct prices *prices = &reading->prices;
    if (prices->currency[0] != '\0') {
        return refuse(reading, "a second line of", "currency", "each key may stand once");
    }
    if (strlen(text) >= sizeof(prices->currency)) {
        return refuse(reading, "currency is", text, "a name of at most 15 bytes is expected: EUR");
    }
    strcpy(prices->currency, text);
    return EXIT_FINE;
}

static int take_value(struct reading *reading, const char *name, const char *text)
{
    if (strcmp(name, "currency") == 0) {
        return take_currency(reading, text);
    }
    size_t key = 0;
    while (key < KEY_COUNT && strcmp(keys[key].name, name) != 0) {
        key++;
    }
    if (key == KEY_COUNT) {
        char expected[128];
        snprintf(expected, sizeof(expected), "[prices] may have %s", key_list);
        return refuse(reading, "there is no key", name, expected);
    }
    double value;
    if (!words_read_number(text, &value) || (keys[key].positive && value <= 0)) {
        char expected[128];
        snprintf(expected, sizeof(expected), "%s must be %s: a number like 2.5, %s", name,
                 keys[key].meaning, keys[key].positive ? "not 0" : "0 or more");
        return refuse(reading, "the value is", text, expected);
    }
    if (reading->seen[key]) {
        return refuse(reading, "a second line of", name, "each key may stand once");
    }
    reading->seen[key] = true;
    *value_of(&reading->prices, key) = value;
    return EXIT_FINE;
}

static int take_line(struct reading *reading, char *text)
{
    char *line = trim(text);
    size_t length = strlen(line);
    if (length == 0 || line[0] == '#' || line[0] == ';') {
        return EXIT_FINE;
    }
    if (line[0] == '[') {
        reading->inside = strcmp(line, "[prices]") == 0;
        return reading->inside ? EXIT_FINE
                               : refuse(reading, "there is no section", line, "say [prices]");
    }
    char *equals = strchr(line, '=');
    if (!reading->inside) {
        return refuse(reading, "the first line is", line, "a file of prices begins with [prices]");
    }
    if (equals == NULL) {
        return refuse(reading, "this is no line of a key and a value:", line,
                      "write for example gpu_hour = 2.5");
    }
    *equals = '\0';
    char *value = equals + 1;
    value[strcspn(value, "#;")] = '\0';
    const char *name = trim(line);
    value = trim(value);
    return *value == '\0' ? refuse(reading, "there is no value of", name, "write key = value")
                          : take_value(reading, name, value);
}

/* A line that fits and holds no byte 0 ends with its line feed, or with the file. */
static bool is_text(const char *line, FILE *from)
{
    size_t length = strlen(line);
    return length > 0 && (line[length - 1] == '\n' || feof(from));
}

static int take_lines(struct reading *reading, FILE *from)
{
    char line[LINE_BYTES];
    int code = EXIT_FINE;
    while (code == EXIT_FINE && fgets(line, sizeof(line), from) != NULL) {
        reading->line++;
        code = is_text(line, from) ? take_line(reading, line)
                                   : refuse(reading, "the line is too long, or no text", NULL,
                                            "a file of prices is expected");
    }
    if (code == EXIT_FINE && ferror(from)) {
        fprintf(stderr, "wirewise report: --prices %s: cannot be read: %s\n", reading->path,
                strerror(errno));
        return EXIT_FAILED;
    }
    const struct prices *prices = &reading->prices;
    if (code == EXIT_FINE && isnan(prices->gpu_hour) && isnan(prices->gigabyte) &&
        isnan(prices->kilowatt_hour) && isnan(prices->watts)) {
        return refuse(reading, "the file ends without a price", NULL,
                      "give gpu_hour, gigabyte, kilowatt_hour or watts below [prices]");
    }
    return code;
}

int prices_read(const char *path, struct prices *prices)
{
    struct reading reading = {
        .path = path, .prices = {"", (double)NAN, 1, (double)NAN, (double)NAN, (double)NAN}};
    FILE *from = fopen(path, "r");
    if (from == NULL) {
        fprintf(stderr, "wirewise report: --prices %s: cannot be opened: %s\n", path,
                strerror(errno));
        return EXIT_USAGE;
    }
    int code = take_lines(&reading, from);
    fclose(from);
    if (code == EXIT_FINE) {
        *prices = reading.prices;
    }
    return code;
}

static double add_known(double sum, double more)
{
    return isnan(more) ? sum : isnan(sum) ? more : sum + more;
}

static struct interval times(const struct interval *interval, double factor)
{
    return (struct interval){interval->low * factor, interval->estimate * factor,
                             interval->high * factor};
}

/* Gigabytes that would have left the hosts beyond those that did: dense steps need no shadows. */
static double gigabytes_saved(const struct account *account, enum ledger_traffic dense, double all)
{
    const struct ledger *ledger = account->ledger;
    int first = (int)fmin(ledger->facts[LEDGER_INSIDE], ledger->level_count);
    double sent = account->leaving + account->shadows;
    return (account_bytes(ledger, &account->total, dense, first) - sent) * all / 1e9;
}

static enum energy_source energy_source(const struct ledger *ledger)
{
    bool processors = !isnan(ledger->energy_j);
    if (isnan(ledger->gpu_energy_j)) {
        return processors ? ENERGY_PROCESSORS : ENERGY_WATTS;
    }
    return processors ? ENERGY_PROCESSORS_GPUS : ENERGY_GPUS;
}

struct cost cost_make(const struct prices *prices, const struct account *account)
{
    const struct ledger *ledger = account->ledger;
    double seconds = account->total.numbers[LEDGER_STEP_S];
    double ranks = ledger->facts[LEDGER_RANKS];
    double hosts = ledger->facts[LEDGER_HOSTS];
    double all = account->ranks_alike * hosts; /* bytes of all hosts, per byte of this rank */
    struct cost cost = {.energy_source = energy_source(ledger)};
    cost.gpu_hours = seconds / 3600 * ranks / prices->ranks_per_gpu;
    cost.time = cost.gpu_hours * prices->gpu_hour;
    double sent = account->leaving + account->shadows + account->total.numbers[LEDGER_CONTROL];
    cost.gigabytes = sent * all / 1e9;
    cost.gigabytes = hosts == 1 ? 0 : cost.gigabytes;
    cost.traffic = cost.gigabytes * prices->gigabyte;
    cost.energy_j = cost.energy_source == ENERGY_WATTS
                        ? prices->watts * ranks * seconds
                        : add_known(ledger->energy_j, ledger->gpu_energy_j) * hosts;
    cost.energy = cost.energy_j / 3.6e6 * prices->kilowatt_hour;
    cost.total = add_known(add_known(cost.time, cost.traffic), cost.energy);

    /* A second that the run is shorter saves what an average second costs. */
    double second = add_known(cost.time, cost.energy) / seconds;
    cost.saved = times(&account->total.saved, second);
    cost.saved_j = times(&account->total.saved, cost.energy_j / seconds);
    cost.saved_traffic = gigabytes_saved(account, LEDGER_DENSE32, all) * prices->gigabyte;
    cost.saved_traffic16 = gigabytes_saved(account, LEDGER_DENSE16, all) * prices->gigabyte;
    return cost;
}

void cost_words(const struct prices *prices, double money, char *text, size_t bytes)
{
    const char *blank = prices->currency[0] != '\0' ? " " : "";
    if (isnan(money)) {
        snprintf(text, bytes, "?");
    } else if (fabs(money) >= 1 || money == 0) {
        snprintf(text, bytes, "%.2f%s%s", money, blank, prices->currency);
    } else { /* cents say too little here */
        snprintf(text, bytes, "%.3g%s%s", money, blank, prices->currency);
    }
}
