/* SPDX-License-Identifier: BSD-3-Clause
 * select.c: keeps, for each kind of collective, which way is the cheapest at which size. */
#include "select.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envelope.h"
#include "gate.h"
#include "internal/log.h"
#include "rules.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

#define CANDIDATES_MAX 24

/* Collectives that are decided alike. */
enum family {
    FAMILY_ALL_REDUCE,
    FAMILY_ALL_REDUCE_ONCE, /* 16-bit types: only plans that round once */
    FAMILY_REDUCE_SCATTER,
    FAMILY_REDUCE_SCATTER_ONCE,
    FAMILY_ALL_GATHER,
    FAMILY_BROADCAST,
    FAMILIES
};

/* A way, and its load once somebody needed it. */
struct known {
    struct candidate candidate;
    struct load *load;
    struct correction correction;
    struct known *next;
};

struct decision {
    int count;
    struct candidate
        candidates[CANDIDATES_MAX]; /* that the settings allow; earlier ones win ties */
    bool made;
    bool drawn; /* several of them were priced */
    struct envelope envelope;
};

struct selector {
    const struct topology *topology;
    struct sight sight;
    bool priced;
    struct wires wires;
    struct select_settings settings;
    bool on_devices;
    struct known *known;
    struct correction announcement;
    struct decision decisions[FAMILIES];
};

/* ---- Candidates ------------------------------------------------------------------------------ */

static enum family family_of(const struct wish *wish)
{
    bool once = is_16_bit(wish->type);
    switch (wish->collective) {
    case COLLECTIVE_REDUCE_SCATTER:
        return once ? FAMILY_REDUCE_SCATTER_ONCE : FAMILY_REDUCE_SCATTER;
    case COLLECTIVE_ALL_GATHER:
        return FAMILY_ALL_GATHER;
    case COLLECTIVE_BROADCAST:
        return FAMILY_BROADCAST;
    default:
        return once ? FAMILY_ALL_REDUCE_ONCE : FAMILY_ALL_REDUCE;
    }
}

static const struct {
    enum collective collective;
    bool once;
} families[FAMILIES] = {
    [FAMILY_ALL_REDUCE] = {COLLECTIVE_ALL_REDUCE, false},
    [FAMILY_ALL_REDUCE_ONCE] = {COLLECTIVE_ALL_REDUCE, true},
    [FAMILY_REDUCE_SCATTER] = {COLLECTIVE_REDUCE_SCATTER, false},
    [FAMILY_REDUCE_SCATTER_ONCE] = {COLLECTIVE_REDUCE_SCATTER, true},
    [FAMILY_ALL_GATHER] = {COLLECTIVE_ALL_GATHER, false},
    [FAMILY_BROADCAST] = {COLLECTIVE_BROADCAST, false},
};

/* Whether a candidate is what a name asks for. Where a nesting says nothing it is the one of all
 * levels, and where that says nothing every owner is a rank: then "hierarchical+ring" is a ring. */
static bool is_named(const struct selector *selector, const char *name,
                     const struct candidate *candidate)
{
    enum nesting nesting;
    const struct topology *topology = selector->topology;
    const struct algorithm *algorithm = select_parse(name, &nesting);
    bool any = nesting != NEST_NONE && strchr(name, '+') == NULL;
    if (nesting == NEST_HOSTS && topology->hosts_outwards.levels == 0) {
        nesting = NEST_ALL;
    }
    if (nesting == NEST_ALL && topology->hierarchy.levels == 0) {
        nesting = NEST_NONE;
    }
    return candidate->nesting == nesting && (any || candidate->algorithm == algorithm);
}

static bool can_run(const struct selector *selector, const struct algorithm *algorithm,
                    enum nesting nesting)
{
    if (nesting != NEST_NONE) {
        return algorithm->needs == NEEDS_MESSAGES &&
               nesting_of(selector->topology, nesting)->levels > 0;
    }
    switch (algorithm->needs) {
    case NEEDS_SCRATCH:
        return selector->sight.all && selector->topology->size > 1;
    case NEEDS_FETCH:
        return selector->sight.all && selector->sight.fetch && selector->topology->size > 1;
    default:
        return algorithm->needs == NEEDS_MESSAGES;
    }
}

/* Candidate `index` of a family among all that can run; false behind the last one. Flat ones come
 * first: they are simpler. */
static bool nth_candidate(const struct selector *selector, enum family family, int index,
                          struct candidate *candidate)
{
    bool nests = families[family].collective == COLLECTIVE_ALL_REDUCE && !families[family].once;
    for (int nesting = NEST_NONE; nesting < (nests ? NESTINGS : NEST_ALL); nesting++) {
        for (int i = 0; algorithms[i] != NULL; i++) {
            const struct algorithm *algorithm = algorithms[i];
            bool fits = algorithm->collective == families[family].collective && !algorithm->coded &&
                        (!families[family].once || algorithm->one_rounding) &&
                        can_run(selector, algorithm, (enum nesting)nesting);
            if (fits && index-- == 0) {
                *candidate = (struct candidate){algorithm, (enum nesting)nesting, 0};
                return true;
            }
        }
    }
    return false;
}

/* Where memory is seen staging takes the place of messages inside a host, and fetching is tried
 * beside it (tune.h). */
static bool competes(const struct selector *selector, const struct candidate *candidate)
{
    if (!selector->sight.all || selector->topology->size == 1) {
        return true;
    }
    return candidate->nesting != NEST_NONE || candidate->algorithm->needs == NEEDS_SCRATCH;
}

/* A name that a family cannot follow (it would round 16-bit sums more than once, or there are no
 * levels) is as good as none. */
static void list_candidates(struct selector *selector, enum family family)
{
    struct decision *decision = &selector->decisions[family];
    const char *name = selector->settings.algorithm;
    bool named = families[family].collective == COLLECTIVE_ALL_REDUCE &&
                 strcmp(name, AUTOMATIC) != 0;
    struct candidate candidate;
    decision->count = 0;
    for (int i = 0; nth_candidate(selector, family, i, &candidate); i++) {
        bool fits = named ? is_named(selector, name, &candidate) : competes(selector, &candidate);
        if (fits && decision->count < CANDIDATES_MAX) {
            decision->candidates[decision->count++] = candidate;
        }
    }
}

/* ---- Prices ---------------------------------------------------------------------------------- */

/* NULL when nobody needed it yet. */
static struct known *find_known(const struct selector *selector, const struct candidate *candidate)
{
    struct known *known = selector->known;
    while (known != NULL && (known->candidate.algorithm != candidate->algorithm ||
                             known->candidate.nesting != candidate->nesting)) {
        known = known->next;
    }
    return known;
}

static enum ww_status make_known(struct selector *selector, const struct candidate *candidate,
                                 struct known **found)
{
    *found = find_known(selector, candidate);
    if (*found != NULL) {
        return WW_OK;
    }
    struct known *known = calloc(1, sizeof *known);
    if (known == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to keep a price");
    }
    enum ww_status status = load_create(selector->topology, candidate, &known->load);
    if (status != WW_OK) {
        free(known);
        return status;
    }
    known->candidate = *candidate;
    known->next = selector->known;
    selector->known = known;
    *found = known;
    return WW_OK;
}

static void use_known(struct option *option, const struct known *known)
{
    option->load = known->load;
    option->correction = &known->correction;
}

/* Ways to cut: the usual one first, then those that fill longer or shorter pipelines. */
static void list_paces(const struct selector *selector, struct option *option)
{
    static const size_t segments[] = {256 * KIB, MIB, 4 * MIB, 16 * MIB, 64 * MIB};
    size_t count = selector->on_devices ? 5 : 3;
    struct choice usual;
    rule_cut(selector->topology, &usual);
    option->pace[0].segment_bytes = usual.segment_bytes;
    option->pace[0].window = usual.window;
    option->pace_count = 1;
    for (size_t i = 0; i < count; i++) {
        if (segments[i] != usual.segment_bytes) {
            option->pace[option->pace_count].segment_bytes = segments[i];
            option->pace[option->pace_count++].window = usual.window;
        }
    }
    if (selector->settings.segment_bytes > 0) {
        option->pace[0].segment_bytes = selector->settings.segment_bytes;
        option->pace_count = 1;
    }
    for (int p = 0; p < option->pace_count && selector->settings.window > 0; p++) {
        option->pace[p].window = selector->settings.window;
    }
}

/* Staged plans were measured to be best as rules.c cuts them. */
static void fill_paces(const struct selector *selector, const struct candidate *candidate,
                       struct option *option)
{
    list_paces(selector, option);
    if (candidate->algorithm->needs != NEEDS_MESSAGES && candidate->nesting == NEST_NONE) {
        struct choice staged = {.algorithm = NULL};
        struct wish wish = {candidate->algorithm->collective, MIB, WW_F32, 0};
        rule_in_memory(selector->topology, &selector->sight, &wish, &staged);
        if (candidate->algorithm->needs == NEEDS_FETCH) {
            rule_cut_fetched(&staged);
        }
        option->pace[0].segment_bytes = staged.segment_bytes;
        option->pace[0].window = staged.window;
        option->pace_count = 1;
    }
}

static enum ww_status make_option(struct selector *selector, const struct candidate *candidate,
                                  struct option *option)
{
    struct known *known;
    fill_paces(selector, candidate, option);
    enum ww_status status = make_known(selector, candidate, &known);
    if (status == WW_OK) {
        use_known(option, known);
    }
    return status;
}

static enum ww_status decide(struct selector *selector, enum family family)
{
    struct decision *decision = &selector->decisions[family];
    struct option options[CANDIDATES_MAX];
    if (decision->made) {
        return WW_OK;
    }
    list_candidates(selector, family);
    decision->drawn = false;
    bool in_memory = selector->sight.all && decision->count == 1;
    bool by_rule = !selector->priced || decision->count == 0 || in_memory ||
                   selector->topology->size == 1;
    for (int i = 0; !by_rule && i < decision->count; i++) {
        enum ww_status status = make_option(selector, &decision->candidates[i], &options[i]);
        if (status != WW_OK) {
            return status;
        }
    }
    if (!by_rule) {
        envelope_draw(options, decision->count, &selector->wires, &decision->envelope);
    }
    decision->drawn = !by_rule;
    decision->made = true;
    return WW_OK;
}

enum ww_status selector_decide(struct selector *selector, const struct wish *wish)
{
    return decide(selector, family_of(wish));
}

void selector_change_wires(struct selector *selector, const struct wires *wires)
{
    selector->wires = *wires;
    for (int family = 0; family < FAMILIES; family++) {
        selector->decisions[family].made = false;
    }
}

/* ---- Choosing -------------------------------------------------------------------------------- */

/* A named algorithm runs alone: nothing travels with the announcement, no other way. */
static bool is_automatic(const struct selector *selector, const struct wish *wish)
{
    return wish->collective != COLLECTIVE_ALL_REDUCE ||
           strcmp(selector->settings.algorithm, AUTOMATIC) == 0;
}

/* The envelope tells which ways are ever the cheapest; between its points these are compared at the
 * very size, since segments come in whole numbers. */
static struct offer choose_drawn(const struct selector *selector, const struct decision *decision,
                                 const struct wish *wish, struct choice *choice)
{
    size_t bytes = wish->bytes;
    struct offer best = {0, 0, 0};
    for (int i = 0; i < decision->count; i++) {
        const struct candidate *candidate = &decision->candidates[i];
        struct option option;
        if (!envelope_has(&decision->envelope, i)) {
            continue;
        }
        fill_paces(selector, candidate, &option);
        use_known(&option, find_known(selector, candidate));
        struct offer offer = envelope_offer(&option, &selector->wires, bytes);
        if (choice->algorithm == NULL || offer_beats(&offer, &best)) {
            best = offer;
            choice->algorithm = candidate->algorithm;
            choice->nesting = candidate->nesting;
            choice->segment_bytes = option.pace[offer.pace].segment_bytes;
            choice->window = option.pace[offer.pace].window;
        }
    }
    if (choice->algorithm->needs == NEEDS_SCRATCH && is_automatic(selector, wish)) {
        rule_in_memory(selector->topology, &selector->sight, wish, choice);
    }
    return best;
}

/* Nothing was priced. */
static void choose_by_rule(const struct selector *selector, const struct decision *decision,
                           const struct wish *wish, struct choice *choice)
{
    const struct topology *topology = selector->topology;
    bool unnamed = is_automatic(selector, wish) || decision->count == 0;
    if (selector->sight.all && topology->size > 1 && unnamed) {
        rule_in_memory(topology, &selector->sight, wish, choice);
        return;
    }
    rule_plain(topology, wish, choice);
    if (decision->count > 0 && !is_automatic(selector, wish)) {
        bool any = strchr(selector->settings.algorithm, '+') == NULL &&
                   decision->count > 1; /* a nesting was named, and no algorithm */
        choice->nesting = decision->candidates[0].nesting;
        choice->algorithm = any ? choice->algorithm : decision->candidates[0].algorithm;
    }
}

static void take_settings(const struct select_settings *settings, struct choice *choice)
{
    if (settings->segment_bytes > 0) {
        choice->segment_bytes = settings->segment_bytes;
    }
    if (settings->window > 0) {
        choice->window = settings->window;
    }
}

/* Whether values may go with messages that announce. */
static bool may_be_told(const struct selector *selector, const struct wish *wish)
{
    return !selector->sight.all && is_automatic(selector, wish) &&
           rule_fits_message(selector->topology, &selector->sight, wish);
}

static struct price price_told(const struct selector *selector, const struct wish *wish)
{
    size_t bytes = rule_longer_bytes(selector->topology, &selector->sight, wish);
    return gate_price(selector->topology, &selector->wires, (double)bytes);
}

/* What was measured of all-reduces counts beside others, which were measured as well. */
static double told_s(const struct selector *selector, const struct wish *wish)
{
    double bytes = (double)rule_told_bytes(selector->topology, wish);
    double seconds = price_told(selector, wish).seconds;
    bool measured = wish->collective == COLLECTIVE_ALL_REDUCE;
    return measured ? correction_apply(&selector->announcement, bytes, seconds) : seconds;
}

struct choice selector_choose(const struct selector *selector, const struct wish *wish)
{
    const struct decision *decision = &selector->decisions[family_of(wish)];
    const struct topology *topology = selector->topology;
    struct choice choice = {.nesting = NEST_NONE};
    bool told = may_be_told(selector, wish);
    rule_cut(topology, &choice);
    if (decision->drawn) {
        struct offer best = choose_drawn(selector, decision, wish, &choice);
        told = told && (rule_always_suits_message(topology, &selector->sight, wish) ||
                        told_s(selector, wish) <= best.seconds);
    } else {
        choose_by_rule(selector, decision, wish, &choice);
        told = told && rule_suits_message(topology, &selector->sight, wish);
    }
    choice.with_announcement = choice.with_announcement || told;
    take_settings(&selector->settings, &choice);
    return choice;
}

bool selector_announcement(const struct selector *selector, const struct wish *wish,
                           struct choice *choice)
{
    *choice = selector_choose(selector, wish);
    choice->with_announcement = choice->with_announcement || may_be_told(selector, wish);
    return choice->with_announcement;
}

struct choice selector_choose_coded(const struct selector *selector, const struct codec_spec *spec,
                                    bool momentum)
{
    struct choice choice;
    rule_coded(selector->topology, spec, momentum, &choice);
    take_settings(&selector->settings, &choice);
    return choice;
}

/* ---- Questions ------------------------------------------------------------------------------- */

static enum ww_status known_of(struct selector *selector, const struct wish *wish,
                               const struct choice *choice, struct known **known)
{
    struct candidate candidate = {choice->algorithm, choice->nesting, wish->root};
    return make_known(selector, &candidate, known);
}

/* The load that a choice's price is read off. */
static enum ww_status find_load(struct selector *selector, const struct wish *wish,
                                const struct choice *choice, const struct load **load)
{
    struct known *known;
    enum ww_status status = known_of(selector, wish, choice, &known);
    if (status == WW_OK) {
        *load = known->load;
    }
    return status;
}

enum ww_status selector_bytes(struct selector *selector, const struct wish *wish,
                              const struct choice *choice, double *rank_bytes, double *port_bytes)
{
    const struct topology *topology = selector->topology;
    const struct load *load;
    if (choice->with_announcement) {
        announced_bytes(topology, wish->collective, selector->sight.all,
                        (double)rule_told_bytes(topology, wish), rank_bytes, port_bytes);
        return WW_OK;
    }
    enum ww_status status = find_load(selector, wish, choice, &load);
    if (status == WW_OK) {
        load_bytes(load, (double)wish->bytes, rank_bytes, port_bytes);
    }
    return status;
}

/* The correction of a way; the one of values that travel with the announcement is its own. */
static enum ww_status correction_of(struct selector *selector, const struct wish *wish,
                                    const struct choice *choice, struct correction **correction)
{
    struct known *known;
    if (choice->with_announcement) {
        *correction = &selector->announcement;
        return WW_OK;
    }
    enum ww_status status = known_of(selector, wish, choice, &known);
    if (status == WW_OK) {
        *correction = &known->correction;
    }
    return status;
}

/* The bytes by which a correction goes: those of the vector, or of what a rank tells the others. */
static double corrected_bytes(const struct selector *selector, const struct wish *wish,
                              const struct choice *choice)
{
    bool told = choice->with_announcement && !selector->sight.all;
    return (double)(told ? rule_told_bytes(selector->topology, wish) : wish->bytes);
}

/* What costs nothing, as a broadcast to nobody, stays so, and so does what takes for ever. */
static void correct(const struct correction *correction, double bytes, struct price *price)
{
    double predicted_s = price->seconds;
    if (predicted_s <= 0 || isinf(predicted_s)) {
        return;
    }
    double factor = correction_apply(correction, bytes, predicted_s) / predicted_s;
    price->seconds *= factor;
    price->least_s *= factor;
    price->most_s *= factor;
}

static enum ww_status price_as_is(struct selector *selector, const struct wish *wish,
                                  const struct choice *choice, struct price *price)
{
    const struct load *load;
    double bytes = (double)wish->bytes;
    if (!selector->priced) {
        return log_failure(WW_UNSUPPORTED, "nothing is known about the wires: nothing has a price");
    }
    if (choice->with_announcement) {
        *price = selector->sight.all
                     ? board_price(selector->topology, &selector->wires, wish->collective, bytes)
                     : price_told(selector, wish);
        return WW_OK;
    }
    enum ww_status status = find_load(selector, wish, choice, &load);
    if (status == WW_OK) {
        struct pace pace = {bytes, (double)choice->segment_bytes, choice->window};
        *price = load_price(load, &selector->wires, pace);
    }
    return status;
}

enum ww_status selector_price(struct selector *selector, const struct wish *wish,
                              const struct choice *choice, struct price *price)
{
    struct correction *correction;
    enum ww_status status = price_as_is(selector, wish, choice, price);
    if (status == WW_OK) {
        status = correction_of(selector, wish, choice, &correction);
    }
    if (status == WW_OK) {
        correct(correction, corrected_bytes(selector, wish, choice), price);
    }
    return status;
}

enum ww_status selector_correct(struct selector *selector, const struct wish *wish,
                                const struct choice *choice, double measured_s, bool grows)
{
    struct correction *correction;
    struct price price = {.seconds = 0};
    enum ww_status status = price_as_is(selector, wish, choice, &price);
    if (status == WW_OK) {
        status = correction_of(selector, wish, choice, &correction);
    }
    if (status == WW_OK && correction->count < CORRECTIONS_MAX) {
        int at = correction->count++;
        correction->bytes[at] = corrected_bytes(selector, wish, choice);
        correction->predicted_s[at] = price.seconds;
        correction->measured_s[at] = measured_s;
        correction->grows = grows;
        selector->decisions[family_of(wish)].made = false;
    }
    return status;
}

int selector_candidates(const struct selector *selector, const struct wish *wish)
{
    struct candidate candidate;
    int count = 0;
    while (nth_candidate(selector, family_of(wish), count, &candidate)) {
        count++;
    }
    return count;
}

enum ww_status selector_candidate(struct selector *selector, const struct wish *wish, int index,
                                  struct choice *choice)
{
    struct candidate candidate;
    struct option option;
    bool known = nth_candidate(selector, family_of(wish), index, &candidate);
    assert(known);
    (void)known;
    enum ww_status status = make_option(selector, &candidate, &option);
    if (status != WW_OK) {
        return status;
    }
    int pace = selector->priced ? envelope_offer(&option, &selector->wires, wish->bytes).pace : 0;
    *choice = (struct choice){.algorithm = candidate.algorithm,
                              .nesting = candidate.nesting,
                              .segment_bytes = option.pace[pace].segment_bytes,
                              .window = option.pace[pace].window};
    return WW_OK;
}

/* ---- Words and fingerprints ------------------------------------------------------------------ */

static void say_up_to(size_t most, const char *name, char *text, size_t bytes)
{
    if (most < KIB) {
        snprintf(text, bytes, "<= %zu %s, ", most, name);
    } else if (most < MIB) {
        snprintf(text, bytes, "<= %zuK %s, ", most / KIB, name);
    } else {
        snprintf(text, bytes, "<= %zuM %s, ", most / MIB, name);
    }
}

/* Rows up to so many bytes were told already. */
static void say_row(const struct decision *decision, int index, size_t told, char *text,
                    size_t bytes)
{
    const struct envelope_row *row = &decision->envelope.row[index];
    const struct candidate *candidate = &decision->candidates[row->option];
    struct choice choice = {.algorithm = candidate->algorithm, .nesting = candidate->nesting};
    char name[64];
    text[0] = '\0';
    choice_name(&choice, name, sizeof name);
    if (index + 1 == decision->envelope.rows) {
        snprintf(text, bytes, "%s%s", index > 0 || told > 0 ? "else " : "", name);
    } else if (row->bytes > told) {
        say_up_to(row->bytes, name, text, bytes);
    }
}

/* All-reduces of 64 bytes, 128 ... go with their announcements up to here; 0 = none does. */
static size_t told_up_to(const struct selector *selector)
{
    size_t most = 0;
    struct wish wish = {COLLECTIVE_ALL_REDUCE, 64, WW_F32, 0};
    while (wish.bytes <= GATE_VALUES_BYTES_LONG &&
           selector_choose(selector, &wish).with_announcement) {
        most = wish.bytes;
        wish.bytes *= 2;
    }
    return most;
}

void selector_describe(const struct selector *selector, char *text, size_t bytes)
{
    const struct decision *decision = &selector->decisions[FAMILY_ALL_REDUCE];
    size_t used = 0;
    if (!decision->drawn) {
        bool seen = selector->sight.all && selector->topology->size > 1;
        snprintf(text, bytes, "%s", seen ? "in memory" : "by fixed rules");
        return;
    }
    size_t told = told_up_to(selector);
    if (told > 0) {
        say_up_to(told, ANNOUNCEMENT, text, bytes);
        used = strlen(text);
    }
    for (int i = 0; i < decision->envelope.rows && used < bytes; i++) {
        say_row(decision, i, told, text + used, bytes - used);
        used += strlen(text + used);
    }
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_cost(uint64_t hash, double cost)
{
    uint64_t bits;
    memcpy(&bits, &cost, sizeof bits);
    return mix(hash, bits);
}

/* Prices at a few sizes stand for the wires: who computes them alike chooses alike. */
static uint64_t mix_prices(uint64_t hash, const struct selector *selector,
                           const struct decision *decision)
{
    for (int i = 0; i < decision->count; i++) {
        const struct known *known = find_known(selector, &decision->candidates[i]);
        for (double bytes = 1; bytes < 1e12; bytes *= 1000) {
            struct pace pace = {bytes, (double)MIB, 4};
            double seconds = load_seconds(known->load, &selector->wires, pace);
            hash = mix_cost(hash, correction_apply(&known->correction, bytes, seconds));
        }
    }
    return hash;
}

/* A small all-reduce is compared with what it takes in announcements. */
static uint64_t mix_announcement(uint64_t hash, const struct selector *selector)
{
    struct wish wish = {COLLECTIVE_ALL_REDUCE, GATE_VALUES_BYTES_LONG, WW_F32, 0};
    return may_be_told(selector, &wish) ? mix_cost(hash, told_s(selector, &wish)) : hash;
}

uint64_t selector_hash(const struct selector *selector)
{
    uint64_t hash = selector->priced ? mix_announcement(1, selector) : 1;
    for (int family = 0; family < FAMILIES; family++) {
        const struct decision *decision = &selector->decisions[family];
        hash = mix(hash, (uint64_t)decision->count << 1 | decision->drawn);
        hash = decision->drawn ? mix_prices(hash, selector, decision) : hash;
    }
    return hash;
}

/* ---- Life ------------------------------------------------------------------------------------ */

enum ww_status selector_create(const struct selector_setup *setup, struct selector **selector)
{
    struct selector *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a selector");
    }
    made->topology = setup->topology;
    made->sight = setup->sight;
    made->settings = setup->settings;
    made->on_devices = setup->on_devices;
    made->priced = setup->wires != NULL;
    if (made->priced) {
        made->wires = *setup->wires;
    }
    for (int family = 0; !setup->lazy && family < FAMILIES; family++) {
        enum ww_status status = decide(made, (enum family)family);
        if (status != WW_OK) {
            selector_destroy(made);
            return status;
        }
    }
    *selector = made;
    return WW_OK;
}

void selector_destroy(struct selector *selector)
{
    if (selector == NULL) {
        return;
    }
    while (selector->known != NULL) {
        struct known *known = selector->known;
        selector->known = known->next;
        load_destroy(known->load);
        free(known);
    }
    free(selector);
}
