/* SPDX-License-Identifier: Apache-2.0 */
/* The strict reader of snapshots: values of every type and width, what is refused, what is
 * skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "shared/registry/snapshot_internal.h"

#define BEHIND 42 /* the number behind what is read */

static void open_bytes(struct snapshot_reader *r, const void *bytes, size_t n)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(snapshot_reader_open(r, fd), 0);
	snapshot_read_fill(r);
}

static void close_bytes(struct snapshot_reader *r)
{
	close(r->fd);
	snapshot_reader_close(r);
}

/* ---- skipping -------------------------------------------------------------------------------- */

/* Texts, extensions, arrays and maps whose tag is followed by their length, of so many bytes;
 * `extra` bytes stand before the content. */
static const struct {
	uint8_t tag, width, extra, size;
} lengths[] = {
	{ 0xc4, 1, 0, 1 }, { 0xc5, 2, 0, 1 }, { 0xc6, 4, 0, 1 }, /* bin */
	{ 0xc7, 1, 1, 1 }, { 0xc8, 2, 1, 1 }, { 0xc9, 4, 1, 1 }, /* ext */
	{ 0xd9, 1, 0, 1 }, { 0xda, 2, 0, 1 }, { 0xdb, 4, 0, 1 }, /* str */
	{ 0xdc, 2, 0, 1 }, { 0xdd, 4, 0, 1 },                    /* array */
	{ 0xde, 2, 0, 2 }, { 0xdf, 4, 0, 2 },                    /* map */
};

/* Bytes behind the tags from 0xca on that say by themselves how many there are: float 32 and 64,
 * uint and int 8 to 64, fixext 1 to 16. */
static const uint8_t widths[] = { 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17 };

/* Writes a value of that tag among zeros, which are the members too; of three members or bytes
 * where the tag leaves it open. Returns the length of the value. */
static size_t put_value(uint8_t tag, uint8_t *out)
{
	*out = tag;
	for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
		if (lengths[n].tag != tag)
			continue;
		out[lengths[n].width] = 3;
		return 1U + lengths[n].width + lengths[n].extra + 3U * lengths[n].size;
	}
	if (tag >= 0x80 && tag < 0x90)
		return 1 + 2 * (tag & 0x0fU);
	if (tag >= 0x90 && tag < 0xa0)
		return 1 + (tag & 0x0fU);
	if (tag >= 0xa0 && tag < 0xc0)
		return 1 + (tag & 0x1fU);
	return tag >= 0xca && tag < 0xca + sizeof(widths) ? 1U + widths[tag - 0xca] : 1;
}

static void assert_skipped(uint8_t tag, const uint8_t *bytes, size_t n,
                           void (*skip_value)(struct snapshot_reader *r))
{
	struct snapshot_reader r;
	uint64_t behind;

	open_bytes(&r, bytes, n);
	skip_value(&r);
	behind = snapshot_u64(&r, UINT64_MAX);
	if (r.err != (tag == 0xc1 ? ERR_SYNTAX : 0) || (r.err == 0 && behind != BEHIND))
		fail_msg("tag 0x%x: %d, %d behind it", tag, r.err, (int)behind);
	close_bytes(&r);
}

/* Alone, and as the first of three members. */
static void values_of_every_type_are_skipped(void **state)
{
	(void)state;
	for (unsigned tag = 0; tag < 256; tag++) {
		uint8_t alone[100] = { 0 }, member[100] = { 0x93 };
		size_t n = put_value((uint8_t)tag, alone);

		alone[n] = BEHIND;
		assert_skipped((uint8_t)tag, alone, n + 1, snapshot_skip);
		assert_skipped((uint8_t)tag, alone, n + 1, snapshot_skip_long);
		n = 1 + put_value((uint8_t)tag, member + 1);
		member[n + 2] = BEHIND;
		assert_skipped((uint8_t)tag, member, n + 3, snapshot_skip);
	}
}

/* ---- numbers, texts -------------------------------------------------------------------------- */

#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *bytes;
	size_t n;
	bool good;
	int64_t number;
} numbers[] = {
	{ BYTES("\x00"), true, 0 },
	{ BYTES("\x7f"), true, 127 },
	{ BYTES("\x80"), false, 0 },
	{ BYTES("\x93\1\1\1"), false, 0 },
	{ BYTES("\xa1\1"), false, 0 },
	{ BYTES("\xc0"), false, 0 },
	{ BYTES("\xcb\1\1\1\1\1\1\1\1"), false, 0 },
	{ BYTES("\xcc\xff"), true, 255 },
	{ BYTES("\xcd\xff\xfe"), true, 65534 },
	{ BYTES("\xce\x01\2\3\4"), true, 0x1020304 },
	{ BYTES("\xcf\0\0\0\0\x01\2\3\4"), true, 0x1020304 },
	{ BYTES("\xd4\1\1"), false, 0 },
	{ BYTES("\xdf\0\0\0\0"), false, 0 },
};

static const struct {
	const char *bytes;
	size_t n;
	bool good;
	int64_t number;
} negative[] = {
	{ BYTES("\xd0\xff"), true, -1 },
	{ BYTES("\xd0\x7f"), true, 127 },
	{ BYTES("\xd1\xff\x7f"), true, -129 },
	{ BYTES("\xd2\xff\xff\x7f\xff"), true, -32769 },
	{ BYTES("\xd3\xff\xff\xff\xff\xff\xff\xff\xfe"), true, -2 },
	{ BYTES("\xe0"), true, -32 },
	{ BYTES("\xff"), true, -1 },
	{ BYTES("\xdf\0\0\0\0"), false, 0 },
};

static void numbers_of_each_width(void **state)
{
	struct snapshot_reader r;

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		open_bytes(&r, numbers[i].bytes, numbers[i].n);
		assert_int_equal(snapshot_u64(&r, UINT64_MAX), numbers[i].number);
		assert_int_equal(r.err, numbers[i].good ? 0 : ERR_SYNTAX);
		close_bytes(&r);
		open_bytes(&r, numbers[i].bytes, numbers[i].n);
		assert_int_equal(snapshot_i64(&r, INT64_MIN, INT64_MAX), numbers[i].number);
		assert_int_equal(r.err, numbers[i].good ? 0 : ERR_SYNTAX);
		close_bytes(&r);
	}
	for (size_t i = 0; i < sizeof(negative) / sizeof(negative[0]); i++) {
		open_bytes(&r, negative[i].bytes, negative[i].n);
		assert_int_equal(snapshot_i64(&r, INT64_MIN, INT64_MAX), negative[i].number);
		assert_int_equal(r.err, negative[i].good ? 0 : ERR_SYNTAX);
		close_bytes(&r);
		open_bytes(&r, negative[i].bytes, negative[i].n);
		assert_int_equal(snapshot_u64(&r, UINT64_MAX), 0);
		assert_int_equal(r.err, ERR_SYNTAX);
		close_bytes(&r);
	}
}

static void numbers_within_their_bounds(void **state)
{
	static const int64_t rows[][4] = {
		/* least, most, number, good */
		{ 0, 100, 100, true },   { 0, 100, 101, false }, { -5, 100, 100, true },
		{ -5, 100, 101, false }, { -5, 100, -5, true },  { -5, 100, -6, false },
		{ -5, -3, -3, true },    { -5, -3, -2, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t byte = (uint8_t)rows[i][2];
		struct snapshot_reader r;

		open_bytes(&r, &byte, 1);
		assert_int_equal(snapshot_i64(&r, rows[i][0], rows[i][1]),
		                 rows[i][3] ? rows[i][2] : 0);
		assert_int_equal(r.err, rows[i][3] ? 0 : ERR_SYNTAX);
		close_bytes(&r);
		if (rows[i][0] < 0)
			continue;
		open_bytes(&r, &byte, 1);
		assert_int_equal(snapshot_u64(&r, (uint64_t)rows[i][1]),
		                 rows[i][3] ? rows[i][2] : 0);
		assert_int_equal(r.err, rows[i][3] ? 0 : ERR_SYNTAX);
		close_bytes(&r);
	}
}

static void texts_of_each_width(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		size_t most;
		int ret;
	} rows[] = {
		{ BYTES("\xa2no*"), 2, 0 },
		{ BYTES("\xa2no*"), 1, ERR_SYNTAX },
		{ BYTES("\xd9\2no*"), 2, 0 },
		{ BYTES("\xda\0\2no*"), 2, 0 },
		{ BYTES("\xdb\0\0\0\2no*"), 2, 0 },
		{ BYTES("\xc4\2no*"), 2, 0 },
		{ BYTES("\xc5\0\2no*"), 2, 0 },
		{ BYTES("\xc6\0\0\0\2no*"), 2, 0 },
		{ BYTES("\xc6\0\0\0\2no*"), 1, ERR_SYNTAX },
		{ BYTES("\xc7\2\1no*"), 9, ERR_SYNTAX },
		{ BYTES("\xd8no*"), 9, ERR_SYNTAX },
		{ BYTES("\xdc\0\2no*"), 9, ERR_SYNTAX },
		{ BYTES("\xc3"), 9, ERR_SYNTAX },
		{ BYTES("\x02no*"), 9, ERR_SYNTAX },
		{ BYTES("\xa3no"), 9, ERR_SYNTAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct snapshot_reader r;
		struct str text;

		open_bytes(&r, rows[i].bytes, rows[i].n);
		text = snapshot_text(&r, rows[i].most);
		assert_true(str_eq(text, rows[i].ret == 0 ? STR("no") : STR("")));
		assert_int_equal(r.err, rows[i].ret);
		if (r.err == 0)
			assert_int_equal(snapshot_u64(&r, UINT64_MAX), BEHIND);
		close_bytes(&r);
	}
}

/* ---- members --------------------------------------------------------------------------------- */

static void members_of_each_width(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		uint64_t array, pairs; /* 0: refused */
	} rows[] = {
		{ BYTES("\x92"), 2, 0 },           { BYTES("\xdc\1\2"), 258, 0 },
		{ BYTES("\xdd\0\0\1\2"), 258, 0 }, { BYTES("\x82"), 0, 2 },
		{ BYTES("\xde\1\2"), 0, 258 },     { BYTES("\xdf\0\0\1\2"), 0, 258 },
		{ BYTES("\xa2no"), 0, 0 },         { BYTES("\xdb\0\0\0\0"), 0, 0 },
		{ BYTES("\xe0"), 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct snapshot_reader r;
		struct snapshot_map map;

		open_bytes(&r, rows[i].bytes, rows[i].n);
		assert_int_equal(snapshot_array(&r), rows[i].array);
		assert_int_equal(r.err, rows[i].array != 0 ? 0 : ERR_SYNTAX);
		close_bytes(&r);
		open_bytes(&r, rows[i].bytes, rows[i].n);
		snapshot_map_begin(&r, &map);
		assert_int_equal(map.left, rows[i].pairs);
		assert_int_equal(r.err, rows[i].pairs != 0 ? 0 : ERR_SYNTAX);
		close_bytes(&r);
	}
}

/* The number of keys that are read before the map ends or fails. */
static unsigned count_keys(const char *bytes, size_t n, int *err_r)
{
	struct snapshot_reader r;
	struct snapshot_map map;
	unsigned key, count = 0;

	open_bytes(&r, bytes, n);
	snapshot_map_begin(&r, &map);
	for (; snapshot_map_next(&r, &map, &key); count++)
		snapshot_skip(&r);
	*err_r = r.err;
	close_bytes(&r);
	return count;
}

static void keys_rise(void **state)
{
	int err;

	(void)state;
	assert_int_equal(count_keys(BYTES("\x83\1\0\2\0\xcd\1\0\0"), &err), 3);
	assert_int_equal(err, 0);
	assert_int_equal(count_keys(BYTES("\x83\1\0\3\0\3\0"), &err), 2);
	assert_int_equal(err, ERR_SYNTAX);
	assert_int_equal(count_keys(BYTES("\x83\1\0\3\0\2\0"), &err), 2);
	assert_int_equal(err, ERR_SYNTAX);
	assert_int_equal(count_keys(BYTES("\x81\0\0"), &err), 0);
	assert_int_equal(err, ERR_SYNTAX);
	assert_int_equal(count_keys(BYTES("\x81\xcf\0\0\0\1\0\0\0\1\0"), &err), 0);
	assert_int_equal(err, ERR_SYNTAX);
	assert_int_equal(count_keys(BYTES("\x80\1\0"), &err), 0);
	assert_int_equal(err, 0);
}

/* ---- the window ------------------------------------------------------------------------------ */

/* A stream of maps of one text each, much longer than what is kept of it in memory. */
static void maps_and_skips_go_on_behind_the_window(void **state)
{
	enum { MAPS = 40, TEXT = 300000, HEAD = 7, ALL = MAPS * (HEAD + TEXT) };
	static char bytes[3 + ALL + 1];
	struct snapshot_reader r;
	struct snapshot_map map;
	unsigned key;

	(void)state;
	memcpy(bytes, "\xdc\0\x28", 3);
	memset(bytes + 3, 'x', ALL);
	for (size_t n = 0; n < MAPS; n++)
		memcpy(bytes + 3 + n * (HEAD + TEXT), "\x81\1\xc6\0\4\x93\xe0", HEAD);
	bytes[3 + ALL] = BEHIND;
	open_bytes(&r, bytes, sizeof(bytes));
	assert_int_equal(snapshot_array(&r), MAPS);
	for (size_t n = 0; n < MAPS; n++) {
		snapshot_map_begin(&r, &map);
		assert_true(snapshot_map_next(&r, &map, &key));
		assert_int_equal(snapshot_text(&r, TEXT).n, TEXT);
		assert_false(snapshot_map_next(&r, &map, &key));
	}
	assert_int_equal(snapshot_u64(&r, UINT64_MAX), BEHIND);
	assert_int_equal(snapshot_read_bytes(&r), sizeof(bytes));
	assert_int_equal(r.err, 0);
	close_bytes(&r);
	open_bytes(&r, bytes, sizeof(bytes));
	snapshot_skip_long(&r);
	assert_int_equal(snapshot_u64(&r, UINT64_MAX), BEHIND);
	assert_int_equal(r.err, 0);
	close_bytes(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_every_type_are_skipped),
		cmocka_unit_test(numbers_of_each_width),
		cmocka_unit_test(numbers_within_their_bounds),
		cmocka_unit_test(texts_of_each_width),
		cmocka_unit_test(members_of_each_width),
		cmocka_unit_test(keys_rise),
		cmocka_unit_test(maps_and_skips_go_on_behind_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
