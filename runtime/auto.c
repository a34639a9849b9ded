/* SPDX-License-Identifier: BSD-3-Clause
 * auto.c: what is known of the calls that choose their codec. */
#include "auto.h"

#include <stdio.h>
#include <stdlib.h>

#include <string.h>

#include <wirewise/tools.h>

#include "context.h"

#define BUDGET 0.01  /* of the time, for measuring */
#define WARM_CALLS 3 /* before the first measurement */
#define TEXT_BYTES 400

static struct auto_call *make(struct autos *autos, size_t count, enum ww_op op)
{
    struct auto_call *made = autos->kinds < AUTO_CALLS_MAX ? calloc(1, sizeof *made) : NULL;
    if (made == NULL) {
        if (autos->tells && !autos->told_full) {
            log_info("auto chooses for %d kinds of calls, those seen first: a call of %zu elements "
                     "goes dense like all others from here on",
                     autos->kinds, count);
            autos->told_full = true;
        }
        return NULL;
    }
    *made = (struct auto_call){.count = count, .op = op, .next = autos->first};
    struct policy_setup setup = {.arms = autos->menu.arms,
                                 .units = 1,
                                 .chooses = true,
                                 .probes = true,
                                 .budget = BUDGET,
                                 .warm_uses = WARM_CALLS};
    policy_init(&made->policy, &setup);
    autos->first = made;
    autos->kinds++;
    return made;
}

struct auto_call *autos_find(struct autos *autos, size_t count, enum ww_op op)
{
    struct auto_call **at = &autos->first;
    while (*at != NULL && ((*at)->count != count || (*at)->op != op)) {
        at = &(*at)->next;
    }
    if (*at == NULL) {
        return make(autos, count, op);
    }
    struct auto_call *found = *at; /* the latest is first: programs repeat themselves */
    *at = found->next;
    found->next = autos->first;
    autos->first = found;
    return found;
}

bool auto_takes_in(struct auto_call *call, const float *residual, int arm)
{
    for (int i = 0; i < call->residual_count; i++) {
        struct auto_residual *known = &call->residuals[i];
        if (known->residual == residual) {
            bool same = known->arm == arm;
            known->arm = arm;
            return !same;
        }
    }
    int place = call->residual_count;
    if (place < AUTO_RESIDUALS_MAX) {
        call->residual_count++;
    } else {
        place = call->oldest;
        call->oldest = (call->oldest + 1) % AUTO_RESIDUALS_MAX;
    }
    call->residuals[place] = (struct auto_residual){residual, arm};
    return true;
}

void auto_tell(const struct autos *autos, const struct auto_call *call)
{
    if (!autos->tells) {
        return;
    }
    const struct menu *menu = &autos->menu;
    const struct policy_race *race = &call->policy.ended;
    int home = policy_home(&call->policy, 0);
    char text[TEXT_BYTES];
    char name[48];
    codec_print(&menu->arm[home], name, sizeof name);
    menu_print_times(menu, race->mean, home, text, sizeof text);
    log_info("auto, calls of %zu elements: %s from now on (%s)", call->count, name, text);
}

enum ww_status ww_auto_describe(struct ww_context *context, size_t count, enum ww_op op, char *text,
                                size_t bytes, bool *settled)
{
    static const char call[] = "ww_auto_describe";
    enum ww_status status = context_check(context, call);
    if (status != WW_OK) {
        return status;
    }
    if (settled == NULL || (text == NULL && bytes > 0)) {
        return context_fail(context,
                            log_failure(WW_BAD_ARGUMENT, "%s got NULL for what it writes", call));
    }
    const struct auto_call *kind = context->autos.first;
    while (kind != NULL && (kind->count != count || kind->op != op)) {
        kind = kind->next;
    }
    bool chooses = context->autos.menu.chooses && context->world.size > 1;
    if (kind == NULL && chooses) {
        return context_fail(
            context, log_failure(WW_BAD_ARGUMENT,
                                 "%s: there was no call of ww_all_reduce_coded with \"auto\" "
                                 "for %zu elements and this op",
                                 call, count));
    }
    struct codec_spec none = {.kind = CODEC_NONE};
    codec_print(kind == NULL ? &none : &context->autos.menu.arm[policy_home(&kind->policy, 0)],
                text, bytes);
    *settled = kind == NULL || policy_is_settled(&kind->policy);
    return WW_OK;
}

void autos_destroy(struct autos *autos)
{
    while (autos->first != NULL) {
        struct auto_call *next = autos->first->next;
        free(autos->first);
        autos->first = next;
    }
}
