/* SPDX-License-Identifier: Apache-2.0 */
/* blob.h - byte strings in the segment: names, metadata, texts.
 *
 * Up to 4,088 bytes fit in one object of the smallest fitting blob kind (doc/shared-memory.md has
 * the waste of each). A longer one is a chain of page-sized chunks, published by the one reference
 * to the first. A blob is written once and never changed: a new value is a new blob and a logged
 * reference. limits.metadata keeps a chain within what one transaction may free (UNDO_FREES).
 *
 * All functions with a tx need its shard's lock. What a reference or a length says is checked: a
 * damaged blob reads as shorter or as different, and freeing it fails the transaction. */
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

/* Returns 0 with tx->err set when it is refused. An empty text is a blob too; 0 means "absent". */
uint32_t blob_new(struct tx *tx, struct str text);
void blob_free(struct tx *tx, uint32_t off);          /* 0 is allowed and does nothing */
uint32_t blob_len(const struct tx *tx, uint32_t off); /* of the whole chain */
/* Copies at most size bytes and returns the whole length. */
uint32_t blob_copy(const struct tx *tx, uint32_t off, char *out, uint32_t size);
bool blob_equal(const struct tx *tx, uint32_t off, struct str text);
/* A view into the segment when the blob is one chunk, else {NULL, 0}. It is good under the lock
 * only. */
struct str blob_view(const struct tx *tx, uint32_t off);
/* The bytes of the segment that a text of that length takes, as the byte accounts count it. */
uint32_t blob_cost(uint32_t len);
/* The same of a text that is there; 0: none. */
int64_t blob_bytes(const struct tx *tx, uint32_t off);

/* For the audit: is the object a chunk as blob_new() makes them, in the smallest kind, and full
 * unless it is the last one? */
bool blob_chunk_valid(const struct tx *tx, uint32_t off, uint32_t *next_r);

#endif
