/* SPDX-License-Identifier: BSD-3-Clause
 * state.c: the symbolic memory of one rank. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

/* Any function without easy collisions serves. */
uint64_t fingerprint_rank(int rank)
{
    uint64_t x = ((uint64_t)rank + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (x ^ (x >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
}

uint64_t fingerprint_sum(uint64_t left, uint64_t right)
{
    uint64_t x = left * UINT64_C(0xff51afd7ed558ccd) + (right ^ (right >> 31));
    return (x ^ (x >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
}

uint64_t everybody(int size)
{
    return size == 64 ? UINT64_MAX : (UINT64_C(1) << size) - 1;
}

/* Whether the caller's memory holds something in this chunk before anything ran. */
static bool given(const struct claim *claim, const struct plan *plan, uint16_t slot, uint32_t chunk)
{
    bool input = slot == SLOT_INPUT || claim->in_place;
    switch (plan->collective) {
    case COLLECTIVE_ALL_GATHER:
        return input && chunk == (uint32_t)plan->rank;
    case COLLECTIVE_BROADCAST:
        return plan->rank == claim->root;
    default:
        return input;
    }
}

static void fill(const struct claim *claim, const struct plan *plan, uint16_t slot,
                 struct value *values)
{
    for (uint32_t i = 0; i < claim->segments * plan->parts; i++) {
        if (given(claim, plan, slot, i % plan->parts)) {
            values[i] = (struct value){.ranks = UINT64_C(1) << plan->rank,
                                       .order = fingerprint_rank(plan->rank),
                                       .defined = true};
        }
    }
}

int slice_owner(const struct plan *plan, const struct slice *slice)
{
    return slice->seen == 0 ? plan->rank : plan->peers_seen[slice->seen - 1];
}

/* A scratch slot holds its slice at its beginning, so two slices of it always overlap. */
bool slices_overlap(const struct claim *claim, const struct plan *plan, const struct slice *one,
                    const struct slice *other)
{
    bool buffers = claim->in_place && one->slot < SLOT_SCRATCH && other->slot < SLOT_SCRATCH;
    if (slice_owner(plan, one) != slice_owner(plan, other) ||
        (one->slot != other->slot && !buffers)) {
        return false;
    }
    return one->slot >= SLOT_SCRATCH ||
           (one->first < other->first + other->count && other->first < one->first + one->count);
}

bool memory_init(struct memory *memory, const struct claim *claim, const struct plan *plan)
{
    *memory = (struct memory){.plan = plan};
    size_t chunks = (size_t)claim->segments * plan->parts;
    uint32_t slots = plan->slot_count - SLOT_SCRATCH;
    size_t room = 0;
    for (uint32_t i = 0; i < slots; i++) {
        room += plan->slot_chunks[SLOT_SCRATCH + i];
    }
    size_t in_vectors = claim->in_place ? chunks : 2 * chunks;
    struct value *values = calloc(in_vectors + claim->window * room, sizeof(*values));
    memory->scratch = calloc((size_t)claim->window * slots + 1, sizeof(*memory->scratch));
    if (values == NULL || memory->scratch == NULL) {
        free(values);
        free(memory->scratch);
        return false;
    }
    memory->vector[SLOT_INPUT] = values;
    memory->vector[SLOT_OUTPUT] = claim->in_place ? values : values + chunks;
    fill(claim, plan, SLOT_INPUT, memory->vector[SLOT_INPUT]);
    fill(claim, plan, SLOT_OUTPUT, memory->vector[SLOT_OUTPUT]);
    values += in_vectors;
    for (uint32_t i = 0; i < claim->window * slots; i++) {
        memory->scratch[i].values = values;
        values += plan->slot_chunks[SLOT_SCRATCH + i % slots];
    }
    return true;
}

void memory_finish(struct memory *memory)
{
    free(memory->vector[SLOT_INPUT]);
    free(memory->scratch);
    *memory = (struct memory){0};
}

static struct scratch *find_scratch(struct memory *memory, const struct place *place, uint16_t slot)
{
    uint32_t slots = memory->plan->slot_count - SLOT_SCRATCH;
    return &memory->scratch[place->position * slots + slot - SLOT_SCRATCH];
}

static struct value *find_vector(struct memory *memory, const struct place *place,
                                 const struct slice *slice)
{
    return memory->vector[slice->slot] + (size_t)place->segment * memory->plan->parts +
           slice->first;
}

static const struct value *read_scratch(struct memory *memory, const struct place *place,
                                        const struct slice *slice, struct verdict *verdict)
{
    const struct scratch *scratch = find_scratch(memory, place, slice->slot);
    if (scratch->count == 0 || scratch->told) {
        flawed(verdict, FLAW_UNDEFINED, place, "reads slot %u of rank %d, which nobody wrote",
               slice->slot, memory->plan->rank);
        return NULL;
    }
    if (scratch->segment != place->segment) {
        flawed(verdict, FLAW_UNDEFINED, place,
               "reads slot %u of rank %d, which segment %u left behind", slice->slot,
               memory->plan->rank, scratch->segment);
        return NULL;
    }
    if (scratch->first != slice->first || scratch->count != slice->count) {
        flawed(verdict, FLAW_RANGE, place,
               "reads %u chunks from %u in slot %u of rank %d, which holds %u chunks from %u",
               slice->count, slice->first, slice->slot, memory->plan->rank, scratch->count,
               scratch->first);
        return NULL;
    }
    return scratch->values;
}

const struct value *memory_read(struct memory *memory, const struct place *place,
                                const struct slice *slice, struct verdict *verdict)
{
    if (slice->slot >= SLOT_SCRATCH) {
        return read_scratch(memory, place, slice, verdict);
    }
    const struct value *values = find_vector(memory, place, slice);
    for (uint32_t i = 0; i < slice->count; i++) {
        if (!values[i].defined) {
            flawed(verdict, FLAW_UNDEFINED, place,
                   "reads chunk %u of slot %u of rank %d, which nobody wrote", slice->first + i,
                   slice->slot, memory->plan->rank);
            return NULL;
        }
    }
    return values;
}

void memory_tell(struct memory *memory, const struct place *place, const struct slice *slice)
{
    struct scratch *scratch = find_scratch(memory, place, slice->slot);
    scratch->first = slice->first;
    scratch->count = slice->count;
    scratch->segment = place->segment;
    scratch->told = true;
}

bool memory_is_told(struct memory *memory, const struct place *place, const struct slice *slice)
{
    const struct scratch *scratch = find_scratch(memory, place, slice->slot);
    return scratch->told && scratch->first == slice->first && scratch->count == slice->count &&
           scratch->segment == place->segment;
}

void memory_write(struct memory *memory, const struct place *place, const struct slice *slice,
                  const struct value *values)
{
    struct value *into;
    if (slice->slot >= SLOT_SCRATCH) {
        struct scratch *scratch = find_scratch(memory, place, slice->slot);
        scratch->first = slice->first;
        scratch->count = slice->count;
        scratch->segment = place->segment;
        scratch->told = false;
        into = scratch->values;
    } else {
        into = find_vector(memory, place, slice);
    }
    memmove(into, values, slice->count * sizeof(*values));
}
