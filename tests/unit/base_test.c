/* SPDX-License-Identifier: Apache-2.0 */
/* arena, buf, str, log: the tools everything else stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "shared/base/arena.h"
#include "shared/base/buf.h"
#include "shared/base/clock.h"
#include "shared/base/cursor.h"
#include "shared/base/decimal.h"
#include "shared/base/discard.h"
#include "shared/base/log.h"
#include "shared/base/split.h"
#include "shared/base/utf8.h"
#include "tests/unit/death_fixture.h"

static void arena_grows_and_resets(void **state)
{
	struct arena arena;
	char *first, *p;

	(void)state;
	arena_init(&arena, 0);
	first = arena_alloc(&arena, 10);
	assert_non_null(first);
	for (int i = 0; i < 1000; i++) {
		p = arena_alloc(&arena, 100);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		memset(p, i & 0xff, 100);
	}
	assert_true(arena.total >= 100000);
	arena_reset(&arena);
	assert_ptr_equal(arena_alloc(&arena, 10), first);
	arena_free(&arena);
}

static void arena_keeps_its_limit(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena, 1000);
	assert_non_null(arena_alloc(&arena, 900));
	assert_null(arena_alloc(&arena, 200));
	assert_null(arena_alloc(&arena, SIZE_MAX));
	assert_null(arena_copy(&arena, str_make("x", 500)).p);
	arena_free(&arena);
}

static void buf_writes_numbers_and_text(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	BUF_LIT(&b, "a=");
	buf_u64(&b, UINT64_MAX);
	buf_char(&b, ' ');
	buf_i64(&b, INT64_MIN);
	buf_printf(&b, " %s:%d", "x", 5);
	assert_true(str_eq(buf_view(&b), STR("a=18446744073709551615 -9223372036854775808 x:5")));
	buf_reset(&b);
	assert_false(buf_reserve(&b, SIZE_MAX));
	assert_true(buf_failed(&b));
	BUF_LIT(&b, "ignored");
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void decimals_of_each_length(void **state)
{
	char text[DECIMAL_TEXT], expected[32];

	(void)state;
	for (uint64_t power = 1, i = 0; i < DECIMAL_TEXT; i++, power *= 10) {
		const uint64_t values[] = { power - 1, power, power + 1, UINT64_MAX / power };

		for (size_t n = 0; n < sizeof(values) / sizeof(values[0]); n++) {
			snprintf(expected, sizeof(expected), "%llu", (unsigned long long)values[n]);
			assert_true(str_eq(str_make(text,
			                            (size_t)(decimal_put(text, values[n]) - text)),
			                   str_of(expected)));
		}
	}
}

/* Its room may be filled to the last byte, and what is too much is not written at all. */
static void a_cursor_keeps_to_its_room(void **state)
{
	char room[3 + DECIMAL_TEXT + 1];
	struct cursor c = cursor_over(room, sizeof(room) - 1);
	struct death death;

	(void)state;
	room[sizeof(room) - 1] = '!';
	cursor_put(&c, (struct str){ NULL, 0 });
	CURSOR_LIT(&c, "abc");
	cursor_decimal(&c, UINT64_MAX);
	assert_true(str_eq(cursor_text(&c), STR("abc18446744073709551615")));
	cursor_put(&c, STR(""));
	if (death_fork(&death)) {
		CURSOR_LIT(&c, "!");
		_exit(0);
	}
	death_was_by_assert(&death, "assert s.n <= ");
	c = cursor_over(room, DECIMAL_TEXT - 1);
	if (death_fork(&death)) {
		cursor_decimal(&c, 7);
		_exit(0);
	}
	death_was_by_assert(&death, "assert DECIMAL_TEXT <= ");
	assert_int_equal(room[sizeof(room) - 1], '!');
}

static void str_trims_like_java(void **state)
{
	(void)state;
	assert_true(str_eq(str_trim(STR("\t a b \n")), STR("a b")));
	assert_true(str_is_blank(STR(" \001 ")));
	assert_false(str_is_blank(STR("\xc2\xa0")));
	assert_true(str_ieq(STR("TrUe"), STR("true")));
	assert_true(str_starts(STR("Nacos-Java-Client:v1"), STR("Nacos-Java-Client")));
	assert_false(str_starts(STR("Nac"), STR("Nacos")));
}

/* Two, three and four bytes, cut at every place: what is left is well-formed, and as long as it can
 * be. */
static void texts_are_cut_between_characters(void **state)
{
	static const struct {
		const char *text;
		size_t most, kept;
	} rows[] = {
		{ "abc", 3, 3 },
		{ "abc", 2, 2 },
		{ "", 0, 0 },
		{ "a\xc3\xa9", 3, 3 },
		{ "a\xc3\xa9", 2, 1 },
		{ "\xe4\xb8\x96\xe4\xb8\x96", 6, 6 },
		{ "\xe4\xb8\x96\xe4\xb8\x96", 5, 3 },
		{ "\xe4\xb8\x96\xe4\xb8\x96", 4, 3 },
		{ "\xe4\xb8\x96\xe4\xb8\x96", 3, 3 },
		{ "\xe4\xb8\x96", 2, 0 },
		{ "\xf0\x9f\x98\x80z", 4, 4 },
		{ "\xf0\x9f\x98\x80z", 3, 0 },
		{ "x\xf0\x9f\x98\x80", 4, 1 },
		{ "\x80\x80\x80\x80\x80", 4, 4 }, /* none to begin with: nothing to be saved */
	};
	char text[8];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(str_cut(str_of(rows[i].text), rows[i].most).n, rows[i].kept);
	assert_int_equal(str_whole((struct str){ NULL, 0 }).n, 0);
	memcpy(text, "abcde\xe4\xb8", 8);
	str_end_whole(text);
	assert_string_equal(text, "abcde");
}

/* Whatever stands where a long line ends. */
static void log_lines_are_cut_between_characters(void **state)
{
	char path[] = "/tmp/roster-log-XXXXXX", line[4096], text[4096];
	int fd = mkstemp(path);
	FILE *f;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(log_open(path, LOG_LEVEL_INFO), 0);
	for (size_t i = 0; i + 4 < sizeof(text); i += 4)
		memcpy(text + i, "\xf0\x9f\x98\x80", 5);
	for (int i = 0; i < 4; i++)
		log_info("%.*s%s", i, "abc", text);
	assert_int_equal(log_open("", LOG_LEVEL_INFO), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	for (int i = 0; i < 4; i++) {
		assert_non_null(fgets(line, sizeof(line), f));
		assert_true(strlen(line) > 2000);
		assert_true(utf8_valid(str_of(line)));
	}
	fclose(f);
	unlink(path);
}

static void log_writes_whole_lines(void **state)
{
	char path[] = "/tmp/roster-log-XXXXXX", line[4096] = "", quoted[64];
	int fd = mkstemp(path);
	FILE *f;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(log_open(path, LOG_LEVEL_INFO), 0);
	log_set_process("worker/3");
	log_debug("op=hidden");
	log_info("op=shown name=%s", log_quote(STR("a\"\n"), quoted, sizeof(quoted)));
	assert_int_equal(log_open("/nonexistent/folder/log", LOG_LEVEL_INFO), ERR_IO);
	assert_int_equal(log_reopen(), 0);
	assert_int_equal(log_open("/dev/null", LOG_LEVEL_INFO), ERR_RANGE);
	assert_int_equal(log_open("/dev/stderr", LOG_LEVEL_INFO), 0);
	assert_int_equal(log_open("", LOG_LEVEL_INFO), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_non_null(strstr(line, "info worker/3["));
	assert_non_null(strstr(line, "op=shown name=\"a\\x22\\x0a\"\n"));
	assert_null(fgets(line, sizeof(line), f));
	fclose(f);
	unlink(path);
}

/* A terminal obeys none of it, and a reader that expects UTF-8 gets nothing else. */
static void log_quotes_what_clients_say(void **state)
{
	char quoted[64];

	(void)state;
	assert_string_equal(log_quote(STR("\x1b[31m"), quoted, sizeof(quoted)), "\"\\x1b[31m\"");
	assert_string_equal(log_quote(STR("\xc2\x9b"
	                                  "31m"),
	                              quoted, sizeof(quoted)),
	                    "\"\\xc2\\x9b31m\"");
	assert_string_equal(log_quote(STR("a\xc2\x85"), quoted, sizeof(quoted)), "\"a\\xc2\\x85\"");
	assert_string_equal(log_quote(STR("\xc2\xa7\xe4\xb8\x96"), quoted, sizeof(quoted)),
	                    "\"\xc2\xa7\xe4\xb8\x96\"");
	for (size_t size = 10; size < 16; size++) {
		log_quote(STR("a\xe4\xb8\x96\xf0\x9f\x98\x80\xe4\xb8\x96\xe4\xb8\x96"), quoted,
		          size);
		assert_true(utf8_valid(str_of(quoted)));
		assert_true(strlen(quoted) < size);
	}
	/* Cut by somebody else before. */
	assert_string_equal(log_quote(STR("a\xe4\xb8"), quoted, sizeof(quoted)), "\"a\"");
}

static void clock_can_be_set(void **state)
{
	(void)state;
	clock_set_for_test(5000, 7000);
	assert_int_equal(clock_mono_ms(), 5);
	assert_int_equal(clock_wall_us(), 7000);
	clock_set_for_test(0, 0);
	assert_true(clock_wall_ms() > 1600000000000ULL);
}

static void on_wake(void *arg)
{
	++*(unsigned *)arg;
}

/* Of two large blocks a piece at a time; a short one, and all when nobody wakes, at once. */
static void discard_gives_back_in_pieces(void **state)
{
	const size_t bytes = 20U * DISCARD_PIECE_BYTES;
	unsigned woken = 0, steps = 0;

	(void)state;
	discard(malloc(bytes), bytes);
	assert_false(discard_is_pending());
	discard_on(on_wake, &woken);
	discard(NULL, bytes);
	discard(malloc(1000), 1000);
	assert_false(discard_is_pending());
	discard(malloc(bytes), bytes);
	discard(malloc(bytes), bytes);
	assert_int_equal(woken, 1);
	for (; discard_is_pending(); steps++)
		discard_step();
	assert_in_range(steps, 2 * 18, 2 * 20);
	discard_step();
	/* Of much that is left more at a time; the oldest first, so that the last one is the
	 * last. */
	for (unsigned i = 0; i < 20; i++)
		discard(malloc(bytes), bytes);
	assert_int_equal(woken, 2);
	for (steps = 0; discard_is_pending(); steps++)
		discard_step();
	assert_in_range(steps, 32, 200);
	discard(malloc(bytes), bytes);
	assert_int_equal(woken, 3);
	discard_off();
	discard_on(NULL, NULL);
	discard(malloc(bytes), bytes);
	assert_true(discard_is_pending());
	discard_off();
	assert_false(discard_is_pending());
}

/* From 1 to 1,000 buckets: a hash is in a bucket that there is, and goes only from the one that is
 * divided to the new one. */
static void split_moves_one_bucket(void **state)
{
	uint32_t places[4096], moved = 0;

	(void)state;
	for (uint32_t i = 0; i < 4096; i++)
		places[i] = split_place(i * 2654435761U, 1);
	for (uint32_t buckets = 1; buckets < 1000; buckets++) {
		uint32_t from = split_next(buckets);

		assert_in_range(from, 0, buckets - 1);
		for (uint32_t i = 0; i < 4096; i++) {
			uint32_t place = split_place(i * 2654435761U, buckets + 1);

			assert_true(place == places[i] || (places[i] == from && place == buckets));
			moved += place != places[i];
			places[i] = place;
		}
	}
	assert_in_range(moved, 4096, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_grows_and_resets),
		cmocka_unit_test(arena_keeps_its_limit),
		cmocka_unit_test(buf_writes_numbers_and_text),
		cmocka_unit_test(decimals_of_each_length),
		cmocka_unit_test(a_cursor_keeps_to_its_room),
		cmocka_unit_test(str_trims_like_java),
		cmocka_unit_test(texts_are_cut_between_characters),
		cmocka_unit_test(log_writes_whole_lines),
		cmocka_unit_test(log_lines_are_cut_between_characters),
		cmocka_unit_test(log_quotes_what_clients_say),
		cmocka_unit_test(clock_can_be_set),
		cmocka_unit_test(discard_gives_back_in_pieces),
		cmocka_unit_test(split_moves_one_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
