/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_parse.c: turns JSON into a ledger, member by member, by the tables of ledger.c. */
#include "ledger_parse.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* Where the parser is, and what it has against the line. Every helper returns whether all is well,
 * or what it has read. */
struct parser {
    struct ledger *ledger;
    char *said;
    size_t said_bytes;
    enum ledger_taken taken;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct parser *parser, const char *format,
                                                         ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(parser->said, parser->said_bytes, format, list);
    va_end(list);
    parser->taken = LEDGER_WRONG;
    return false;
}

static bool lack_memory(struct parser *parser)
{
    snprintf(parser->said, parser->said_bytes, "there is no memory for this line");
    parser->taken = LEDGER_NO_MEMORY;
    return false;
}

static const char *kind_of(const json_t *value)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",  [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a fraction", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return kinds[json_typeof(value)];
}

/* What is absent is not known, as null. */
static bool read_number(struct parser *parser, const json_t *value, const char *name, bool whole,
                        double *into)
{
    *into = (double)NAN;
    if (value == NULL || json_is_null(value)) {
        return true;
    }
    if (!json_is_number(value) || (whole && !json_is_integer(value))) {
        return refuse(parser, "\"%s\" is %s; %s is expected", name, kind_of(value),
                      whole ? "a whole number" : "a number");
    }
    *into = json_number_value(value);
    return !whole || *into >= 0 ||
           refuse(parser, "\"%s\" is %.0f; what is counted is 0 or more", name, *into);
}

static bool copy_text(struct parser *parser, const json_t *value, const char *name, char **into)
{
    bool none = value == NULL || json_is_null(value);
    if (!none && !json_is_string(value)) {
        return refuse(parser, "\"%s\" is %s; a text is expected", name, kind_of(value));
    }
    *into = strdup(none ? "" : json_string_value(value));
    return *into != NULL || lack_memory(parser);
}

/* Makes room for one more of `count` entries of that size; they double. */
static bool grow(struct parser *parser, void **entries, size_t count, size_t bytes)
{
    if (count > 0 && (count & (count - 1)) != 0) {
        return true;
    }
    void *larger = realloc(*entries, (count == 0 ? 1 : 2 * count) * bytes);
    if (larger == NULL) {
        return lack_memory(parser);
    }
    *entries = larger;
    return true;
}

/* ---- The header -------------------------------------------------------------------------------*/

static bool read_labels(struct parser *parser, json_t *labels)
{
    struct ledger *ledger = parser->ledger;
    const char *name;
    json_t *value;
    if (labels != NULL && !json_is_object(labels)) {
        return refuse(parser, "\"labels\" is %s; an object is expected", kind_of(labels));
    }
    json_object_foreach(labels, name, value)
    {
        void *entries = ledger->labels;
        if (!grow(parser, &entries, ledger->label_count, sizeof(ledger->labels[0]))) {
            return false;
        }
        ledger->labels = entries;
        struct ledger_label *label = &ledger->labels[ledger->label_count++];
        *label = (struct ledger_label){0};
        label->name = strdup(name);
        if (label->name == NULL) {
            return lack_memory(parser);
        }
        if (!copy_text(parser, value, name, &label->text)) {
            return false;
        }
    }
    return true;
}

static bool read_levels(struct parser *parser, const json_t *levels)
{
    struct ledger *ledger = parser->ledger;
    size_t count = json_array_size(levels);
    if (count < 1 || count > LEDGER_LEVELS_MAX) {
        return refuse(parser, "\"levels\" must be an array of 1 to %d names", LEDGER_LEVELS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *name = json_array_get(levels, i);
        if (!json_is_string(name)) {
            return refuse(parser, "a level is %s; a name is expected", kind_of(name));
        }
        if (!copy_text(parser, name, "levels", &ledger->levels[ledger->level_count])) {
            return false;
        }
        ledger->level_count++;
    }
    return true;
}

static bool is_header(struct parser *parser, const json_t *line)
{
    const json_t *what = json_object_get(line, "wirewise");
    const json_t *schema = json_object_get(line, "schema");
    if (!json_is_string(what) || strcmp(json_string_value(what), "ledger") != 0) {
        return refuse(parser,
                      "this is JSON, but no ledger: one begins with {\"wirewise\": \"ledger\", ...}"
                      ". WIREWISE_LEDGER=FILE has a run write it");
    }
    if (!json_is_integer(schema) || json_integer_value(schema) < 1) {
        return refuse(parser, "\"schema\" is no number from 1 on; the header is broken");
    }
    return json_integer_value(schema) <= LEDGER_SCHEMA ||
           refuse(parser,
                  "the ledger has schema %lld, this command knows 1 to %d: read it with the "
                  "wirewise that wrote it, or a later one",
                  (long long)json_integer_value(schema), LEDGER_SCHEMA);
}

static bool read_header(struct parser *parser, const json_t *line)
{
    struct ledger *ledger = parser->ledger;
    bool well = is_header(parser, line) && read_levels(parser, json_object_get(line, "levels")) &&
                read_labels(parser, json_object_get(line, "labels"));
    for (int i = 0; i < LEDGER_TEXTS && well; i++) {
        const char *name = ledger_text_names[i];
        well = copy_text(parser, json_object_get(line, name), name, &ledger->texts[i]);
    }
    for (int i = 0; i < LEDGER_FACTS && well; i++) {
        const char *name = ledger_fact_names[i];
        well = read_number(parser, json_object_get(line, name), name, true, &ledger->facts[i]);
    }
    return well;
}

/* ---- Steps and the summary --------------------------------------------------------------------*/

static bool read_traffic(struct parser *parser, const json_t *array, const char *name, double *into)
{
    size_t levels = (size_t)parser->ledger->level_count;
    bool none = array == NULL || json_is_null(array);
    if (!none && json_array_size(array) != levels) {
        return refuse(parser, "\"%s\" must be an array of %zu numbers, as there are levels", name,
                      levels);
    }
    bool well = true;
    for (size_t i = 0; i < levels && well; i++) {
        well = read_number(parser, none ? NULL : json_array_get(array, i), name, true, &into[i]);
    }
    return well;
}

static bool read_saved(struct parser *parser, const json_t *array, struct interval *saved)
{
    *saved = (struct interval){(double)NAN, (double)NAN, (double)NAN};
    if (array == NULL || json_is_null(array)) {
        return true;
    }
    struct interval read;
    if (json_array_size(array) != 3) {
        return refuse(parser, "\"saved\" must be null or an array of 3 numbers");
    }
    if (!read_number(parser, json_array_get(array, 0), "saved", false, &read.low) ||
        !read_number(parser, json_array_get(array, 1), "saved", false, &read.estimate) ||
        !read_number(parser, json_array_get(array, 2), "saved", false, &read.high)) {
        return false;
    }
    if (!(read.low <= read.estimate && read.estimate <= read.high)) {
        return refuse(parser, "\"saved\" must be three ascending numbers: lower end, estimate, "
                              "upper end");
    }
    *saved = read;
    return true;
}

static bool read_evidence(struct parser *parser, const json_t *value, enum ledger_evidence *into)
{
    *into = LEDGER_UNTOLD;
    if (value != NULL && !json_is_null(value) && !json_is_string(value)) {
        return refuse(parser, "\"evidence\" is %s; a text is expected", kind_of(value));
    }
    for (int i = 0; json_is_string(value) && i < LEDGER_EVIDENCES; i++) {
        if (strcmp(json_string_value(value), ledger_evidence_names[i]) == 0) {
            *into = (enum ledger_evidence)i;
        }
    }
    return true;
}

static bool read_codec(struct parser *parser, const json_t *value, int *codec)
{
    struct ledger *ledger = parser->ledger;
    char *name = NULL;
    *codec = -1;
    if (value == NULL || json_is_null(value)) {
        return true;
    }
    if (!copy_text(parser, value, "codec", &name)) {
        return false;
    }
    for (*codec = 0; *codec < ledger->codec_count; (*codec)++) {
        if (strcmp(ledger->codecs[*codec], name) == 0) {
            free(name);
            return true;
        }
    }
    void *codecs = ledger->codecs;
    if (ledger->codec_count == LEDGER_CODECS_MAX) {
        refuse(parser, "more than %d codecs are named", LEDGER_CODECS_MAX);
    } else if (grow(parser, &codecs, (size_t)ledger->codec_count, sizeof(ledger->codecs[0]))) {
        ledger->codecs = codecs;
        ledger->codecs[ledger->codec_count++] = name;
        return true;
    }
    free(name);
    return false;
}

static bool read_line(struct parser *parser, const json_t *object, struct ledger_line *line)
{
    bool well = read_codec(parser, json_object_get(object, "codec"), &line->codec) &&
                read_saved(parser, json_object_get(object, "saved"), &line->saved) &&
                read_evidence(parser, json_object_get(object, "evidence"), &line->evidence);
    for (int i = 0; i < LEDGER_NUMBERS && well; i++) {
        const char *name = ledger_members[i].name;
        well = read_number(parser, json_object_get(object, name), name, ledger_members[i].whole,
                           &line->numbers[i]);
    }
    for (int i = 0; i < LEDGER_TRAFFICS && well; i++) {
        const char *name = ledger_traffic_names[i];
        well = read_traffic(parser, json_object_get(object, name), name, line->traffic[i]);
    }
    return well;
}

static bool read_step(struct parser *parser, const json_t *object)
{
    struct ledger *ledger = parser->ledger;
    struct ledger_line line = ledger_line_none();
    if (!read_line(parser, object, &line)) {
        return false;
    }
    double step = line.numbers[LEDGER_STEP];
    double steps = isnan(line.numbers[LEDGER_STEPS]) ? 1 : line.numbers[LEDGER_STEPS];
    double before = ledger->line_count == 0 /* a run may begin behind a checkpoint */
                        ? fmax(0, step - steps)
                        : ledger->lines[ledger->line_count - 1].numbers[LEDGER_STEP];
    if (!(step >= 1) || steps < 1 || step - steps < before) {
        return refuse(parser,
                      "a line about %.0f steps up to step %.0f behind one up to step %.0f: "
                      "steps ascend, and each is in one line",
                      steps, step, before);
    }
    void *lines = ledger->lines;
    if (!grow(parser, &lines, ledger->line_count, sizeof(ledger->lines[0]))) {
        return false;
    }
    line.numbers[LEDGER_STEPS] = steps;
    ledger->lines = lines;
    ledger->lines[ledger->line_count++] = line;
    ledger->missing += step - steps - before;
    return true;
}

static bool read_audit(struct parser *parser, const json_t *object)
{
    struct ledger_audit *audit = &parser->ledger->audit;
    if (object == NULL || json_is_null(object)) {
        return true;
    }
    if (!json_is_object(object)) {
        return refuse(parser, "\"audit\" is %s; an object is expected", kind_of(object));
    }
    audit->known = true;
    return copy_text(parser, json_object_get(object, "interface"), "interface",
                     &audit->interface) &&
           read_number(parser, json_object_get(object, "claimed"), "claimed", true,
                       &audit->claimed) &&
           read_number(parser, json_object_get(object, "counted"), "counted", true,
                       &audit->counted) &&
           read_number(parser, json_object_get(object, "overhead"), "overhead", true,
                       &audit->overhead) &&
           read_number(parser, json_object_get(object, "unexplained"), "unexplained", false,
                       &audit->unexplained) &&
           read_number(parser, json_object_get(object, "nvlink_sent"), "nvlink_sent", true,
                       &audit->nvlink_sent) &&
           read_number(parser, json_object_get(object, "nvlink_received"), "nvlink_received", true,
                       &audit->nvlink_received);
}

/* Some writers say -1 where nothing is known. */
static double known_joules(double joules)
{
    return joules < 0 ? (double)NAN : joules;
}

static bool read_energy(struct parser *parser, const json_t *object)
{
    struct ledger *ledger = parser->ledger;
    bool read = read_number(parser, json_object_get(object, "energy_j"), "energy_j", false,
                            &ledger->energy_j) &&
                read_number(parser, json_object_get(object, "gpu_energy_j"), "gpu_energy_j", false,
                            &ledger->gpu_energy_j);
    ledger->energy_j = known_joules(ledger->energy_j);
    ledger->gpu_energy_j = known_joules(ledger->gpu_energy_j);
    return read;
}

static bool read_summary(struct parser *parser, const json_t *object)
{
    struct ledger *ledger = parser->ledger;
    if (!json_is_object(object)) {
        return refuse(parser, "\"summary\" is %s; an object is expected", kind_of(object));
    }
    ledger->summary = ledger_line_none();
    ledger->ended = true;
    return read_line(parser, object, &ledger->summary) &&
           read_number(parser, json_object_get(object, "dense_s"), "dense_s", false,
                       &ledger->dense_s) &&
           read_number(parser, json_object_get(object, "coded_s"), "coded_s", false,
                       &ledger->coded_s) &&
           read_energy(parser, object) && read_audit(parser, json_object_get(object, "audit"));
}

/* ---- Lines ------------------------------------------------------------------------------------*/

static bool read_event(struct parser *parser, const json_t *object)
{
    struct ledger *ledger = parser->ledger;
    void *events = ledger->events;
    if (!grow(parser, &events, ledger->event_count, sizeof(ledger->events[0]))) {
        return false;
    }
    ledger->events = events;
    struct ledger_event *event = &ledger->events[ledger->event_count++];
    *event = (struct ledger_event){0};
    return copy_text(parser, json_object_get(object, "event"), "event", &event->kind) &&
           copy_text(parser, json_object_get(object, "text"), "text", &event->text) &&
           read_number(parser, json_object_get(object, "step"), "step", true, &event->step);
}

static bool read_later_line(struct parser *parser, const json_t *object)
{
    if (json_object_get(object, "wirewise") != NULL) {
        return refuse(parser, "another ledger begins here: cut the file in two at this line");
    }
    if (json_object_get(object, "event") != NULL) {
        return read_event(parser, object);
    }
    bool summary = json_object_get(object, "summary") != NULL;
    if (!summary && json_object_get(object, "step") == NULL) {
        return true; /* a kind of line that came later */
    }
    if (parser->ledger->ended) {
        return refuse(parser, "%s behind the summary, with which a ledger ends",
                      summary ? "a second summary" : "a step");
    }
    return summary ? read_summary(parser, json_object_get(object, "summary"))
                   : read_step(parser, object);
}

/* jansson's and bench/json.c's functions that make values share some names; here only jansson's
 * that read are called. */
enum ledger_taken ledger_parse(struct ledger *ledger, const char *text, size_t bytes, char *said,
                               size_t said_bytes)
{
    struct parser parser = {ledger, said, said_bytes, LEDGER_TAKEN};
    json_error_t error;
    json_t *line = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(line)) {
        snprintf(said, said_bytes, "this is no JSON object (%s)",
                 line == NULL ? error.text : kind_of(line));
        json_decref(line);
        return LEDGER_BROKEN;
    }
    if (ledger->level_count == 0) {
        read_header(&parser, line);
    } else {
        read_later_line(&parser, line);
    }
    json_decref(line);
    return parser.taken;
}
