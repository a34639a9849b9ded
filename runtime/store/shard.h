/* SPDX-License-Identifier: BSD-3-Clause
 * shard.h: one file of a checkpoint: a head, then sections without gaps, so that every byte is
 * under a checksum. All numbers are little-endian.
 *
 *     0   8 bytes  magic
 *     8   u32      version; what stands here up to byte 63 has the same place in all versions
 *     12  u32      role: a rank's shard, or the manifest
 *     16  u64      CRC-64/XZ of the head and the table, this number taken as 0
 *     24  u64      bytes of the file
 *     32  u64      generation
 *     40  u64      layout: a checksum of the tensors' names, types and shapes
 *     48  u32      rank, u32 size: of how many
 *     56  u32      bytes of head and table
 *     60  u16      kind of the sections' checksums, u16 sections
 *     64           the table, 96 bytes for each section:
 *                  u32 kind, u32 0, u64 offset, u64 bytes, u64 checksum, name[64]
 *
 * Whatever the bytes of a file are, nothing here reads or writes where it should not. */
#ifndef STORE_SHARD_H
#define STORE_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checksum.h"
#include "file.h"

#define SHARD_VERSION 1U
#define SHARD_HEAD_BYTES 64U
#define SHARD_ROW_BYTES 96U
#define SHARD_NAME_BYTES 64U
#define SHARD_SECTIONS_MAX 4096U

enum shard_role { SHARD_OF_RANK = 1, SHARD_MANIFEST = 2 };

struct shard_label {
    enum shard_role role;
    uint64_t generation;
    uint64_t layout;
    uint32_t rank;
    uint32_t size;
};

/* A section to write: pieces one behind the other. */
struct shard_piece {
    const void *data;
    size_t bytes;
};
struct shard_draft {
    uint32_t kind;
    const char *name; /* "" = none */
    const struct shard_piece *pieces;
    size_t piece_count;
};

/* By which the manifest knows a file. */
struct shard_stamp {
    uint64_t bytes;
    uint64_t checksum; /* of its head, which holds those of the sections */
};

/* Writes a whole file in place of what was there. */
enum fault shard_write(const char *path, const struct shard_label *label,
                       const struct shard_draft *drafts, size_t count, struct shard_stamp *stamp,
                       struct reason *reason);

struct shard_section {
    uint32_t kind;
    uint64_t offset;
    uint64_t bytes;
    uint64_t checksum;
    char name[SHARD_NAME_BYTES];
};
struct shard {
    char path[FILE_PATH_BYTES];
    struct shard_label label;
    struct shard_stamp stamp;
    enum checksum_kind kind;
    uint32_t count;
    struct shard_section *sections; /* [count] */
};

/* Reads the head and judges it. Only after FAULT_NONE shard_close is to be called. */
enum fault shard_open(struct shard *shard, const char *path, struct reason *reason);
void shard_close(struct shard *shard);

/* Compares all sections with their checksums. */
enum fault shard_verify(const struct shard *shard, struct reason *reason);

/* The first section of that kind and name; NULL when there is none. */
const struct shard_section *shard_find(const struct shard *shard, uint32_t kind, const char *name);

/* Reads bytes offset .. offset + bytes of a section, which has them. */
enum fault shard_read(const struct shard *shard, const struct shard_section *section,
                      uint64_t offset, void *into, size_t bytes, struct reason *reason);

/* Numbers of files. */
void put_u32(uint8_t *to, uint32_t value);
void put_u64(uint8_t *to, uint64_t value);
uint32_t get_u32(const uint8_t *from);
uint64_t get_u64(const uint8_t *from);

#endif
