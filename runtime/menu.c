/* SPDX-License-Identifier: BSD-3-Clause
 * menu.c: reads which codecs a context may use. */
#include "menu.h"

#include <stdio.h>
#include <string.h>

#include "internal/log.h"

#define NAME_BYTES 48
#define MS_PER_S 1e3

/* `besides` tells what else it may be. */
static enum ww_status parse(const char *text, const char *from, const char *besides,
                            struct codec_spec *spec)
{
    char reason[LOG_SENTENCE_BYTES];
    if (text == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "%s got NULL for the codec", from);
    }
    return codec_parse(text, spec, reason, sizeof reason)
               ? WW_OK
               : log_failure(WW_BAD_ARGUMENT, "%s: %s%s", from, reason, besides);
}

enum ww_status menu_parse_codec(const char *text, const char *from, struct codec_spec *spec)
{
    if (text != NULL && strcmp(text, "auto") == 0) {
        return log_failure(
            WW_BAD_ARGUMENT,
            "%s got \"auto\", which is for a whole context (codec, ww_step_codec) or "
            "a call of ww_all_reduce_coded: name one codec here",
            from);
    }
    return parse(text, from, "", spec);
}

static bool is_on(const struct menu *menu, const struct codec_spec *spec)
{
    for (int arm = 0; arm < menu->arms; arm++) {
        if (codec_spec_same(&menu->arm[arm], spec)) {
            return true;
        }
    }
    return false;
}

/* One codec of the list. */
static enum ww_status add(struct menu *menu, const char *text)
{
    struct codec_spec spec;
    enum ww_status status = menu_parse_codec(text, "codecs_allowed", &spec);
    if (status != WW_OK || is_on(menu, &spec)) {
        return status;
    }
    if (menu->arms == POLICY_ARMS_MAX) {
        return log_failure(WW_BAD_ARGUMENT,
                           "codecs_allowed names more than %d codecs beside none; the first too "
                           "many is \"%s\"",
                           POLICY_ARMS_MAX - 1, text);
    }
    menu->arm[menu->arms++] = spec;
    return WW_OK;
}

static enum ww_status read_list(const char *list, struct menu *menu)
{
    enum ww_status status = WW_OK;
    const char *at = list == NULL ? "" : list;
    while (status == WW_OK && *at != '\0') {
        char name[NAME_BYTES];
        at += strspn(at, " ");
        size_t length = strcspn(at, ",");
        if (length >= sizeof name) {
            return log_failure(WW_BAD_ARGUMENT,
                               "codecs_allowed has a name of %zu bytes: \"%.40s...\"", length, at);
        }
        memcpy(name, at, length);
        name[length] = '\0';
        for (size_t end = length; end > 0 && name[end - 1] == ' '; end--) {
            name[end - 1] = '\0';
        }
        status = add(menu, name);
        at += length;
        at += *at == ',';
    }
    return status;
}

enum ww_status menu_parse(const char *text, const char *allowed, const char *from,
                          struct menu *menu)
{
    struct menu made = {.arms = 1, .arm = {{.kind = CODEC_NONE}}};
    struct menu list = made;
    enum ww_status status = read_list(allowed, &list);
    if (status != WW_OK) {
        return status;
    }
    if (text != NULL && strcmp(text, "auto") == 0) {
        made = list;
        made.chooses = list.arms > 1;
    } else {
        status = parse(text, from, " (or auto)", &made.arm[1]);
        made.arms += made.arm[1].kind != CODEC_NONE;
    }
    if (status == WW_OK) {
        *menu = made;
    }
    return status;
}

void menu_warn_if_bare(const char *codec, const struct menu *menu)
{
    if (strcmp(codec, "auto") == 0 && !menu->chooses) {
        log_info("auto may choose among none alone, so nothing is encoded: name what may be, as "
                 "fp16,int8,topk:0.01, in codecs_allowed or WIREWISE_CODECS_ALLOWED");
    }
}

/* Chen et al., DeCo-SGD, 2024: the harm of leaving gradients out grows exponentially with how late
 * the rest comes. */
enum ww_status menu_check_stale(const struct codec_spec *spec, const struct ww_config *config,
                                const char *from)
{
    if (spec->kind != CODEC_TOPK || config->staleness <= 1 || config->allow_stale_topk) {
        return WW_OK;
    }
    return log_failure(WW_BAD_ARGUMENT,
                       "%s is topk and staleness is %d: late gradients make what top-k leaves out "
                       "hurt far more; use int8 or fp16, staleness 1, or say that you want it with "
                       "allow_stale_topk (WIREWISE_ALLOW_STALE_TOPK=yes)",
                       from, config->staleness);
}

enum ww_status menu_check_delayed(const struct menu *menu, const struct ww_config *config,
                                  const char *from)
{
    if (config->staleness == 0) {
        return WW_OK;
    }
    if (menu->chooses) {
        return log_failure(
            WW_BAD_ARGUMENT,
            "%s is \"auto\" and staleness is %d: steps on their way overlap, so what "
            "one codec takes cannot be told from another; name one codec",
            from, config->staleness);
    }
    if (config->probe == WW_PROBE_STEPS || config->probe == WW_PROBE_SHADOWS) {
        return log_failure(WW_BAD_ARGUMENT,
                           "probe is \"%s\" and staleness is %d: steps on their way overlap, so no "
                           "dense one can be compared with them; leave probe at auto or off",
                           config->probe == WW_PROBE_STEPS ? "steps" : "shadows",
                           config->staleness);
    }
    enum ww_status status = WW_OK;
    for (int arm = 0; arm < menu->arms && status == WW_OK; arm++) {
        status = menu_check_stale(&menu->arm[arm], config, from);
    }
    return status;
}

enum ww_status menu_check(const struct menu *menu, const struct ww_config *config, const char *from)
{
    if (!menu->chooses) {
        return WW_OK;
    }
    if (config->deterministic == WW_DETERMINISTIC_PLAN) {
        return log_failure(WW_BAD_ARGUMENT,
                           "%s is \"auto\" and deterministic is \"plan\": what is chosen by "
                           "measured times may differ in every run; name one codec",
                           from);
    }
    if (config->probe == WW_PROBE_OFF) {
        return log_failure(WW_BAD_ARGUMENT,
                           "%s is \"auto\" and probe is \"off\": it chooses by what it measures; "
                           "name one codec, or let it probe",
                           from);
    }
    return WW_OK;
}

void menu_print(const struct menu *menu, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (int arm = 0; arm < menu->arms && used < bytes; arm++) {
        char name[NAME_BYTES];
        codec_print(&menu->arm[arm], name, sizeof name);
        used += (size_t)snprintf(text + used, bytes - used, "%s%s", arm > 0 ? ", " : "", name);
    }
}

void menu_print_times(const struct menu *menu, const double *seconds, int home, char *text,
                      size_t bytes)
{
    const char *join = "; ";
    size_t used = (size_t)snprintf(text, bytes, "%.4g ms", seconds[home] * MS_PER_S);
    for (int arm = 0; arm < menu->arms && used < bytes; arm++) {
        if (arm != home) {
            char name[NAME_BYTES];
            codec_print(&menu->arm[arm], name, sizeof name);
            used += (size_t)snprintf(text + used, bytes - used, "%s%s %.4g", join, name,
                                     seconds[arm] * MS_PER_S);
            join = ", ";
        }
    }
}

bool menu_same(const struct menu *one, const struct menu *other)
{
    bool same = one->chooses == other->chooses && one->arms == other->arms;
    for (int arm = 0; same && arm < one->arms; arm++) {
        same = codec_spec_same(&one->arm[arm], &other->arm[arm]);
    }
    return same;
}
