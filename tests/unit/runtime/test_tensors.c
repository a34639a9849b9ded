/* SPDX-License-Identifier: BSD-3-Clause
 * test_tensors.c: registering tensors: what is refused, and layouts on which ranks differ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(tensors, .init = capture_start, .fini = capture_finish);

struct form {
    const char *name;
    int type;
    int dims;
    size_t shape[8];
};

static enum ww_status add(struct ww_context *context, const struct form *form)
{
    struct ww_tensor *tensor = NULL;
    return ww_tensor_add(context, form->name, (enum ww_type)form->type, form->dims, form->shape,
                         &tensor);
}

static struct ww_context *context_alone(enum ww_op gradient_op)
{
    struct ww_world alone = WW_WORLD_INIT;
    struct ww_config config = world_config();
    config.gradient_op = gradient_op;
    struct ww_context *context = NULL;
    cr_assert_eq(ww_context_create(&alone, &config, &context), WW_OK);
    return context;
}

/* ---- Registration ----------------------------------------------------------------------- */

#define NAME_127                                                                                   \
    "0123456789012345678901234567890123456789012345678901234567890123"                             \
    "012345678901234567890123456789012345678901234567890123456789012"

Test(tensors, a_form_that_cannot_be_is_refused_and_said)
{
    static const struct {
        struct form form;
        enum ww_status status;
        const char *words;
    } rows[] = {
        {{NULL, WW_F32, 0, {0}}, WW_BAD_ARGUMENT, "1 to 127 bytes, this has 0"},
        {{"", WW_F32, 0, {0}}, WW_BAD_ARGUMENT, "1 to 127 bytes, this has 0"},
        {{NAME_127 "8", WW_F32, 0, {0}}, WW_BAD_ARGUMENT, "1 to 127 bytes, this has 128"},
        {{"taken", WW_F64, 1, {5}}, WW_BAD_ARGUMENT, "\"taken\" is registered already"},
        {{"a", WW_TYPE_COUNT, 0, {0}}, WW_BAD_ARGUMENT, "\"a\" has unknown type 6 (0 to 5 exist)"},
        {{"a", -1, 0, {0}}, WW_BAD_ARGUMENT, "unknown type -1"},
        {{"a", WW_F32, -1, {0}}, WW_BAD_ARGUMENT, "\"a\" has -1 dimensions; 0 to 8"},
        {{"a", WW_F32, 9, {1}}, WW_BAD_ARGUMENT, "\"a\" has 9 dimensions; 0 to 8"},
        {{"a", WW_I32, 1, {4}}, WW_UNSUPPORTED, "gradient_op to WW_SUM"},
        {{"a", WW_I64, 0, {0}}, WW_UNSUPPORTED, "gradient_op to WW_SUM"},
        {{"a", WW_F32, 1, {SIZE_MAX}}, WW_BAD_ARGUMENT, "more elements than memory"},
        {{"a", WW_F32, 3, {SIZE_MAX, SIZE_MAX, 2}}, WW_BAD_ARGUMENT, "more elements than memory"},
        {{"a", WW_F16, 1, {(size_t)PTRDIFF_MAX}}, WW_BAD_ARGUMENT, "more elements than memory"},
    };
    struct ww_context *context = context_alone(WW_MEAN);
    cr_assert_eq(add(context, &(struct form){"taken", WW_F32, 0, {0}}), WW_OK);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        cr_expect_eq(add(context, &rows[i].form), rows[i].status, "row %zu", i);
        cr_expect_not_null(strstr(ww_last_error(context), rows[i].words), "\"%s\"",
                           ww_last_error(context));
        expect_line(WW_LOG_ERROR, rows[i].words);
    }
    ww_context_destroy(context);
}

Test(tensors, a_shape_or_a_place_that_is_null_is_refused)
{
    struct ww_context *context = context_alone(WW_MEAN);
    struct ww_tensor *tensor = NULL;
    size_t shape = 3;
    cr_expect_eq(ww_tensor_add(context, "a", WW_F32, 1, NULL, &tensor), WW_BAD_ARGUMENT);
    cr_expect_null(tensor);
    expect_line(WW_LOG_ERROR, "1 dimensions and no shape");
    cr_expect_eq(ww_tensor_add(context, "a", WW_F32, 1, &shape, NULL), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "tensor is NULL");
    ww_context_destroy(context);
}

Test(tensors, every_form_that_can_be_is_accepted)
{
    static const struct form forms[] = {
        {"scalar", WW_F32, 0, {0}},
        {NAME_127, WW_F64, 1, {7}},
        {"empty", WW_F16, 2, {0, 9}},
        {"eight", WW_BF16, 8, {1, 2, 1, 2, 1, 2, 1, 2}},
        {"integers", WW_I32, 1, {3}},
        {"long integers", WW_I64, 1, {3}},
        {"none of many", WW_F32, 3, {SIZE_MAX, 0, 1}},
        {"many of none", WW_F32, 3, {SIZE_MAX, SIZE_MAX, 0}},
    };
    struct ww_context *context = context_alone(WW_SUM);
    for (size_t i = 0; i < LENGTH(forms); i++) {
        cr_expect_eq(add(context, &forms[i]), WW_OK, "%s", forms[i].name);
    }
    cr_expect_eq(ww_tensors_commit(context), WW_OK);
    ww_context_destroy(context);
}

Test(tensors, they_are_committed_once_and_not_without_one)
{
    struct ww_context *context = context_alone(WW_MEAN);
    cr_expect_eq(ww_tensors_commit(context), WW_BAD_STATE);
    expect_line(WW_LOG_ERROR, "before any ww_tensor_add");
    cr_expect_eq(add(context, &(struct form){"a", WW_F32, 0, {0}}), WW_OK);
    cr_expect_eq(ww_tensors_commit(context), WW_OK);
    cr_expect_eq(ww_tensors_commit(context), WW_BAD_STATE);
    expect_line(WW_LOG_ERROR, "called twice");
    cr_expect_eq(add(context, &(struct form){"b", WW_F32, 0, {0}}), WW_BAD_STATE);
    expect_line(WW_LOG_ERROR, "ww_tensor_add(\"b\") came after ww_tensors_commit");
    ww_context_destroy(context);
}

/* ---- Layouts that differ ---------------------------------------------------------------- */

struct layouts {
    struct form usual[4]; /* up to a name that is NULL */
    struct form odd[4];   /* rank 1's */
    const char *index;
    const char *usual_words;
    const char *odd_words;
};

static void commit_apart(const struct ww_world *world, void *shared)
{
    const struct layouts *layouts = shared;
    const struct form *forms = world->rank == 1 ? layouts->odd : layouts->usual;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    for (int i = 0; i < 4 && forms[i].name != NULL; i++) {
        check_status(add(context, &forms[i]), WW_OK);
    }
    check_status(ww_tensors_commit(context), WW_MISMATCH);
    check_words(ww_last_error(context), layouts->index, "rank 1 (", layouts->usual_words,
                "rank 0 (", layouts->odd_words);
    check_status(ww_tensors_commit(context), WW_MISMATCH);
    check_status(ww_step_begin(context), WW_MISMATCH);
    ww_context_destroy(context);
}

#define A                                                                                          \
    {                                                                                              \
        "a", WW_F32, 1,                                                                            \
        {                                                                                          \
            10                                                                                     \
        }                                                                                          \
    }
#define B                                                                                          \
    {                                                                                              \
        "b", WW_F32, 2,                                                                            \
        {                                                                                          \
            3, 4                                                                                   \
        }                                                                                          \
    }
static const struct layouts different[] = {
    {{A, B}, {A}, "tensor 1:", "\"b\" f32[3 4]", "no tensor there"},
    {{A}, {A, B}, "tensor 1:", "no tensor there", "\"b\" f32[3 4]"},
    {{A}, {{NULL, 0, 0, {0}}}, "tensor 0:", "\"a\" f32[10]", "no tensor there"},
    {{A, B}, {B, A}, "tensor 0:", "\"a\" f32[10]", "\"b\" f32[3 4]"},
    {{A, B}, {A, {"c", WW_F32, 2, {3, 4}}}, "tensor 1:", "\"b\" f32[3 4]", "\"c\" f32[3 4]"},
    {{A, B}, {A, {"b", WW_F32, 2, {4, 3}}}, "tensor 1:", "\"b\" f32[3 4]", "\"b\" f32[4 3]"},
    {{A, B}, {A, {"b", WW_F32, 1, {12}}}, "tensor 1:", "\"b\" f32[3 4]", "\"b\" f32[12]"},
    {{A, B}, {{"a", WW_F64, 1, {10}}, B}, "tensor 0:", "\"a\" f32[10]", "\"a\" f64[10]"},
    {{A, B}, {{"a", WW_F32, 2, {10, 1}}, B}, "tensor 0:", "\"a\" f32[10]", "\"a\" f32[10 1]"},
    {{{"a", WW_F32, 0, {0}}}, {{"a", WW_BF16, 0, {0}}}, "tensor 0:", "\"a\" f32[]", "\"a\" bf16[]"},
};

Test(tensors, layouts_that_differ_are_named_on_every_rank_with_both_forms)
{
    for (int size = 2; size <= 4; size++) {
        for (size_t i = 0; i < LENGTH(different); i++) {
            struct layouts layouts = different[i];
            world_run(size, commit_apart, &layouts);
            cr_expect_eq(world_forgive(), size, "each rank says it once");
        }
    }
}

/* The longest names and largest numbers still leave room for both forms. */
static void commit_longest(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    struct form form = {NAME_127, WW_F32, 8, {0}};
    for (int d = 1; d < 8; d++) {
        form.shape[d] = SIZE_MAX - (size_t)world->rank;
    }
    check_status(add(context, &form), WW_OK);
    check_status(ww_tensors_commit(context), WW_MISMATCH);
    check_words(ww_last_error(context), "rank 1 (", "rank 0 (", "18446744073709551615]",
                "18446744073709551614]");
    ww_context_destroy(context);
}

Test(tensors, the_longest_forms_are_still_told_apart)
{
    world_run(2, commit_longest, NULL);
    world_forgive();
}

/* ---- Ranks that do something else ------------------------------------------------------- */

static void commit_alone(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    check_status(add(context, &(struct form)A), WW_OK);
    if (world->rank == 1) {
        ww_context_destroy(context);
        return;
    }
    check_status(ww_tensors_commit(context), WW_MISMATCH);
    check_words(ww_last_error(context), "rank 1 (", "ww_context_destroy", "ww_tensors_commit");
    ww_context_destroy(context);
}

Test(tensors, a_rank_that_gives_up_before_the_commit_leaves_nobody_waiting)
{
    world_run(3, commit_alone, NULL);
    cr_expect_geq(world_forgive(), 3);
}

static void commit_late(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    config.timeout_s = 0.3;
    struct ww_context *context = world_context(world, &config);
    check_status(add(context, &(struct form)A), WW_OK);
    if (world->rank != 2) {
        check_status(ww_tensors_commit(context), WW_TIMED_OUT);
        check_words(ww_last_error(context), "rank 2 (", "did not come", "ww_tensors_commit");
    }
    world_meet(world);
    if (world->rank == 2) {
        check_status(ww_tensors_commit(context), WW_TIMED_OUT);
    }
    ww_context_destroy(context);
}

Test(tensors, a_rank_that_never_commits_is_named_after_the_timeout)
{
    world_run(3, commit_late, NULL);
    cr_expect_geq(world_forgive(), 3);
}
