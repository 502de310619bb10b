/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/base/assert.h"
#include "shared/base/decimal.h"
#include "shared/base/discard.h"

#define BUF_FIRST 1024U

void buf_init(struct buf *b)
{
	*b = (struct buf){ 0 };
}

void buf_free(struct buf *b)
{
	ROSTER_ASSERT(b->data != NULL || b->cap == 0);
	discard(b->data, b->cap);
	buf_init(b);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

bool buf_failed(const struct buf *b)
{
	return b->failed;
}

bool buf_grow(struct buf *b, size_t more)
{
	size_t cap = b->cap == 0 ? BUF_FIRST : b->cap;
	char *data;

	ROSTER_ASSERT(b->len <= b->cap);
	if (b->failed)
		return false;
	while (cap - b->len < more) {
		if (cap > SIZE_MAX / 2) {
			b->failed = true;
			return false;
		}
		cap *= 2;
	}
	data = realloc(b->data, cap);
	if (data == NULL) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args, again;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args); /* only to know how long it gets */
	va_end(args);
	if (n < 0)
		b->failed = true;
	else if (buf_reserve(b, (size_t)n + 1)) {
		vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_u64(struct buf *b, uint64_t value)
{
	if (buf_reserve(b, DECIMAL_TEXT))
		b->len = (size_t)(decimal_put(b->data + b->len, value) - b->data);
}

void buf_i64(struct buf *b, int64_t value)
{
	if (value < 0) {
		buf_char(b, '-');
		/* Right for the smallest number too, which has no positive counterpart. */
		buf_u64(b, 0 - (uint64_t)value);
	} else {
		buf_u64(b, (uint64_t)value);
	}
}
