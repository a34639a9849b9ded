/* SPDX-License-Identifier: BSD-3-Clause
 * auto.h: which codec single calls of "auto" go by: each count and op chooses for itself. */
#ifndef RUNTIME_AUTO_H
#define RUNTIME_AUTO_H

#include "menu.h"
#include "policy.h"

#define AUTO_CALLS_MAX 64     /* kinds that choose; further ones go dense */
#define AUTO_RESIDUALS_MAX 32 /* of one kind that are remembered */

/* Who left what a residual holds. */
struct auto_residual {
    const float *residual;
    int arm;
};

struct auto_call {
    size_t count;
    enum ww_op op;
    struct auto_residual residuals[AUTO_RESIDUALS_MAX]; /* vectors of one size are of one kind */
    int residual_count;
    int oldest;
    struct policy policy;
    struct auto_call *next;
};

struct autos {
    struct menu menu; /* read when the context is made */
    bool tells;       /* one rank speaks for all, who choose alike */
    struct auto_call *first;
    int kinds;
    bool told_full;
    bool told_bare; /* that there is nothing to choose among */
};

/* What a kind of calls knows; makes it when it is new. NULL: dense, without choice. */
struct auto_call *autos_find(struct autos *autos, size_t count, enum ww_op op);

/* True unless the residual was left by this arm, as far as is remembered: then it goes into the
 * rank's own input, which is always right. Remembers the arm for the next call. */
bool auto_takes_in(struct auto_call *call, const float *residual, int arm);

/* Logs what a kind chose, and why. */
void auto_tell(const struct autos *autos, const struct auto_call *call);
void autos_destroy(struct autos *autos);

#endif
