/* SPDX-License-Identifier: Apache-2.0 */
/* A trial may run any program. This test program plays them all: it is executed again with the
 * name of its part in the environment. */
#include "master/upgrade/trial.h"

#include "tests/unit/child_fixture.h"
#include "tests/unit/folder_fixture.h"
#include "tests/unit/handover_fixture.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define PART "ROSTER_TEST_TRIAL" /* which program is played */
#define GENEROUS_MS 600000U      /* only ends what hangs */
#define FLOOD_BYTES (1U << 20)   /* more than any pipe takes */

static struct master m;
static struct handover *page;
static int page_fd, binary_fd, lock_fd;
static enum trial_result result;
static char why[512];

/* ---- the programs ---------------------------------------------------------------------------- */

static int pass(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	fputs(TRIAL_PASSED, stdout);
	return 0;
}

static int pass_but_layout(int argc, char **argv)
{
	pass(argc, argv);
	return TRIAL_EXIT_LAYOUT;
}

static int say_nothing(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static int layout_without_passing(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return TRIAL_EXIT_LAYOUT;
}

static int refuse(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("listen.port: changing it needs a restart\nand more");
	return 1;
}

static int pass_and_fail(int argc, char **argv)
{
	pass(argc, argv);
	return 1;
}

static int crash(int argc, char **argv)
{
	pass(argc, argv);
	fflush(stdout);
	signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own */
	raise(SIGSEGV);
	return 0;
}

static int stay(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return child_stay();
}

static int flood(int argc, char **argv)
{
	for (unsigned i = 0; i < FLOOD_BYTES; i++)
		putchar('x');
	return pass_and_fail(argc, argv);
}

/* This one starts another process, which keeps the sockets and the pipe open. */
static int leave_another(int argc, char **argv)
{
	pid_t pid = fork();

	if (pid == 0)
		return stay(argc, argv);
	printf("%d\n", (int)pid);
	return 1;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Signals are as a program expects them, and the service manager hears nothing of the trial. */
static void expect_surroundings(void)
{
	sigset_t blocked;
	struct sigaction action;
	int on_death = 0;

	CHILD_MUST(getpgid(0) == getpid());
	CHILD_MUST(prctl(PR_GET_PDEATHSIG, &on_death) == 0 && on_death == SIGKILL);
	CHILD_MUST(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0 &&
	           sigismember(&blocked, SIGTERM) == 0);
	CHILD_MUST(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	CHILD_MUST(getenv("NOTIFY_SOCKET") == NULL && getenv("WATCHDOG_USEC") == NULL);
	CHILD_MUST(read(STDIN_FILENO, &on_death, 1) == 0);
}

static int look_around(int argc, char **argv)
{
	int fd = handover_fd_of(argc, argv, HANDOVER_TRIAL_OPTION);
	struct handover *h;

	expect_surroundings();
	CHILD_MUST(argc == 4 && strcmp(argv[0], "/usr/sbin/rosterd") == 0 &&
	           strcmp(argv[3], "a=b") == 0);
	CHILD_MUST(handover_map(fd, true, getppid(), &h, why, sizeof(why)) <
	           0); /* only to be read */
	CHILD_MUST(handover_map(fd, false, getppid(), &h, why, sizeof(why)) == 0);
	CHILD_MUST((fcntl(h->segment_fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
	CHILD_MUST(flock(h->segment_fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
	CHILD_MUST(is_open(h->udp_fd) && is_open(h->listen_fds[0]) &&
	           is_open(h->listen_fds[WORKERS_MAX - 1]));
	/* Nothing else of the master's comes along. */
	CHILD_MUST(!is_open(h->ready_fd) && !is_open(h->config_fd) && !is_open(h->alive_fds[1]));
	return pass(argc, argv);
}

static const struct {
	const char *name;
	int (*play)(int argc, char **argv);
} parts[] = {
	{ "pass", pass },
	{ "pass_but_layout", pass_but_layout },
	{ "say_nothing", say_nothing },
	{ "layout_without_passing", layout_without_passing },
	{ "refuse", refuse },
	{ "pass_and_fail", pass_and_fail },
	{ "crash", crash },
	{ "stay", stay },
	{ "flood", flood },
	{ "leave_another", leave_another },
	{ "look_around", look_around },
};

static int play(const char *part, int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(parts[i].name, part) == 0)
			return parts[i].play(argc, argv);
	return CHILD_BROKEN;
}

/* ---- the master ------------------------------------------------------------------------------ */

static int set_up(void **state)
{
	static char *args[] = { (char *)"rosterd", (char *)"-o", (char *)"a=b", NULL };
	struct segment *seg;

	if (folder_set_up(state) < 0 || segment_open_anonymous(0, &seg) < 0 ||
	    !handover_page_new(&m, seg, args, &page, &page_fd))
		return -1;
	folder_put("segment", "");
	lock_fd = open(folder_path("segment"), O_RDWR | O_CLOEXEC);
	page->segment_fd = lock_fd;
	page->udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	page->listen_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	page->listen_fds[WORKERS_MAX - 1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	page->ready_fd = page->config_fd = page->alive_fds[1] =
	        open("/dev/null", O_RDWR | O_CLOEXEC);
	binary_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	m.loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	m.config.upgrade_trial_limit_ms = GENEROUS_MS;
	return binary_fd >= 0 && page->ready_fd >= 0 && m.loop != NULL
	               ? flock(lock_fd, LOCK_EX | LOCK_NB)
	               : -1;
}

static int tear_down(void **state)
{
	int fds[] = { lock_fd,
		      page->udp_fd,
		      page->listen_fds[0],
		      page->listen_fds[WORKERS_MAX - 1],
		      page->ready_fd,
		      binary_fd,
		      page_fd };

	unsetenv(PART);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	handover_unmap(&page);
	segment_close_for_test(&m.seg);
	ev_loop_destroy(m.loop);
	return folder_tear_down(state);
}

static void begin(const char *part)
{
	setenv(PART, part, 1);
	assert_int_equal(trial_start(&m, page, binary_fd), 0);
	assert_true(m.upgrade.trial.pid > 0);
}

static void on_end(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)io;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

/* No process, no watcher and no descriptor of the trial is left. */
static void is_over(void)
{
	const struct trial *trial = &m.upgrade.trial;

	assert_int_equal(trial->pid, 0);
	assert_false(ev_is_active(&trial->out) || ev_is_active(&trial->limit));
	assert_false(is_open(trial->out_fd));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* The loop goes on until the process ends, as the master's does. */
static void end(void)
{
	int pid_fd = (int)syscall(SYS_pidfd_open, m.upgrade.trial.pid, 0);
	ev_io gone;

	assert_true(pid_fd >= 0);
	ev_io_init(&gone, on_end, pid_fd, EV_READ);
	ev_io_start(m.loop, &gone);
	ev_run(m.loop, 0);
	ev_io_stop(m.loop, &gone);
	close(pid_fd);
	why[0] = 0;
	assert_true(trial_reap(&m, &result, why, sizeof(why)));
	is_over();
	assert_false(trial_reap(&m, &result, why, sizeof(why)));
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void the_result_is_what_it_said_and_how_it_ended(void **state)
{
	static const struct {
		const char *part;
		enum trial_result result;
		const char *why;
	} rows[] = {
		{ "pass", TRIAL_OK, "" },
		{ "pass_but_layout", TRIAL_LAYOUT, "" },
		{ "say_nothing", TRIAL_FAILED,
		  "the trial ended without saying that it passed: is this rosterd?" },
		{ "layout_without_passing", TRIAL_FAILED, "the trial failed, exit=3: " },
		{ "refuse", TRIAL_FAILED,
		  "the trial failed, exit=1: listen.port: changing it needs a restart" },
		{ "pass_and_fail", TRIAL_FAILED, "the trial failed, exit=1: roster: trial passed" },
		{ "crash", TRIAL_FAILED, "the trial failed, signal=11: roster: trial passed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(rows[i].part);
		end();
		assert_int_equal(result, rows[i].result);
		assert_string_equal(why, rows[i].why);
	}
}

static void it_gets_what_it_has_to_look_at_and_no_more(void **state)
{
	sigset_t all;

	(void)state;
	setenv("NOTIFY_SOCKET", "/nobody", 1);
	setenv("WATCHDOG_USEC", "1", 1);
	sigfillset(&all); /* as in a master, which reads them from a descriptor */
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	begin("look_around");
	end();
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	signal(SIGPIPE, SIG_DFL);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	assert_string_equal(why, "");
	assert_int_equal(result, TRIAL_OK);
	assert_int_equal(fcntl(page->segment_fd, F_GETFL) & O_ACCMODE,
	                 O_RDWR); /* ours stays as it was */
	assert_int_equal(fcntl(page->listen_fds[0], F_GETFD), FD_CLOEXEC);
}

static void nobody_waits_at_a_full_pipe(void **state)
{
	(void)state;
	begin("flood");
	end();
	assert_int_equal(result, TRIAL_FAILED);
	assert_memory_equal(why, "the trial failed, exit=1: xxx", 29);
	assert_in_range(strlen(why), sizeof(m.upgrade.trial.said), sizeof(why) - 1);
}

static void what_it_started_goes_with_it(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	begin("leave_another");
	waitid(P_PID, (id_t)m.upgrade.trial.pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	assert_true(trial_reap(&m, &result, why, sizeof(why)));
	pid = atoi(strstr(why, "exit=1: ") + 8);
	assert_true(pid > 0);
	assert_int_equal(wait_for_end(pid), -SIGKILL);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	is_over();
}

static void has_a_limit(void **state)
{
	(void)state;
	m.config.upgrade_trial_limit_ms = 1;
	begin("stay");
	end();
	assert_int_equal(result, TRIAL_FAILED);
	assert_string_equal(why, "the trial took longer than upgrade.trial_limit");
}

static void a_stop_ends_it(void **state)
{
	(void)state;
	trial_cancel(&m); /* none runs */
	assert_false(trial_reap(&m, &result, why, sizeof(why)));
	begin("stay");
	assert_true(ev_timer_remaining(m.loop, &m.upgrade.trial.limit) <= GENEROUS_MS / 1000.);
	assert_false(trial_reap(&m, &result, why, sizeof(why)));
	trial_cancel(&m);
	is_over();
}

static void a_file_that_is_no_program_fails(void **state)
{
	(void)state;
	folder_put("text", "just text\n");
	close(binary_fd);
	binary_fd = open(folder_path("text"), O_PATH | O_CLOEXEC);
	begin("pass");
	end();
	assert_int_equal(result, TRIAL_FAILED);
	assert_string_equal(
	        why,
	        "the trial failed, exit=127: /usr/sbin/rosterd cannot be executed: Permission denied");
}

/* An interpreter reads its script through the descriptor. The script lies in no folder, because a
 * folder may be mounted so that nothing in it can be executed. */
static void a_script_is_a_program(void **state)
{
	static const char script[] = "#!/bin/sh\necho 'roster: trial passed'\n";

	(void)state;
	close(binary_fd);
	binary_fd = memfd_create("script", MFD_CLOEXEC);
	assert_int_equal(write(binary_fd, script, sizeof(script) - 1), sizeof(script) - 1);
	begin("pass");
	end();
	assert_string_equal(why, "");
	assert_int_equal(result, TRIAL_OK);
}

static int start_and_stay(void *pipe_fd)
{
	page->master_pid = getpid();
	setenv(PART, "stay", 1);
	CHILD_MUST(trial_start(&m, page, binary_fd) == 0);
	CHILD_MUST(write(*(int *)pipe_fd, &m.upgrade.trial.pid, sizeof(pid_t)) == sizeof(pid_t));
	return stay(0, NULL);
}

static void it_dies_with_the_master(void **state)
{
	pid_t master, pid = 0;
	int fds[2];

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	master = child_start(STDERR_FILENO, start_and_stay, &fds[1]);
	close(fds[1]);
	assert_int_equal(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
	close(fds[0]);
	assert_int_equal(kill(master, SIGKILL), 0);
	assert_int_equal(wait_for_end(master), -SIGKILL);
	assert_true(wait_for_end(pid) != 0);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

int main(int argc, char **argv)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(the_result_is_what_it_said_and_how_it_ended),
		ROW(it_gets_what_it_has_to_look_at_and_no_more),
		ROW(nobody_waits_at_a_full_pipe),
		ROW(what_it_started_goes_with_it),
		ROW(has_a_limit),
		ROW(a_stop_ends_it),
		ROW(a_file_that_is_no_program_fails),
		ROW(a_script_is_a_program),
		ROW(it_dies_with_the_master),
	};

	if (getenv(PART) != NULL)
		return play(getenv(PART), argc, argv);
	return cmocka_run_group_tests_name("trial", tests, NULL, NULL);
}
