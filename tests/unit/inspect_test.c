/* SPDX-License-Identifier: Apache-2.0 */
/* What rosterd prints instead of running, how it then ends, and that it changes nothing. */
#include "master/inspect.h"

#include "tests/unit/stopped_fixture.h"

#include "shared/process/document.h"
#include "shared/registry/office.h"

static int inspect_here(void *action)
{
	struct options options = stopped_options;

	options.action = *(enum options_action *)action;
	options.snapshot_path = folder_path("snapshot");
	return inspect_run(&options);
}

static void expect(enum options_action action, int code, const char *text)
{
	child_expect(inspect_here, &action, code, text);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void print_version(FILE *out)
{
	fprintf(out, "roster %s\nlayout %s\n", PACKAGE_VERSION, segment_fingerprint_text());
}

static const struct {
	enum options_action action;
	void (*print)(FILE *out);
} pages[] = {
	{ OPTIONS_VERSION, print_version },      { OPTIONS_HELP, options_print_help },
	{ OPTIONS_SAMPLE, config_print_sample }, { OPTIONS_DOC, config_print_doc },
	{ OPTIONS_API, document_api },           { OPTIONS_METRICS, document_metrics },
};
#define PAGES (sizeof(pages) / sizeof(pages[0]))

static int print_page_here(void *page)
{
	pages[*(size_t *)page].print(stdout);
	return 0;
}

static void each_page_is_printed(void **state)
{
	static char expected[sizeof(child_text)];

	(void)state;
	for (size_t i = 0; i < PAGES; i++) {
		assert_int_equal(child_run(print_page_here, &i), 0);
		strcpy(expected, child_text);
		assert_true(strlen(expected) > 20);
		expect(pages[i].action, EXIT_SUCCESS, "");
		assert_string_equal(child_text, expected);
	}
}

static int print_to_full_disk_here(void *action)
{
	CHILD_MUST(freopen("/dev/full", "w", stdout) != NULL);
	return inspect_here(action);
}

static void a_page_that_is_lost_is_a_failure(void **state)
{
	(void)state;
	for (size_t i = 0; i < PAGES; i++) {
		enum options_action action = pages[i].action;

		assert_int_equal(child_run(print_to_full_disk_here, &action), EXIT_FAILURE);
	}
}

/* ---- -t -------------------------------------------------------------------------------------- */

static void the_configuration_is_checked(void **state)
{
	static const struct {
		const char *override, *said;
	} rows[] = {
		{ "no.such=1", "rosterd: -o: \"no.such\": unknown key\n" },
		{ "user=no-such-user", "rosterd: user \"no-such-user\" does not exist\n" },
		{ "segment.dir=/no/such/folder",
		  "rosterd: segment.dir /no/such/folder: No such file or directory\n" },
	};

	(void)state;
	assert_int_equal(mkdir(folder_path("seg"), 0700), 0);
	expect(OPTIONS_CHECK, EXIT_SUCCESS, "configuration ok\n");
	stopped_options.override_count = 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		stopped_options.overrides[0] = rows[i].override;
		expect(OPTIONS_CHECK, EXIT_FAILURE, rows[i].said);
		assert_null(strstr(child_text, "configuration ok"));
	}
	assert_false(folder_has(STOPPED_SEGMENT));
	assert_false(folder_has("run"));
}

/* ---- --check --------------------------------------------------------------------------------- */

static void a_registry_is_walked(void **state)
{
	char expected[256];

	(void)state;
	stopped_add(3);
	snprintf(expected, sizeof(expected),
	         "%s/" STOPPED_SEGMENT
	         ": 1 services, 3 instances, 0 subscribers, 0 locks rolled back, 0 broken rules\n",
	         folder);
	expect(OPTIONS_CHECK_REGISTRY, EXIT_SUCCESS, expected);
	assert_string_equal(child_text, expected);
	assert_int_equal(stopped_count(), 3);
}

static int break_here(void *arg)
{
	struct registry reg;

	(void)arg;
	stopped_open(&reg);
	office_of(reg.seg)->namespace_bytes++;
	return 0;
}

static void each_broken_rule_is_named(void **state)
{
	(void)state;
	stopped_add(1);
	assert_int_equal(child_run(break_here, NULL), 0);
	expect(OPTIONS_CHECK_REGISTRY, EXIT_FAILURE, ", 1 broken rules\n");
	assert_memory_equal(child_text, "broken: ", 8);
}

static void no_registry_is_made_for_a_check(void **state)
{
	(void)state;
	expect(OPTIONS_CHECK_REGISTRY, EXIT_FAILURE, "rosterd: no registry to check: ");
	assert_false(folder_has(STOPPED_SEGMENT));
	stopped_options.override_count = 1;
	stopped_options.overrides[0] = "user=no-such-user";
	expect(OPTIONS_CHECK_REGISTRY, EXIT_FAILURE,
	       "rosterd: user \"no-such-user\" does not exist\n");
}

/* What a start would not take may be what an older binary serves. */
static void another_layout_is_not_set_aside_for_a_check(void **state)
{
	(void)state;
	stopped_add(1);
	stopped_change_layout();
	expect(OPTIONS_CHECK_REGISTRY, EXIT_FAILURE, "of another layout");
	stopped_change_layout();
	assert_int_equal(stopped_count(), 1);
}

/* ---- --export, --import ---------------------------------------------------------------------- */

static void a_registry_goes_out_and_in(void **state)
{
	(void)state;
	stopped_add(1);
	expect(OPTIONS_EXPORT, EXIT_SUCCESS, "exported ");
	stopped_options.forget = true;
	expect(OPTIONS_IMPORT, EXIT_SUCCESS, "imported ");
	assert_int_equal(stopped_count(), 1);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, stopped_set_up, folder_tear_down)
	const struct CMUnitTest tests[] = {
		ROW(each_page_is_printed),
		ROW(a_page_that_is_lost_is_a_failure),
		ROW(the_configuration_is_checked),
		ROW(a_registry_is_walked),
		ROW(each_broken_rule_is_named),
		ROW(no_registry_is_made_for_a_check),
		ROW(another_layout_is_not_set_aside_for_a_check),
		ROW(a_registry_goes_out_and_in),
	};

	return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}
