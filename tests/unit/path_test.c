/* SPDX-License-Identifier: Apache-2.0 */
/* path: what the container makes of it, and what the firewall says; the texts were recorded of a
 * real 1.4.8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "worker/v1/path.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct arena arena;

static const struct {
	const char *raw, *plain; /* plain NULL: refused */
	const char *malicious;
	bool dots;
} rows[] = {
	{ "/nacos/v1", "/nacos/v1", NULL, false },
	{ "/", "/", NULL, false },
	{ "/a/", "/a/", NULL, false },
	{ "/a.b/c..", "/a.b/c..", NULL, false },
	{ "*", "*", NULL, false },
	{ "a%zz", "a%zz", NULL, false },
	{ "", "", NULL, false },
	/* decoded */
	{ "/%69nstance", "/instance", NULL, false },
	{ "/%6E%61cos/v1/", "/nacos/v1/", NULL, false },
	{ "/a+b%20c", "/a+b c", NULL, false },
	{ "/a%3f%23%26", "/a?#&", NULL, false },
	{ "/a%c3%a9%ff", "/a\xc3\xa9\xff", NULL, false },
	{ "/.a/..b", "/.a/..b", NULL, false },
	/* the container's */
	{ "/a%2fb", NULL, NULL, false },
	{ "/a%2Fb", NULL, NULL, false },
	{ "/%2f", NULL, NULL, false },
	{ "/a%5cb", NULL, NULL, false },
	{ "/a\\b", NULL, NULL, false },
	{ "/a%00", NULL, NULL, false },
	{ "/a%", NULL, NULL, false },
	{ "/a%4", NULL, NULL, false },
	{ "/a%zz", NULL, NULL, false },
	{ "/a\xc3\xa9", NULL, NULL, false },
	{ "/..", NULL, NULL, false },
	{ "/../a", NULL, NULL, false },
	{ "/a/../..", NULL, NULL, false },
	{ "/a/%2e%2e/%2E./b", NULL, NULL, false },
	{ "/;a/..", NULL, NULL, false },
	/* the firewall's */
	{ "//a", "/a", "//", false },
	{ "/a//b//", "/a/b/", "//", false },
	{ "/a;b=c/d;e", "/a/d", ";", false },
	{ "/;a/b", "/b", ";", false },
	{ "/a;/;b", "/a/", ";", false },
	{ "/a%3bb", "/a;b", "%3b", false },
	{ "/a%3Bb", "/a;b", "%3B", false },
	{ "/a/%2e/b", "/a/b", "%2e", false },
	{ "/a/%2E./b", "/b", "%2E", false },
	{ "/a%2e", "/a.", "%2e", false },
	{ "/a%2569", "/a%69", "%25", false },
	{ "/a%252e%252e", "/a%2e%2e", "%25", false },
	{ "/a%2500", "/a%00", "%25", false },
	{ "/a%0d%0ab", "/a\r\nb", "%0a", false },
	{ "/a%0Ab", "/a\nb", "%0A", false },
	{ "/a%0Db", "/a\rb", "%0D", false },
	{ "/a%e2%80%a8", "/a\xe2\x80\xa8", "\xe2\x80\xa8", false },
	{ "/a/./b", "/a/b", NULL, true },
	{ "/a/../b", "/b", NULL, true },
	{ "/a/b/..", "/a/", NULL, true },
	{ "/a/.", "/a/", NULL, true },
	{ "/a/..", "/", NULL, true },
	{ "/./..;x/a", NULL, NULL, false },
	{ "/a/..;/b", "/b", ";", false },
	{ "/a//../b", "/b", "//", true },
};

static void cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str raw = str_of(rows[i].raw);
		struct path path;
		int ret = path_read(&arena, raw, &path);

		if (ret != (rows[i].plain != NULL ? 0 : ERR_SYNTAX))
			fail_msg("%s: %d", rows[i].raw, ret);
		if (ret < 0)
			continue;
		if (!str_eq(path.plain, str_of(rows[i].plain)))
			fail_msg("%s: %.*s", rows[i].raw, (int)path.plain.n, path.plain.p);
		if ((path.malicious == NULL) != (rows[i].malicious == NULL) ||
		    (path.malicious != NULL && strcmp(path.malicious, rows[i].malicious) != 0) ||
		    path.dots != rows[i].dots)
			fail_msg("%s: %s, %d", rows[i].raw,
			         path.malicious != NULL ? path.malicious : "nothing", path.dots);
		assert_true(rows[i].malicious != NULL || rows[i].dots || path.plain.n <= raw.n);
	}
}

static void zero_bytes(void **state)
{
	struct path path;

	(void)state;
	assert_int_equal(path_read(&arena, str_make("/a\0b", 4), &path), ERR_SYNTAX);
}

static void memory_runs_out(void **state)
{
	struct arena small;
	struct path path;

	(void)state;
	arena_init(&small, 8);
	assert_int_equal(path_read(&small, STR("/a/b"), &path), 0);
	assert_int_equal(path_read(&small, STR("/a%20b/c/d/e/f/g/h/i"), &path), ERR_NOMEM);
	arena_free(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(cases), cmocka_unit_test(zero_bytes),
		                            cmocka_unit_test(memory_runs_out) };
	int failed;

	arena_init(&arena, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&arena);
	return failed;
}
