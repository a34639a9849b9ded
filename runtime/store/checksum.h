/* SPDX-License-Identifier: BSD-3-Clause
 * checksum.h: 64 bits by which a damaged file is known. */
#ifndef STORE_CHECKSUM_H
#define STORE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers as they stand in files. CRC-64/XZ is always there; XXH3 is ten times as fast, and is
 * where the build found xxHash. */
enum checksum_kind { CHECKSUM_CRC64 = 1, CHECKSUM_XXH3 = 2 };

/* Never on the heap: XXH3 wants its state aligned to 64. */
struct checksum {
    _Alignas(64) unsigned char state[640]; /* of XXH3 */
    enum checksum_kind kind;
    uint64_t crc;
};

bool checksum_knows(unsigned kind);
enum checksum_kind checksum_best(void);

void checksum_begin(struct checksum *checksum, enum checksum_kind kind);
void checksum_add(struct checksum *checksum, const void *data, size_t bytes);
uint64_t checksum_end(struct checksum *checksum);

/* CRC-64/XZ of data behind what gave `before`; 0 to begin with. Thread: any. */
uint64_t checksum_crc64(uint64_t before, const void *data, size_t bytes);

/* xxh3.c, or no_xxh3.c: false everywhere. */
bool xxh3_is_here(void);
void xxh3_begin(struct checksum *checksum);
void xxh3_add(struct checksum *checksum, const void *data, size_t bytes);
uint64_t xxh3_end(struct checksum *checksum);

#endif
