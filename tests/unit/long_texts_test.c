/* SPDX-License-Identifier: Apache-2.0 */
/* Long texts are read in pieces: each reader pauses often enough, says the same as without pauses,
 * and gives up when nobody waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "shared/base/fiber.h"
#include "shared/base/utf8.h"
#include "shared/codec/charset.h"
#include "shared/codec/json_read.h"
#include "shared/codec/url.h"
#include "shared/view/metadata.h"

#define BYTES 1000000U
#define PIECE \
	65536U /* the most that any of them reads between two pauses, of what is quickly read */

/* One reading: of what, by whom, and what came out. */
struct reading {
	int (*read)(struct reading *reading);
	struct arena arena;
	struct str text, out;
	struct url_param params[4];
	unsigned items;
	int ret;
};

/* ---- readers --------------------------------------------------------------------------------- */

static int read_form(struct reading *r)
{
	int count = url_form(&r->arena, r->text, r->params, 4);

	r->out = count > 0 ? r->params[count - 1].value : STR("");
	return count;
}

static int read_escapes(struct reading *r)
{
	return url_decode(&r->arena, r->text, true, &r->out);
}

static int read_utf8(struct reading *r)
{
	return utf8_repair(&r->arena, r->text, &r->out);
}

static int read_gbk(struct reading *r)
{
	return charset_decode(&r->arena, charset_find(STR("GBK")), r->text, &r->out);
}

static const char *on_item(void *arg, const struct json_item *item)
{
	struct reading *r = arg;

	r->items++;
	r->out = item->text;
	return NULL;
}

static int read_json(struct reading *r)
{
	struct json_limits limits = { .depth = 4, .keys = UINT32_MAX };

	return json_read(&r->arena, r->text, limits, on_item, r, NULL, 0);
}

static int read_metadata(struct reading *r)
{
	struct instance_metadata metadata;
	int ret = metadata_parse(&r->arena, r->text, &metadata);

	r->out = metadata.packed;
	return ret;
}

static const struct row {
	const char *what;
	int (*read)(struct reading *reading);
	const char *head, *middle, *tail;
	int ret;
} rows[] = {
	{ "form, letters", read_form, "a=b&c=", "x", "", 2 },
	{ "form, escapes", read_form, "a=b&c=", "%41+", "&d=%", 3 },
	{ "form, separators", read_form, "a=b", "&", "c=d", 2 },
	{ "form, nameless", read_form, "a=b", "&=&", "c=d", 2 },
	{ "escapes", read_escapes, "%", "41%", "42", 0 },
	{ "escapes, broken at the end", read_escapes, "", "%41", "%4", ERR_SYNTAX },
	{ "UTF-8", read_utf8, "a", "\xe2\x82\xac", "b", 0 },
	{ "broken UTF-8", read_utf8, "a", "\xff", "b", 0 },
	{ "cut UTF-8", read_utf8, "a", "\xe2\x82", "b", 0 },
	{ "GBK", read_gbk, "a", "\xd6\xd0", "b", 0 },
	{ "broken GBK", read_gbk, "a", "\xff", "b", 0 },
	{ "GBK, cut at the end", read_gbk, "a", "\xd6\xd0", "\xd6", 0 },
	{ "JSON, members", read_json, "{\"a\":1", ",\"b\":\"x\\u0041\"", "}", 0 },
	{ "JSON, half pairs", read_json, "[\"\"", ",\"\\ud800\"", "]", 0 },
	{ "JSON, numbers", read_json, "[1", ",1234567", ",-3.25e7]", 0 },
	{ "JSON, one that ends early", read_json, "{\"a\":1}", "x", "", 0 },
	{ "JSON, without an end", read_json, "[1", ",2", "", ERR_SYNTAX },
	{ "JSON, a long text", read_json, "{\"a\":\"", "x", "\"}", ERR_TOO_BIG },
	{ "JSON, a long escaped text", read_json, "{\"a\":\"", "\\u0041", "\"}", ERR_TOO_BIG },
	{ "JSON, a long blank", read_json, "{\"a\":", " ", "1}", ERR_TOO_BIG },
	{ "metadata, one key again and again", read_metadata, "a=1", ",a=2", "",
	  ERR_SYNTAX }, /* over a thousand pairs */
	{ "metadata, a long value", read_metadata, "a=", "x", "", 0 },
	{ "metadata, a long text", read_metadata, "{\"a\":\"", "x", "\"}", ERR_TOO_BIG },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static struct str make(const struct row *row)
{
	size_t head = strlen(row->head), middle = strlen(row->middle), tail = strlen(row->tail), n;
	char *text = malloc(head + BYTES + tail + 1);

	memcpy(text, row->head, head);
	for (n = head; n + middle <= BYTES; n += middle)
		memcpy(text + n, row->middle, middle);
	memcpy(text + n, row->tail, tail);
	return str_make(text, n + tail);
}

static void run(void *arg)
{
	struct reading *r = arg;

	r->ret = r->read(r);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void pieces_are_the_same_as_the_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct reading whole = { .read = rows[i].read, .text = make(&rows[i]) },
		               pieces = whole;
		struct fiber *fiber = fiber_new(run, &pieces);
		unsigned pauses = 0;

		arena_init(&whole.arena, 0);
		arena_init(&pieces.arena, 0);
		run(&whole);
		while (!fiber_run(fiber, 0, false))
			pauses++;
		if (whole.ret != rows[i].ret || pieces.ret != whole.ret)
			fail_msg("%s: %d and %d, not %d", rows[i].what, whole.ret, pieces.ret,
			         rows[i].ret);
		assert_int_equal(pieces.items, whole.items);
		if (whole.ret >= 0)
			assert_int_equal(pieces.out.n, whole.out.n);
		if (whole.ret >= 0 && whole.out.n > 0)
			assert_memory_equal(pieces.out.p, whole.out.p, whole.out.n);
		if (pauses < (whole.ret == ERR_TOO_BIG ? JSON_TEXT_MAX : BYTES) / PIECE - 1)
			fail_msg("%s: only %u pauses", rows[i].what, pauses);
		arena_free(&whole.arena);
		arena_free(&pieces.arena);
		free((char *)whole.text.p);
	}
}

static void nobody_waits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct reading r = { .read = rows[i].read, .text = make(&rows[i]) };
		struct fiber *fiber = fiber_new(run, &r);

		arena_init(&r.arena, 0);
		assert_false(fiber_run(fiber, 0, false));
		while (!fiber_run(fiber, 60000000, true))
			continue;
		if (r.ret != ERR_GONE)
			fail_msg("%s: %d", rows[i].what, r.ret);
		arena_free(&r.arena);
		free((char *)r.text.p);
	}
}

/* Two that read in turns with one converter do not disturb each other. */
static void one_converter_serves_two(void **state)
{
	struct reading a = { .read = read_gbk, .text = make(&rows[9]) },
	               b = { .read = read_gbk, .text = make(&rows[10]) };
	struct reading alone[2] = { a, b };
	struct fiber *first = fiber_new(run, &a), *second = fiber_new(run, &b);
	bool first_over = false, second_over = false;

	(void)state;
	assert_string_equal(rows[9].what, "GBK");
	while (!first_over || !second_over) {
		first_over = first_over || fiber_run(first, 0, false);
		second_over = second_over || fiber_run(second, 0, false);
	}
	run(&alone[0]);
	run(&alone[1]);
	assert_int_equal(a.out.n, alone[0].out.n);
	assert_memory_equal(a.out.p, alone[0].out.p, a.out.n);
	assert_int_equal(b.out.n, alone[1].out.n);
	assert_memory_equal(b.out.p, alone[1].out.p, b.out.n);
	arena_free(&a.arena);
	arena_free(&b.arena);
	arena_free(&alone[0].arena);
	arena_free(&alone[1].arena);
	free((char *)a.text.p);
	free((char *)b.text.p);
	fiber_free_spare();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_the_same_as_the_whole),
		cmocka_unit_test(nobody_waits),
		cmocka_unit_test(one_converter_serves_two),
	};

	charset_load();
	return cmocka_run_group_tests_name("long_texts", tests, NULL, NULL);
}
