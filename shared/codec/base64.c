/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/codec/base64.h"

#include <stdint.h>

#include "shared/base/assert.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Writes n of three bytes, at least one: a digit more than there are bytes. */
static void base64_put_group(struct buf *b, const unsigned char *p, size_t n)
{
	uint32_t bits =
	        (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);

	ROSTER_ASSERT(n > 0 && n <= 3);
	for (size_t i = 0; i <= n; i++)
		buf_char(b, digits[bits >> (18 - 6 * i) & 63]);
}

void base64url_put(struct buf *b, struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p;

	for (size_t left = bytes.n; left > 0;) {
		size_t n = left < 3 ? left : 3;

		base64_put_group(b, p, n);
		p += n;
		left -= n;
	}
}
