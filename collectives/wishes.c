/* SPDX-License-Identifier: BSD-3-Clause
 * wishes.c: counts equal wishes. */
#include "wishes.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

static bool precedes(const struct wish *one, const struct wish *other)
{
    return one->ranks > other->ranks || (one->ranks == other->ranks && one->rank < other->rank);
}

static struct wish *find_rarest(struct wishes *wishes)
{
    struct wish *rarest = &wishes->wish[0];
    for (int i = 1; i < wishes->count; i++) {
        rarest = precedes(rarest, &wishes->wish[i]) ? &wishes->wish[i] : rarest;
    }
    return rarest;
}

void wishes_add(struct wishes *wishes, const struct wish *wish)
{
    for (int i = 0; i < wishes->count; i++) {
        struct wish *known = &wishes->wish[i];
        if (memcmp(&known->signature, &wish->signature, sizeof wish->signature) == 0) {
            known->rank = wish->rank < known->rank ? wish->rank : known->rank;
            known->ranks += wish->ranks;
            return;
        }
    }
    if (wishes->count < WISHES_MOST) {
        wishes->wish[wishes->count++] = *wish;
        return;
    }
    struct wish *rarest = find_rarest(wishes);
    if (precedes(wish, rarest)) {
        *rarest = *wish;
    }
}

const struct wish *wishes_odd(const struct wishes *wishes, const struct wish **usual)
{
    assert(wishes->count > 1);
    const struct wish *most = &wishes->wish[0];
    for (int i = 1; i < wishes->count; i++) {
        most = precedes(&wishes->wish[i], most) ? &wishes->wish[i] : most;
    }
    const struct wish *odd = NULL;
    for (int i = 0; i < wishes->count; i++) {
        const struct wish *wish = &wishes->wish[i];
        if (wish != most && (odd == NULL || wish->rank < odd->rank)) {
            odd = wish;
        }
    }
    *usual = most;
    return odd;
}
