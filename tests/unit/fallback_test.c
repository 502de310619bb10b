/* SPDX-License-Identifier: Apache-2.0 */
/* However an image ends that is not proven, the old binary is called back. This test program plays
 * the old binary: it is executed again and prints what it finds in the page. */
#include "master/upgrade/fallback.h"

#include "tests/unit/child_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "shared/base/log.h"
#include "tests/unit/handover_fixture.h"

#define OLD "ROSTER_TEST_OLD_IMAGE"
#define LIMIT_MS 600001U

/* The new image, with a page as the old image left it. */
struct image {
	struct handover *page;
	int fd;
	char option[32];
	char *argv[3];
};

static struct image make_image(void)
{
	static char *args[] = { (char *)"rosterd", (char *)"-f", (char *)"-c", NULL };
	static struct master old;
	struct segment *seg;
	struct image image = { .argv = { args[0], NULL, NULL } };

	CHILD_MUST(segment_open_anonymous(0, &seg) == 0);
	CHILD_MUST(handover_page_new(&old, seg, args, &image.page, &image.fd));
	image.page->binary_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	image.page->limit_ms = LIMIT_MS;
	CHILD_MUST(image.page->binary_fd >= 0 && setenv(OLD, "", 1) == 0);
	return image;
}

static void arm_image(struct image *image)
{
	snprintf(image->option, sizeof(image->option), "%s%d", HANDOVER_OPTION, image->fd);
	image->argv[1] = image->option;
	fallback_arm(2, image->argv);
}

static struct image armed_image(void)
{
	struct image image = make_image();

	arm_image(&image);
	CHILD_MUST(fallback_is_armed());
	return image;
}

/* The old binary, when it is called back. */
static int be_old_image(int argc, char **argv)
{
	int fd = handover_fd_of(argc, argv, HANDOVER_OPTION);
	struct handover *h;
	sigset_t blocked;
	char why[160];

	if (handover_map(fd, true, getpid(), &h, why, sizeof(why)) < 0) {
		printf("no page: %s\n", why);
		return 1;
	}
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (int number = 1; number < SIGRTMIN; number++)
		if (sigismember(&blocked, number) == 1)
			printf("blocked: %d\n", number);
	if (alarm(0) != 0)
		puts("the alarm came along");
	printf("back=%u why=%s args=%s", h->back, h->why, argv[0]);
	for (int i = 2; i < argc; i++)
		printf(",%s", argv[i]);
	puts("");
	fallback_arm(argc, argv); /* an image that was called back is not called back again */
	return fallback_is_armed() ? 1 : 42;
}

static void calls_back(int (*body)(void *arg), void *arg, const char *why)
{
	char expected[400];

	snprintf(expected, sizeof(expected), "back=1 why=%s args=/usr/sbin/rosterd,-f,-c\n", why);
	assert_int_equal(child_run(body, arg), 42);
	assert_string_equal(child_text, expected);
}

/* ---- what calls it back ---------------------------------------------------------------------- */

static int end_by_signal(void *number)
{
	sigset_t all;

	sigfillset(&all); /* exec keeps the mask, so a new image may begin like this */
	CHILD_MUST(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
	armed_image();
	sigdelset(&all, *(int *)number);
	CHILD_MUST(sigprocmask(SIG_UNBLOCK, &all, NULL) == 0);
	raise(*(int *)number);
	return CHILD_BROKEN;
}

static void every_fault_and_a_hang(void **state)
{
	static const struct {
		int number;
		const char *why;
	} rows[] = {
		{ SIGSEGV, "signal SEGV" }, { SIGBUS, "signal BUS" },
		{ SIGILL, "signal ILL" },   { SIGFPE, "signal FPE" },
		{ SIGABRT, "signal ABRT" }, { SIGALRM, "not ready within upgrade.limit" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int number = rows[i].number;

		calls_back(end_by_signal, &number, rows[i].why);
	}
}

/* Uses up the stack. */
static __attribute__((noinline)) unsigned go_down(unsigned depth,
                                                  const volatile unsigned char *above)
{
	volatile unsigned char block[4096];

	block[0] = above[0];
	return depth == 0 ? block[0] : go_down(depth - 1, block) + block[0];
}

static int end_by_stack(void *arg)
{
	const struct rlimit small = { 1U << 20, 1U << 20 };
	const unsigned char first = 1;

	(void)arg;
	armed_image();
	CHILD_MUST(setrlimit(RLIMIT_STACK, &small) == 0);
	return (int)go_down(UINT32_MAX, &first);
}

static int end_by_exit(void *arg)
{
	(void)arg;
	armed_image();
	exit(0);
}

static int end_by_abort(void *arg)
{
	(void)arg;
	armed_image();
	abort();
}

static int end_by_refusal(void *arg)
{
	(void)arg;
	armed_image();
	fallback_now("the segment has moved");
	return CHILD_BROKEN;
}

static void every_other_end(void **state)
{
	(void)state;
	calls_back(end_by_stack, NULL, "signal SEGV");
	calls_back(end_by_abort, NULL, "signal ABRT");
	calls_back(end_by_exit, NULL, "it ended");
	calls_back(end_by_refusal, NULL, "the segment has moved");
}

static int end_with_reasons(void *arg)
{
	fallback_because("not armed yet");
	armed_image();
	fallback_because(arg);
	fallback_because("a later one");
	exit(1);
}

static void the_first_reason_counts(void **state)
{
	char longer[sizeof(((struct handover *)0)->why) + 10],
	        cut[sizeof(((struct handover *)0)->why)];

	(void)state;
	calls_back(end_with_reasons, (char *)"the port is taken", "the port is taken");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	memcpy(cut, longer, sizeof(cut));
	cut[sizeof(cut) - 1] = 0;
	calls_back(end_with_reasons, longer, cut);
}

/* ---- when ------------------------------------------------------------------------------------ */

static int read_alarm(void *arg)
{
	(void)arg;
	armed_image();
	CHILD_MUST(alarm(0) == LIMIT_MS / 1000 + 1); /* a second that has begun is granted */
	fallback_disarm();
	return 0;
}

static int hold(void *arg)
{
	(void)arg;
	armed_image();
	fallback_hold();
	fallback_hold(); /* the page is written meanwhile */
	fallback_release();
	raise(SIGALRM);
	CHILD_MUST(fallback_is_armed() && alarm(0) == 1); /* it comes again soon */
	fallback_because("too late after a fork");
	fallback_release();
	raise(SIGALRM);
	return CHILD_BROKEN;
}

static int hang_in_a_hold(void *arg)
{
	(void)arg;
	armed_image();
	fallback_hold();
	for (unsigned i = 0; i < FALLBACK_HOLD_S; i++) {
		fallback_hold();
		raise(SIGALRM);
		CHILD_MUST(fallback_is_armed() && alarm(0) == 1);
		fallback_release();
	}
	raise(SIGALRM);
	return CHILD_BROKEN;
}

static void the_alarm_waits_for_a_fork(void **state)
{
	(void)state;
	assert_int_equal(child_run(read_alarm, NULL), 0);
	calls_back(hold, NULL, "too late after a fork");
	calls_back(hang_in_a_hold, NULL, "not ready within upgrade.limit");
}

/* In the middle of the rename of a conversion. */
static struct image renaming_image(const char *path)
{
	struct image image = armed_image();

	image.page->segment_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHILD_MUST(image.page->segment_fd >= 0);
	snprintf(image.page->segment_path, sizeof(image.page->segment_path), "%s", path);
	fallback_rename_begin();
	return image;
}

static int end_before_the_rename(void *path)
{
	renaming_image(path);
	raise(SIGSEGV);
	return CHILD_BROKEN;
}

static int end_after_a_rename_that_failed(void *path)
{
	renaming_image(path);
	fallback_rename_end(false);
	fallback_now("no rename");
	return CHILD_BROKEN;
}

static int end_after_the_rename(void *path)
{
	struct image image = renaming_image(path);
	char other[80];

	snprintf(other, sizeof(other), "%s.new", (char *)path);
	CHILD_MUST(close(open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) == 0);
	CHILD_MUST(rename(other, path) == 0);
	raise(SIGALRM);
	CHILD_MUST(fallback_is_armed() && alarm(0) == 1);
	fallback_now("too late");
	CHILD_MUST(image.page->back == 0);
	raise(SIGSEGV);
	return CHILD_BROKEN;
}

static int disarm_by_the_rename(void *path)
{
	renaming_image(path);
	fallback_rename_end(true);
	CHILD_MUST(!fallback_is_armed() && alarm(0) == 0);
	raise(SIGSEGV);
	return CHILD_BROKEN;
}

static void nobody_is_called_back_to_a_segment_without_a_name(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/roster-fallback-%d", (int)getpid());
	calls_back(end_before_the_rename, path, "signal SEGV");
	calls_back(end_after_a_rename_that_failed, path, "no rename");
	assert_int_equal(child_run(end_after_the_rename, path), -SIGSEGV);
	assert_int_equal(child_run(disarm_by_the_rename, path), -SIGSEGV);
	unlink(path);
}

static int disarm_and_end(void *number)
{
	struct image image = armed_image();
	struct sigaction action;

	fallback_disarm();
	CHILD_MUST(!fallback_is_armed() && alarm(0) == 0 && image.page->back == 0);
	CHILD_MUST(sigaction(SIGSEGV, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	fallback_now("too late");
	if (*(int *)number == 0)
		exit(7);
	raise(*(int *)number);
	return CHILD_BROKEN;
}

static void once_disarmed_an_end_is_an_end(void **state)
{
	int none = 0, fault = SIGSEGV, alarm_number = SIGALRM;

	(void)state;
	assert_int_equal(child_run(disarm_and_end, &none), 7);
	assert_int_equal(child_run(disarm_and_end, &fault), -SIGSEGV);
	assert_int_equal(child_run(disarm_and_end, &alarm_number), -SIGALRM);
}

/* ---- children -------------------------------------------------------------------------------- */

static int child_of_image(bool forgets, int number)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (forgets)
			fallback_forget();
		fallback_now("not mine");
		if (number == 0)
			exit(5);
		raise(number);
		_exit(CHILD_BROKEN);
	}
	CHILD_MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int lose_children(void *arg)
{
	struct image image = armed_image();

	(void)arg;
	for (int forgets = 0; forgets < 2; forgets++) {
		CHILD_MUST(child_of_image(forgets, 0) == 5);
		CHILD_MUST(child_of_image(forgets, SIGSEGV) == -SIGSEGV);
		CHILD_MUST(child_of_image(forgets, SIGABRT) == -SIGABRT);
	}
	CHILD_MUST(fallback_is_armed() && image.page->back == 0);
	fallback_disarm();
	return 0;
}

static void the_end_of_a_child_is_its_own(void **state)
{
	(void)state;
	assert_int_equal(child_run(lose_children, NULL), 0);
}

/* ---- never armed, and in vain ---------------------------------------------------------------- */

static int arm_with_nothing(void *arg)
{
	struct image image = make_image();
	char *other[] = { image.argv[0], (char *)"-f", NULL };
	struct sigaction before, action;

	(void)arg;
	CHILD_MUST(sigaction(SIGSEGV, NULL, &before) == 0);
	fallback_arm(1, image.argv);
	fallback_arm(2, other);
	image.page->back = 1;
	arm_image(&image);
	image.page->back = 0;
	image.page->master_pid++; /* of another process */
	arm_image(&image);
	CHILD_MUST(!fallback_is_armed());
	CHILD_MUST(sigaction(SIGSEGV, NULL, &action) == 0 &&
	           action.sa_handler == before.sa_handler);
	fallback_now("never armed");
	fallback_disarm();
	fallback_forget();
	return 0;
}

static void is_armed_by_its_own_page_only(void **state)
{
	(void)state;
	assert_int_equal(child_run(arm_with_nothing, NULL), 0);
}

static int lose_the_binary(void *arg)
{
	struct image image = armed_image();

	(void)arg;
	CHILD_MUST(log_open("stderr", LOG_LEVEL_INFO) == 0);
	image.page->binary_fd = -1;
	fallback_now("a refusal");
	return CHILD_BROKEN;
}

static void an_old_binary_that_is_gone_is_said(void **state)
{
	(void)state;
	child_expect(lose_the_binary, NULL, EXIT_FAILURE,
	             "rosterd: the old binary cannot be called back\n");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_and_a_hang),
		cmocka_unit_test(every_other_end),
		cmocka_unit_test(the_first_reason_counts),
		cmocka_unit_test(the_alarm_waits_for_a_fork),
		cmocka_unit_test(nobody_is_called_back_to_a_segment_without_a_name),
		cmocka_unit_test(once_disarmed_an_end_is_an_end),
		cmocka_unit_test(the_end_of_a_child_is_its_own),
		cmocka_unit_test(is_armed_by_its_own_page_only),
		cmocka_unit_test(an_old_binary_that_is_gone_is_said),
	};

	if (getenv(OLD) != NULL)
		return be_old_image(argc, argv);
	return cmocka_run_group_tests_name("fallback", tests, NULL, NULL);
}
