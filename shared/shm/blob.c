/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/blob.h"

#include <string.h>

#include "shared/base/assert.h"
#include "shared/shm/slab.h"

#define HEAD ((uint32_t)sizeof(struct blob))
#define CHUNK_BYTES (SEGMENT_PAGE - HEAD)
#define CHUNKS_MAX (BLOB_MAX_BYTES / CHUNK_BYTES)

/* The kinds of blobs follow each other by size, the largest last. */
static enum slab_kind kind_for(uint32_t len)
{
	enum slab_kind kind = SLAB_BLOB32;

	ROSTER_ASSERT(len <= CHUNK_BYTES);
	while (kind < SLAB_BLOB4K && slab_object_bytes(kind) < HEAD + len)
		kind++;
	return kind;
}

static char *bytes_of(struct blob *blob)
{
	return (char *)(blob + 1);
}

/* Returns NULL unless off is a blob whose length fits into its object. */
static struct blob *blob_at(const struct tx *tx, uint32_t off)
{
	enum slab_kind kind = slab_kind_at(tx, off);
	struct blob *blob = slab_at(tx, off, kind >= SLAB_BLOB32 ? kind : SLAB_NONE);

	if (blob != NULL && blob->len > slab_object_bytes(kind) - HEAD) {
		__atomic_fetch_add(&tx->seg->header->corrupt, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	return blob;
}

/* Makes one chunk of the text's first bytes; *text shrinks to what is left. */
static struct blob *chunk_new(struct tx *tx, struct str *text, uint32_t *off_r)
{
	uint32_t len = text->n < CHUNK_BYTES ? (uint32_t)text->n : CHUNK_BYTES;
	struct blob *blob;

	*off_r = slab_alloc(tx, kind_for(len));
	if (*off_r == 0 || (blob = slab_at(tx, *off_r, kind_for(len))) == NULL) {
		undo_fail(tx, ERR_CORRUPT);
		return NULL;
	}
	blob->next = 0;
	blob->len = len;
	if (len > 0)
		memcpy(bytes_of(blob), text->p, len);
	*text = str_make(text->p + len, text->n - len);
	return blob;
}

uint32_t blob_new(struct tx *tx, struct str text)
{
	struct blob *last;
	uint32_t first = 0;

	ROSTER_ASSERT(text.p != NULL || text.n == 0);
	if (text.n > BLOB_MAX_BYTES) {
		undo_fail(tx, ERR_TOO_BIG);
		return 0;
	}
	last = chunk_new(tx, &text, &first);
	/* Nobody can reach the chain yet, so its links are not logged. */
	while (last != NULL && text.n > 0)
		last = chunk_new(tx, &text, &last->next);
	return last == NULL ? 0 : first;
}

void blob_free(struct tx *tx, uint32_t off)
{
	for (uint32_t i = 0; off != 0; i++) {
		const struct blob *blob = blob_at(tx, off);

		if (blob == NULL || i >= CHUNKS_MAX) { /* a longer chain runs in a circle */
			undo_fail(tx, ERR_CORRUPT);
			return;
		}
		slab_free(tx, off);
		off = blob->next;
	}
}

uint32_t blob_copy(const struct tx *tx, uint32_t off, char *out, uint32_t size)
{
	uint32_t done = 0;

	ROSTER_ASSERT(out != NULL || size == 0);
	for (uint32_t i = 0; off != 0 && i < CHUNKS_MAX; i++) {
		struct blob *blob = blob_at(tx, off);

		if (blob == NULL)
			break;
		/* What does not fit is still counted: the caller then asks for room and comes
		 * again. */
		if (done < size)
			memcpy(out + done, bytes_of(blob),
			       blob->len < size - done ? blob->len : size - done);
		done += blob->len;
		off = blob->next;
	}
	return done;
}

uint32_t blob_len(const struct tx *tx, uint32_t off)
{
	return blob_copy(tx, off, NULL, 0);
}

/* Compares chunk by chunk, without a copy of the whole. */
bool blob_equal(const struct tx *tx, uint32_t off, struct str text)
{
	for (uint32_t i = 0; off != 0 && i < CHUNKS_MAX; i++) {
		struct blob *blob = blob_at(tx, off);

		if (blob == NULL || blob->len > text.n)
			return false;
		if (blob->len > 0 && memcmp(bytes_of(blob), text.p, blob->len) != 0)
			return false;
		text = str_make(text.p + blob->len, text.n - blob->len);
		off = blob->next;
		if (off == 0)
			return text.n == 0;
	}
	return false;
}

struct str blob_view(const struct tx *tx, uint32_t off)
{
	struct blob *blob = off == 0 ? NULL : blob_at(tx, off);

	if (blob == NULL || blob->next != 0)
		return (struct str){ NULL, 0 };
	return str_make(bytes_of(blob), blob->len);
}

bool blob_chunk_valid(const struct tx *tx, uint32_t off, uint32_t *next_r)
{
	enum slab_kind kind = slab_kind_at(tx, off);
	const struct blob *blob = kind < SLAB_BLOB32 ? NULL : slab_try(tx, off, kind);

	*next_r = 0;
	if (blob == NULL || blob->len > CHUNK_BYTES || kind_for(blob->len) != kind)
		return false;
	*next_r = blob->next;
	return blob->next == 0 || blob->len == CHUNK_BYTES;
}

uint32_t blob_cost(uint32_t len)
{
	uint32_t whole = len / CHUNK_BYTES, rest = len % CHUNK_BYTES;

	/* Only an empty text has a chunk with nothing in it. */
	if (whole > 0 && rest == 0)
		return whole * SEGMENT_PAGE;
	return whole * SEGMENT_PAGE + slab_object_bytes(kind_for(rest));
}

int64_t blob_bytes(const struct tx *tx, uint32_t off)
{
	return off == 0 ? 0 : (int64_t)blob_cost(blob_len(tx, off));
}
