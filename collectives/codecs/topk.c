/* SPDX-License-Identifier: BSD-3-Clause
 * topk.c: sends the elements of largest magnitude; what is left over goes to the residual.
 *
 *     | heads: u32 per chunk | 0 | body of chunk 0 | body of chunk 1 | ...
 *       form << 24 | count         each part of a body, and so each body, is filled up with zero
 *                                  bytes to a multiple of 16
 *     list     offsets: u16 x count                                | codes: bf16 x count
 *     bitmap   bits: element i of the chunk is bit i % 8 of byte i / 8 | codes: bf16 x count
 *     dense    codes: bf16 x elements of the chunk, which count says too
 *
 * A chunk is CODEC_CHUNK elements, the last one what remains. Of the forms the shortest is taken.
 *
 * "topk:D" sends what is at or above one threshold for the whole frame, found in a sample of it.
 * "topk:D:fixed" sends ceil(D * elements) of every chunk, exactly its largest, so all frames are
 * equally long. Where fewer are not zero, the rest of a list are entries 0, 0, and the rest of a
 * bitmap's codes has no bits. Where cuts of chunks are alike the next one is guessed: what is above
 * is chosen in one pass, and the surplus put back. In place, amid values that are not finite, a
 * guess that was too high stands, and fewer are sent. */
#include "codecs/codec.h"

#include <assert.h>
#include <string.h>

#include "codecs/selection.h"
#include "codecs/topk_layout.h"
#include "internal/memory.h"
#include "kernels/sparse_one.h"

/* A sample for the threshold is expected to hit so many chosen elements: 4096 give 1.6 % of
 * standard deviation; where these cost more than a share of all elements, at least 2500: 2 %. */
#define SAMPLE_HITS 4096.0
#define SAMPLE_HITS_MIN 2500.0
#define SAMPLE_SHARE 32

/* When fixed frames guess: two cuts in a row are within 1.5 to 3 % of each other, and no more than
 * such a part is sent (a tenth took 1.2 times as long by a guess). */
#define CUTS_NEAR ((uint32_t)1 << 18)
#define NEAR_SHARE 32

/* ---- Sizes ---- */

static bool is_fixed(const struct codec_spec *spec)
{
    return spec->fixed;
}

static size_t frame_bytes_max(const struct codec_spec *spec, size_t count)
{
    size_t full = count / CODEC_CHUNK;
    return heads_bytes(count) + full * chunk_bytes_max(spec, CODEC_CHUNK) +
           chunk_bytes_max(spec, count % CODEC_CHUNK);
}

/* ---- Encoding ---- */

/* Memory while a frame is made. */
struct room {
    uint32_t *keys;    /* of a sample, or of a chunk */
    uint16_t *offsets; /* entries of a chunk, in order */
    uint16_t *codes;
    uint16_t *all_offsets; /* a dense chunk's, or those of what is put back */
    uint16_t *all_codes;
    float *kept; /* next where entries were chosen; or what entries were before, and is put back */
};

struct encoder {
    const struct codec_spec *spec;
    const struct sparse_kernels *kernels;
    const struct encode_input *in;
    uint32_t *heads;
    uint8_t *end;      /* of what is written of the frame */
    uint32_t last_key; /* the cut of the chunk before, in fixed frames; 0 = there was none */
    bool steady;       /* ... and it was near that of the one before: the next may be, too */
    struct room room;
    struct encode_result result;
};

/* One chunk of the input. */
struct piece {
    struct stretch stretch;
    struct momentum momentum;
    struct momentum *has_momentum; /* NULL or &momentum */
};

/* What is chosen: keys above, and of those equal a number or a share, first come first. */
struct cut {
    uint32_t key;
    double tie_share; /* of the elements whose key is equal, 1 where ties do not matter */
    size_t ties_seen; /* so far in this frame, where ties matter */
    size_t ties_taken;
};

static void piece_init(struct piece *piece, const struct encode_input *in, size_t first)
{
    const struct stretch *all = &in->stretch;
    piece->stretch.values = all->values + first;
    piece->stretch.residual = all->residual == NULL ? NULL : all->residual + first;
    piece->stretch.next = all->next == NULL ? NULL : all->next + first;
    piece->stretch.count = layout_chunk(all->count, first);
    piece->stretch.cold = all->cold;
    piece->has_momentum = NULL;
    if (in->momentum != NULL) {
        piece->momentum = *in->momentum;
        piece->momentum.u += first;
        piece->has_momentum = &piece->momentum;
    }
}

/* Chooses from a part of the chunk, behind the entries that are there. Returns how many there are
 * then. */
static size_t part_choose(struct encoder *encoder, struct piece *piece, size_t first, size_t last,
                          uint32_t threshold, size_t entries)
{
    struct piece part = *piece;
    uint16_t *offsets = encoder->room.offsets + entries;
    size_t wild;
    part.stretch.values += first;
    part.stretch.residual += part.stretch.residual == NULL ? 0 : first;
    part.stretch.next += part.stretch.next == NULL ? 0 : first;
    part.stretch.count = last - first;
    if (piece->has_momentum != NULL) {
        part.momentum.u += first;
        part.has_momentum = &part.momentum;
    }
    size_t chosen = encoder->kernels->choose(offsets, encoder->room.codes + entries, &part.stretch,
                                             threshold, part.has_momentum, &wild);
    for (size_t i = 0; i < chosen && first > 0; i++) {
        offsets[i] = (uint16_t)(offsets[i] + first);
    }
    if (piece->has_momentum != NULL) {
        piece->momentum.masked = part.momentum.masked;
    }
    encoder->result.wild += wild;
    return entries + chosen;
}

/* Chooses what is above key, and the first so many of those equal to it. */
static size_t ties_choose(struct encoder *encoder, struct piece *piece, uint32_t key, size_t ties)
{
    size_t count = piece->stretch.count;
    const uint32_t *keys = encoder->room.keys;
    size_t split = 0;
    encoder->kernels->keys(encoder->room.keys, &piece->stretch, piece->has_momentum, 0);
    while (ties > 0 && split < count) {
        ties -= keys[split] == key;
        split++;
    }
    size_t entries = part_choose(encoder, piece, 0, split, key, 0);
    return part_choose(encoder, piece, split, count, key + 1, entries);
}

static size_t ties_count(struct encoder *encoder, struct piece *piece, uint32_t key)
{
    const uint32_t *keys = encoder->room.keys;
    size_t ties = 0;
    size_t found = encoder->kernels->keys(encoder->room.keys, &piece->stretch, piece->has_momentum,
                                          key);
    for (size_t i = 0; i < found; i++) {
        ties += keys[i] == key;
    }
    return ties;
}

/* Entries that belong to this frame's threshold. */
static size_t cut_choose(struct encoder *encoder, struct piece *piece, struct cut *cut)
{
    if (cut->tie_share == 1.0) {
        return part_choose(encoder, piece, 0, piece->stretch.count, cut->key, 0);
    }
    cut->ties_seen += ties_count(encoder, piece, cut->key);
    size_t ties = (size_t)(cut->tie_share * (double)cut->ties_seen + 0.5) - cut->ties_taken;
    cut->ties_taken += ties;
    return ties_choose(encoder, piece, cut->key, ties);
}

static bool is_overwritten(const struct stretch *stretch)
{
    return stretch->next != NULL &&
           (stretch->next == stretch->values || stretch->next == stretch->residual);
}

/* What an element was that is an entry now: what it sends and what it left add up without rounding.
 */
static float entry_sum(const struct stretch *stretch, uint16_t offset, uint16_t code)
{
    if (is_overwritten(stretch)) {
        return stretch->next[offset] + bf16_widen(code);
    }
    return stretch->values[offset] + sparse_residual(stretch, offset);
}

/* Leaves the entries above key, and the first so many of those equal to it; others are as if they
 * had not been chosen. Returns how many are left. No processor foresees which. */
static size_t entries_cut(struct room *room, const struct stretch *stretch, size_t entries,
                          uint32_t key, size_t ties)
{
    size_t left = 0;
    size_t back = 0;
    for (size_t i = 0; i < entries; i++) {
        uint32_t own = sparse_key(room->kept[i]);
        uint16_t offset = room->offsets[i];
        size_t is_tie = (size_t)(own == key) & (size_t)(ties > 0);
        size_t stays = (size_t)(own > key) | is_tie;
        room->offsets[left] = offset;
        room->codes[left] = room->codes[i];
        room->all_offsets[back] = offset;
        room->kept[back] = room->kept[i];
        ties -= is_tie;
        left += stays;
        back += 1 - stays;
    }
    for (size_t i = 0; i < back && stretch->next != NULL; i++) {
        stretch->next[room->all_offsets[i]] = room->kept[i];
    }
    return left;
}

/* The guess was too high: all is as it was, or the sums take the place of what they are made of. */
static void piece_restore(struct encoder *encoder, struct piece *piece, size_t entries)
{
    struct stretch *stretch = &piece->stretch;
    if (is_overwritten(stretch)) {
        entries_cut(&encoder->room, stretch, entries, UINT32_MAX, 0);
        stretch->values = stretch->next;
        stretch->residual = NULL;
    }
}

static void cut_note(struct encoder *encoder, uint32_t key)
{
    uint32_t last = encoder->last_key;
    encoder->steady = last > 0 && (key > last ? key - last : last - key) < CUTS_NEAR;
    encoder->last_key = key;
}

/* Chooses by a guess, in one pass, and cuts what is too much: *entries. False where the guess was
 * too high. Where values that are not finite were among few entries they stay few: what they were
 * added to is nowhere else any more. */
static bool near_choose(struct encoder *encoder, struct piece *piece, size_t share, uint32_t guess,
                        size_t *entries)
{
    struct room *room = &encoder->room;
    const struct stretch *stretch = &piece->stretch;
    size_t wild_before = encoder->result.wild;
    size_t found = part_choose(encoder, piece, 0, stretch->count, guess, 0);
    for (size_t i = 0; i < found; i++) {
        room->kept[i] = entry_sum(stretch, room->offsets[i], room->codes[i]);
        room->keys[i] = sparse_key(room->kept[i]);
    }
    *entries = found;
    if (found < share) {
        if (encoder->result.wild > wild_before && is_overwritten(stretch)) {
            return true;
        }
        encoder->result.wild = wild_before;
        piece_restore(encoder, piece, found);
        return false;
    }
    struct selection cut = selection_among(room->keys, found, share);
    cut_note(encoder, cut.key);
    *entries = cut.key >= SPARSE_KEY_INFINITY
                   ? entries_cut(room, stretch, found, SPARSE_KEY_INFINITY - 1, 0)
                   : entries_cut(room, stretch, found, cut.key, share - cut.above);
    return true;
}

/* In two passes: finds the cut, then chooses. */
static size_t exact_choose(struct encoder *encoder, struct piece *piece, size_t share,
                           uint32_t hint)
{
    struct selection_source chunk = {.stretch = &piece->stretch, .momentum = piece->has_momentum};
    chunk.hint = hint;
    struct selection found = selection_find(encoder->kernels, &chunk, share, encoder->room.keys);
    cut_note(encoder, found.key);
    size_t count = piece->stretch.count;
    /* Elements that are not finite leave all else as it was: the surplus is just not sent. */
    if (found.key >= SPARSE_KEY_INFINITY) {
        return part_choose(encoder, piece, 0, count, SPARSE_KEY_INFINITY, 0);
    }
    if (found.key > 0 && found.above + found.equal > share) {
        return ties_choose(encoder, piece, found.key, share - found.above);
    }
    return part_choose(encoder, piece, 0, count, found.key > 0 ? found.key : 1, 0);
}

/* Entries that are the chunk's largest: so many of them go, first come first. */
static size_t fixed_choose(struct encoder *encoder, struct piece *piece, size_t share)
{
    const struct room *room = &encoder->room;
    uint32_t guess = selection_below(encoder->last_key);
    bool pays = encoder->steady && guess > 1 && share <= piece->stretch.count / NEAR_SHARE;
    size_t entries;
    if (!pays || piece->has_momentum != NULL) {
        entries = exact_choose(encoder, piece, share, encoder->last_key);
    } else if (!near_choose(encoder, piece, share, guess, &entries)) {
        entries = exact_choose(encoder, piece, share, 0);
    }
    if (entries < share) {
        memset(room->offsets + entries, 0, (share - entries) * sizeof(uint16_t));
        memset(room->codes + entries, 0, (share - entries) * sizeof(uint16_t));
    }
    return entries;
}

/* Appends a part of a body. */
static void part_write(struct encoder *encoder, const void *part, size_t bytes)
{
    memory_copy(encoder->end, part, bytes);
    memset(encoder->end + bytes, 0, parts_round(bytes) - bytes);
    encoder->end += parts_round(bytes);
}

static void bits_write(struct encoder *encoder, size_t elements, size_t entries)
{
    const uint16_t *offsets = encoder->room.offsets;
    size_t bytes = parts_round((elements + 7) / 8);
    memset(encoder->end, 0, bytes);
    for (size_t i = 0; i < entries; i++) {
        encoder->end[offsets[i] / 8] |= (uint8_t)(1u << offsets[i] % 8);
    }
    encoder->end += bytes;
}

/* Every element travels, nothing but rounding is left over: encodes what was not chosen too. Its
 * u stays, for what it is the sum of is not late. */
static void dense_write(struct encoder *encoder, const struct piece *piece, size_t entries)
{
    const struct room *room = &encoder->room;
    const struct stretch *stretch = &piece->stretch;
    const float *left = stretch->next != NULL         ? stretch->next
                        : piece->has_momentum != NULL ? piece->momentum.u
                                                      : stretch->values;
    struct stretch rest = {.values = left, .next = stretch->next, .count = stretch->count};
    size_t wild;
    for (size_t i = 0; i < entries && rest.next != NULL; i++) {
        room->kept[i] = rest.next[room->offsets[i]];
    }
    size_t all = encoder->kernels->choose(room->all_offsets, room->all_codes, &rest, 0, NULL,
                                          &wild);
    assert(all == stretch->count);
    for (size_t i = 0; i < entries; i++) {
        room->all_codes[room->offsets[i]] = room->codes[i];
        if (rest.next != NULL) {
            rest.next[room->offsets[i]] = room->kept[i];
        }
    }
    part_write(encoder, room->all_codes, all * sizeof(uint16_t));
}

/* count is what the frame tells; in a fixed frame there may be fewer entries, or more. */
static void body_write(struct encoder *encoder, const struct piece *piece, size_t count,
                       size_t entries)
{
    const struct room *room = &encoder->room;
    size_t elements = piece->stretch.count;
    enum form form = form_shortest(elements, count);
    size_t sent = form == FORM_DENSE ? elements : size_min(entries, count);
    switch (form) {
    case FORM_LIST:
        part_write(encoder, room->offsets, count * sizeof(uint16_t));
        part_write(encoder, room->codes, count * sizeof(uint16_t));
        break;
    case FORM_BITMAP:
        bits_write(encoder, elements, sent);
        part_write(encoder, room->codes, count * sizeof(uint16_t));
        break;
    default:
        dense_write(encoder, piece, entries);
        count = elements;
        break;
    }
    *encoder->heads++ = (uint32_t)form << FORM_SHIFT | (uint32_t)count;
    encoder->result.chosen += sent;
}

/* Elements that had better be sampled; never fewer for more elements. */
static double sample_wanted(const struct codec_spec *spec, size_t count)
{
    double density = (double)spec->density;
    double affordable = (double)count / SAMPLE_SHARE;
    double hits = affordable * density;
    hits = hits < SAMPLE_HITS_MIN ? SAMPLE_HITS_MIN : hits > SAMPLE_HITS ? SAMPLE_HITS : hits;
    return hits / density;
}

/* The same in lines; 0 where everything had better be looked at. */
static size_t sample_lines(const struct codec_spec *spec, size_t count)
{
    double wanted = sample_wanted(spec, count);
    return wanted > (double)count / 2 ? 0 : (size_t)(wanted / SELECTION_LINE) + 1;
}

/* Where so many share the threshold's key that all of them would be too many, a share of them
 * goes. */
static struct cut cut_find(struct encoder *encoder)
{
    const struct encode_input *in = encoder->in;
    size_t count = in->stretch.count;
    struct selection_source source = {.stretch = &in->stretch, .momentum = in->momentum};
    source.lines = sample_lines(encoder->spec, count);
    source.seed = in->dither.seed + count;
    size_t rank = share_of(encoder->spec, selection_count(&source));
    struct selection found = selection_find(encoder->kernels, &source, rank, encoder->room.keys);
    struct cut cut = {found.key > 0 ? found.key : 1, 1.0, 0, 0};
    if (found.key > 0 && found.key < SPARSE_KEY_INFINITY &&
        found.above + found.equal > rank + rank / 32) {
        cut.tie_share = (double)(rank - found.above) / (double)found.equal;
    }
    return cut;
}

/* Entries that keep a loop's slack within the array, and the next array aligned to 64 bytes. */
static size_t entries_round(size_t count)
{
    return (count + SPARSE_SLACK + 63) / 64 * 64;
}

/* Keys that `count` elements or fewer may give. Of few all are looked at: up to twice as many as
 * are sampled of more. */
static size_t room_keys(const struct codec_spec *spec, size_t count)
{
    size_t chunk = size_min(count, CODEC_CHUNK);
    double sampled = 2 * sample_wanted(spec, count) + SELECTION_LINE;
    size_t keys = spec->fixed ? chunk : sampled < (double)count ? (size_t)sampled : count;
    return entries_round(keys > chunk ? keys : chunk);
}

/* What is encoded may be a part of what there is room for. */
static size_t room_bytes(const struct codec_spec *spec, size_t count)
{
    size_t entries = entries_round(size_min(count, CODEC_CHUNK));
    return room_keys(spec, count) * sizeof(uint32_t) +
           entries * (sizeof(float) + 4 * sizeof(uint16_t));
}

/* Divides memory of room_bytes. */
static void room_divide(const struct codec_spec *spec, size_t count, uint8_t *memory,
                        struct room *room)
{
    size_t entries = entries_round(size_min(count, CODEC_CHUNK));
    room->keys = (uint32_t *)memory;
    room->kept = (float *)(room->keys + room_keys(spec, count));
    room->offsets = (uint16_t *)(room->kept + entries);
    room->codes = room->offsets + entries;
    room->all_offsets = room->codes + entries;
    room->all_codes = room->all_offsets + entries;
}

static void encode(const struct codec_spec *spec, const struct kernels *kernels,
                   const struct encode_input *in, void *frame, void *room,
                   struct encode_result *result)
{
    size_t count = in->stretch.count;
    struct encoder encoder = {.spec = spec, .kernels = &kernels->sparse, .in = in};
    struct cut cut = {0};
    encoder.heads = frame;
    encoder.end = (uint8_t *)frame + heads_bytes(count);
    room_divide(spec, count, room, &encoder.room);
    memset(frame, 0, heads_bytes(count));
    if (count > 0 && !spec->fixed) {
        cut = cut_find(&encoder);
    }
    for (size_t first = 0; first < count; first += CODEC_CHUNK) {
        struct piece piece;
        piece_init(&piece, in, first);
        if (spec->fixed) {
            size_t share = share_of(spec, piece.stretch.count);
            body_write(&encoder, &piece, share, fixed_choose(&encoder, &piece, share));
        } else {
            size_t entries = cut_choose(&encoder, &piece, &cut);
            body_write(&encoder, &piece, entries, entries);
        }
        if (piece.has_momentum != NULL) {
            in->momentum->masked = piece.momentum.masked;
        }
    }
    encoder.result.bytes = (size_t)(encoder.end - (uint8_t *)frame);
    *result = encoder.result;
}

/* ---- Decoding ---- */

/* A chunk of a frame on its way into a part of the output. */
struct body {
    const uint8_t *bytes;
    enum form form;
    size_t elements;
    size_t count;
};

/* What a head says, if encode can have written it. */
static bool head_read(const struct codec_spec *spec, uint32_t head, size_t elements,
                      struct body *body)
{
    body->elements = elements;
    body->count = head & COUNT_MASK;
    if (body->count > elements) {
        return false;
    }
    body->form = form_shortest(elements, body->count);
    size_t expected = body->form == FORM_DENSE ? elements : body->count;
    if (spec->fixed) {
        size_t share = share_of(spec, elements);
        expected = form_shortest(elements, share) == FORM_DENSE ? elements : share;
    }
    return head >> FORM_SHIFT == (uint32_t)body->form && body->count == expected;
}

static bool offsets_fit(const uint16_t *offsets, size_t count, size_t elements)
{
    uint16_t most = 0;
    for (size_t i = 0; i < count; i++) {
        most = offsets[i] > most ? offsets[i] : most;
    }
    return most < elements;
}

static void into_clear(const struct unpack *out)
{
    if (!out->add && !out->clear) {
        memset(out->into, 0, out->count * sizeof(float));
    }
}

static bool list_decode(const struct body *body, const struct sparse_kernels *kernels,
                        const struct unpack *out)
{
    const uint16_t *offsets = (const uint16_t *)(const void *)body->bytes;
    const void *codes = body->bytes + parts_round(body->count * sizeof(uint16_t));
    if (!offsets_fit(offsets, body->count, body->elements)) {
        return false;
    }
    into_clear(out);
    kernels->scatter(out->into, offsets, codes, body->count, out->scale);
    return true;
}

/* The offsets of the bits of one byte, from `first` on. */
static size_t byte_offsets(uint16_t *offsets, uint8_t bits, size_t first)
{
    size_t count = 0;
    for (size_t i = 0; i < 8; i++) {
        offsets[count] = (uint16_t)(first + i);
        count += bits >> i & 1;
    }
    return count;
}

static bool bitmap_decode(const struct body *body, const struct sparse_kernels *kernels,
                          const struct unpack *out, bool is_padded)
{
    const size_t bytes = parts_round((body->elements + 7) / 8);
    const uint16_t *codes = (const uint16_t *)(const void *)(body->bytes + bytes);
    uint16_t offsets[PART_BYTES * 8];
    size_t used = 0;
    into_clear(out);
    for (size_t first = 0; first < bytes; first += PART_BYTES) {
        size_t count = 0;
        for (size_t i = first; i < first + PART_BYTES; i++) {
            count += byte_offsets(offsets + count, body->bytes[i], i * 8);
        }
        if (count > body->count - used || !offsets_fit(offsets, count, body->elements)) {
            return false;
        }
        kernels->scatter(out->into, offsets, codes + used, count, out->scale);
        used += count;
    }
    return used == body->count || is_padded;
}

static bool body_decode(const struct codec_spec *spec, const struct body *body,
                        const struct kernels *kernels, const struct unpack *out)
{
    switch (body->form) {
    case FORM_LIST:
        return list_decode(body, &kernels->sparse, out);
    case FORM_BITMAP:
        return bitmap_decode(body, &kernels->sparse, out, spec->fixed);
    default:
        kernels->code.decode_bf16(out, (const uint16_t *)(const void *)body->bytes);
        return true;
    }
}

/* Walks over all heads, so that a frame that is cut off is refused whatever the range. */
static bool decode(const struct codec_spec *spec, const struct kernels *kernels, const void *frame,
                   size_t bytes, const struct decode_output *out)
{
    const size_t count = out->frame_count;
    const size_t last = out->first + out->unpack.count;
    const uint32_t *heads = frame;
    size_t used = heads_bytes(count);
    bool good = used <= bytes;
    assert(out->first % CODEC_CHUNK == 0 && last <= count);
    for (size_t first = 0; first < count && good; first += CODEC_CHUNK) {
        struct body body;
        if (!head_read(spec, heads[first / CODEC_CHUNK], layout_chunk(count, first), &body)) {
            return false;
        }
        body.bytes = (const uint8_t *)frame + used;
        used += body_bytes(body.form, body.elements, body.count);
        good = used <= bytes;
        if (good && first >= out->first && first < last) {
            struct unpack unpack = out->unpack;
            unpack.into += first - out->first;
            unpack.count = body.elements;
            good = body_decode(spec, &body, kernels, &unpack);
        }
    }
    return good && used == bytes;
}

const struct codec codec_topk = {
    .name = "topk",
    .about = "the elements of largest magnitude, the rest is sent later",
    .is_fixed = is_fixed,
    .is_sparse = true,
    .frame_bytes_max = frame_bytes_max,
    .room_bytes = room_bytes,
    .encode = encode,
    .decode = decode,
};
