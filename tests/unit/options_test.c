/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "master/options.h"

#define ARGS_MAX 8

static int parse(struct options *options, const char *const *args, char *why, size_t why_size)
{
	char *argv[ARGS_MAX + 2] = { (char *)"rosterd" };
	int argc = 1;

	for (; args[argc - 1] != NULL; argc++)
		argv[argc] = (char *)args[argc - 1];
	return options_parse(options, argc, argv, why, why_size);
}

static const struct {
	const char *args[ARGS_MAX];
	enum options_action action;
	bool foreground, forget;
	const char *config_path;
	unsigned overrides;
} good[] = {
	{ { NULL }, OPTIONS_RUN, false, false, NULL, 0 },
	{ { "-f", NULL }, OPTIONS_RUN, true, false, NULL, 0 },
	{ { "-f", "-f", NULL }, OPTIONS_RUN, true, false, NULL, 0 },
	{ { "-c", "x.yaml", NULL }, OPTIONS_RUN, false, false, "x.yaml", 0 },
	{ { "-c", "", NULL }, OPTIONS_RUN, false, false, "", 0 },
	{ { "-o", "a=1", "-o", "b=", NULL }, OPTIONS_RUN, false, false, NULL, 2 },
	{ { "--option=a=b=c", "--config=y", "--foreground", NULL },
	  OPTIONS_RUN,
	  true,
	  false,
	  "y",
	  1 },
	{ { "--forget", "-fc", "z", NULL }, OPTIONS_RUN, true, true, "z", 0 },
	{ { "-t", "-c", "x", NULL }, OPTIONS_CHECK, false, false, "x", 0 },
	{ { "-v", NULL }, OPTIONS_VERSION, false, false, NULL, 0 },
	{ { "-h", NULL }, OPTIONS_HELP, false, false, NULL, 0 },
	{ { "--print-config", "sample", NULL }, OPTIONS_SAMPLE, false, false, NULL, 0 },
	{ { "--print-config=doc", NULL }, OPTIONS_DOC, false, false, NULL, 0 },
	{ { "--export", "file", NULL }, OPTIONS_EXPORT, false, false, NULL, 0 },
	{ { "--forget", "--import=file", NULL }, OPTIONS_IMPORT, false, true, NULL, 0 },
	{ { "--print-api", NULL }, OPTIONS_API, false, false, NULL, 0 },
	{ { "--print-metrics", NULL }, OPTIONS_METRICS, false, false, NULL, 0 },
	{ { "--handover=5", "-f", "-c", "x", NULL }, OPTIONS_RUN, true, false, "x", 0 },
	{ { "--trial=5", "-o", "a=1", NULL }, OPTIONS_TRIAL, false, false, NULL, 1 },
};

static const struct {
	const char *args[ARGS_MAX];
	const char *why;
} bad[] = {
	{ { "-x", NULL }, "option -x is unknown" },
	{ { "--export", NULL }, "option --export needs a value" },
	{ { "--what", NULL }, "option --what is unknown" },
	{ { "-c", NULL }, "option -c needs a value" },
	{ { "-o", "novalue", NULL }, "-o takes KEY=VALUE, not \"novalue\"" },
	{ { "--print-config", "html", NULL }, "--print-config takes sample or doc, not \"html\"" },
	{ { "start", NULL }, "\"start\" is not an option" },
	{ { "--handover=x", NULL },
	  "--handover: only a running rosterd gives this option, to its successor (SIGUSR2)" },
	{ { "--handover", "5", NULL },
	  "--handover: only a running rosterd gives this option, to its successor (SIGUSR2)" },
	{ { "-f", "--handover=5", NULL },
	  "--handover: only a running rosterd gives this option, to its successor (SIGUSR2)" },
	{ { "-f", "--trial=5", NULL },
	  "--trial: only a running rosterd gives this option, to its successor (SIGUSR2)" },
};

static void takes_what_is_right(void **state)
{
	struct options options;
	char why[200];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(parse(&options, good[i].args, why, sizeof(why)), 0);
		assert_int_equal(options.action, good[i].action);
		assert_int_equal(options.foreground, good[i].foreground);
		assert_int_equal(options.forget, good[i].forget);
		assert_int_equal(options.override_count, good[i].overrides);
		if (good[i].config_path == NULL)
			assert_null(options.config_path);
		else
			assert_string_equal(options.config_path, good[i].config_path);
	}
}

static void says_what_is_wrong(void **state)
{
	struct options options;
	char why[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(why, 0, sizeof(why));
		assert_int_equal(parse(&options, bad[i].args, why, sizeof(why)), ERR_SYNTAX);
		assert_string_equal(why, bad[i].why);
	}
}

static void refuses_too_many_overrides(void **state)
{
	static char *argv[2 * (OPTIONS_OVERRIDES + 1) + 2];
	struct options options;
	char why[200];
	int argc = 0;

	(void)state;
	argv[argc++] = (char *)"rosterd";
	for (unsigned i = 0; i < OPTIONS_OVERRIDES; i++) {
		argv[argc++] = (char *)"-o";
		argv[argc++] = (char *)"workers=1";
	}
	assert_int_equal(options_parse(&options, argc, argv, why, sizeof(why)), 0);
	argv[argc++] = (char *)"-o";
	argv[argc++] = (char *)"workers=1";
	assert_int_equal(options_parse(&options, argc, argv, why, sizeof(why)), ERR_SYNTAX);
}

static void overrides_come_after_the_file(void **state)
{
	const char *const args[] = { "-c", "", "-o", "workers=3", "-o", "workers=5", NULL };
	const char *const wrong[] = { "-c", "", "-o", "workers=many", NULL };
	struct config_error error;
	struct options options;
	struct config config;
	char why[200];

	(void)state;
	assert_int_equal(parse(&options, args, why, sizeof(why)), 0);
	assert_int_equal(options_load_config(&options, &config, &error), 0);
	assert_int_equal(config.workers, 5);
	assert_int_equal(parse(&options, wrong, why, sizeof(why)), 0);
	assert_true(options_load_config(&options, &config, &error) < 0);
	assert_non_null(strstr(error.text, "workers"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_right),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(refuses_too_many_overrides),
		cmocka_unit_test(overrides_come_after_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
