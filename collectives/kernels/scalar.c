/* SPDX-License-Identifier: BSD-3-Clause
 * scalar.c: the definition of every reduction, in portable C. */
#include "kernels/kernels.h"

#include <stdint.h>

#include "kernels/half.h"

/* ---- f32 ---- */

typedef float vec_f32;

static inline vec_f32 load_f32(const float *from)
{
    return *from;
}

static inline void store_f32(float *into, vec_f32 a)
{
    *into = a;
}

/* Of two NaNs the left one wins. A compiler may swap the operands of +, so it gets one of them
 * twice. */
static inline vec_f32 sum_f32(vec_f32 a, vec_f32 b)
{
    return a + (a != a ? a : b);
}

static inline vec_f32 min_f32(vec_f32 a, vec_f32 b)
{
    return ((a < b) | (a != a)) ? a : b;
}

static inline vec_f32 max_f32(vec_f32 a, vec_f32 b)
{
    return ((a > b) | (a != a)) ? a : b;
}

static inline vec_f32 scale_f32(vec_f32 a, double scale)
{
    return a * (float)scale;
}

#define TYPE f32
#define ELEMENT float
#define LANES 1
#include "kernels/reduce_loops.h"

/* ---- f64 ---- */

typedef double vec_f64;

static inline vec_f64 load_f64(const double *from)
{
    return *from;
}

static inline void store_f64(double *into, vec_f64 a)
{
    *into = a;
}

static inline vec_f64 sum_f64(vec_f64 a, vec_f64 b)
{
    return a + (a != a ? a : b);
}

static inline vec_f64 min_f64(vec_f64 a, vec_f64 b)
{
    return ((a < b) | (a != a)) ? a : b;
}

static inline vec_f64 max_f64(vec_f64 a, vec_f64 b)
{
    return ((a > b) | (a != a)) ? a : b;
}

static inline vec_f64 scale_f64(vec_f64 a, double scale)
{
    return a * scale;
}

#define TYPE f64
#define ELEMENT double
#define LANES 1
#include "kernels/reduce_loops.h"

/* ---- f16 and bf16: fp32 between load and store ---- */

typedef float vec_f16;

static inline vec_f16 load_f16(const uint16_t *from)
{
    return f16_widen(*from);
}

static inline void store_f16(uint16_t *into, vec_f16 a)
{
    *into = f16_narrow(a);
}

#define sum_f16 sum_f32
#define min_f16 min_f32
#define max_f16 max_f32
#define scale_f16 scale_f32

#define TYPE f16
#define ELEMENT uint16_t
#define LANES 1
#include "kernels/reduce_loops.h"

typedef float vec_bf16;

static inline vec_bf16 load_bf16(const uint16_t *from)
{
    return bf16_widen(*from);
}

static inline void store_bf16(uint16_t *into, vec_bf16 a)
{
    *into = bf16_narrow(a);
}

#define sum_bf16 sum_f32
#define min_bf16 min_f32
#define max_bf16 max_f32
#define scale_bf16 scale_f32

#define TYPE bf16
#define ELEMENT uint16_t
#define LANES 1
#include "kernels/reduce_loops.h"

/* ---- i32 ---- */

typedef int32_t vec_i32;

static inline vec_i32 load_i32(const int32_t *from)
{
    return *from;
}

static inline void store_i32(int32_t *into, vec_i32 a)
{
    *into = a;
}

static inline vec_i32 sum_i32(vec_i32 a, vec_i32 b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline vec_i32 min_i32(vec_i32 a, vec_i32 b)
{
    return a < b ? a : b;
}

static inline vec_i32 max_i32(vec_i32 a, vec_i32 b)
{
    return a > b ? a : b;
}

#define scale_i32 keep_i32

#define TYPE i32
#define ELEMENT int32_t
#define LANES 1
#include "kernels/reduce_loops.h"

/* ---- i64 ---- */

typedef int64_t vec_i64;

static inline vec_i64 load_i64(const int64_t *from)
{
    return *from;
}

static inline void store_i64(int64_t *into, vec_i64 a)
{
    *into = a;
}

static inline vec_i64 sum_i64(vec_i64 a, vec_i64 b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline vec_i64 min_i64(vec_i64 a, vec_i64 b)
{
    return a < b ? a : b;
}

static inline vec_i64 max_i64(vec_i64 a, vec_i64 b)
{
    return a > b ? a : b;
}

#define scale_i64 keep_i64

#define TYPE i64
#define ELEMENT int64_t
#define LANES 1
#include "kernels/reduce_loops.h"

static const struct kernels scalar = {
    .name = "scalar",
    .reduce =
        {
            [WW_F32] = {reduce_sum_f32, reduce_sum_f32, reduce_min_f32, reduce_max_f32},
            [WW_F64] = {reduce_sum_f64, reduce_sum_f64, reduce_min_f64, reduce_max_f64},
            [WW_F16] = {reduce_sum_f16, reduce_sum_f16, reduce_min_f16, reduce_max_f16},
            [WW_BF16] = {reduce_sum_bf16, reduce_sum_bf16, reduce_min_bf16, reduce_max_bf16},
            [WW_I32] = {reduce_sum_i32, NULL, reduce_min_i32, reduce_max_i32},
            [WW_I64] = {reduce_sum_i64, NULL, reduce_min_i64, reduce_max_i64},
        },
};

void kernels_init_scalar(struct kernels *kernels)
{
    *kernels = scalar;
    code_kernels_scalar(&kernels->code);
    sparse_kernels_scalar(&kernels->sparse);
}
