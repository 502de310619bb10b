/* SPDX-License-Identifier: Apache-2.0 */
/* metadata: the recorded forms, reserved keys, packed form and its corruption. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shared/view/metadata.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct arena arena;

static void assert_json(struct str packed, const char *expected)
{
	struct buf b;

	buf_init(&b);
	metadata_json(&b, packed);
	buf_char(&b, '\0');
	assert_false(buf_failed(&b));
	assert_string_equal(b.data, expected);
	buf_free(&b);
}

static struct instance_metadata parse(const char *text)
{
	struct instance_metadata metadata;

	if (metadata_parse(&arena, str_of(text), &metadata) != 0)
		fail_msg("refused: %s", text);
	return metadata;
}

static void accepted(void **state)
{
	static const struct {
		const char *text, *json;
	} rows[] = {
		{ "", "{}" },
		{ " \t", "{}" },
		{ "{}", "{}" },
		{ "null", "{}" },
		{ ",", "{}" },
		{ ",,", "{}" },
		{ "{\"a\":\"1\",\"b\":\"two\"}", "{\"a\":\"1\",\"b\":\"two\"}" },
		{ "{\"z\":\"1\",\"a\":\"2\"}", "{\"z\":\"1\",\"a\":\"2\"}" },
		{ "{\"n\":1,\"f\":1.50,\"b\":true,\"z\":null}",
		  "{\"n\":\"1\",\"f\":\"1.50\",\"b\":\"true\"}" },
		{ "{\"e\":1e3,\"big\":123456789012345678901234567890,\"m\":-0,\"f\":false}",
		  "{\"e\":\"1e3\",\"big\":\"123456789012345678901234567890\",\"m\":\"-0\",\"f\":\"false\"}" },
		{ "{\"a\":\"1\"} tail", "{\"a\":\"1\"}" },
		{ "{\"k\":\"1\",\"o\":\"x\",\"k\":\"2\"}", "{\"k\":\"2\",\"o\":\"x\"}" },
		{ "{\"k\":\"1\",\"k\":null}", "{}" },
		{ "{\"城市\":\"上海\",\"emoji\":\"😀\"}", "{\"城市\":\"上海\",\"emoji\":\"😀\"}" },
		{ "{\"q\":\"say \\\"hi\\\" \\\\ / \\n\"}",
		  "{\"q\":\"say \\\"hi\\\" \\\\ / \\n\"}" },
		{ "{\"\":\"\"}", "{\"\":\"\"}" },
		{ "{\"cut\":\"x\\ud83d\",\"whole\":\"\\ud83d\\ude00\"}",
		  "{\"cut\":\"x\xef\xbf\xbd\",\"whole\":\"😀\"}" },
		{ "{\"\\udc00\":\"\xff\"}", "{\"\xef\xbf\xbd\":\"\xef\xbf\xbd\"}" },
		{ "a=\xff", "{\"a\":\"\xef\xbf\xbd\"}" },
		{ "a=1,b=two", "{\"a\":\"1\",\"b\":\"two\"}" },
		{ "a=b,c=d,", "{\"a\":\"b\",\"c\":\"d\"}" },
		{ "a=1,a=2", "{\"a\":\"2\"}" },
		{ "=v", "{\"\":\"v\"}" },
		{ "a=b=", "{\"a\":\"b\"}" },
		{ " a = 1 ", "{\" a \":\" 1 \"}" },
		{ "zone=1,a=1,version=1,b=1,env=1,c=1,region=1",
		  "{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\",\"zone\":\"1\",\"env\":\"1\",\"region\":\"1\",\"version\":\"1\"}" },
		{ "城市=1,emoji😀=1,k1=1,k2=1",
		  "{\"k1\":\"1\",\"emoji😀\":\"1\",\"k2\":\"1\",\"城市\":\"1\"}" },
		{ "Aa=1,BB=2,x=3", "{\"Aa\":\"1\",\"BB\":\"2\",\"x\":\"3\"}" },
		/* 12 keys fill the table, 13 double it. */
		{ "q1=,q2=", NULL },
		{ "q1=1,q2=1,q3=1,q4=1,q5=1,q6=1,q7=1,q8=1,q9=1,q10=1,q11=1,q12=1",
		  "{\"q1\":\"1\",\"q11\":\"1\",\"q2\":\"1\",\"q10\":\"1\",\"q3\":\"1\",\"q4\":\"1\",\"q12\":\"1\",\"q5\":\"1\","
		  "\"q6\":\"1\",\"q7\":\"1\",\"q8\":\"1\",\"q9\":\"1\"}" },
		{ "q1=1,q2=1,q3=1,q4=1,q5=1,q6=1,q7=1,q8=1,q9=1,q10=1,q11=1,q12=1,q13=1",
		  "{\"q1\":\"1\",\"q2\":\"1\",\"q3\":\"1\",\"q4\":\"1\",\"q5\":\"1\",\"q6\":\"1\",\"q7\":\"1\",\"q8\":\"1\","
		  "\"q9\":\"1\",\"q11\":\"1\",\"q10\":\"1\",\"q13\":\"1\",\"q12\":\"1\"}" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct instance_metadata metadata;

		if (rows[i].json == NULL)
			assert_int_equal(metadata_parse(&arena, str_of(rows[i].text), &metadata),
			                 ERR_SYNTAX);
		else
			assert_json(parse(rows[i].text).packed, rows[i].json);
	}
}

static void refused(void **state)
{
	static const char *const rows[] = { "{\"a\":",     "abc",  "{\"o\":{\"x\":1}}",
		                            "{\"o\":[1]}", "[1]",  "7",
		                            "\"text\"",    "a=",   "a=b=c",
		                            "a=1,,b=2",    ",a=1", "a",
		                            "nullable",    "true", "=" };
	struct instance_metadata metadata;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (metadata_parse(&arena, str_of(rows[i]), &metadata) != ERR_SYNTAX)
			fail_msg("accepted: %s", rows[i]);
	}
}

static void null_and_empty(void **state)
{
	(void)state;
	assert_true(parse("null").null);
	assert_false(parse("").null);
	assert_false(parse("{}").null);
	assert_null(parse("{}").packed.p);
	assert_null(parse(" ").packed.p);
	assert_non_null(parse("{\"a\":null}").packed.p);
}

static void reserved(void **state)
{
	struct instance_metadata m = parse(
	        "{\"preserved.heart.beat.interval\":\"3000\",\"preserved.heart.beat.timeout\":6000,"
	        "\"preserved.ip.delete.timeout\":\"9000\"}");

	(void)state;
	assert_true(m.overrides.has && m.overrides.has_interval);
	assert_int_equal(m.overrides.interval_ms, 3000);
	assert_int_equal(m.overrides.timeout_ms, 6000);
	assert_int_equal(m.overrides.delete_ms, 9000);
	m = parse("{\"preserved.heart.beat.interval\":\"soon\"}");
	assert_true(m.overrides.has_interval);
	assert_int_equal(m.overrides.interval_ms, 5000);
	assert_int_equal(m.overrides.timeout_ms, 15000);
	assert_int_equal(m.overrides.delete_ms, 30000);
	m = parse(
	        "preserved.heart.beat.timeout=-5,preserved.ip.delete.timeout=99999999999999999999");
	assert_true(m.overrides.has);
	assert_false(m.overrides.has_interval);
	assert_int_equal(m.overrides.timeout_ms, 15000);
	assert_int_equal(m.overrides.delete_ms, 30000);
	m = parse("{\"a\":\"1\",\"preserved.register.source\":\"SPRING_CLOUD\"}");
	assert_false(m.overrides.has);
	assert_false(m.snowflake);
	assert_true(parse("preserved.instance.id.generator=SnowFlake").snowflake);
	assert_false(parse("preserved.instance.id.generator=simple").snowflake);
	assert_int_equal(parse("").overrides.delete_ms, 30000);
}

static void get(void **state)
{
	struct str packed = parse("{\"a\":\"1\",\"n\":null,\"e\":\"\"}").packed;

	(void)state;
	assert_true(str_eq(metadata_get(packed, STR("a")), STR("1")));
	assert_false(str_is_set(metadata_get(packed, STR("n"))));
	assert_false(str_is_set(metadata_get(packed, STR("x"))));
	assert_true(str_is_set(metadata_get(packed, STR("e"))));
	assert_false(str_is_set(metadata_get((struct str){ NULL, 0 }, STR("a"))));
}

static void batch(void **state)
{
	struct str old = parse("{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}").packed;
	struct instance_metadata m;

	(void)state;
	assert_int_equal(metadata_merge(&arena, old, parse("{\"d\":\"4\",\"b\":\"5\"}").packed, &m),
	                 0);
	assert_json(m.packed, "{\"a\":\"1\",\"b\":\"5\",\"c\":\"3\",\"d\":\"4\"}");
	assert_int_equal(metadata_merge(&arena, (struct str){ NULL, 0 }, old, &m), 0);
	assert_json(m.packed, "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}");
	assert_int_equal(metadata_merge(&arena, old, parse("preserved.heart.beat.timeout=7").packed,
	                                &m),
	                 0);
	assert_int_equal(m.overrides.timeout_ms, 7);
	assert_int_equal(metadata_without(&arena, old,
	                                  parse("{\"a\":\"\",\"c\":\"zzz\",\"x\":null}").packed,
	                                  &m),
	                 0);
	assert_json(m.packed, "{\"b\":\"2\"}");
	assert_int_equal(metadata_without(&arena, old, old, &m), 0);
	assert_null(m.packed.p);
	assert_int_equal(metadata_without(&arena, old, (struct str){ NULL, 0 }, &m), 0);
	assert_json(m.packed, "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}");
	assert_int_equal(metadata_without(&arena, (struct str){ NULL, 0 }, (struct str){ NULL, 0 },
	                                  &m),
	                 0);
	assert_json(m.packed, "{}");
}

/* All widths of lengths and of the map's head, and doubles among many keys. */
static void large(void **state)
{
	static char text[80000], expected[80000];
	size_t n = 0, e = 0;
	struct instance_metadata m;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%c\"k%d\":%d", i ? ',' : '{',
		                      i % 900, i);
		if (i < 900)
			e += (size_t)snprintf(expected + e, sizeof(expected) - e,
			                      "%c\"k%d\":\"%d\"", i ? ',' : '{', i,
			                      i < 100 ? i + 900 : i);
	}
	snprintf(text + n, sizeof(text) - n, "}");
	snprintf(expected + e, sizeof(expected) - e, "}");
	assert_json(parse(text).packed, expected);
	snprintf(text + n, sizeof(text) - n, ",\"one\":\"more\"}");
	assert_int_equal(metadata_parse(&arena, str_of(text), &m), ERR_SYNTAX);
	for (size_t length = 30; length < 70000; length = length * 2 + 1) {
		memset(text, 'x', length);
		memcpy(text, "a=", 2);
		text[length] = '\0';
		assert_int_equal(metadata_get(parse(text).packed, STR("a")).n, length - 2);
	}
}

/* Every cut and every changed byte: an object all the same, nothing read outside. */
static void corrupted(void **state)
{
	struct str packed =
	        parse("{\"a\":\"12345\",\"b\":null,\"long key with more than thirty-one bytes\":\"v\"}")
	                .packed;
	char *copy;

	(void)state;
	for (size_t n = 0; n < packed.n; n++) {
		struct buf b;

		copy = malloc(n + 1); /* exact: the sanitizer sees a step too far */
		assert_non_null(copy);
		memcpy(copy, packed.p, n);
		buf_init(&b);
		metadata_json(&b, str_make(copy, n));
		assert_int_equal(b.data[b.len - 1], '}');
		metadata_get(str_make(copy, n), STR("no"));
		buf_free(&b);
		free(copy);
	}
	copy = malloc(packed.n);
	assert_non_null(copy);
	for (size_t i = 0; i < packed.n * 256; i++) {
		struct instance_metadata m;

		memcpy(copy, packed.p, packed.n);
		copy[i / 256] = (char)i;
		metadata_get(str_make(copy, packed.n), STR("no"));
		assert_int_equal(metadata_merge(&arena, str_make(copy, packed.n), packed, &m), 0);
	}
	free(copy);
}

static void memory_runs_out(void **state)
{
	static const char *const rows[] = { "{\"a\":\"\\n\",\"b\":\"2\"}", "a=1,b=2" };
	struct instance_metadata m;
	int done = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t max = 1; max < 8000; max += 16) {
			struct arena small;
			int ret;

			arena_init(&small, max);
			ret = metadata_parse(&small, str_of(rows[i]), &m);
			assert_true(ret == 0 || ret == ERR_NOMEM);
			done += ret == 0;
			arena_free(&small);
		}
	}
	assert_true(done > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(refused),
		cmocka_unit_test(null_and_empty),
		cmocka_unit_test(reserved),
		cmocka_unit_test(get),
		cmocka_unit_test(batch),
		cmocka_unit_test(large),
		cmocka_unit_test(corrupted),
		cmocka_unit_test(memory_runs_out),
	};
	int failed;

	arena_init(&arena, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&arena);
	return failed;
}
