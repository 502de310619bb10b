/* SPDX-License-Identifier: Apache-2.0 */
/* What ps shows of a process. This test program is executed again with a command line of its own,
 * sets its title and reads from /proc what the kernel makes of it. */
#include "master/title.h"

#include "tests/unit/child_fixture.h"

#include <fcntl.h>
#include <stdbool.h>

#define NEXT "ROSTER_TEST_NEXT_IMAGE"
#define ENVIRONMENT_BYTES 200

struct call {
	const char *name;
	bool short_of_room; /* nothing behind the arguments that could be used */
};

static size_t read_own(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	CHILD_MUST(fd >= 0);
	n = read(fd, out, size - 1);
	CHILD_MUST(n >= 0);
	out[n] = 0;
	close(fd);
	return (size_t)n;
}

/* ---- the program executed again -------------------------------------------------------------- */

static void copies_are_whole(int argc, char **args)
{
	CHILD_MUST(args != NULL && argc == 3 && args[3] == NULL);
	CHILD_MUST(strcmp(args[0], "rosterd") == 0 && strcmp(args[1], "") == 0 &&
	           strcmp(args[2], "a b") == 0);
	CHILD_MUST(strlen(getenv("PADDING")) == ENVIRONMENT_BYTES);
}

static int take_title(int argc, char **argv)
{
	static char line[4096], comm[64], name[64];
	char **args;

	snprintf(name, sizeof(name), "%s", getenv(NEXT));
	if (getenv("UNUSABLE") != NULL)
		CHILD_MUST(setenv("PADDING", getenv("PADDING"), 1) == 0 &&
		           (environ[0] = strdup(environ[0])) != NULL);
	args = title_init(argc, argv);
	copies_are_whole(argc, args);
	title_set("a longer one, of which nothing is left");
	title_set(name);
	copies_are_whole(argc, args);
	CHILD_MUST(strcmp(getenv(NEXT), name) == 0);
	/* Nothing of the old arguments is left behind the title. */
	size_t n = read_own("/proc/self/cmdline", line, sizeof(line));

	for (size_t i = strlen(line); i < n; i++)
		CHILD_MUST(line[i] == 0);
	read_own("/proc/self/comm", comm, sizeof(comm));
	printf("[%s] %s", line, comm);
	fflush(stdout);
	_exit(0); /* the copies stay for ever */
}

/* ---- the tests ------------------------------------------------------------------------------- */

static int execute(void *arg)
{
	const struct call *call = arg;
	static char padding[8 + ENVIRONMENT_BYTES + 1] = "PADDING=";
	char next[128];
	char *args[] = { (char[]){ "rosterd" }, (char[]){ "" }, (char[]){ "a b" }, NULL };
	/* Memory that malloc() gives out is not zero by chance. */
	char *env[] = { next, padding, (char[]){ "MALLOC_PERTURB_=85" },
		        call->short_of_room ? (char[]){ "UNUSABLE=" } : NULL, NULL };

	memset(padding + 8, 'x', ENVIRONMENT_BYTES);
	snprintf(next, sizeof(next), "%s=%s", NEXT, call->name);
	execve("/proc/self/exe", args, env);
	return CHILD_BROKEN;
}

static void shows(const char *name, bool short_of_room, const char *expected)
{
	struct call call = { name, short_of_room };

	assert_int_equal(child_run(execute, &call), 0);
	assert_string_equal(child_text, expected);
}

static void the_title_names_the_process(void **state)
{
	(void)state;
	shows("master", false, "[roster: master] roster-master\n");
	shows("worker/0", false, "[roster: worker/0] roster-worker0\n");
}

/* The kernel keeps 15 characters of the short name: the highest number of a worker still fits. */
static void all_of_the_number_is_in_the_short_name(void **state)
{
	(void)state;
	shows("worker/10", false, "[roster: worker/10] roster-worker10\n");
	shows("worker/63", false, "[roster: worker/63] roster-worker63\n");
	shows("a-name-that-is-too-long", false,
	      "[roster: a-name-that-is-too-long] roster-a-name-t\n");
}

/* "rosterd", "" and "a b", each with its end: 13 bytes. */
static void what_does_not_fit_is_cut(void **state)
{
	(void)state;
	shows("worker/0", true, "[roster: work] roster-worker0\n");
	shows("a", true, "[roster: a] roster-a\n");
}

static int without_arguments(void *arg)
{
	char *none[] = { NULL };
	char **args = title_init(0, none);

	(void)arg;
	CHILD_MUST(args != NULL && args[0] == NULL);
	title_set("master");
	return 0;
}

static void no_arguments_are_no_room(void **state)
{
	(void)state;
	assert_int_equal(child_run(without_arguments, NULL), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_title_names_the_process),
		cmocka_unit_test(all_of_the_number_is_in_the_short_name),
		cmocka_unit_test(what_does_not_fit_is_cut),
		cmocka_unit_test(no_arguments_are_no_room),
	};

	if (getenv(NEXT) != NULL)
		return take_title(argc, argv);
	return cmocka_run_group_tests_name("title", tests, NULL, NULL);
}
