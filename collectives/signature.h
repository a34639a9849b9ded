/* SPDX-License-Identifier: BSD-3-Clause
 * signature.h: what ranks must agree on before a collective moves data. */
#ifndef COLLECTIVES_SIGNATURE_H
#define COLLECTIVES_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

/* Labels of a context's own collectives, beyond any bucket number. */
#define GATE_LABEL_FAREWELL UINT32_MAX
#define GATE_LABEL_LAYOUT (UINT32_MAX - 1)
#define GATE_LABEL_ORDER (UINT32_MAX - 2)
#define GATE_LABEL_LEDGER (UINT32_MAX - 3)
#define GATE_LABEL_CHECKPOINT (UINT32_MAX - 4)
#define GATE_LABEL_PREEMPTION (UINT32_MAX - 5)
#define GATE_LABEL_DRAIN (UINT32_MAX - 6)
#define GATE_LABEL_OUTER (UINT32_MAX - 7)
#define GATE_LABEL_ATTACH (UINT32_MAX - 8)

#define SIGNATURE_WITH_VALUES 1 /* the values travel with the announcement */
#define SIGNATURE_ELSEWHERE 2   /* they are memory of GPUs */

#define SIGNATURE_FIXED 256U
#define SIGNATURE_DENSE 512U
#define SIGNATURE_DISCARDED 1024U

/* What must be the same on all ranks. No padding: compared as bytes. */
struct signature {
    uint64_t count;     /* elements (per rank for reduce-scatter and all-gather) */
    uint64_t step;      /* of the trainer; 0 for single calls */
    float scale;        /* that the program gave its gradients; 0 = nothing to say, as 1 */
    uint8_t collective; /* enum collective */
    uint8_t type;       /* enum ww_type */
    uint8_t op;         /* enum ww_op; WW_OP_COUNT where there is none */
    uint8_t way;        /* SIGNATURE_..., 0 = by the plan */
    int32_t root;       /* -1 where there is none */
    uint32_t label;     /* bucket number + 1; 0 for single calls; or GATE_LABEL_... */
    uint32_t codec;     /* enum codec_kind, plus SIGNATURE_FIXED, SIGNATURE_DENSE where the
                           program asked for a dense step, and SIGNATURE_DISCARDED where it
                           took the step before back */
    float density;      /* of the codec */
};

/* "all_reduce of 1024 f32 (mean), bucket 2 of step 7". Returns what snprintf does. */
int signature_print(const struct signature *signature, char *text, size_t bytes);
#define SIGNATURE_TEXT_BYTES 256 /* room for the longest */

#endif
