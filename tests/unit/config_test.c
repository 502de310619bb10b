/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/log.h"
#include "shared/config/config_key.h"
#include "shared/registry/registry.h"
#include "shared/shm/blob.h"

/* ---- the rows -------------------------------------------------------------------------------- */

static void test_defaults(void **state)
{
	struct config c;

	(void)state;
	config_defaults(&c);
	assert_string_equal(c.runtime_dir, "/run/roster");
	assert_string_equal(c.user, "");
	assert_int_equal(c.log_level, LOG_LEVEL_INFO);
	assert_string_equal(c.listen_address, "0.0.0.0");
	assert_int_equal(c.listen_port, 8848);
	assert_int_equal(c.segment_max_age_ms, 600000);
	assert_int_equal(c.http_head_bytes, 65536);
	assert_int_equal(c.http_cache_bytes, 16777216);
	assert_int_equal(c.push_delay_ms, 1000);
	assert_int_equal(c.push_ack_wait_ms, 10000);
	assert_int_equal(c.push_receive_buffer, 8388608);
	assert_int_equal(c.push_trusted_count, 0);
	assert_int_equal(c.operator_allow_count, 2);
	assert_int_equal(c.operator_allow[0].address[12], 127);
	assert_int_equal(c.operator_allow[0].bits, 104);
	assert_int_equal(c.operator_allow[1].address[15], 1);
	assert_int_equal(c.operator_allow[1].bits, 128);
	assert_int_equal(c.checks_concurrency, 512);
	assert_int_equal(c.checks_refuse_count, 4);
	assert_int_equal(c.checks_refuse[0].bits, 112);
	assert_int_equal(c.checks_refuse[1].bits, 10);
	assert_int_equal(c.checks_refuse[2].bits, 128);
	assert_int_equal(c.limit_namespaces, 10000);
	assert_true(c.empty_clean);
	assert_int_equal(c.empty_delay_ms, 50000);
	assert_int_equal(c.empty_period_ms, 30000);
	assert_int_equal(c.limit_instances, 2000000);
	assert_int_equal(c.limit_metadata_bytes, 65536);
	assert_int_equal(c.limit_name_bytes, 1023);
}

static void test_rows(void **state)
{
	(void)state;
	for (unsigned i = 0; i < config_key_count; i++) {
		const struct config_key *k = &config_keys[i];

		assert_true(k->min <= k->max);
		assert_true(strlen(k->about) > 10);
		assert_true(k->off + k->size <= sizeof(struct config));
		assert_ptr_equal(config_key_find(str_of(k->name)), k);
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(config_keys[j].off, k->off);
	}
	assert_int_equal(config_key_find(STR("limits.metadata"))->max, BLOB_MAX_BYTES);
	assert_int_equal(config_key_find(STR("limits.clusters_per_service"))->max,
	                 REGISTRY_CLUSTERS_MOST);
	assert_null(config_key_find(STR("listen")));
	assert_true(config_key_is_section(STR("listen")));
	assert_false(config_key_is_section(STR("liste")));
	assert_false(config_key_is_section(STR("listen.port")));
}

static void test_levels_match_log(void **state)
{
	const struct config_key *k = config_key_find(STR("log.level"));

	(void)state;
	assert_string_equal(k->choices[LOG_LEVEL_ERROR], "error");
	assert_string_equal(k->choices[LOG_LEVEL_WARNING], "warning");
	assert_string_equal(k->choices[LOG_LEVEL_INFO], "info");
	assert_string_equal(k->choices[LOG_LEVEL_DEBUG], "debug");
	assert_null(k->choices[LOG_LEVEL_DEBUG + 1]);
}

/* ---- -o -------------------------------------------------------------------------------------- */

static const struct {
	const char *assignment;
	const char *error; /* NULL: accepted */
} overrides[] = {
	{ "listen.port=9000", NULL },
	{ "listen.port=0", NULL },
	{ "listen.port=65536", "-o: listen.port: out of range (0 to 65535)" },
	{ "listen.port=", "-o: listen.port: not a whole number" },
	{ "listen.port=-1", "-o: listen.port: not a whole number" },
	{ "listen.port=8848 ", "-o: listen.port: not a whole number" },
	{ "listen.port=0x10", "-o: listen.port: not a whole number" },
	{ "limits.instances=18446744073709551616", "-o: limits.instances: not a whole number" },
	{ "listen.address=::", NULL },
	{ "listen.address=localhost", "-o: listen.address: not a literal IP address" },
	{ "listen.address=", "-o: listen.address: must not be empty" },
	{ "http.cors=off", NULL },
	{ "http.cors=https://a.example http://[::1]:8080", NULL },
	{ "http.cors=*",
	  "-o: http.cors: neither echo nor off nor origins like https://a.example or http://b.example:8080" },
	{ "http.cors=ECHO",
	  "-o: http.cors: neither echo nor off nor origins like https://a.example or http://b.example:8080" },
	{ "http.cors=echo https://a.example",
	  "-o: http.cors: neither echo nor off nor origins like https://a.example or http://b.example:8080" },
	{ "http.cors=https://a.example/",
	  "-o: http.cors: neither echo nor off nor origins like https://a.example or http://b.example:8080" },
	{ "http.cors=https://a.example/x",
	  "-o: http.cors: neither echo nor off nor origins like https://a.example or http://b.example:8080" },
	{ "http.cors=a.example",
	  "-o: http.cors: neither echo nor off nor origins like https://a.example or http://b.example:8080" },
	{ "http.cors=://a",
	  "-o: http.cors: neither echo nor off nor origins like https://a.example or http://b.example:8080" },
	{ "http.cors=https://",
	  "-o: http.cors: neither echo nor off nor origins like https://a.example or http://b.example:8080" },
	{ "http.cors=null",
	  "-o: http.cors: neither echo nor off nor origins like https://a.example or http://b.example:8080" },
	{ "http.cors=https://a@b",
	  "-o: http.cors: neither echo nor off nor origins like https://a.example or http://b.example:8080" },
	{ "user=", NULL },
	{ "runtime_dir=run", "-o: runtime_dir: not an absolute path" },
	{ "context.path=/", NULL },
	{ "context.path=/registry", NULL },
	{ "context.path=/a/b-c/d.e_~/...", NULL },
	{ "context.path=", "-o: context.path: must not be empty" },
	{ "context.path=nacos", "-o: context.path: does not begin with a slash" },
	{ "context.path=/nacos/", "-o: context.path: ends with a slash" },
	{ "context.path=//", "-o: context.path: has an empty segment" },
	{ "context.path=/a//b", "-o: context.path: has an empty segment" },
	{ "context.path=/a/../b", "-o: context.path: has a segment of dots" },
	{ "context.path=/.", "-o: context.path: has a segment of dots" },
	{ "context.path=/a;b",
	  "-o: context.path: has another byte than letters, digits and -._~/" },
	{ "context.path=/a%20b",
	  "-o: context.path: has another byte than letters, digits and -._~/" },
	{ "context.path=/a?b",
	  "-o: context.path: has another byte than letters, digits and -._~/" },
	{ "context.path=/\xc3\xa9",
	  "-o: context.path: has another byte than letters, digits and -._~/" },
	{ "log.level=debug", NULL },
	{ "log.level=DEBUG", "-o: log.level: none of error, warning, info, debug" },
	{ "empty_service.clean=false", NULL },
	{ "empty_service.clean=no", "-o: empty_service.clean: neither true nor false" },
	{ "push.delay=500ms", NULL },
	{ "push.delay=500", NULL },
	{ "push.delay=61s", "-o: push.delay: out of range (0 to 1m)" },
	{ "push.delay=1S", "-o: push.delay: not a duration like 500ms, 15s, 10m, 2h or 1d" },
	{ "push.delay=99999999999999999d",
	  "-o: push.delay: not a duration like 500ms, 15s, 10m, 2h or 1d" },
	{ "http.list_cache=0", NULL },
	{ "http.head=64kb", "-o: http.head: not a size like 4096, 64KiB, 16MiB or 1GiB" },
	{ "http.head=2MiB", "-o: http.head: out of range (1KiB to 1MiB)" },
	{ "listen=1", "-o: \"listen\": unknown key" },
	{ "no.such=1", "-o: \"no.such\": unknown key" },
	{ "port", "-o: \"port\": not of the form key=value" },
	{ "push.trusted=10.0.0.1 10.0.0.0/8, 10.0.0.2 192.168.0.0/16", NULL },
	{ "push.trusted=", NULL },
	{ "operator.allow=10.0.0.0/8, fd00::/8,192.168.1.1", NULL },
	{ "operator.allow=", NULL },
	{ "checks.refuse=", NULL },
	{ "checks.refuse=10.0.0.0/8,fd00::/8", NULL },
	{ "checks.refuse=metadata", "-o: checks.refuse: not an entry like \"10.0.0.0/8\"" },
	{ "checks.concurrency=0", "-o: checks.concurrency: out of range (1 to 10000)" },
	{ "operator.allow=10.0.0.0/33", "-o: operator.allow: not an entry like \"10.0.0.0/8\"" },
	{ "operator.allow=localhost", "-o: operator.allow: not an entry like \"10.0.0.0/8\"" },
	{ "push.trusted=10.0.0.1", "-o: push.trusted: not an entry like \"10.0.0.1 10.0.0.0/8\"" },
	{ "push.trusted=10.0.0.1 10.0.0.0/33",
	  "-o: push.trusted: not an entry like \"10.0.0.1 10.0.0.0/8\"" },
	{ "user=a\nb", "-o: user: has a control character" },
};

static void test_overrides(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(overrides) / sizeof(overrides[0]); i++) {
		struct config_error error = { "" };
		struct config c, before;
		int ret;

		config_defaults(&c);
		before = c;
		ret = config_override(&c, overrides[i].assignment, &error);
		assert_string_equal(error.text,
		                    overrides[i].error != NULL ? overrides[i].error : "");
		assert_int_equal(ret < 0, overrides[i].error != NULL);
		if (ret < 0)
			assert_int_equal(config_differences(&before, &c), 0);
	}
}

static void set(struct config *c, const char *assignment)
{
	struct config_error error;

	assert_int_equal(config_override(c, assignment, &error), 0);
}

static void test_values(void **state)
{
	static const uint8_t ten[16] = { [10] = 0xff, [11] = 0xff, [12] = 10 };
	struct config c;

	(void)state;
	config_defaults(&c);
	set(&c, "push.delay=250");
	assert_int_equal(c.push_delay_ms, 250);
	set(&c, "push.delay=2s");
	assert_int_equal(c.push_delay_ms, 2000);
	set(&c, "segment.max_age=2h");
	assert_int_equal(c.segment_max_age_ms, 7200000);
	set(&c, "segment.limit=3GiB");
	assert_int_equal(c.segment_limit, 3ULL << 30);
	set(&c, "log.level=error");
	assert_int_equal(c.log_level, LOG_LEVEL_ERROR);
	set(&c, "user=roster");
	set(&c, "user=me");
	assert_string_equal(c.user, "me");
	set(&c, "push.trusted=10.0.0.0/8 10.0.0.0/8,::1 fd00::/8");
	assert_int_equal(c.push_trusted_count, 2);
	assert_memory_equal(c.push_trusted[0].source, ten, 16);
	assert_int_equal(c.push_trusted[0].source_bits, 104);
	assert_int_equal(c.push_trusted[1].source_bits, 128);
	assert_int_equal(c.push_trusted[1].claimed_bits, 8);
	set(&c, "push.trusted=");
	assert_int_equal(c.push_trusted_count, 0);
}

/* ---- the file -------------------------------------------------------------------------------- */

static int load_text(const char *text, struct config *config_r, char error[512])
{
	struct config_error e = { "" };
	char path[] = "/tmp/roster-config-XXXXXX";
	int fd = mkstemp(path), ret;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	ret = config_load(path, config_r, &e);
	unlink(path);
	/* What follows the name of the file. */
	assert_true(ret == 0 || strncmp(e.text, path, strlen(path)) == 0);
	strcpy(error, ret == 0 ? e.text : e.text + strlen(path));
	return ret;
}

static const struct {
	const char *text;
	const char *error; /* "": accepted */
} files[] = {
	{ "", "" },
	{ "# nothing\n", "" },
	{ "---\n...\n", "" },
	{ "workers: 4\n", "" },
	{ "listen:\n", "" },
	{ "listen: {port: 1, address: \"::1\"}\n", "" },
	{ "listen.port: 1\n", "" },
	{ "push:\n  trusted:\n    - 10.0.0.1 10.0.0.0/8\n    - \"::1 fd00::/8\"\n", "" },
	{ "push: {trusted: []}\n", "" },
	{ "operator: {allow: []}\n", "" },
	{ "operator: {allow: [10.0.0.0/8, \"::1\"]}\n", "" },
	{ "operator: {allow: 10.0.0.0/8}\n", ":1: operator.allow: not a list" },
	{ "user: \"\"\n", "" },
	{ "user: 'null'\n", "" },
	{ "worker: 4\n", ":1: worker: unknown key" },
	{ "listen:\n  prot: 1\n", ":2: listen.prot: unknown key" },
	{ "listen:\n  port: 1\n  deep:\n    deeper: 1\n", ":3: listen.deep: unknown key" },
	{ "a b\tc\": 1\n", ":1: a?b?c\": unknown key" },
	{ "\"workers\\0x\": 1\n", ":1: workers?x: unknown key" },
	{ "workers: 4\nworkers: 4\n", ":2: workers: given twice" },
	{ "listen: {port: 1}\nlisten: {port: 1}\n", ":2: listen.port: given twice" },
	{ "workers: 65\n", ":1: workers: out of range (0 to 64)" },
	{ "workers: \"4\"\n", ":1: workers: must not be quoted" },
	{ "workers: four\n", ":1: workers: not a whole number" },
	{ "workers:\n", ":1: workers: has no value" },
	{ "user: ~\n", ":1: user: has no value" },
	{ "workers: [4]\n", ":1: workers: must not be a list" },
	{ "workers: {a: 4}\n", ":1: workers: must not be a map" },
	{ "empty_service:\n  clean: yes\n", ":2: empty_service.clean: neither true nor false" },
	{ "listen: 8848\n", ":1: listen: not a map" },
	{ "listen: [8848]\n", ":1: listen: not a map" },
	{ "push: {trusted: 10.0.0.1 10.0.0.0/8}\n", ":1: push.trusted: not a list" },
	{ "push:\n  trusted:\n    - 10.0.0.1 10.0.0.0/8\n    - 10.0.0.1\n",
	  ":4: push.trusted: not an entry like \"10.0.0.1 10.0.0.0/8\"" },
	{ "push: {trusted: [[a]]}\n", ":1: push.trusted: not a list of texts" },
	{ "push: {trusted: []}\npush.trusted: []\n", ":2: push.trusted: given twice" },
	{ "workers: &a 4\n", ":1: workers: anchors are not allowed" },
	{ "workers: *a\n", ":1: workers: aliases are not allowed" },
	{ "workers: !!int 4\n", ":1: workers: tags are not allowed" },
	{ "listen: &a {port: 1}\n", ":1: listen: anchors are not allowed" },
	{ "? [a]\n: 1\n", ":1: a key must be a word" },
	{ "- workers\n", ":1: not a map of keys" },
	{ "workers\n", ":1: not a map of keys" },
	{ "workers: 1\n---\nworkers: 2\n", ":2: more than one document" },
	{ "workers: 1\n@\n", ":2: not YAML: found character that cannot start any token" },
	{ "listen: {port: 1\n", ":2: not YAML: did not find expected ',' or '}'" },
};

static void test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct config c;
		char error[512];
		int ret = load_text(files[i].text, &c, error);

		assert_string_equal(error, files[i].error);
		assert_int_equal(ret < 0, files[i].error[0] != '\0');
	}
}

static void test_file_values(void **state)
{
	struct config c;
	char error[512];

	(void)state;
	assert_int_equal(
	        load_text(
	                "workers: 3\nlisten:\n  port: 9\npush:\n  trusted: [\"1.2.3.4 1.2.3.0/24\"]\n"
	                "limits: {metadata: 8KiB}\n",
	                &c, error),
	        0);
	assert_int_equal(c.workers, 3);
	assert_int_equal(c.listen_port, 9);
	assert_int_equal(c.limit_metadata_bytes, 8192);
	assert_int_equal(c.push_trusted_count, 1);
	assert_int_equal(c.push_trusted[0].claimed_bits, 120);
	/* The rest: defaults. */
	assert_int_equal(c.listen_backlog, 4096);
}

/* An error leaves what the caller had. */
static void test_file_error_changes_nothing(void **state)
{
	struct config c, before;
	char error[512];

	(void)state;
	config_defaults(&c);
	c.workers = 7;
	before = c;
	assert_true(load_text("workers: 3\nnope: 1\n", &c, error) < 0);
	assert_memory_equal(&c, &before, sizeof(c));
}

static void test_file_too_long(void **state)
{
	char *text = malloc(1024 * 1024 + 2), error[512];
	struct config c;

	(void)state;
	memset(text, '\n', 1024 * 1024 + 1);
	text[1024 * 1024 + 1] = '\0';
	assert_int_equal(load_text(text, &c, error), ERR_TOO_BIG);
	assert_string_equal(error, ": longer than 1MiB");
	text[1024 * 1024] = '\0';
	assert_int_equal(load_text(text, &c, error), 0);
	free(text);
}

static void test_file_missing(void **state)
{
	struct config_error error;
	struct config c;

	(void)state;
	assert_int_equal(config_load("/nonexistent/roster.yaml", &c, &error), ERR_IO);
	assert_string_equal(error.text, "/nonexistent/roster.yaml: No such file or directory");
	assert_int_equal(config_load("/", &c, &error), ERR_IO);
	assert_int_equal(config_load("", &c, &error), 0);
	assert_int_equal(config_load(NULL, &c, &error), 0);
}

/* Deep nesting ends at the first unknown name, not in the depth of the parser. */
static void test_file_deep(void **state)
{
	char text[40000], error[512];
	struct config c;

	(void)state;
	memset(text, '[', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_true(load_text(text, &c, error) < 0);
	memset(text, '{', sizeof(text) - 1);
	assert_true(load_text(text, &c, error) < 0);
}

/* ---- rules and differences ------------------------------------------------------------------- */

static void test_check(void **state)
{
	struct config_error error = { "" };
	struct config c;

	(void)state;
	config_defaults(&c);
	assert_int_equal(config_check(&c, &error), 0);
	set(&c, "http.head=8KiB");
	assert_int_equal(config_check(&c, &error), ERR_RANGE);
	assert_string_equal(error.text, "http.line: more than http.head");
	set(&c, "http.line=8KiB");
	assert_int_equal(config_check(&c, &error), 0);
	set(&c, "segment.limit=7MiB");
	assert_int_equal(config_check(&c, &error), ERR_RANGE);
	assert_string_equal(error.text, "segment.limit: less than 8MiB");
	set(&c, "segment.limit=8MiB");
	assert_int_equal(config_check(&c, &error), 0);
}

static void test_differences(void **state)
{
	struct config a, b;

	(void)state;
	config_defaults(&a);
	b = a;
	assert_int_equal(config_differences(&a, &b), 0);
	assert_null(config_fixed_difference(&a, &b));
	set(&b, "push.delay=2s");
	set(&b, "workers=3");
	set(&b, "push.trusted=10.0.0.1 10.0.0.0/8");
	assert_int_equal(config_differences(&a, &b), 3);
	assert_null(config_fixed_difference(&a, &b));
	set(&b, "segment.dir=/dev/shm");
	set(&b, "listen.port=1");
	assert_int_equal(config_differences(&a, &b), 5);
	assert_string_equal(config_fixed_difference(&a, &b), "listen.port");
	/* A longer text behind a zero byte is no difference. */
	b = a;
	set(&b, "user=somebody");
	set(&b, "user=");
	assert_int_equal(config_differences(&a, &b), 0);
}

/* ---- printed files --------------------------------------------------------------------------- */

static char *printed(void (*print)(FILE *out))
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	print(out);
	fclose(out);
	return text;
}

static char *source_file(const char *name)
{
	const char *dir = getenv("srcdir");
	char path[512], *text = calloc(1, 256 * 1024);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir != NULL ? dir : ".", name);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_true(fread(text, 1, 256 * 1024 - 1, file) > 0);
	fclose(file);
	return text;
}

static void same_file(const char *name, void (*print)(FILE *out))
{
	char *in_tree = source_file(name), *now = printed(print);

	assert_string_equal(in_tree, now);
	free(in_tree);
	free(now);
}

/* Each line can be read again: one that cannot is the default to the new binary, which then refuses
 * the upgrade. */
static void test_fixed_text_of_each_key(void **state)
{
	struct config running, read;
	struct config_error error;
	char text[4096], *end;

	(void)state;
	config_defaults(&running);
	config_defaults(&read);
	assert_int_equal(config_override(&running, "context.path=/registry", &error), 0);
	assert_int_equal(config_override(&running, "user=nobody", &error), 0);
	assert_int_equal(config_fixed_text(&running, text, sizeof(text)), 0);
	assert_null(config_fixed_change(text, &running));
	for (char *line = text; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		assert_int_equal(config_override(&read, line, &error), 0);
	}
	assert_string_equal(read.context_path, "/registry");
	assert_int_equal(config_differences(&running, &read), 0);
}

/* What two binaries compare: keys that need a restart, as text. */
static void test_fixed_text(void **state)
{
	struct config running, fresh;
	struct config_error error;
	char text[4096], small[16];

	(void)state;
	config_defaults(&running);
	assert_int_equal(config_override(&running, "listen.port=8849", &error), 0);
	assert_int_equal(config_override(&running, "segment.limit=300MiB", &error), 0);
	assert_int_equal(config_override(&running, "segment.max_age=90s", &error), 0);
	assert_int_equal(config_override(&running, "runtime_dir=/run/a=b", &error), 0);
	assert_int_equal(config_fixed_text(&running, small, sizeof(small)), ERR_TOO_BIG);
	assert_int_equal(config_fixed_text(&running, text, sizeof(text)), 0);
	fresh = running;
	assert_null(config_fixed_change(text, &fresh));
	fresh.push_delay_ms++; /* may change */
	assert_null(config_fixed_change(text, &fresh));
	fresh.sandbox_seccomp = false;
	assert_string_equal(config_fixed_change(text, &fresh), "sandbox.seccomp");
	fresh.sandbox_seccomp = true;
	fresh.segment_max_age_ms++;
	assert_string_equal(config_fixed_change(text, &fresh), "segment.max_age");
	/* Of another version: a key nobody knows any more, and one that it did not have. */
	config_defaults(&fresh);
	assert_null(config_fixed_change("gone.key=7\nlisten.port=8848\n", &fresh));
	fresh.listen_port = 1;
	assert_string_equal(config_fixed_change("gone.key=7\n", &fresh), "listen.port");
	for (unsigned i = 0; i < config_key_count; i++)
		assert_true(config_keys[i].reloadable || !(config_key_is_list(&config_keys[i]) ||
		                                           config_keys[i].type == CONFIG_CHOICE));
}

static void test_printed_files(void **state)
{
	(void)state;
	same_file("etc/roster.yaml", config_print_sample);
	same_file("doc/configuration.md", config_print_doc);
}

/* Takes the # off every key: "  #port: 8848". Descriptions have a blank behind theirs. */
static void uncomment(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (from[0] != '#' || from[1] == ' ')
			*to++ = *from;
	}
	*to = '\0';
}

static void test_sample_is_the_defaults(void **state)
{
	char *text = printed(config_print_sample), error[512];
	struct config defaults, c;

	(void)state;
	config_defaults(&defaults);
	assert_int_equal(load_text(text, &c, error), 0);
	assert_int_equal(config_differences(&defaults, &c), 0);
	uncomment(text);
	assert_non_null(strstr(text, "\n  port: 8848\n"));
	assert_int_equal(load_text(text, &c, error), 0);
	assert_int_equal(config_differences(&defaults, &c), 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_levels_match_log),
		cmocka_unit_test(test_overrides),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_file_values),
		cmocka_unit_test(test_file_error_changes_nothing),
		cmocka_unit_test(test_file_too_long),
		cmocka_unit_test(test_file_missing),
		cmocka_unit_test(test_file_deep),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_fixed_text),
		cmocka_unit_test(test_fixed_text_of_each_key),
		cmocka_unit_test(test_printed_files),
		cmocka_unit_test(test_sample_is_the_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
