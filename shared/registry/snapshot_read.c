/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_read.c - records, numbers and texts out of a stream, with its checksum; the first
 * error stays. */
#include "shared/registry/snapshot_internal.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/utf8.h"

#define WINDOW_BYTES (4U * SNAPSHOT_ITEM_MAX)
#define NIL 0xc0U
#define CHECKSUM_BYTES 9U /* a uint 64 with its tag */

/* ---- the window ------------------------------------------------------------------------------ */

int snapshot_reader_open(struct snapshot_reader *r, int fd)
{
	*r = (struct snapshot_reader){ .fd = fd,
		                       .window = malloc(WINDOW_BYTES),
		                       .hash = XXH3_createState() };
	if (r->window == NULL || r->hash == NULL) {
		snapshot_reader_close(r);
		return ERR_NOMEM;
	}
	XXH3_64bits_reset(r->hash);
	r->p = r->end = r->hashed = r->window;
	return 0;
}

void snapshot_reader_close(struct snapshot_reader *r)
{
	free(r->window);
	XXH3_freeState(r->hash);
	r->window = NULL;
	r->hash = NULL;
}

void snapshot_fail(struct snapshot_reader *r, int err, const char *why)
{
	if (r->err != 0)
		return;
	r->err = err;
	r->why = why;
	/* After an error the window is empty, so no later call finds anything to read. */
	r->gone += (uint64_t)(r->p - r->window);
	r->p = r->end = r->hashed = r->window;
}

uint64_t snapshot_read_bytes(const struct snapshot_reader *r)
{
	return r->gone + (uint64_t)(r->p - r->window);
}

static void hash_to_here(struct snapshot_reader *r)
{
	ROSTER_ASSERT(r->hashed <= r->p && r->p <= r->end);
	XXH3_64bits_update(r->hash, r->hashed, (size_t)(r->p - r->hashed));
	r->hashed = r->p;
}

/* Moves what is left to the front of the window and fills it up. */
static void read_more(struct snapshot_reader *r)
{
	size_t have = (size_t)(r->end - r->p);
	ssize_t n;

	ROSTER_ASSERT(r->window <= r->p && r->end <= r->window + WINDOW_BYTES);
	/* Bytes that leave the window must be in the hash by then. */
	hash_to_here(r);
	r->gone += (uint64_t)(r->p - r->window);
	memmove(r->window, r->p, have);
	r->p = r->hashed = r->window;
	while (have < WINDOW_BYTES) {
		n = read(r->fd, r->window + have, WINDOW_BYTES - have);
		if (n < 0 && errno == EINTR)
			continue;
		r->end = r->window + have;
		if (n < 0)
			snapshot_fail(r, ERR_IO, "cannot be read");
		r->eof |= n == 0;
		if (n <= 0)
			return;
		have += (size_t)n;
	}
	r->end = r->window + have;
}

void snapshot_read_fill(struct snapshot_reader *r)
{
	if ((size_t)(r->end - r->p) < SNAPSHOT_ITEM_MAX && !r->eof && r->err == 0)
		read_more(r);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Takes n bytes out of the window, or fails. */
static const uint8_t *read_take(struct snapshot_reader *r, size_t n)
{
	const uint8_t *at = r->p;

	ROSTER_ASSERT(r->p <= r->end);
	if ((size_t)(r->end - r->p) < n) {
		snapshot_fail(r, ERR_SYNTAX, r->eof ? "cut off" : "a record is too long");
		return NULL;
	}
	r->p += n;
	return at;
}

static uint8_t read_tag(struct snapshot_reader *r)
{
	const uint8_t *at = read_take(r, 1);

	return at == NULL ? 0 : *at;
}

/* The highest byte comes first. */
static uint64_t read_uint(struct snapshot_reader *r, size_t n)
{
	const uint8_t *at = read_take(r, n);
	uint16_t two;
	uint32_t four;
	uint64_t eight;

	ROSTER_ASSERT(n == 1 || n == 2 || n == 4 || n == 8);
	if (at == NULL)
		return 0;
	switch (n) {
	case 1:
		return *at;
	case 2:
		memcpy(&two, at, sizeof(two));
		return be16toh(two);
	case 4:
		memcpy(&four, at, sizeof(four));
		return be32toh(four);
	default:
		memcpy(&eight, at, sizeof(eight));
		return be64toh(eight);
	}
}

static void wrong_value(struct snapshot_reader *r)
{
	snapshot_fail(r, ERR_SYNTAX, "a value of the wrong type or out of range");
}

uint64_t snapshot_u64(struct snapshot_reader *r, uint64_t most)
{
	uint8_t t = read_tag(r);
	uint64_t value = t;

	/* Up to 0x7f the tag is the number: keys, flags, most counts. */
	if (t <= 0x7f && t <= most)
		return t;
	/* The tags 0xcc to 0xcf are followed by 1, 2, 4 or 8 bytes. */
	if (t >= 0xcc && t <= 0xcf)
		value = read_uint(r, (size_t)1 << (t - 0xcc));
	else
		wrong_value(r);
	if (value > most)
		wrong_value(r);
	return r->err == 0 ? value : 0;
}

/* msgpack writes numbers that are not negative as unsigned. The tags of the others are 0xd0 to
 * 0xd3, followed by 1, 2, 4 or 8 bytes, and from 0xe0 on the number itself, -32 to -1. */
int64_t snapshot_i64(struct snapshot_reader *r, int64_t least, int64_t most)
{
	int64_t value = 0;
	size_t n;

	if (r->p == r->end || *r->p < 0xd0 || (*r->p > 0xd3 && *r->p < 0xe0))
		return (int64_t)snapshot_u64(r, (uint64_t)most);
	if (*r->p >= 0xe0) {
		value = (int64_t)read_tag(r) - 256;
	} else {
		n = (size_t)1 << (read_tag(r) - 0xd0);
		/* Shifting the number up and down again turns its highest bit into the sign. */
		value = (int64_t)(read_uint(r, n) << (64 - 8 * n)) >> (64 - 8 * n);
	}
	if (value < least || value > most)
		wrong_value(r);
	return r->err == 0 ? value : 0;
}

/* Reads the length of a str or bin behind this tag. Returns false when it is the tag of neither. */
static bool text_length(struct snapshot_reader *r, uint8_t t, uint64_t *n_r)
{
	/* A short text has its length in the tag; others have 1, 2 or 4 bytes of it behind the
	 * tag. */
	if ((t & 0xe0) == 0xa0)
		*n_r = t & 0x1f;
	else if (t >= 0xd9 && t <= 0xdb)
		*n_r = read_uint(r, (size_t)1 << (t - 0xd9));
	else if (t >= 0xc4 && t <= 0xc6)
		*n_r = read_uint(r, (size_t)1 << (t - 0xc4));
	else
		return false;
	return true;
}

/* Returns the bytes of a str or a bin. */
static struct str read_string(struct snapshot_reader *r, size_t most)
{
	uint64_t n = 0;
	const uint8_t *at;

	if (!text_length(r, read_tag(r), &n) || n > most)
		wrong_value(r);
	at = r->err == 0 ? read_take(r, (size_t)n) : NULL;
	return at == NULL ? str_make("", 0) : str_make((const char *)at, (size_t)n);
}

static void wrong_text(struct snapshot_reader *r)
{
	snapshot_fail(r, ERR_SYNTAX, "a text that is no UTF-8");
}

struct str snapshot_text(struct snapshot_reader *r, size_t most)
{
	struct str text = read_string(r, most);

	if (!utf8_valid(text))
		wrong_text(r);
	return r->err == 0 ? text : str_make("", 0);
}

struct str snapshot_bytes(struct snapshot_reader *r, size_t n)
{
	struct str text = read_string(r, n);

	if (text.n != n)
		wrong_value(r);
	return r->err == 0 ? text : str_make("", 0);
}

/* Reads the number of members behind the tag of an array (its first short tag is 0x90, its long one
 * 0xdc) or a map (0x80, 0xde). Returns false for another tag. */
static bool read_members(struct snapshot_reader *r, uint8_t t, uint8_t small, uint8_t large,
                         uint64_t *n_r)
{
	if ((t & 0xf0) == small)
		*n_r = t & 0x0f;
	else if (t == large || t == large + 1)
		*n_r = read_uint(r, t == large ? 2 : 4);
	else
		return false;
	return true;
}

uint64_t snapshot_array(struct snapshot_reader *r)
{
	uint64_t n = 0;

	if (!read_members(r, read_tag(r), 0x90, 0xdc, &n))
		wrong_value(r);
	return r->err == 0 ? n : 0;
}

/* Stops where shared/view/metadata.c does: at what is neither a text nor nil. */
static bool is_packed_utf8(struct str packed)
{
	const uint8_t *p = (const uint8_t *)packed.p;
	struct snapshot_reader in = {
		.window = (uint8_t *)p, .p = p, .end = p + packed.n, .eof = true
	};
	uint64_t pairs = 0;

	if (packed.n == 0 || !read_members(&in, read_tag(&in), 0x80, 0xde, &pairs))
		return true;
	for (uint64_t left = 2 * pairs; left > 0 && in.p < in.end; left--) {
		size_t n = *in.p & 0x1f;
		struct str text = { NULL, 0 };

		/* Most texts are short, and a million instances have some millions of them. */
		if ((*in.p & 0xe0) == 0xa0 && n < (size_t)(in.end - in.p)) {
			text = str_make((const char *)in.p + 1, n);
			in.p += 1 + n;
		} else if (*in.p == NIL) {
			in.p++;
		} else {
			text = read_string(&in, packed.n);
		}
		/* After an error nothing is left to read. */
		if (!utf8_valid(text))
			return false;
	}
	return true;
}

struct str snapshot_packed(struct snapshot_reader *r, size_t most)
{
	struct str packed = read_string(r, most);

	if (!is_packed_utf8(packed))
		wrong_text(r);
	return r->err == 0 ? packed : str_make("", 0);
}

void snapshot_map_begin(struct snapshot_reader *r, struct snapshot_map *map)
{
	*map = (struct snapshot_map){ .left = 0 };
	snapshot_read_fill(r);
	if (!read_members(r, read_tag(r), 0x80, 0xde, &map->left))
		wrong_value(r);
}

bool snapshot_map_next(struct snapshot_reader *r, struct snapshot_map *map, unsigned *key_r)
{
	uint64_t key;

	if (map->left == 0 || r->err != 0)
		return false;
	map->left--;
	key = snapshot_u64(r, UINT32_MAX);
	/* Keys that rise cannot come twice. */
	if (key <= map->key)
		snapshot_fail(r, ERR_SYNTAX, "keys do not rise");
	map->key = key;
	*key_r = (unsigned)key;
	return r->err == 0;
}

/* ---- skipping -------------------------------------------------------------------------------- */

/* The bytes behind the tags 0xc0 to 0xdf that are neither texts nor have members: nil, bool, ext,
 * float, integers, fixext. */
static const uint8_t fixed[32] = {
	[0xca - 0xc0] = 4, [0xcb - 0xc0] = 8, [0xcc - 0xc0] = 1,  [0xcd - 0xc0] = 2,
	[0xce - 0xc0] = 4, [0xcf - 0xc0] = 8, [0xd0 - 0xc0] = 1,  [0xd1 - 0xc0] = 2,
	[0xd2 - 0xc0] = 4, [0xd3 - 0xc0] = 8, [0xd4 - 0xc0] = 2,  [0xd5 - 0xc0] = 3,
	[0xd6 - 0xc0] = 5, [0xd7 - 0xc0] = 9, [0xd8 - 0xc0] = 17,
};

/* Skips a value without its members; returns how many values those are. */
static uint64_t skip_one(struct snapshot_reader *r)
{
	uint8_t t = read_tag(r);
	uint64_t n = 0;

	if (read_members(r, t, 0x90, 0xdc, &n))
		return n;
	if (read_members(r, t, 0x80, 0xde, &n))
		return 2 * n;
	/* An ext has one byte more, for its type. */
	if (t >= 0xc7 && t <= 0xc9)
		n = read_uint(r, (size_t)1 << (t - 0xc7)) + 1;
	else if (t == 0xc1)
		wrong_value(r);
	else if (!text_length(r, t, &n) && (t & 0xe0) == 0xc0)
		n = fixed[t - 0xc0];
	if (r->err == 0)
		(void)read_take(r, (size_t)n);
	return 0;
}

void snapshot_skip(struct snapshot_reader *r)
{
	for (uint64_t left = 1; left > 0 && r->err == 0; left--)
		left += skip_one(r);
}

void snapshot_skip_long(struct snapshot_reader *r)
{
	for (uint64_t left = 1; left > 0 && r->err == 0; left--) {
		snapshot_read_fill(r);
		left += skip_one(r);
	}
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void snapshot_read_start(struct snapshot_reader *r)
{
	snapshot_read_fill(r);
	if (!str_eq(snapshot_text(r, sizeof(SNAPSHOT_MAGIC)), STR(SNAPSHOT_MAGIC))) {
		if (r->err == 0 || r->err == ERR_SYNTAX)
			r->err = 0;
		snapshot_fail(r, ERR_SYNTAX, "not a snapshot of a registry");
	}
	if (snapshot_u64(r, UINT64_MAX) > SNAPSHOT_VERSION)
		snapshot_fail(r, ERR_RANGE, "made by a later version");
}

void snapshot_read_checksum(struct snapshot_reader *r)
{
	snapshot_read_fill(r);
	hash_to_here(r);
	if (r->err == 0 && snapshot_u64(r, UINT64_MAX) != XXH3_64bits_digest(r->hash))
		snapshot_fail(r, ERR_SYNTAX, "the checksum is wrong");
	snapshot_read_fill(r);
	if (r->p != r->end)
		snapshot_fail(r, ERR_SYNTAX, "something follows the end");
}

/* Goes through the stream as fast as it can be read, up to the checksum. */
static void hash_to_checksum(struct snapshot_reader *r)
{
	while (r->err == 0) {
		snapshot_read_fill(r);
		if (r->eof || r->err != 0)
			break;
		/* The last bytes that are there may be the checksum, which is not hashed. */
		r->p = r->end - CHECKSUM_BYTES;
	}
	if ((size_t)(r->end - r->p) < CHECKSUM_BYTES)
		snapshot_fail(r, ERR_SYNTAX, "cut off");
	else
		r->p = r->end - CHECKSUM_BYTES;
}

int snapshot_verify(int fd, struct snapshot_report *report_r)
{
	struct snapshot_reader r;
	int ret = snapshot_reader_open(&r, fd);

	*report_r = (struct snapshot_report){ .bytes = 0 };
	if (ret < 0)
		return ret;
	snapshot_read_start(&r);
	hash_to_checksum(&r);
	snapshot_read_checksum(&r);
	report_r->bytes = snapshot_read_bytes(&r);
	if (r.err != 0)
		snprintf(report_r->why, sizeof(report_r->why), "%s", r.why);
	snapshot_reader_close(&r);
	return r.err;
}
