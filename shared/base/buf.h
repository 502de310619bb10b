/* SPDX-License-Identifier: Apache-2.0 */
/* buf.h - a growable byte buffer with a sticky error.
 *
 * It is memory of the process, owned by whoever initialised it. Writers do not check each call:
 * after a refused allocation every further call does nothing and buf_failed() is true, so it is
 * checked once, at the end. buf_reset() keeps the memory. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shared/base/str.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
	bool failed;
};

void buf_init(struct buf *b);
void buf_free(struct buf *b);
void buf_reset(struct buf *b);
bool buf_failed(const struct buf *b);
/* For buf_reserve(): makes room for that many more bytes by taking more memory. */
bool buf_grow(struct buf *b, size_t more);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_u64(struct buf *b, uint64_t value);
void buf_i64(struct buf *b, int64_t value);

/* Makes room for that many more bytes. Returns false when there is no memory; that sticks. */
static inline bool buf_reserve(struct buf *b, size_t more)
{
	return (b->cap - b->len >= more && !b->failed) || buf_grow(b, more);
}

static inline void buf_put(struct buf *b, const void *data, size_t n)
{
	if (n > 0 && buf_reserve(b, n)) {
		memcpy(b->data + b->len, data, n);
		b->len += n;
	}
}

static inline void buf_str(struct buf *b, struct str s)
{
	buf_put(b, s.p, s.n);
}

static inline void buf_char(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

#define BUF_LIT(b, literal) buf_put((b), (literal), sizeof(literal) - 1)

static inline struct str buf_view(const struct buf *b)
{
	return str_make(b->data, b->len);
}

#endif
