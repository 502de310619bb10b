/* SPDX-License-Identifier: Apache-2.0 */
/* beat_json: what clients send (recorded), what the Java server converts, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shared/view/beat_json.h"
#include "shared/view/metadata.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct arena arena;

static struct beat_info parse(const char *text)
{
	struct beat_info info;
	char why[256] = "";

	if (beat_json_parse(&arena, str_of(text), &info, why, sizeof(why)) != 0)
		fail_msg("refused: %s: %s", text, why);
	return info;
}

static void java_client(void **state)
{
	struct beat_info info = parse(
	        "{\"cluster\": \"cz\", \"ip\": \"10.1.0.1\", \"metadata\": {\"n\": 1, \"b\": true, "
	        "\"preserved.heart.beat.timeout\": \"1000\"}, \"period\": 5000, \"port\": 8080, "
	        "\"scheduled\": false, \"serviceName\": \"DEFAULT_GROUP@@s\", \"stopped\": false, "
	        "\"weight\": 2.5, \"extra\": {\"a\": [1, {\"b\": null}]}}");

	(void)state;
	assert_false(info.light);
	assert_true(str_eq(info.cluster, STR("cz")));
	assert_true(str_eq(info.ip, STR("10.1.0.1")));
	assert_int_equal(info.port, 8080);
	assert_true(info.weight == 2.5);
	assert_true(info.ephemeral);
	assert_false(info.metadata.null);
	assert_true(str_eq(metadata_get(info.metadata.packed, STR("n")), STR("1")));
	assert_true(str_eq(metadata_get(info.metadata.packed, STR("b")), STR("true")));
	assert_int_equal(info.metadata.overrides.timeout_ms, 1000);
}

static void cut_texts(void **state)
{
	struct beat_info info = parse(
	        "{\"ip\":\"1.1.1.1\\ud83d\",\"cluster\":\"\xff\",\"x\":\"\\udc00\",\"metadata\":{\"a\":\"b\\ud83d\"}}");

	(void)state;
	assert_true(str_eq(info.ip, STR("1.1.1.1\xef\xbf\xbd")));
	assert_true(str_eq(info.cluster, STR("\xef\xbf\xbd")));
	assert_true(str_eq(metadata_get(info.metadata.packed, STR("a")), STR("b\xef\xbf\xbd")));
}

static void defaults(void **state)
{
	struct beat_info info = parse("{}");

	(void)state;
	assert_false(str_is_set(info.ip));
	assert_false(str_is_set(info.cluster));
	assert_int_equal(info.port, 0);
	assert_true(info.weight == 0);
	assert_true(info.ephemeral);
	assert_true(info.metadata.null);
	assert_int_equal(info.metadata.overrides.delete_ms, 30000);
	assert_false(parse("{\"metadata\":{}}").metadata.null);
	assert_null(parse("{\"metadata\":{}}").metadata.packed.p);
	assert_true(parse("{\"metadata\":{\"a\":1},\"metadata\":null}").metadata.null);
	assert_true(parse("null").light);
	assert_true(parse(" null ").light);
	assert_false(parse("{\"ip\":\"1.1.1.1\"} tail").light);
}

static void conversions(void **state)
{
	static const struct {
		const char *text;
		int32_t port;
	} ports[] = {
		{ "{\"port\":\"81\"}", 81 },  { "{\"port\":\" 81 \"}", 81 },
		{ "{\"port\":null}", 0 },     { "{\"port\":\"\"}", 0 },
		{ "{\"port\":\"null\"}", 0 }, { "{\"port\":\" null \"}", 0 },
		{ "{\"port\":\"+81\"}", 81 }, { "{\"port\":80.9}", 80 },
		{ "{\"port\":-1}", -1 },      { "{\"port\":2147483647}", INT32_MAX },
		{ "{\"port\":1e3}", 1000 },   { "{\"port\":1,\"port\":2}", 2 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ports); i++)
		assert_int_equal(parse(ports[i].text).port, ports[i].port);
	assert_true(parse("{\"weight\":\"1.5\"}").weight == 1.5);
	assert_true(parse("{\"weight\":3}").weight == 3);
	assert_true(parse("{\"weight\":-3}").weight == -3);
	assert_true(parse("{\"weight\":null}").weight == 0);
	assert_true(parse("{\"weight\":\"null\"}").weight == 0);
	assert_true(parse("{\"weight\":\"\"}").weight == 0);
	assert_false(parse("{\"ephemeral\":false}").ephemeral);
	assert_false(parse("{\"ephemeral\":\"false\"}").ephemeral);
	assert_false(parse("{\"ephemeral\":0}").ephemeral);
	assert_false(parse("{\"ephemeral\":\"FALSE\"}").ephemeral);
	assert_false(parse("{\"ephemeral\":\"null\"}").ephemeral);
	assert_false(parse("{\"ephemeral\":\"\"}").ephemeral);
	assert_true(parse("{\"ephemeral\":\" True \"}").ephemeral);
	assert_true(parse("{\"ephemeral\":\"TRUE\"}").ephemeral);
	assert_true(parse("{\"ephemeral\":\"true\"}").ephemeral);
	assert_true(parse("{\"ephemeral\":1}").ephemeral);
	assert_true(str_eq(parse("{\"ip\":5}").ip, STR("5")));
	assert_false(str_is_set(parse("{\"ip\":null}").ip));
	assert_true(str_eq(parse("{\"ip\":\"\\u0031.1\",\"cluster\":\"\\u0041\"}").ip, STR("1.1")));
	assert_true(str_is_set(parse("{\"cluster\":\"\"}").cluster));
}

static void refused(void **state)
{
	static const char *const rows[] = {
		"",
		" ",
		"xx",
		"{",
		"[]",
		"7",
		"\"text\"",
		"{\"ip\":{}}",
		"{\"ip\":[1]}",
		"{\"port\":\"x\"}",
		"{\"port\":true}",
		"{\"port\":\" \"}",
		"{\"port\":\"80.0\"}",
		"{\"port\":\"0x50\"}",
		"{\"weight\":\" \"}",
		"{\"ephemeral\":\" \"}",
		"{\"ephemeral\":\"tRue\"}",
		"{\"port\":2147483648}",
		"{\"port\":1e400}",
		"{\"port\":{}}",
		"{\"weight\":\"x\"}",
		"{\"weight\":[]}",
		"{\"weight\":true}",
		"{\"ephemeral\":\"x\"}",
		"{\"ephemeral\":1.5}",
		"{\"metadata\":\"\"}",
		"{\"metadata\":[]}",
		"{\"metadata\":{\"a\":{}}}",
		"{\"metadata\":{\"a\":[]}}",
		"{\"cpu\":\"x\"}",
		"{\"x\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
	};
	struct beat_info info;
	char why[256];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		why[0] = '\0';
		if (beat_json_parse(&arena, str_of(rows[i]), &info, why, sizeof(why)) !=
		            ERR_SYNTAX ||
		    why[0] == '\0')
			fail_msg("accepted: %s", rows[i]);
	}
}

static void too_many_names(void **state)
{
	static char text[20000];
	struct beat_info info;
	char why[64];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%c\"k%d\":1", i ? ',' : '{', i);
	snprintf(text + n, sizeof(text) - n, "}");
	parse(text);
	snprintf(text + n, sizeof(text) - n, ",\"k\":1}");
	assert_int_equal(beat_json_parse(&arena, str_of(text), &info, why, sizeof(why)),
	                 ERR_SYNTAX);
	assert_string_equal(why, "too many names");
}

static void memory_runs_out(void **state)
{
	struct beat_info info;
	char why[64];
	int done = 0;

	(void)state;
	for (size_t max = 1; max < 8000; max += 16) {
		struct arena small;
		int ret;

		arena_init(&small, max);
		ret = beat_json_parse(&small,
		                      STR("{\"ip\":\"1.1.1.1\",\"metadata\":{\"a\":\"\\n\"}}"),
		                      &info, why, sizeof(why));
		assert_true(ret == 0 || ret == ERR_NOMEM);
		done += ret == 0;
		arena_free(&small);
	}
	assert_true(done > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(java_client),     cmocka_unit_test(cut_texts),
		cmocka_unit_test(defaults),        cmocka_unit_test(conversions),
		cmocka_unit_test(refused),         cmocka_unit_test(too_many_names),
		cmocka_unit_test(memory_runs_out),
	};
	int failed;

	arena_init(&arena, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&arena);
	return failed;
}
