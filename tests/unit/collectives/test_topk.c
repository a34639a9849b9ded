/* SPDX-License-Identifier: BSD-3-Clause
 * test_topk.c: the codec that sends the largest: what travels, what is left over, how long frames
 * are, and what becomes of bytes that nobody encoded. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "chance.h"
#include "codecs/codec.h"
#include "codecs/selection.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(topk, .init = capture_start, .fini = capture_finish);

/* ---- Chance ---- */

static uint64_t chance_state;

static uint64_t chance_bits(void)
{
    return chance_next(&chance_state);
}

/* In (0, 1). */
static double chance_unit(void)
{
    return ((double)(chance_bits() >> 11) + 0.5) / 9007199254740992.0;
}

static float chance_gauss(void)
{
    return (float)(sqrt(-2.0 * log(chance_unit())) * cos(6.283185307179586 * chance_unit()));
}

static float chance_heavy(void)
{
    double sign = chance_bits() % 2 == 0 ? 1.0 : -1.0;
    return (float)(sign * 1e-3 / pow(chance_unit(), 0.6));
}

/* ---- A sender and a receiver ---- */

struct party {
    struct codec_spec spec;
    struct kernels kernels;
    size_t count;
    float *values;
    float *residual;
    float *next;
    float *before; /* residual before the last step */
    float *decoded;
    float *u;
    uint8_t *frame;
    void *room;
    struct momentum momentum;
    struct encode_result result;
};

static void *memory(size_t bytes)
{
    void *address = aligned_alloc(64, (bytes + 127) / 64 * 64);
    cr_assert_not_null(address);
    memset(address, 0, (bytes + 127) / 64 * 64);
    return address;
}

static struct party *party_open(float density, bool fixed, size_t count)
{
    struct party *party = memory(sizeof *party);
    party->spec = (struct codec_spec){CODEC_TOPK, density, fixed};
    party->count = count;
    kernels_init(&party->kernels);
    float **arrays[] = {&party->values, &party->residual, &party->before, &party->decoded,
                        &party->u};
    for (size_t i = 0; i < LENGTH(arrays); i++) {
        *arrays[i] = memory(count * sizeof(float));
    }
    party->next = party->residual;
    party->frame = memory(codec_topk.frame_bytes_max(&party->spec, count));
    party->room = memory(codec_topk.room_bytes(&party->spec, count));
    return party;
}

static void party_close(struct party *party)
{
    void *all[] = {party->values, party->residual, party->before, party->decoded,
                   party->u,      party->frame,    party->room};
    for (size_t i = 0; i < LENGTH(all); i++) {
        free(all[i]);
    }
    free(party);
}

static bool party_decode(struct party *party, size_t first, size_t count, float scale, bool add)
{
    struct decode_output out = {
        .frame_count = party->count,
        .first = first,
        .unpack = {.into = party->decoded + first, .count = count, .scale = scale, .add = add}};
    return codec_topk.decode(&party->spec, &party->kernels, party->frame, party->result.bytes,
                             &out);
}

/* Encodes with error feedback in place and decodes. */
static void party_step(struct party *party, uint64_t seed, bool with_momentum)
{
    struct encode_input in = {
        .stretch = {party->values, party->residual, party->next, party->count, false},
        .dither = {seed, 0},
        .momentum = with_momentum ? &party->momentum : NULL};
    party->momentum.u = party->u;
    memcpy(party->before, party->residual, party->count * sizeof(float));
    codec_topk.encode(&party->spec, &party->kernels, &in, party->frame, party->room,
                      &party->result);
    cr_assert_leq(party->result.bytes, codec_topk.frame_bytes_max(&party->spec, party->count));
    cr_assert(party_decode(party, 0, party->count, 1.0f, false));
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* next is a - s to the bit and s + next == a, where a is values + residual. */
static void expect_law(const struct party *party)
{
    for (size_t i = 0; i < party->count; i++) {
        float a = party->values[i] + party->before[i];
        float sum = party->decoded[i] + party->next[i];
        if (isfinite(a)) {
            cr_assert(isfinite(party->decoded[i]) && sum == a, "element %zu: %a, must be %a", i,
                      (double)sum, (double)a);
            cr_assert_eq(bits_of(party->next[i]), bits_of(a - party->decoded[i]), "element %zu", i);
        } else {
            cr_assert_eq(bits_of(party->next[i]), bits_of(party->before[i]), "element %zu", i);
        }
    }
}

static size_t decoded_count(const struct party *party)
{
    size_t count = 0;
    for (size_t i = 0; i < party->count; i++) {
        count += party->decoded[i] != 0.0f;
    }
    return count;
}

static void fill(struct party *party, float (*value)(void), float scale)
{
    for (size_t i = 0; i < party->count; i++) {
        party->values[i] = scale * value();
    }
}

/* ---- What travels ---- */

Test(topk, what_is_sent_and_what_is_left_are_what_there_was)
{
    static const struct {
        size_t count;
        float density;
        bool fixed;
    } cases[] = {
        {1, 0.01f, false},     {7, 0.5f, false},       {1000, 0.01f, false},
        {65536, 0.01f, false}, {65537, 0.05f, false},  {200000, 0.1f, false},
        {200000, 1.0f, false}, {300000, 0.96f, false}, {1000000, 0.01f, false},
        {1, 0.01f, true},      {1000, 0.3f, true},     {65537, 0.01f, true},
        {200000, 0.1f, true},  {200000, 0.97f, true},  {150000, 1.0f, true},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct party *party = party_open(cases[i].density, cases[i].fixed, cases[i].count);
        for (uint64_t step = 0; step < 4; step++) {
            fill(party, chance_gauss, 1.0f);
            party_step(party, step, false);
            expect_law(party);
            cr_assert_eq(party->result.wild, 0);
            cr_assert_geq(party->result.chosen, decoded_count(party));
        }
        party_close(party);
    }
}

/* ---- The threshold ---- */

static int compare_keys(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return (a < b) - (a > b);
}

/* The energy of the k largest, and of what was sent, rounding aside. */
static double energy_of_largest(const struct party *party, size_t k)
{
    uint32_t *keys = memory(party->count * sizeof *keys);
    double energy = 0;
    for (size_t i = 0; i < party->count; i++) {
        keys[i] = bits_of(party->values[i] + party->before[i]) & 0x7fffffff;
    }
    qsort(keys, party->count, sizeof *keys, compare_keys);
    for (size_t i = 0; i < k; i++) {
        float value;
        memcpy(&value, &keys[i], sizeof value);
        energy += (double)value * (double)value;
    }
    free(keys);
    return energy;
}

static double energy_sent(const struct party *party)
{
    double energy = 0;
    for (size_t i = 0; i < party->count; i++) {
        float a = party->values[i] + party->before[i];
        energy += party->decoded[i] != 0.0f ? (double)a * (double)a : 0.0;
    }
    return energy;
}

Test(topk, a_drifting_frame_sends_what_it_was_asked_for, .timeout = 120)
{
    const size_t count = 1000003;
    const size_t k = 10001;
    struct party *party = party_open(0.01f, false, count);
    int far = 0;
    double captured = 0;
    float scale = 1.0f;
    for (uint64_t step = 0; step < 100; step++) {
        scale *= step % 7 == 0 ? 0.9f : 1.03f;
        fill(party, step / 25 % 2 == 0 ? chance_gauss : chance_heavy, scale);
        party_step(party, step, false);
        far += fabs((double)party->result.chosen / (double)k - 1.0) > 0.05;
        if (step % 10 == 0) {
            /* As many as were sent could not have had more. */
            double sent = energy_sent(party);
            cr_assert_gt(sent, 0.999 * energy_of_largest(party, party->result.chosen));
            captured += sent / energy_of_largest(party, k) / 10;
        }
    }
    cr_assert_float_eq(captured, 1.0, 0.01, "%g", captured);
    cr_assert_leq(far, 5);
    party_close(party);
}

static float chance_triangle(void)
{
    return (float)((double)(chance_bits() >> 40) - (double)(chance_bits() >> 40));
}

Test(topk, a_hundredth_travels_in_little_more_than_a_hundredth_of_the_bytes)
{
    const size_t count = (size_t)16 << 20;
    struct party *party = party_open(0.01f, false, count);
    fill(party, chance_triangle, 1.0f);
    party_step(party, 1, false);
    cr_assert_leq((double)party->result.bytes, 0.0105 * 4.0 * (double)count);
    party_close(party);
}

static float chance_sign(void)
{
    return chance_bits() % 2 == 0 ? 1.0f : -1.0f;
}

static float chance_zero(void)
{
    return 0.0f;
}

/* One in fifty is not zero, and those are all of a size. */
static float chance_few_signs(void)
{
    return chance_bits() % 50 == 0 ? chance_sign() : 0.0f;
}

static float chance_seldom(void)
{
    return chance_bits() % 1000 == 0 ? chance_gauss() : 0.0f;
}

static float chance_denormal(void)
{
    return chance_gauss() * 1e-41f;
}

static float chance_small_integer(void)
{
    return (float)(chance_bits() % 7) - 3.0f;
}

Test(topk, ties_zeros_and_denormals_are_chosen_with_measure)
{
    static const struct {
        float (*value)(void);
        double share_min;
        double share_max;
    } cases[] = {
        {chance_sign, 0.9, 1.1},     {chance_few_signs, 0.9, 1.1}, {chance_zero, 0.0, 0.0},
        {chance_seldom, 0.05, 0.15}, {chance_denormal, 0.9, 1.1},  {chance_small_integer, 0.9, 1.1},
    };
    static const size_t counts[] = {3000, 100000, 600000};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        for (size_t j = 0; j < LENGTH(counts); j++) {
            struct party *party = party_open(0.01f, false, counts[j]);
            fill(party, cases[i].value, 1.0f);
            party_step(party, 3, false);
            expect_law(party);
            double share = (double)party->result.chosen / (0.01 * (double)counts[j]);
            cr_assert(share >= cases[i].share_min - 0.05 && share <= cases[i].share_max + 0.05,
                      "case %zu, %zu elements: %g of what was asked for", i, counts[j], share);
            party_close(party);
        }
    }
}

Test(topk, of_equal_elements_each_has_its_turn)
{
    struct party *party = party_open(0.01f, false, 10000);
    bool *was_sent = memory(party->count);
    for (uint64_t step = 0; step < 110; step++) {
        for (size_t i = 0; i < party->count; i++) {
            party->values[i] = 1.0f;
        }
        party_step(party, step, false);
        for (size_t i = 0; i < party->count; i++) {
            was_sent[i] = was_sent[i] || party->decoded[i] != 0.0f;
        }
    }
    for (size_t i = 0; i < party->count; i++) {
        cr_assert(was_sent[i], "element %zu was never sent", i);
    }
    free(was_sent);
    party_close(party);
}

/* ---- Sums ---- */

Test(topk, what_was_sent_and_what_is_left_sum_up_exactly)
{
    static const struct {
        float density;
        bool fixed;
    } cases[] = {{0.01f, false}, {0.3f, false}, {0.02f, true}, {0.1f, true}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct party *party = party_open(cases[i].density, cases[i].fixed, 2000);
        double *balance = memory(party->count * sizeof *balance);
        for (uint64_t step = 0; step < 1000; step++) {
            fill(party, chance_small_integer, 100.0f);
            party_step(party, step, false);
            for (size_t j = 0; j < party->count; j++) {
                balance[j] += (double)party->values[j] - (double)party->decoded[j];
            }
        }
        for (size_t j = 0; j < party->count; j++) {
            cr_assert_eq(balance[j], (double)party->residual[j], "case %zu, element %zu", i, j);
        }
        free(balance);
        party_close(party);
    }
}

/* ---- Forms ---- */

static size_t rounded(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

Test(topk, a_chunk_takes_the_shortest_form)
{
    /* With density 1 all that is not zero is chosen. */
    static const struct {
        size_t elements;
        size_t chosen;
        size_t bytes;
        size_t travel;
        uint32_t form;
    } cases[] = {
        {65536, 0, 0, 0, 0},
        {65536, 1, 32, 1, 0},
        {65536, 4096, 16384, 4096, 0},
        {65536, 4097, 8192 + 8208, 4097, 1},
        {65536, 61440, 8192 + 122880, 61440, 1},
        {65536, 61441, 131072, 65536, 2},
        {65536, 65536, 131072, 65536, 2},
        {1000, 40, 160, 40, 0},
        {1000, 100, 128 + 208, 100, 1},
        {1000, 990, 2000, 1000, 2},
        {1, 1, 16, 1, 2},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct party *party = party_open(1.0f, false, cases[i].elements);
        size_t stride = cases[i].chosen == 0 ? 1 : cases[i].elements / cases[i].chosen;
        for (size_t j = 0; j < cases[i].chosen; j++) {
            party->values[j * stride] = chance_gauss() + 10.0f;
        }
        party_step(party, 0, false);
        expect_law(party);
        uint32_t head;
        memcpy(&head, party->frame, sizeof head);
        cr_assert_eq(head >> 24, cases[i].form, "case %zu: form %u", i, head >> 24);
        cr_assert_eq(party->result.bytes, 16 + rounded(cases[i].bytes), "case %zu: %zu", i,
                     party->result.bytes);
        cr_assert_eq(party->result.chosen, cases[i].travel, "case %zu", i);
        party_close(party);
    }
}

Test(topk, without_a_residual_what_is_not_sent_is_dropped)
{
    static const float densities[] = {0.01f, 0.2f, 0.97f};
    for (size_t i = 0; i < LENGTH(densities); i++) {
        struct party *party = party_open(densities[i], false, 100000);
        fill(party, chance_gauss, 1.0f);
        struct encode_input in = {.stretch = {party->values, NULL, NULL, party->count, false}};
        codec_topk.encode(&party->spec, &party->kernels, &in, party->frame, party->room,
                          &party->result);
        cr_assert(party_decode(party, 0, party->count, 1.0f, false));
        for (size_t j = 0; j < party->count; j++) {
            float sent = party->decoded[j];
            cr_assert(sent == 0.0f || fabsf(sent - party->values[j]) <= fabsf(sent) / 256.0f);
        }
        cr_assert_gt((double)decoded_count(party), 0.94 * (double)densities[i] * 100000.0);
        party_close(party);
    }
}

Test(topk, every_variant_makes_the_same_frame)
{
    for (int fixed = 0; fixed < 2; fixed++) {
        struct party *party = party_open(0.05f, fixed == 1, 200001);
        struct party *plain = party_open(0.05f, fixed == 1, 200001);
        kernels_init_scalar(&plain->kernels);
        for (uint64_t step = 0; step < 3; step++) {
            fill(party, chance_heavy, 1.0f);
            memcpy(plain->values, party->values, party->count * sizeof(float));
            party_step(party, step, true);
            party_step(plain, step, true);
            cr_assert_eq(party->result.bytes, plain->result.bytes);
            cr_assert_arr_eq(party->frame, plain->frame, party->result.bytes);
            cr_assert_arr_eq(party->next, plain->next, party->count * sizeof(float));
            cr_assert_arr_eq(party->u, plain->u, party->count * sizeof(float));
            cr_assert_eq(party->momentum.masked, plain->momentum.masked);
        }
        party_close(party);
        party_close(plain);
    }
}

/* ---- Momentum ---- */

Test(topk, momentum_is_discarded_where_it_was_sent)
{
    static const struct {
        float density;
        bool fixed;
    } cases[] = {{0.01f, false}, {0.2f, false}, {0.05f, true}};
    const size_t count = 300000;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct party *party = party_open(cases[i].density, cases[i].fixed, count);
        float *u = memory(count * sizeof *u);
        float *v = memory(count * sizeof *v);
        double masked = 0;
        party->momentum.factor = 0.9f;
        for (uint64_t step = 0; step < 5; step++) {
            fill(party, chance_gauss, 1.0f);
            party_step(party, step, true);
            for (size_t j = 0; j < count; j++) {
                u[j] = 0.9f * u[j];
                u[j] += party->values[j];
                v[j] += u[j];
                if (party->decoded[j] != 0.0f) {
                    masked += (double)fabsf(u[j]);
                    v[j] -= party->decoded[j];
                    u[j] = 0.0f;
                }
            }
            cr_assert_arr_eq(party->u, u, count * sizeof *u);
            cr_assert_arr_eq(party->next, v, count * sizeof *v);
            cr_assert_eq(party->momentum.masked, masked);
            double share = (double)party->result.chosen / (double)count;
            cr_assert_float_eq(share / (double)cases[i].density, 1.0, 0.08);
        }
        free(u);
        free(v);
        party_close(party);
    }
}

/* ---- What is not finite ---- */

Test(topk, what_is_not_finite_travels_and_leaves_the_residual_alone)
{
    static const struct {
        size_t wild;
        bool fixed;
        float density;
        size_t travel; /* of those that are not finite */
    } cases[] = {
        {3, false, 0.01f, 3},         {5000, false, 0.01f, 5000}, {100000, false, 0.01f, 100000},
        {3, true, 0.01f, 3},          {5000, true, 0.01f, 1001},  {100000, true, 0.01f, 1001},
        {100000, true, 1.0f, 100000},
    };
    static const float kinds[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const size_t count = 100000;
        struct party *party = party_open(cases[i].density, cases[i].fixed, count);
        fill(party, chance_gauss, 1.0f);
        party_step(party, 0, false);
        fill(party, chance_gauss, 1.0f);
        for (size_t j = 0; j < cases[i].wild; j++) {
            party->values[j * (count / cases[i].wild)] = kinds[j % 3];
        }
        party_step(party, 1, false);
        size_t travelled = 0;
        for (size_t j = 0; j < count; j++) {
            travelled += !isfinite(party->decoded[j]);
            cr_assert(isfinite(party->next[j]));
            if (!isfinite(party->values[j])) {
                cr_assert_eq(bits_of(party->next[j]), bits_of(party->before[j]));
            } else {
                cr_assert(party->decoded[j] + party->next[j] ==
                          party->values[j] + party->before[j]);
            }
        }
        cr_assert_eq(party->result.wild, cases[i].wild, "case %zu: %zu", i, party->result.wild);
        cr_assert_eq(travelled, cases[i].travel, "case %zu: %zu", i, travelled);
        party_close(party);
    }
}

/* ---- Fixed frames ---- */

static float smallest_sent(const struct party *party, size_t first, size_t last)
{
    float smallest = INFINITY;
    for (size_t i = first; i < last; i++) {
        float a = fabsf(party->values[i] + party->before[i]);
        smallest = party->decoded[i] != 0.0f && a < smallest ? a : smallest;
    }
    return smallest;
}

/* Nothing stays that is larger than the smallest that went. */
static void expect_largest(const struct party *party)
{
    for (size_t first = 0; first < party->count; first += CODEC_CHUNK) {
        size_t last = first + CODEC_CHUNK < party->count ? first + CODEC_CHUNK : party->count;
        float smallest = smallest_sent(party, first, last);
        for (size_t i = first; i < last; i++) {
            float a = fabsf(party->values[i] + party->before[i]);
            cr_assert(party->decoded[i] != 0.0f || a <= smallest, "element %zu", i);
        }
    }
}

Test(topk, fixed_frames_are_equally_long_and_carry_the_largest)
{
    static float (*const values[])(void) = {chance_gauss,        chance_heavy,     chance_sign,
                                            chance_zero,         chance_few_signs, chance_seldom,
                                            chance_small_integer};
    static const float densities[] = {0.001f, 0.01f, 0.1f, 0.5f, 0.98f};
    for (size_t i = 0; i < LENGTH(densities); i++) {
        struct party *party = party_open(densities[i], true, 150001);
        cr_assert(codec_topk.is_fixed(&party->spec));
        size_t full = (size_t)ceil((double)densities[i] * 65536.0);
        size_t most = 2 * full + (size_t)ceil((double)densities[i] * (150001.0 - 2 * 65536.0));
        for (size_t j = 0; j < LENGTH(values); j++) {
            fill(party, values[j], 1.0f);
            party_step(party, 0, false);
            cr_assert_eq(party->result.bytes, codec_topk.frame_bytes_max(&party->spec, 150001));
            expect_law(party);
            if (densities[i] < 0.9f) {
                expect_largest(party);
                cr_assert_leq(party->result.chosen, most);
                cr_assert(values[j] == chance_zero || values[j] == chance_seldom ||
                              decoded_count(party) == most || j > 3,
                          "%zu of %zu", decoded_count(party), most);
            }
        }
        party_close(party);
    }
}

/* One chunk of a party as a frame of its own, so that nothing hints at its cut. */
static void expect_same_alone(const struct party *party, size_t first)
{
    struct party *alone = party_open(party->spec.density, true, CODEC_CHUNK);
    memcpy(alone->values, party->values + first, CODEC_CHUNK * sizeof(float));
    memcpy(alone->residual, party->before + first, CODEC_CHUNK * sizeof(float));
    party_step(alone, 0, false);
    for (size_t i = 0; i < CODEC_CHUNK; i++) {
        cr_assert_eq(bits_of(party->decoded[first + i]), bits_of(alone->decoded[i]), "element %zu",
                     first + i);
        cr_assert_eq(bits_of(party->next[first + i]), bits_of(alone->next[i]), "element %zu",
                     first + i);
    }
    party_close(alone);
}

static void fill_chunk(struct party *party, size_t chunk, float scale)
{
    for (size_t i = chunk * CODEC_CHUNK; i < (chunk + 1) * CODEC_CHUNK; i++) {
        party->values[i] = scale * chance_gauss();
    }
}

/* The cut of the chunk before is where looking for the next one begins. */
Test(topk, what_the_chunk_before_sent_changes_nothing)
{
    static const float scales[] = {1.0f, 1.0f, 1.2f, 1e-3f, 1e3f, 1e-12f, 0, 1.0f, 1.02f};
    static const float densities[] = {0.001f, 0.01f, 0.3f};
    const size_t chunks = LENGTH(scales);
    for (size_t i = 0; i < 2 * LENGTH(densities); i++) {
        struct party *party = party_open(densities[i / 2], true, chunks * CODEC_CHUNK);
        float *apart = memory(party->count * sizeof *apart);
        for (uint64_t step = 0; step < 2; step++) {
            for (size_t chunk = 0; chunk < chunks; chunk++) {
                fill_chunk(party, chunk, scales[chunk]);
            }
            party->values[2 * CODEC_CHUNK + 77] = INFINITY; /* where the guess will do */
            party->next = i % 2 == 0 || step == 0 ? party->residual : apart;
            party_step(party, step, false);
            cr_assert_eq(party->result.wild, 1);
            for (size_t chunk = 0; chunk < chunks; chunk++) {
                expect_same_alone(party, chunk * CODEC_CHUNK);
            }
        }
        free(apart);
        party_close(party);
    }
}

/* In place what a value was added to is gone when the guess turns out to be too high. */
Test(topk, what_is_not_finite_behind_larger_chunks_leaves_the_residual_alone)
{
    for (int in_place = 0; in_place < 2; in_place++) {
        struct party *party = party_open(0.01f, true, 3 * CODEC_CHUNK);
        float *apart = memory(party->count * sizeof *apart);
        for (size_t chunk = 0; chunk < 3; chunk++) {
            fill_chunk(party, chunk, chunk == 0 ? 1.0f : 1e-4f);
        }
        party_step(party, 0, false);
        party->values[CODEC_CHUNK + 5] = NAN;
        party->values[2 * CODEC_CHUNK + 6] = -INFINITY;
        party->next = in_place == 1 ? party->residual : apart;
        party_step(party, 1, false);
        expect_law(party);
        cr_assert_eq(party->result.wild, 2);
        cr_assert_eq(party->result.bytes, codec_topk.frame_bytes_max(&party->spec, party->count));
        cr_assert(isnan(party->decoded[CODEC_CHUNK + 5]));
        cr_assert(isinf(party->decoded[2 * CODEC_CHUNK + 6]));
        free(apart);
        party_close(party);
    }
}

/* ---- Decoding ---- */

Test(topk, ranges_decode_like_the_whole_to_a_scale_or_added)
{
    static const float densities[] = {0.01f, 0.2f, 0.99f};
    const size_t count = 200000;
    for (size_t i = 0; i < LENGTH(densities); i++) {
        struct party *party = party_open(densities[i], false, count);
        float *whole = memory(count * sizeof *whole);
        fill(party, chance_gauss, 1.0f);
        party_step(party, 0, false);
        memcpy(whole, party->decoded, count * sizeof *whole);
        for (size_t first = 0; first < count; first += CODEC_CHUNK) {
            size_t part = count - first < CODEC_CHUNK ? count - first : CODEC_CHUNK;
            cr_assert(party_decode(party, first, part, 0.25f, false));
            cr_assert(party_decode(party, first, part, 1.0f, true));
        }
        for (size_t j = 0; j < count; j++) {
            cr_assert(party->decoded[j] == 0.25f * whole[j] + whole[j], "element %zu", j);
        }
        free(whole);
        party_close(party);
    }
}

/* On memory that ends where frame and output end, so that a sanitizer sees each step beside. */
static bool decode_exactly(const struct party *party, const uint8_t *bytes, size_t length)
{
    uint8_t *frame = malloc(length > 0 ? length : 1);
    float *into = malloc(party->count * sizeof *into);
    memcpy(frame, bytes, length);
    memset(into, 0, party->count * sizeof *into);
    bool good = true;
    for (int add = 0; add < 2; add++) {
        struct decode_output out = {
            .frame_count = party->count,
            .unpack = {.into = into, .count = party->count, .scale = 1.0f, .add = add == 1}};
        good = codec_topk.decode(&party->spec, &party->kernels, frame, length, &out) && good;
    }
    free(frame);
    free(into);
    return good;
}

static void expect_survival(struct party *party, int trials)
{
    size_t length = party->result.bytes;
    uint8_t *bytes = memory(length + 64);
    cr_assert(decode_exactly(party, party->frame, length));
    for (int trial = 0; trial < trials; trial++) {
        memcpy(bytes, party->frame, length);
        size_t cut = chance_bits() % (length + 48);
        cr_assert(cut == length || !decode_exactly(party, bytes, cut), "%zu of %zu", cut, length);
        for (int i = 0; i < 3; i++) {
            size_t limit = chance_bits() % 2 == 0 ? 16 : length;
            bytes[chance_bits() % limit] ^= (uint8_t)(1u << chance_bits() % 8);
        }
        decode_exactly(party, bytes, length);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)chance_bits();
        }
        decode_exactly(party, bytes, length);
        /* Heads as they should be, anything behind. */
        memcpy(bytes, party->frame, 16);
        decode_exactly(party, bytes, length);
    }
    free(bytes);
}

Test(topk, bytes_that_nobody_encoded_are_refused_or_harmless)
{
    static const struct {
        size_t count;
        float density;
        bool fixed;
    } cases[] = {
        {1, 1.0f, false},      {100, 0.1f, false},   {1000, 0.3f, false},    {1000, 0.99f, false},
        {70000, 0.01f, false}, {70000, 0.2f, false}, {100, 0.1f, true},      {1000, 0.3f, true},
        {1000, 0.99f, true},   {70000, 0.01f, true}, {140000, 0.001f, true},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct party *party = party_open(cases[i].density, cases[i].fixed, cases[i].count);
        fill(party, chance_gauss, 1.0f);
        party_step(party, 0, false);
        expect_survival(party, cases[i].count > 10000 ? 40 : 400);
        party_close(party);
    }
}

/* A frame of one short list: a head, 12 bytes of nothing, offsets, codes. */
Test(topk, offsets_beyond_the_chunk_are_refused_and_repeated_ones_add_up)
{
    static const struct {
        uint32_t head;
        uint16_t offsets[2];
        bool good;
    } cases[] = {
        {2, {3, 99}, true},
        {2, {3, 100}, false},
        {2, {65535, 3}, false},
        {2, {3, 3}, true},
        {3, {3, 5}, true},
        {101, {3, 5}, false},
        {9, {3, 5}, false},
        {(uint32_t)1 << 24 | 2, {0}, false},
        {(uint32_t)2 << 24 | 2, {0}, false},
        {(uint32_t)7 << 24 | 2, {0}, false},
    };
    struct party *party = party_open(0.01f, false, 100);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const uint16_t codes[] = {0x3f80, 0x4000};
        memset(party->frame, 0, 48);
        memcpy(party->frame, &cases[i].head, 4);
        memcpy(party->frame + 16, cases[i].offsets, 4);
        memcpy(party->frame + 32, codes, 4);
        party->result.bytes = 48;
        cr_assert_eq(party_decode(party, 0, 100, 1.0f, false), cases[i].good, "case %zu", i);
        if (i == 3) {
            cr_assert_eq(party->decoded[3], 3.0f);
        }
    }
    party_close(party);
}

/* ---- Selection ---- */

static uint32_t sorted_key(const struct party *party, size_t rank, size_t *above)
{
    uint32_t *keys = memory(party->count * sizeof *keys);
    for (size_t i = 0; i < party->count; i++) {
        keys[i] = bits_of(party->values[i] + party->residual[i]) & 0x7fffffff;
    }
    qsort(keys, party->count, sizeof *keys, compare_keys);
    uint32_t key = keys[rank - 1];
    for (*above = 0; keys[*above] > key;) {
        ++*above;
    }
    free(keys);
    return key;
}

/* Small at the beginning, large at the end. */
static float chance_growing(void)
{
    static float scale = 1e-6f;
    scale = scale < 1e6f ? scale * 1.0001f : 1e-6f;
    return scale * chance_gauss();
}

Test(topk, selection_finds_what_sorting_finds)
{
    static float (*const values[])(void) = {chance_gauss,   chance_heavy,         chance_sign,
                                            chance_zero,    chance_few_signs,     chance_seldom,
                                            chance_growing, chance_small_integer, chance_denormal};
    static const size_t counts[] = {1, 2, 17, 1000, 300001};
    for (size_t i = 0; i < LENGTH(counts); i++) {
        struct party *party = party_open(0.5f, false, counts[i]);
        uint32_t *room = memory((counts[i] + SPARSE_SLACK) * sizeof *room);
        for (size_t j = 0; j < LENGTH(values); j++) {
            fill(party, values[j], 1.0f);
            struct stretch stretch = {
                .values = party->values, .residual = party->residual, .count = party->count};
            struct selection_source source = {.stretch = &stretch, .seed = j};
            const size_t ranks[] = {1, counts[i] / 1000, counts[i] / 100, counts[i] / 2, counts[i]};
            for (size_t k = 0; k < LENGTH(ranks); k++) {
                size_t rank = ranks[k] > 0 ? ranks[k] : 1;
                size_t above;
                uint32_t key = sorted_key(party, rank, &above);
                struct selection found = selection_find(&party->kernels.sparse, &source, rank,
                                                        room);
                cr_assert_eq(found.key, key, "values %zu, rank %zu of %zu", j, rank, counts[i]);
                cr_assert_eq(found.above, above);
                cr_assert_geq(found.above + found.equal, rank);
            }
        }
        free(room);
        party_close(party);
    }
}

/* A rank's part of a segment has as much room as the segment has. */
Test(topk, room_for_many_is_room_for_few)
{
    static const char *const texts[] = {"topk:0.001", "topk:0.01", "topk:0.1", "topk:1",
                                        "topk:0.01:fixed"};
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        char reason[256];
        struct codec_spec spec;
        cr_assert(codec_parse(texts[t], &spec, reason, sizeof reason));
        size_t before = 0;
        for (size_t count = 1; count < (size_t)64 << 20; count += 1 + count / 16) {
            size_t bytes = codec_topk.room_bytes(&spec, count);
            cr_assert_geq(bytes, before, "%s: %zu elements need %zu bytes, fewer needed %zu",
                          texts[t], count, bytes, before);
            before = bytes;
        }
    }
}
