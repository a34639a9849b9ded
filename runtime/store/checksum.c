/* SPDX-License-Identifier: BSD-3-Clause
 * checksum.c: CRC-64/XZ (ECMA-182, reflected), eight bytes at a time, and the choice between it and
 * XXH3. */
#include "checksum.h"

#include <pthread.h>

#define POLYNOMIAL UINT64_C(0xc96c5795d7870f42)
#define LANES 8

static uint64_t tables[LANES][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint64_t byte = 0; byte < 256; byte++) {
        uint64_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        }
        tables[0][byte] = crc;
    }
    for (int lane = 1; lane < LANES; lane++) {
        for (int byte = 0; byte < 256; byte++) {
            uint64_t crc = tables[lane - 1][byte];
            tables[lane][byte] = tables[0][crc & 255] ^ (crc >> 8);
        }
    }
}

uint64_t checksum_crc64(uint64_t before, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint64_t crc = ~before;
    pthread_once(&tables_once, make_tables);
    for (; bytes >= LANES; bytes -= LANES, at += LANES) {
        uint64_t next = 0;
        for (int i = 0; i < LANES; i++) {
            crc ^= (uint64_t)at[i] << (8 * i);
        }
        for (int i = 0; i < LANES; i++) {
            next ^= tables[LANES - 1 - i][(crc >> (8 * i)) & 255];
        }
        crc = next;
    }
    for (; bytes > 0; bytes--, at++) {
        crc = tables[0][(crc ^ *at) & 255] ^ (crc >> 8);
    }
    return ~crc;
}

bool checksum_knows(unsigned kind)
{
    return kind == CHECKSUM_CRC64 || (kind == CHECKSUM_XXH3 && xxh3_is_here());
}

enum checksum_kind checksum_best(void)
{
    return xxh3_is_here() ? CHECKSUM_XXH3 : CHECKSUM_CRC64;
}

void checksum_begin(struct checksum *checksum, enum checksum_kind kind)
{
    checksum->kind = kind;
    checksum->crc = 0;
    if (kind == CHECKSUM_XXH3) {
        xxh3_begin(checksum);
    }
}

void checksum_add(struct checksum *checksum, const void *data, size_t bytes)
{
    if (bytes == 0) {
        return;
    }
    if (checksum->kind == CHECKSUM_XXH3) {
        xxh3_add(checksum, data, bytes);
    } else {
        checksum->crc = checksum_crc64(checksum->crc, data, bytes);
    }
}

uint64_t checksum_end(struct checksum *checksum)
{
    return checksum->kind == CHECKSUM_XXH3 ? xxh3_end(checksum) : checksum->crc;
}
