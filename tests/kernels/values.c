/* SPDX-License-Identifier: BSD-3-Clause
 * values.c: makes values that are likely to find a wrong kernel. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chance.h"

uint64_t chance_bits(struct chance *chance)
{
    return chance_next(&chance->state);
}

size_t chance_below(struct chance *chance, size_t limit)
{
    return (size_t)(chance_bits(chance) % limit);
}

unsigned char *memory_or_exit(size_t bytes)
{
    void *memory;
    if (posix_memalign(&memory, 64, bytes) != 0) {
        fprintf(stderr, "kernels: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return memory;
}

/* How a type lays out a float: sign, exponent, fraction. Integers have no fraction. */
struct layout {
    const char *name;
    size_t bytes;
    int fraction_bits;
};

static const struct layout layouts[WW_TYPE_COUNT] = {
    [WW_F32] = {"f32", 4, 23},  [WW_F64] = {"f64", 8, 52}, [WW_F16] = {"f16", 2, 10},
    [WW_BF16] = {"bf16", 2, 7}, [WW_I32] = {"i32", 4, 0},  [WW_I64] = {"i64", 8, 0},
};

size_t element_bytes(enum ww_type type)
{
    return layouts[type].bytes;
}

const char *type_name(enum ww_type type)
{
    return layouts[type].name;
}

const char *op_name(enum ww_op op)
{
    static const char *const names[WW_OP_COUNT] = {"sum", "mean", "min", "max"};
    return names[op];
}

uint64_t element_bits(enum ww_type type, const void *values, size_t index)
{
    size_t bytes = element_bytes(type);
    const unsigned char *at = (const unsigned char *)values + index * bytes;
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (bytes) {
    case 2:
        memcpy(&two, at, bytes);
        return two;
    case 4:
        memcpy(&four, at, bytes);
        return four;
    default:
        memcpy(&eight, at, bytes);
        return eight;
    }
}

static void element_set(enum ww_type type, void *values, size_t index, uint64_t bits)
{
    size_t bytes = element_bytes(type);
    unsigned char *at = (unsigned char *)values + index * bytes;
    uint16_t two = (uint16_t)bits;
    uint32_t four = (uint32_t)bits;
    const void *source = bytes == 2 ? (void *)&two : bytes == 4 ? (void *)&four : (void *)&bits;
    memcpy(at, source, bytes);
}

/* Numbers between 1/256 and 256 of either sign; small integers. */
static uint64_t ordinary(struct chance *chance, enum ww_type type)
{
    uint64_t bits = chance_bits(chance);
    int fraction = layouts[type].fraction_bits;
    if (fraction == 0) {
        return bits % 2001 - 1000;
    }
    int width = (int)layouts[type].bytes * 8;
    uint64_t bias = ((uint64_t)1 << (width - 2 - fraction)) - 1;
    uint64_t exponent = bias - 8 + (bits >> 53) % 16;
    uint64_t sign = bits >> 63 << (width - 1);
    return sign | exponent << fraction | (bits & (((uint64_t)1 << fraction) - 1));
}

/* Zero, denormals, the smallest and largest, infinity, NaNs of both kinds with payloads, each a
 * few steps off at times; for integers zero, the ends and their neighbours. */
static uint64_t edge(struct chance *chance, enum ww_type type)
{
    uint64_t bits = chance_bits(chance);
    int fraction = layouts[type].fraction_bits;
    int width = (int)layouts[type].bytes * 8;
    uint64_t sign = bits >> 63 << (width - 1);
    uint64_t near = (bits >> 20) % 4;
    if (fraction == 0) {
        return sign + near - 2;
    }
    uint64_t infinity = (((uint64_t)1 << (width - 1 - fraction)) - 1) << fraction;
    uint64_t payload = bits & (((uint64_t)1 << (fraction - 1)) - 1);
    uint64_t magnitudes[] = {
        0,
        near,
        payload,
        ((uint64_t)1 << fraction) - near,
        ((uint64_t)1 << fraction) + near,
        infinity - 1 - near,
        infinity,
        infinity,
        infinity | payload | 1,
        infinity | (uint64_t)1 << (fraction - 1) | payload,
    };
    size_t kind = (bits >> 40) % (sizeof magnitudes / sizeof magnitudes[0]);
    return sign | magnitudes[kind];
}

void values_fill(struct chance *chance, enum ww_type type, enum flavour flavour, void *values,
                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = chance_bits(chance);
        if (flavour == ORDINARY) {
            bits = ordinary(chance, type);
        } else if (flavour == EDGES) {
            /* One in four, so that a fold of nine is not always NaN. */
            bits = bits % 4 == 0 ? edge(chance, type) : ordinary(chance, type);
        }
        element_set(type, values, i, bits);
    }
}
