/* SPDX-License-Identifier: BSD-3-Clause
 * test_topk.c: the codec that sends the largest: what travels, what is left over, how long frames
 * are, and what becomes of bytes that nobody encoded. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "codecs/codec.h"
#include "codecs/selection.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(topk, .init = capture_start, .fini = capture_finish);

/* ---- Chance ---- */

static uint64_t chance_state;

static uint64_t chance_bits(void)
{
    uint64_t z = chance_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
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
    struct decode_output out = {party->count, first, {party->decoded + first, count, scale, add}};
    return codec_topk.decode(&party->spec, &party->kernels, party->frame, party->result.bytes,
                             &out);
}

/* Encodes with error feedback in place and decodes. */
static void party_step(struct party *party, uint64_t seed, bool with_momentum)
{
    struct encode_input in = {
        .stretch = {party->values, party->residual, party->next, party->count},
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

/* s + next == a, where a is values + residual: bits, but for the sign of zero. */
static void expect_law(const struct party *party)
{
    for (size_t i = 0; i < party->count; i++) {
        float a = party->values[i] + party->before[i];
        float sum = party->decoded[i] + party->next[i];
        if (isfinite(a)) {
            cr_assert(isfinite(party->decoded[i]) && sum == a, "element %zu: %a, must be %a", i,
                      (double)sum, (double)a);
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
