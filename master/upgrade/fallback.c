/* SPDX-License-Identifier: Apache-2.0 */
#include "master/upgrade/fallback.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/log.h"
#include "shared/shm/segment.h"

#define STACK_BYTES 65536U

static struct {
	volatile sig_atomic_t armed;
	volatile sig_atomic_t held;     /* how often */
	volatile sig_atomic_t waited_s; /* a late alarm, since the outermost hold began */
	volatile sig_atomic_t renaming; /* a new segment gets the name of the old one */
	bool because;
	pid_t pid;
	struct handover *h;
	char first[32];
	char *argv[HANDOVER_ARGS + 3];
	char stack[STACK_BYTES]; /* of the handlers: an overflow of the stack is a fault too */
} fallback;

static const struct {
	int number;
	const char *why;
} rows[] = {
	{ SIGSEGV, "signal SEGV" }, { SIGBUS, "signal BUS" },
	{ SIGILL, "signal ILL" },   { SIGFPE, "signal FPE" },
	{ SIGABRT, "signal ABRT" }, { SIGALRM, "not ready within upgrade.limit" },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Everything from here to exec is async-signal-safe. */
static void copy_why(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; n + 1 < size && text[n] != 0; n++)
		out[n] = text[n];
	out[n] = 0;
}

void fallback_because(const char *why)
{
	if (!fallback.armed || fallback.because)
		return;
	fallback.because = true;
	copy_why(fallback.h->why, sizeof(fallback.h->why), why);
}

void fallback_now(const char *why)
{
	static const char lost[] = "rosterd: the old binary cannot be called back\n";

	if (!fallback.armed || getpid() != fallback.pid)
		return;
	if (fallback.renaming &&
	    !segment_has_name(fallback.h->segment_fd, AT_FDCWD, fallback.h->segment_path))
		return;
	fallback_because(why);
	fallback.armed = 0;
	alarm(0);
	fallback.h->back = 1;
	handover_pass(fallback.h, true);
	fexecve(fallback.h->binary_fd, fallback.argv, environ);
	if (!log_write_raw(lost, sizeof(lost) - 1))
		_exit(EXIT_FAILURE + 1);
	_exit(EXIT_FAILURE);
}

static void on_fault(int number)
{
	const char *why = "a signal";

	if (number == SIGALRM && fallback.held > 0 && fallback.waited_s < FALLBACK_HOLD_S) {
		fallback.waited_s++;
		alarm(1);
		return;
	}
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].number == number)
			why = rows[i].why;
	fallback_now(why);
	/* Only a child that was just forked gets here, who has a second fault, or an image that has
	 * made the rename. */
	signal(number, SIG_DFL);
	raise(number);
}

static void on_exit_of_image(void)
{
	fallback_now("it ended");
}

/* SA_NODEFER, because the mask goes through the exec, and the old image shall find none of these
 * signals blocked. */
static void set_handlers(void)
{
	const stack_t stack = { .ss_sp = fallback.stack, .ss_size = sizeof(fallback.stack) };
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_NODEFER };
	sigset_t set;

	sigaltstack(&stack, NULL);
	sigemptyset(&action.sa_mask);
	sigemptyset(&set);
	for (size_t i = 0; i < ROWS; i++) {
		sigaction(rows[i].number, &action, NULL);
		sigaddset(&set, rows[i].number);
	}
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void fallback_arm(int argc, char **argv)
{
	int fd = handover_fd_of(argc, argv, HANDOVER_OPTION);
	char why[160];

	ROSTER_ASSERT(!fallback.armed); /* once, from main() */
	if (fd < 0 || handover_map(fd, true, getpid(), &fallback.h, why, sizeof(why)) < 0)
		return; /* options_parse() and arrival_begin() say what is wrong */
	if (fallback.h->back) {
		handover_unmap(&fallback.h);
		return;
	}
	snprintf(fallback.first, sizeof(fallback.first), "%s%d", HANDOVER_OPTION, fd);
	handover_args(fallback.h, fallback.first, fallback.argv);
	fallback.pid = getpid();
	fallback.armed = 1;
	set_handlers();
	atexit(on_exit_of_image);
	alarm((fallback.h->limit_ms + 999) / 1000);
}

static void reset_handlers(void)
{
	fallback.armed = 0;
	for (size_t i = 0; i < ROWS; i++)
		signal(rows[i].number, SIG_DFL);
}

void fallback_disarm(void)
{
	if (!fallback.armed)
		return;
	alarm(0);
	reset_handlers();
}

bool fallback_is_armed(void)
{
	return fallback.armed != 0;
}

void fallback_forget(void)
{
	if (!fallback.armed)
		return;
	reset_handlers();
}

void fallback_hold(void)
{
	if (fallback.held == 0)
		fallback.waited_s = 0;
	fallback.held++;
}

void fallback_release(void)
{
	ROSTER_ASSERT(fallback.held > 0);
	fallback.held--;
}

void fallback_rename_begin(void)
{
	ROSTER_ASSERT(!fallback.renaming);
	fallback_hold();
	fallback.renaming = 1;
}

void fallback_rename_end(bool renamed)
{
	ROSTER_ASSERT(fallback.renaming);
	if (renamed)
		fallback_disarm();
	fallback.renaming = 0;
	fallback_release();
}
