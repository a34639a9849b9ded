/* SPDX-License-Identifier: BSD-3-Clause
 * check.h: what the parts of the kernel test share. Each check prints its first failure per type
 * and operation and returns how many there were. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wirewise/wirewise.h>

#include "kernels/kernels.h"

/* One row of kernels: what kernels_init chooses when only these features are reported. */
struct variant {
    const char *name;
    struct kernels kernels;
};

/* A stream of chance; the same seed gives the same stream. */
struct chance {
    uint64_t state;
};
uint64_t chance_bits(struct chance *chance);
size_t chance_below(struct chance *chance, size_t limit);

/* To be freed; where there is no memory the program ends with a sentence. */
unsigned char *memory_or_exit(size_t bytes);

/* Values of a type: ordinary numbers, numbers at the edges of the type, or any bits at all. */
enum flavour { ORDINARY, EDGES, ANY_BITS, FLAVOUR_COUNT };
void values_fill(struct chance *chance, enum ww_type type, enum flavour flavour, void *values,
                 size_t count);

size_t element_bytes(enum ww_type type);
const char *type_name(enum ww_type type);
const char *op_name(enum ww_op op);

/* The element's bits, in the low end. */
uint64_t element_bits(enum ww_type type, const void *values, size_t index);

/* variant gives the bits of scalar for every type and operation, 1 to 9 ways, sizes, alignments,
 * in place on every source, and writes nothing else. */
int check_match(const struct variant *variant, const struct variant *scalar, uint64_t seed);

/* variant gives what slow arithmetic without bit tricks gives. */
int check_reference(const struct variant *variant, uint64_t seed);

/* Every f16 and bf16 survives widening, and every fp32 at or beside a rounding edge of the 16-bit
 * types is rounded as slow arithmetic rounds it. */
int check_rounding(const struct variant *variant, uint64_t seed);

/* variant's loops of codes give the bits of scalar's for all kinds of values, sizes, alignments,
 * with and without residual, and write nothing else. */
int check_codes(const char *name, const struct code_kernels *variant,
                const struct code_kernels *scalar, uint64_t seed);
/* variant's loops of top-k give the bits of scalar's: sizes, alignments, in place, momentum, values
 * and thresholds of every kind; and write nothing else. */
int check_sparse(const struct variant *variant, const struct variant *scalar, uint64_t seed);

/* Times every kernel beside memcpy and prints GB/s of bytes read and written. */
int bench_run(const struct variant *variants, size_t variant_count);

/* Times every codec beside memcpy, likewise. */
int codes_bench_run(const struct variant *variants, size_t variant_count);

/* Of this thread only: other programs' turns do not count. */
double cpu_seconds_now(void);

/* Times the loops of top-k, its frames and its selection, beside memcpy, nth_element and the ratio
 * to both. */
int bench_sparse(const struct variant *variants, size_t variant_count);

#endif
