/* SPDX-License-Identifier: BSD-3-Clause
 * shard.c: writes and reads one file of a checkpoint. */
#include "shard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)1 << 20) /* checked and moved while it is in the cache */

static const char magic[8] = {(char)0x89, 'W', 'W', 'C', 'K', 'P', 'T', '\n'};

enum head {
    HEAD_VERSION = 8,
    HEAD_ROLE = 12,
    HEAD_CHECKSUM = 16,
    HEAD_BYTES = 24,
    HEAD_GENERATION = 32,
    HEAD_LAYOUT = 40,
    HEAD_RANK = 48,
    HEAD_SIZE = 52,
    HEAD_LENGTH = 56,
    HEAD_KIND = 60,
    HEAD_COUNT = 62
};
enum row { ROW_KIND = 0, ROW_OFFSET = 8, ROW_BYTES = 16, ROW_CHECKSUM = 24, ROW_NAME = 32 };

/* ---- Numbers ---------------------------------------------------------------------------- */

static void put(uint8_t *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint64_t)from[i] << (8 * i);
    }
    return value;
}

void put_u32(uint8_t *to, uint32_t value)
{
    put(to, value, 4);
}

void put_u64(uint8_t *to, uint64_t value)
{
    put(to, value, 8);
}

uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)get(from, 4);
}

uint64_t get_u64(const uint8_t *from)
{
    return get(from, 8);
}

static uint64_t head_checksum(const uint8_t *head, size_t bytes)
{
    static const uint8_t zeros[8];
    uint64_t crc = checksum_crc64(0, head, HEAD_CHECKSUM);
    crc = checksum_crc64(crc, zeros, sizeof zeros);
    return checksum_crc64(crc, head + HEAD_BYTES, bytes - HEAD_BYTES);
}

/* ---- Writing ---------------------------------------------------------------------------- */

static void put_head(uint8_t *head, size_t length, const struct shard_label *label, size_t count,
                     uint64_t file_bytes)
{
    memcpy(head, magic, sizeof magic);
    put_u32(head + HEAD_VERSION, SHARD_VERSION);
    put_u32(head + HEAD_ROLE, label->role);
    put_u64(head + HEAD_BYTES, file_bytes);
    put_u64(head + HEAD_GENERATION, label->generation);
    put_u64(head + HEAD_LAYOUT, label->layout);
    put_u32(head + HEAD_RANK, label->rank);
    put_u32(head + HEAD_SIZE, label->size);
    put_u32(head + HEAD_LENGTH, (uint32_t)length);
    put(head + HEAD_KIND, checksum_best(), 2);
    put(head + HEAD_COUNT, count, 2);
    put_u64(head + HEAD_CHECKSUM, head_checksum(head, length));
}

/* Writes a section at offset, and fills its row. *bytes is its length. */
static enum fault write_section(struct new_file *file, const struct shard_draft *draft,
                                uint64_t offset, uint8_t *row, uint64_t *bytes,
                                struct reason *reason)
{
    struct checksum checksum;
    checksum_begin(&checksum, checksum_best());
    *bytes = 0;
    for (size_t p = 0; p < draft->piece_count; p++) {
        const uint8_t *data = draft->pieces[p].data;
        size_t left = draft->pieces[p].bytes;
        while (left > 0) {
            size_t part = left < PIECE_BYTES ? left : PIECE_BYTES;
            checksum_add(&checksum, data, part);
            enum fault fault = file_put(file, offset + *bytes, data, part, reason);
            if (fault != FAULT_NONE) {
                return fault;
            }
            data += part;
            left -= part;
            *bytes += part;
        }
    }
    put_u32(row + ROW_KIND, draft->kind);
    put_u64(row + ROW_OFFSET, offset);
    put_u64(row + ROW_BYTES, *bytes);
    put_u64(row + ROW_CHECKSUM, checksum_end(&checksum));
    snprintf((char *)row + ROW_NAME, SHARD_NAME_BYTES, "%s", draft->name);
    return FAULT_NONE;
}

enum fault shard_write(const char *path, const struct shard_label *label,
                       const struct shard_draft *drafts, size_t count, struct shard_stamp *stamp,
                       struct reason *reason)
{
    size_t length = SHARD_HEAD_BYTES + count * SHARD_ROW_BYTES;
    struct new_file file;
    if (count > SHARD_SECTIONS_MAX) {
        return reason_set(reason, FAULT_SYSTEM, "%zu sections are too many, %u are allowed", count,
                          SHARD_SECTIONS_MAX);
    }
    uint8_t *head = calloc(1, length);
    if (head == NULL) {
        return reason_set(reason, FAULT_MEMORY, "no memory for the head of %.400s", path);
    }
    enum fault fault = file_begin(&file, path, reason);
    uint64_t offset = length;
    for (size_t i = 0; i < count && fault == FAULT_NONE; i++) {
        uint64_t bytes = 0;
        uint8_t *row = head + SHARD_HEAD_BYTES + i * SHARD_ROW_BYTES;
        fault = write_section(&file, &drafts[i], offset, row, &bytes, reason);
        offset += bytes;
    }
    if (fault == FAULT_NONE) {
        put_head(head, length, label, count, offset);
        fault = file_put(&file, 0, head, length, reason);
    }
    if (fault == FAULT_NONE) {
        fault = file_keep(&file, reason);
    }
    *stamp = (struct shard_stamp){offset, get_u64(head + HEAD_CHECKSUM)};
    file_drop(&file);
    free(head);
    return fault;
}

/* ---- Reading ---------------------------------------------------------------------------- */

static enum fault damaged(const struct shard *shard, struct reason *reason, const char *how)
{
    return reason_set(reason, FAULT_DAMAGED, "%.400s is damaged: %s", shard->path, how);
}

/* What all versions have in common. */
static enum fault judge_head(struct shard *shard, const uint8_t *head, uint64_t file_bytes,
                             struct reason *reason)
{
    if (memcmp(head, magic, sizeof magic) != 0) {
        return reason_set(reason, FAULT_DAMAGED, "%.400s is no file of a wirewise checkpoint",
                          shard->path);
    }
    uint32_t length = get_u32(head + HEAD_LENGTH);
    uint64_t most = SHARD_HEAD_BYTES + (uint64_t)SHARD_SECTIONS_MAX * SHARD_ROW_BYTES;
    if (length < SHARD_HEAD_BYTES || length > most || length > file_bytes) {
        return damaged(shard, reason, "its head gives an impossible length");
    }
    shard->stamp = (struct shard_stamp){file_bytes, get_u64(head + HEAD_CHECKSUM)};
    shard->label = (struct shard_label){
        (enum shard_role)get_u32(head + HEAD_ROLE), get_u64(head + HEAD_GENERATION),
        get_u64(head + HEAD_LAYOUT), get_u32(head + HEAD_RANK), get_u32(head + HEAD_SIZE)};
    shard->kind = (enum checksum_kind)get(head + HEAD_KIND, 2);
    shard->count = (uint32_t)get(head + HEAD_COUNT, 2);
    return FAULT_NONE;
}

static enum fault judge_version(const struct shard *shard, const uint8_t *head, size_t length,
                                struct reason *reason)
{
    uint32_t version = get_u32(head + HEAD_VERSION);
    if (head_checksum(head, length) != shard->stamp.checksum) {
        return damaged(shard, reason, "its head does not have its checksum");
    }
    if (version != SHARD_VERSION) {
        return reason_set(
            reason, FAULT_NEWER,
            "%.400s has version %u of the format, this library knows %u: load it with "
            "the library that wrote it, or a newer one",
            shard->path, version, SHARD_VERSION);
    }
    if (!checksum_knows(shard->kind)) {
        return reason_set(
            reason, FAULT_NEWER,
            "%.400s has checksums of kind %d (2 = XXH3), which this build lacks: build "
            "wirewise where xxhash.h is (apt-get install libxxhash-dev)",
            shard->path, (int)shard->kind);
    }
    if (get_u64(head + HEAD_BYTES) != shard->stamp.bytes) {
        return reason_set(reason, FAULT_DAMAGED, "%.400s has %llu bytes, it was written with %llu",
                          shard->path, (unsigned long long)shard->stamp.bytes,
                          (unsigned long long)get_u64(head + HEAD_BYTES));
    }
    return shard->count * SHARD_ROW_BYTES + SHARD_HEAD_BYTES == length
               ? FAULT_NONE
               : damaged(shard, reason, "its table has another length than its head says");
}

/* Sections lie one behind the other, up to the end. */
static enum fault read_table(struct shard *shard, const uint8_t *head, size_t length,
                             struct reason *reason)
{
    uint64_t at = length;
    for (uint32_t i = 0; i < shard->count; i++) {
        const uint8_t *row = head + SHARD_HEAD_BYTES + i * SHARD_ROW_BYTES;
        struct shard_section *section = &shard->sections[i];
        section->kind = get_u32(row + ROW_KIND);
        section->offset = get_u64(row + ROW_OFFSET);
        section->bytes = get_u64(row + ROW_BYTES);
        section->checksum = get_u64(row + ROW_CHECKSUM);
        memcpy(section->name, row + ROW_NAME, sizeof section->name);
        section->name[sizeof section->name - 1] = '\0';
        if (section->offset != at || section->bytes > shard->stamp.bytes - at) {
            return damaged(shard, reason, "its sections do not follow one another");
        }
        at += section->bytes;
    }
    return at == shard->stamp.bytes ? FAULT_NONE
                                    : damaged(shard, reason, "it goes on behind its sections");
}

static enum fault read_head(struct shard *shard, int descriptor, struct reason *reason)
{
    uint8_t first[SHARD_HEAD_BYTES];
    struct stat facts;
    if (fstat(descriptor, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        return damaged(shard, reason, "it is no regular file");
    }
    enum fault fault = file_read(descriptor, shard->path, 0, first, sizeof first, reason);
    if (fault == FAULT_NONE) {
        fault = judge_head(shard, first, (uint64_t)facts.st_size, reason);
    }
    if (fault != FAULT_NONE) {
        return fault;
    }
    size_t length = get_u32(first + HEAD_LENGTH);
    uint8_t *head = malloc(length);
    shard->sections = calloc((size_t)shard->count + 1, sizeof *shard->sections);
    if (head == NULL || shard->sections == NULL) {
        fault = reason_set(reason, FAULT_MEMORY, "no memory for the head of %.400s", shard->path);
    } else {
        fault = file_read(descriptor, shard->path, 0, head, length, reason);
    }
    if (fault == FAULT_NONE) {
        fault = judge_version(shard, head, length, reason);
    }
    if (fault == FAULT_NONE) {
        fault = read_table(shard, head, length, reason);
    }
    free(head);
    return fault;
}

static int open_to_read(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

enum fault shard_open(struct shard *shard, const char *path, struct reason *reason)
{
    *shard = (struct shard){.count = 0};
    snprintf(shard->path, sizeof shard->path, "%s", path);
    int descriptor = open_to_read(path);
    if (descriptor < 0 && errno == ENOENT) {
        return reason_set(reason, FAULT_MISSING, "%.400s is missing", path);
    }
    if (descriptor < 0) {
        return reason_errno(reason, path, "read");
    }
    enum fault fault = read_head(shard, descriptor, reason);
    close(descriptor);
    if (fault != FAULT_NONE) {
        shard_close(shard);
    }
    return fault;
}

void shard_close(struct shard *shard)
{
    free(shard->sections);
    shard->sections = NULL;
    shard->count = 0;
}

static enum fault verify_section(const struct shard *shard, int descriptor,
                                 const struct shard_section *section, void *piece,
                                 struct reason *reason)
{
    struct checksum checksum;
    checksum_begin(&checksum, shard->kind);
    for (uint64_t done = 0; done < section->bytes;) {
        uint64_t left = section->bytes - done;
        size_t part = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        enum fault fault = file_read(descriptor, shard->path, section->offset + done, piece, part,
                                     reason);
        if (fault != FAULT_NONE) {
            return fault;
        }
        checksum_add(&checksum, piece, part);
        done += part;
    }
    return checksum_end(&checksum) == section->checksum
               ? FAULT_NONE
               : reason_set(reason, FAULT_DAMAGED,
                            "%.400s is damaged: bytes %llu to %llu do not have their checksum",
                            shard->path, (unsigned long long)section->offset,
                            (unsigned long long)(section->offset + section->bytes));
}

enum fault shard_verify(const struct shard *shard, struct reason *reason)
{
    int descriptor = open_to_read(shard->path);
    if (descriptor < 0) {
        return reason_errno(reason, shard->path, "read");
    }
    enum fault fault = FAULT_NONE;
    void *piece = malloc(PIECE_BYTES);
    if (piece == NULL) {
        fault = reason_set(reason, FAULT_MEMORY, "no memory to read %.400s", shard->path);
    }
    for (uint32_t i = 0; i < shard->count && fault == FAULT_NONE; i++) {
        fault = verify_section(shard, descriptor, &shard->sections[i], piece, reason);
    }
    free(piece);
    close(descriptor);
    return fault;
}

const struct shard_section *shard_find(const struct shard *shard, uint32_t kind, const char *name)
{
    for (uint32_t i = 0; i < shard->count; i++) {
        if (shard->sections[i].kind == kind && strcmp(shard->sections[i].name, name) == 0) {
            return &shard->sections[i];
        }
    }
    return NULL;
}

enum fault shard_read(const struct shard *shard, const struct shard_section *section,
                      uint64_t offset, void *into, size_t bytes, struct reason *reason)
{
    int descriptor = open_to_read(shard->path);
    if (descriptor < 0) {
        return reason_errno(reason, shard->path, "read");
    }
    enum fault fault = file_read(descriptor, shard->path, section->offset + offset, into, bytes,
                                 reason);
    close(descriptor);
    return fault;
}
