/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/switch_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/utf8.h"
#include "worker/v1/switch_rows.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct table {
	struct arena arena;
	struct switch_state state;
	struct switch_refusal refusal;
	struct buf out;
	char text[4096]; /* what is shown */
};

static int set_up(void **state)
{
	struct table *t = calloc(1, sizeof(*t));

	arena_init(&t->arena, 0);
	buf_init(&t->out);
	switches_defaults(&t->state.words);
	t->state.limited = STR("");
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct table *t = *state;

	arena_free(&t->arena);
	buf_free(&t->out);
	free(t);
	return 0;
}

static const char *show(struct table *t)
{
	buf_reset(&t->out);
	switch_show(&t->out, &t->state);
	assert_true(t->out.len < sizeof(t->text));
	memcpy(t->text, t->out.data, t->out.len);
	t->text[t->out.len] = '\0';
	return t->text;
}

/* "name":value */
static bool shows(struct table *t, const char *part)
{
	return strstr(show(t), part) != NULL;
}

static int set(struct table *t, const char *entry, const char *value)
{
	return switch_set(&t->arena, &t->state, str_of(entry), str_of(value), &t->refusal);
}

/* Byte for byte what a fresh 1.4.8 answers. */
static void test_defaults(void **state)
{
	assert_string_equal(
	        show(*state),
	        "{\"masters\":null,\"adWeightMap\":{},\"defaultPushCacheMillis\":10000,\"clientBeatInterval\":5000,"
	        "\"defaultCacheMillis\":3000,\"distroThreshold\":0.7,\"healthCheckEnabled\":true,"
	        "\"autoChangeHealthCheckEnabled\":true,\"distroEnabled\":true,\"enableStandalone\":true,\"pushEnabled\":true,"
	        "\"checkTimes\":3,\"httpHealthParams\":{\"max\":5000,\"min\":500,\"factor\":0.85},"
	        "\"tcpHealthParams\":{\"max\":5000,\"min\":1000,\"factor\":0.75},"
	        "\"mysqlHealthParams\":{\"max\":3000,\"min\":2000,\"factor\":0.65},\"incrementalList\":[],"
	        "\"serverStatusSynchronizationPeriodMillis\":2000,\"serviceStatusSynchronizationPeriodMillis\":5000,"
	        "\"disableAddIP\":false,\"sendBeatOnly\":false,\"lightBeatEnabled\":true,\"limitedUrlMap\":{},"
	        "\"distroServerExpiredMillis\":10000,\"pushGoVersion\":\"0.1.0\",\"pushJavaVersion\":\"0.1.0\","
	        "\"pushPythonVersion\":\"0.4.3\",\"pushCVersion\":\"1.0.12\",\"pushCSharpVersion\":\"0.9.0\","
	        "\"enableAuthentication\":false,\"overriddenServerStatus\":null,\"defaultInstanceEphemeral\":true,"
	        "\"healthCheckWhiteList\":[],\"name\":\"00-00---000-NACOS_SWITCH_DOMAIN-000---00-00\",\"checksum\":null}");
}

/* Each on a fresh state. */
static const struct {
	const char *entry, *value, *shown;
} accepted[] = {
	{ "clientBeatInterval", "7000", "\"clientBeatInterval\":7000," },
	{ "pushCacheMillis", "10000", "\"defaultPushCacheMillis\":10000," },
	{ "pushCacheMillis", "20000", "\"defaultPushCacheMillis\":20000," },
	{ "defaultCacheMillis", "1000", "\"defaultCacheMillis\":1000," },
	{ "distroThreshold", "0.25", "\"distroThreshold\":0.25," },
	{ "check", "false", "\"healthCheckEnabled\":false," },
	{ "check", "yes", "\"healthCheckEnabled\":false," },
	{ "check", "TRUE", "\"healthCheckEnabled\":true," },
	{ "distro", "false", "\"distroEnabled\":false," },
	{ "pushEnabled", "false", "\"pushEnabled\":false," },
	{ "healthCheckTimes", "5", "\"checkTimes\":5," },
	{ "disableAddIP", "true", "\"disableAddIP\":true," },
	{ "sendBeatOnly", "true", "\"sendBeatOnly\":true," },
	{ "lightBeatEnabled", "no", "\"lightBeatEnabled\":false," },
	{ "lightBeatEnabled", "on", "\"lightBeatEnabled\":true," },
	{ "autoChangeHealthCheckEnabled", "", "\"autoChangeHealthCheckEnabled\":false," },
	{ "serverStatusSynchronizationPeriodMillis", "1000",
	  "\"serverStatusSynchronizationPeriodMillis\":1000," },
	{ "serviceStatusSynchronizationPeriodMillis", "5000",
	  "\"serviceStatusSynchronizationPeriodMillis\":5000," },
	{ "distroServerExpiredMillis", "-1", "\"distroServerExpiredMillis\":-1," },
	{ "defaultInstanceEphemeral", "false", "\"defaultInstanceEphemeral\":false," },
	{ "enableStandalone", "false", "\"enableStandalone\":true," },
	{ "enableStandalone", "", "\"enableStandalone\":false," },
	{ "masters", "a,b,,", "\"masters\":[\"a\",\"b\"]," },
	{ "masters", "", "\"masters\":[\"\"]," },
	{ "masters", "\"", "\"masters\":[\"\\\"\"]," },
	{ "pushVersion", "go:1.1.0", "\"pushGoVersion\":\"1.1.0\"," },
	{ "pushVersion", "java:0.0.9", "\"pushJavaVersion\":\"0.0.9\"," },
	{ "pushVersion", "python:1023.2.3", "\"pushPythonVersion\":\"1023.2.3\"," },
	{ "pushVersion", "c:01.2.3:x", "\"pushCVersion\":\"1.2.3\"," },
	{ "limitedUrlMap", "/a:503,/b?x=1:200,", "\"limitedUrlMap\":{\"/a\":503,\"/b?x=1\":200}," },
	{ "limitedUrlMap", "", "\"limitedUrlMap\":{}," },
	{ "limitedUrlMap", ",", "\"limitedUrlMap\":{}," },
	{ "overriddenServerStatus", "READ_ONLY", "\"overriddenServerStatus\":\"READ_ONLY\"," },
	{ "overriddenServerStatus", "null", "\"overriddenServerStatus\":\"\"," },
	{ "overriddenServerStatus", " ", "\"overriddenServerStatus\":\"\"," },
	{ "batch", "{}", "\"clientBeatInterval\":5000," },
	{ "batch",
	  "{\"clientBeatInterval\":6000,\"masters\":[\"x\",\"y\"],\"other\":{\"deep\":[1]}}",
	  "{\"masters\":[\"x\",\"y\"],\"adWeightMap\":{},\"defaultPushCacheMillis\":10000,\"clientBeatInterval\":6000," },
	{ "batch",
	  "{\"httpHealthParams\":{\"max\":9000,\"min\":600,\"factor\":0.5},\"mysqlHealthParams\":{\"max\":4000}}",
	  "\"httpHealthParams\":{\"max\":9000,\"min\":600,\"factor\":0.5}," },
	{ "batch", "{\"mysqlHealthParams\":{\"max\":4000}}",
	  "\"mysqlHealthParams\":{\"max\":4000,\"min\":2000,\"factor\":0.65}," },
	{ "batch", "{\"limitedUrlMap\":{\"/x\":404}}", "\"limitedUrlMap\":{\"/x\":404}," },
	{ "batch", "{\"overriddenServerStatus\":\"DOWN\",\"masters\":null}",
	  "\"overriddenServerStatus\":\"DOWN\"," },
	{ "batch",
	  "{\"enableStandalone\":false,\"pushCSharpVersion\":\"9.9.9\",\"pushGoVersion\":\"2.0.0\"}",
	  "\"pushGoVersion\":\"2.0.0\"," },
	{ "batch", "{\"enableStandalone\":false}", "\"enableStandalone\":true," },
	{ "batch", "{\"pushCSharpVersion\":\"9.9.9\"}", "\"pushCSharpVersion\":\"0.9.0\"," },
	{ "batch", "{\"enableAuthentication\":true}", "\"enableAuthentication\":true," },
};

static void test_accepted(void **state)
{
	struct table *t = *state;
	struct switch_state fresh = t->state;

	for (size_t i = 0; i < COUNT(accepted); i++) {
		t->state = fresh;
		if (set(t, accepted[i].entry, accepted[i].value) != 0)
			fail_msg("%s=%s refused: %s", accepted[i].entry, accepted[i].value,
			         t->refusal.text);
		if (!shows(t, accepted[i].shown))
			fail_msg("%s=%s shows %s", accepted[i].entry, accepted[i].value, t->text);
	}
}

/* What is wrong is shown up to a size, and never half of a character. */
static void test_bad_values_end_whole(void **state)
{
	static const char *const entries[] = { "clientBeatInterval", "overriddenServerStatus",
		                               "pushVersion", "batch" };
	struct table *t = *state;
	char value[400];

	for (size_t i = 0; i < COUNT(entries); i++) {
		for (size_t begin = 0; begin < 4; begin++) {
			size_t n =
			        (size_t)snprintf(value, sizeof(value), "%.*s", (int)begin, "xyz");

			while (n < 300)
				n += (size_t)snprintf(value + n, sizeof(value) - n,
				                      "\xf0\x9f\x98\x80");
			strcpy(value + n, ":1.2.3");
			assert_true(set(t, entries[i], value) < 0);
			assert_true(utf8_valid(str_of(t->refusal.text)) &&
			            utf8_valid(str_of(t->refusal.cause)));
		}
	}
}

/* Names of the answer are no entries. */
static void test_unknown(void **state)
{
	static const char *const entries[] = { "noSuchSwitch",           "",
		                               "defaultPushCacheMillis", "pushCSharpVersion",
		                               "healthCheckWhiteList",   "name" };
	struct table *t = *state;
	char before[sizeof(t->text)];

	strcpy(before, show(t));
	for (size_t i = 0; i < COUNT(entries); i++) {
		assert_int_equal(set(t, entries[i], "1"), SWITCH_UNKNOWN);
		assert_string_equal(show(t), before);
	}
}

#define DESERIALIZE \
	"errCode: 101, errMsg: Nacos deserialize for class [com.alibaba.nacos.naming.misc.SwitchDomain] failed.  "
#define BAD_VERSION "illegal version, must match: [0-9]+\\.[0-9]+\\.[0-9]+"

static const struct {
	const char *entry, *value;
	int status;
	const char *text;
} refused[] = {
	{ "clientBeatInterval", "abc", 400, "For input string: \"abc\"" },
	{ "clientBeatInterval", "", 400, "For input string: \"\"" },
	{ "clientBeatInterval", "0", 400, "clientBeatInterval is too small(<1)" },
	{ "pushCacheMillis", "9999", 400, "min cache time for http or tcp is too small(<10000)" },
	{ "defaultCacheMillis", "999", 400, "min default cache time  is too small(<1000)" },
	{ "distroThreshold", "0", 400, "distroThreshold can not be zero or negative: 0.0" },
	{ "distroThreshold", "-1", 400, "distroThreshold can not be zero or negative: -1.0" },
	{ "distroThreshold", "x", 400, "For input string: \"x\"" },
	{ "distroThreshold", " ", 400, "empty String" },
	{ "healthCheckTimes", "99999999999", 400, "For input string: \"99999999999\"" },
	{ "healthCheckTimes", "0", 400, "healthCheckTimes is too small(<1)" },
	{ "serverStatusSynchronizationPeriodMillis", "999", 400,
	  "serverStatusSynchronizationPeriodMillis is too small(<15000)" },
	{ "serviceStatusSynchronizationPeriodMillis", "4999", 400,
	  "serviceStatusSynchronizationPeriodMillis is too small(<5000)" },
	{ "pushVersion", "csharp:1.0.0", 400, "unsupported client type: csharp" },
	{ "pushVersion", "go:1.0", 400, BAD_VERSION },
	{ "pushVersion", "go:1.0.0.", 400, BAD_VERSION },
	{ "pushVersion", "go:1.0.0.0", 400, BAD_VERSION },
	{ "pushVersion", "go:1.+1.0", 400, BAD_VERSION },
	{ "pushVersion", "csharp:x", 400, BAD_VERSION },
	{ "pushVersion", "go:1.0.1024", 400,
	  "illegal version, a part is more than 1023: 1.0.1024" },
	{ "pushVersion", "go", 500, "Index 1 out of bounds for length 1" },
	{ "pushVersion", "go:", 500, "Index 1 out of bounds for length 1" },
	{ "limitedUrlMap", "/a", 400, "invalid input for limited urls" },
	{ "limitedUrlMap", "/a:200,/b", 400, "invalid input for limited urls" },
	{ "limitedUrlMap", ":200", 400, "url can not be empty, url: " },
	{ "limitedUrlMap", "/a:0", 400, "illegal normal status code: 0" },
	{ "limitedUrlMap", "/a:100", 400, "illegal normal status code: 100" },
	{ "limitedUrlMap", "/a:600", 400, "illegal normal status code: 600" },
	{ "limitedUrlMap", "/a:x", 400, "For input string: \"x\"" },
	{ "overriddenServerStatus", "up", 400,
	  "overriddenServerStatus is none of STARTING, UP, DOWN, PAUSED, WRITE_ONLY, READ_ONLY, null: up" },
	{ "batch", "", 500, DESERIALIZE },
	{ "batch", "[]", 500, DESERIALIZE },
	{ "batch", "{\"clientBeatInterval\":\"x\"}", 500, DESERIALIZE },
	{ "batch", "{\"clientBeatInterval\":0}", 400, "clientBeatInterval is too small(<1)" },
	{ "batch", "{\"limitedUrlMap\":{\"/a,b\":200}}", 400, "invalid input for limited urls" },
	{ "batch", "{\"limitedUrlMap\":{\"/a\":7}}", 400, "illegal normal status code: 7" },
	{ "batch", "{\"overriddenServerStatus\":\"GONE\"}", 400,
	  "overriddenServerStatus is none of STARTING, UP, DOWN, PAUSED, WRITE_ONLY, READ_ONLY, null: GONE" },
	{ "batch", "{\"httpHealthParams\":{\"min\":499}}", 400,
	  "min check time for http or tcp is too small(<500)" },
	{ "batch", "{\"tcpHealthParams\":{\"max\":2999}}", 400,
	  "max check time for http or tcp is too small(<3000)" },
	{ "batch", "{\"mysqlHealthParams\":{\"min\":0}}", 400,
	  "min check time for mysql is too small(<500)" },
	{ "batch", "{\"tcpHealthParams\":{\"factor\":1.1}}", 400, "malformed factor" },
	{ "batch", "{\"tcpHealthParams\":{\"factor\":-0.1}}", 400, "malformed factor" },
};

/* Refused as a whole: nothing shown has changed. */
static void test_refused(void **state)
{
	struct table *t = *state;
	char before[sizeof(t->text)];

	assert_int_equal(set(t, "limitedUrlMap", "/kept:503"), 0);
	strcpy(before, show(t));
	for (size_t i = 0; i < COUNT(refused); i++) {
		memset(&t->refusal, 0, sizeof(t->refusal));
		if (set(t, refused[i].entry, refused[i].value) >= 0)
			fail_msg("%s=%s accepted", refused[i].entry, refused[i].value);
		if (t->refusal.status != refused[i].status ||
		    strcmp(t->refusal.text, refused[i].text) != 0)
			fail_msg("%s=%s: %d %s", refused[i].entry, refused[i].value,
			         t->refusal.status, t->refusal.text);
		assert_string_equal(show(t), before);
	}
}

static void test_batch_keeps_standalone(void **state)
{
	struct table *t = *state;

	assert_int_equal(set(t, "enableStandalone", ""), 0);
	assert_int_equal(set(t, "clientBeatInterval", "7000"), 0);
	assert_int_equal(set(t, "limitedUrlMap", "/a:503"), 0);
	assert_int_equal(set(t, "batch", "{\"defaultCacheMillis\":4000}"), 0);
	assert_true(shows(t, "\"enableStandalone\":false,"));
	assert_true(shows(t, "\"clientBeatInterval\":5000,\"defaultCacheMillis\":4000,"));
	assert_true(shows(t, "\"limitedUrlMap\":{},"));
}

static void test_long_values_are_cut(void **state)
{
	struct table *t = *state;
	char value[2000];

	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	assert_true(set(t, "clientBeatInterval", value) < 0);
	assert_int_equal(strlen(t->refusal.text), strlen("For input string: \"\"") + SWITCH_SHOWN);
}

static void test_live(void **state)
{
	(void)state;
	assert_true(switch_is_live(STR("pushEnabled")));
	assert_true(switch_is_live(STR("pushVersion")));
	assert_false(switch_is_live(STR("distroThreshold")));
	assert_false(switch_is_live(STR("noSuchSwitch")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_accepted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_values_end_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_batch_keeps_standalone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_values_are_cut, set_up, tear_down),
		cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
