/* SPDX-License-Identifier: BSD-3-Clause
 * gradients.h: fp32 values of every kind that codecs meet. */
#ifndef GRADIENTS_H
#define GRADIENTS_H

#include "check.h"

enum gradient {
    GRADIENT_BELL,     /* like noise */
    GRADIENT_LAYERS,   /* noise whose size changes every few thousand elements */
    GRADIENT_FEW,      /* few different values: ties */
    GRADIENT_ZEROS,    /* mostly zeros, of both signs */
    GRADIENT_TINY,     /* denormals */
    GRADIENT_HUGE,     /* up to the largest number */
    GRADIENT_EDGES,    /* with infinities and NaNs among them */
    GRADIENT_ANY_BITS, /* half of them may be anything */
    GRADIENT_WILD,     /* most are not finite */
    GRADIENT_COUNT
};

void gradient_fill(struct chance *chance, enum gradient kind, float *values, size_t count);

#endif
