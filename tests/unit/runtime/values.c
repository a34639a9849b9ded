/* SPDX-License-Identifier: BSD-3-Clause
 * values.c: tables of one period, made when first asked for. */
#include "values.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

#define PERIOD 8191 /* prime */

static pthread_mutex_t tables_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *contributions[WW_TYPE_COUNT][VALUES_RANKS_MAX];
static unsigned char *reductions[WW_TYPE_COUNT][WW_OP_COUNT][VALUES_RANKS_MAX + 1];

/* -8 .. 8: nine ranks of them fit the 8 digits of a bf16. */
static int number_at(int rank, size_t index)
{
    uint32_t mixed = ((uint32_t)index * 2654435761u) ^ ((uint32_t)(rank + 1) * 40503u);
    mixed ^= mixed >> 15;
    mixed *= 2246822519u;
    return (int)((mixed >> 16) % 17) - 8;
}

/* Large enough that sums leave the type. */
static int64_t integer_at(enum ww_type type, int rank, size_t index)
{
    int64_t number = number_at(rank, index);
    return type == WW_I32 ? number * 0x0e100001 : number * INT64_C(0x0e10000000000001);
}

static void store_number(enum ww_type type, void *into, size_t index, double number)
{
    if (type == WW_F32) {
        ((float *)into)[index] = (float)number;
    } else if (type == WW_F64) {
        ((double *)into)[index] = number;
    } else {
        ((uint16_t *)into)[index] = (uint16_t)nearest_bits(&formats[type], number);
    }
}

static void store_integer(enum ww_type type, void *into, size_t index, int64_t number)
{
    if (type == WW_I32) {
        ((int32_t *)into)[index] = (int32_t)(uint32_t)(uint64_t)number;
    } else {
        ((int64_t *)into)[index] = number;
    }
}

static bool is_integer(enum ww_type type)
{
    return type == WW_I32 || type == WW_I64;
}

static double reduce_numbers(enum ww_op op, int size, size_t index)
{
    double result = number_at(0, index);
    for (int rank = 1; rank < size; rank++) {
        double next = number_at(rank, index);
        if (op == WW_SUM || op == WW_MEAN) {
            result += next;
        } else {
            result = (op == WW_MIN) == (next < result) ? next : result;
        }
    }
    return result;
}

/* A mean is the sum times 1/size; 16-bit types are computed in fp32. */
static double reduced_number(enum ww_type type, enum ww_op op, int size, size_t index)
{
    double result = reduce_numbers(op, size, index);
    if (op == WW_MEAN) {
        double scale = 1.0 / size;
        result = type == WW_F64 ? result * scale : (double)((float)result * (float)scale);
    }
    return result;
}

static int64_t reduced_integer(enum ww_type type, enum ww_op op, int size, size_t index)
{
    int64_t result = integer_at(type, 0, index);
    for (int rank = 1; rank < size; rank++) {
        int64_t next = integer_at(type, rank, index);
        if (op == WW_SUM) {
            result = (int64_t)((uint64_t)result + (uint64_t)next);
        } else {
            result = (op == WW_MIN) == (next < result) ? next : result;
        }
    }
    return result;
}

static unsigned char *new_table(enum ww_type type)
{
    unsigned char *table = malloc(PERIOD * ww_type_bytes(type));
    if (table == NULL) {
        abort(); /* a test without memory has nothing left to say */
    }
    return table;
}

static const unsigned char *contribution(enum ww_type type, int rank)
{
    pthread_mutex_lock(&tables_lock);
    unsigned char **table = &contributions[type][rank];
    if (*table == NULL) {
        *table = new_table(type);
        for (size_t i = 0; i < PERIOD; i++) {
            if (is_integer(type)) {
                store_integer(type, *table, i, integer_at(type, rank, i));
            } else {
                store_number(type, *table, i, number_at(rank, i));
            }
        }
    }
    pthread_mutex_unlock(&tables_lock);
    return *table;
}

static const unsigned char *reduction(enum ww_type type, enum ww_op op, int size)
{
    pthread_mutex_lock(&tables_lock);
    unsigned char **table = &reductions[type][op][size];
    if (*table == NULL) {
        *table = new_table(type);
        for (size_t i = 0; i < PERIOD; i++) {
            if (is_integer(type)) {
                store_integer(type, *table, i, reduced_integer(type, op, size, i));
            } else {
                store_number(type, *table, i, reduced_number(type, op, size, i));
            }
        }
    }
    pthread_mutex_unlock(&tables_lock);
    return *table;
}

/* Elements first ... of a table that repeats: how many come in one piece, and from where. */
static size_t next_piece(size_t first, size_t count, size_t *phase)
{
    *phase = first % PERIOD;
    return count < PERIOD - *phase ? count : PERIOD - *phase;
}

static bool repeats(const unsigned char *table, size_t element_bytes, size_t first,
                    const unsigned char *got, size_t count)
{
    while (count > 0) {
        size_t phase;
        size_t piece = next_piece(first, count, &phase);
        if (memcmp(got, table + phase * element_bytes, piece * element_bytes) != 0) {
            return false;
        }
        got += piece * element_bytes;
        first += piece;
        count -= piece;
    }
    return true;
}

void values_fill(enum ww_type type, int rank, size_t first, void *into, size_t count)
{
    const unsigned char *table = contribution(type, rank);
    size_t element_bytes = ww_type_bytes(type);
    unsigned char *to = into;
    while (count > 0) {
        size_t phase;
        size_t piece = next_piece(first, count, &phase);
        memcpy(to, table + phase * element_bytes, piece * element_bytes);
        to += piece * element_bytes;
        first += piece;
        count -= piece;
    }
}

bool values_reduced(enum ww_type type, enum ww_op op, int size, size_t first, const void *got,
                    size_t count)
{
    return repeats(reduction(type, op, size), ww_type_bytes(type), first, got, count);
}

bool values_of_rank(enum ww_type type, int rank, size_t first, const void *got, size_t count)
{
    return repeats(contribution(type, rank), ww_type_bytes(type), first, got, count);
}
