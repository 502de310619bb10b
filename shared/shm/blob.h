/* SPDX-License-Identifier: Apache-2.0 */
/* blob.h - byte strings in the segment: names, metadata, texts.
 *
 * Up to 4,088 bytes fit in one object of the smallest fitting blob kind (doc/shared-memory.md has the
 * waste of each); longer ones are chains of page-sized chunks, published by the one reference to the first.
 * Written once, never changed; a new value is a new blob and a logged reference.
 * limits.metadata keeps a chain within what one transaction may free (UNDO_FREES). */
#ifndef SHM_BLOB_H
#define SHM_BLOB_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/str.h"
#include "shared/shm/undo.h"

#define BLOB_MAX_BYTES (60U * 4088U)

/* Layout of a chunk: next reference (0: last), length of the bytes behind it. */
struct blob {
	uint32_t next;
	uint32_t len; /* bytes in this chunk */
	              /* bytes follow */
};

/* 0 with tx->err set on refusal; an empty text is a blob too (0 means "absent"). */
uint32_t blob_new(struct tx *tx, struct str text);
void blob_free(struct tx *tx, uint32_t off);          /* 0 is allowed and does nothing */
uint32_t blob_len(const struct tx *tx, uint32_t off); /* whole chain */
/* Copies at most size bytes; returns the whole length. */
uint32_t blob_copy(const struct tx *tx, uint32_t off, char *out, uint32_t size);
bool blob_equal(const struct tx *tx, uint32_t off, struct str text);
/* A view into the segment when the blob is one chunk, else {NULL, 0}. Valid under the lock only. */
struct str blob_view(const struct tx *tx, uint32_t off);
/* Bytes of segment taken by a text of that length (byte accounts). */
uint32_t blob_cost(uint32_t len);

/* For the check: the object is a chunk as blob_new() makes them, full unless it is the last one, in the smallest kind. */
bool blob_chunk_valid(const struct tx *tx, uint32_t off, uint32_t *next_r);

#endif
