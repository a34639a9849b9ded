/* SPDX-License-Identifier: BSD-3-Clause
 * signature.c: what a rank wants, in words. */
#include "signature.h"

#include <stdio.h>

#include "codecs/codec.h"
#include "plan.h"

/* " as topk:0.01"; "" where nothing is encoded. */
static void print_codec(const struct signature *signature, char *text, size_t bytes)
{
    uint32_t kind = signature->codec & ~(SIGNATURE_FIXED | SIGNATURE_DENSE | SIGNATURE_DISCARDED);
    struct codec_spec spec = {.kind = (enum codec_kind)kind,
                              .density = signature->density,
                              .fixed = (signature->codec & SIGNATURE_FIXED) != 0};
    text[0] = '\0';
    if (spec.kind > CODEC_NONE && spec.kind < CODEC_COUNT) {
        size_t used = (size_t)snprintf(text, bytes, " as ");
        codec_print(&spec, text + used, bytes - used);
    } else if ((signature->codec & SIGNATURE_DENSE) != 0) {
        snprintf(text, bytes, " densely (ww_step_dense_next)");
    }
}

/* What the program said about the step: ", scaled by 4 (ww_step_loss_scale)". */
static void print_terms(const struct signature *signature, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    if (signature->scale != 0) {
        used = (size_t)snprintf(text, bytes, ", scaled by %.9g (ww_step_loss_scale)",
                                (double)signature->scale);
    }
    if ((signature->codec & SIGNATURE_DISCARDED) != 0) {
        snprintf(text + used, bytes - used, ", the step before discarded (ww_step_discard)");
    }
}

int signature_print(const struct signature *signature, char *text, size_t bytes)
{
    static const char *const ops[] = {" (sum)", " (mean)", " (min)", " (max)", ""};
    static const char *const ways[] = {[SIGNATURE_WITH_VALUES] = ", its values in the announcement",
                                       [SIGNATURE_ELSEWHERE] = ", in memory of GPUs"};
    char root[32] = "";
    char label[64] = "";
    char codec[48];
    char terms[112];
    if (signature->label == GATE_LABEL_LAYOUT) {
        return snprintf(text, bytes, "the layout of its tensors (ww_tensors_commit)");
    }
    if (signature->label == GATE_LABEL_FAREWELL) {
        return snprintf(text, bytes, "the end of its context (ww_context_destroy)");
    }
    if (signature->label == GATE_LABEL_DRAIN) {
        return snprintf(text, bytes, "the results of a step on its way (ww_step_drain)");
    }
    if (signature->label == GATE_LABEL_ORDER) {
        return snprintf(text, bytes, "the order of %llu buckets at the end of step %llu",
                        (unsigned long long)signature->count, (unsigned long long)signature->step);
    }
    if (signature->label == GATE_LABEL_LEDGER) {
        return snprintf(text, bytes, "the times of %llu steps at the end of step %llu",
                        (unsigned long long)signature->count, (unsigned long long)signature->step);
    }
    if (signature->label == GATE_LABEL_CHECKPOINT) {
        return snprintf(text, bytes, "%llu words of a checkpoint (ww_checkpoint_save or _load)",
                        (unsigned long long)signature->count);
    }
    if (signature->label == GATE_LABEL_PREEMPTION) {
        return snprintf(text, bytes, "whether anybody was told to go (ww_preempted)");
    }
    if (signature->label == GATE_LABEL_ATTACH) {
        return snprintf(text, bytes, "a GPU for its context (ww_cuda_attach)");
    }
    bool outer = signature->label == GATE_LABEL_OUTER;
    if (signature->root >= 0) {
        snprintf(root, sizeof root, " from root %d", signature->root);
    }
    if (outer) {
        snprintf(label, sizeof label, ", for local steps");
    } else if (signature->label > 0) {
        snprintf(label, sizeof label, ", bucket %u of step %llu", signature->label - 1,
                 (unsigned long long)signature->step);
    }
    print_codec(signature, codec, sizeof codec);
    print_terms(signature, terms, sizeof terms);
    return snprintf(
        text, bytes, "%s of %llu %s%s%s%s%s%s%s",
        signature->collective < COLLECTIVE_COUNT ? collective_names[signature->collective]
                                                 : "unknown collective",
        (unsigned long long)signature->count,
        signature->type < WW_TYPE_COUNT ? type_names[signature->type] : "unknown type",
        signature->op <= WW_OP_COUNT ? ops[signature->op] : " (unknown op)", root, codec, label,
        terms,
        signature->way > 0 && signature->way <= SIGNATURE_ELSEWHERE ? ways[signature->way] : "");
}
