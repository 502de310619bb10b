/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/process/sandbox.h"
#include "shared/process/sandbox_table.h"

#define REFUSED(call) ((call) == -1 && errno == EPERM)
#define MADE(call) ((call) != -1 || errno != EPERM)

static struct slot *slot;

/* In a child of that role; its exit code is the number of the first expectation that failed. */
static int in_role(enum role role, int (*body)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		metrics_use(slot);
		slot->counters[METRIC_SANDBOX_REFUSED] = 0;
		if (sandbox_enter(role) < 0)
			_exit(200);
		_exit(body());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void in_every_role(int (*body)(void))
{
	for (enum role role = ROLE_WORKER; role < ROLES; role++)
		assert_int_equal(in_role(role, body), 0);
}

/* ---- what nobody may -------------------------------------------------------------- */

static int no_sockets(void)
{
	if (!REFUSED(socket(AF_PACKET, SOCK_RAW, 0)))
		return 1;
	if (!REFUSED(socket(AF_INET, SOCK_RAW, IPPROTO_TCP)))
		return 2;
	if (!REFUSED(socket(AF_INET, SOCK_DGRAM, 0)))
		return 3;
	if (socket(AF_UNIX, SOCK_STREAM, 0) != -1)
		return 4;
	if (!REFUSED(listen(0, 1)))
		return 5;
	/* One is expected of the keeper. */
	return slot->counters[METRIC_SANDBOX_REFUSED] >= 4 ? 0 : 6;
}

static int no_other_programs(void)
{
	static char program[] = "/bin/true";
	char *const args[] = { program, NULL };

	if (!REFUSED(execve(args[0], args, args + 1)))
		return 1;
	if (!REFUSED(syscall(SYS_execveat, AT_FDCWD, args[0], args, args + 1, 0)))
		return 2;
	if (!REFUSED(syscall(SYS_setuid, 0)))
		return 3;
	if (!REFUSED(syscall(SYS_unshare, 0)))
		return 4;
	if (!REFUSED(syscall(SYS_bpf, 0, NULL, 0)))
		return 5;
	return 0;
}

/* The run-time of the address sanitizer looks for leaks that way. */
static int no_other_processes(void)
{
#ifndef __SANITIZE_ADDRESS__
	if (!REFUSED(ptrace(PTRACE_ATTACH, 1, NULL, NULL)))
		return 1;
	if (!REFUSED(syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0)))
		return 2;
	if (!REFUSED(kill(1, 0)))
		return 3;
	if (!REFUSED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)))
		return 4;
#endif
	/* Another thread group by tgkill: the limit is on the argument. */
	return REFUSED(syscall(SYS_tgkill, 1, 1, 0)) ? 0 : 5;
}

static int no_writing(void)
{
	if (!REFUSED(open("/dev/null", O_WRONLY)))
		return 1;
	if (!REFUSED(open("/dev/null", O_RDWR)))
		return 2;
	if (!REFUSED(open("/tmp/roster-sandbox", O_WRONLY | O_CREAT | O_APPEND | O_TRUNC, 0600)))
		return 3;
	if (!REFUSED(unlink("/tmp/roster-sandbox")))
		return 4;
	if (!REFUSED(rename("/tmp/a", "/tmp/b")))
		return 5;
	if (!REFUSED(ftruncate(0, 0)))
		return 6;
	if (MADE(open("/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0640)) && MADE(open("/dev/null", O_RDONLY)))
		return 0;
	return 7;
}

static int nothing_executable(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	if (!REFUSED(mprotect(page, 4096, PROT_READ | PROT_EXEC)))
		return 2;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0) != MAP_FAILED || errno != EPERM)
		return 3;
	return mprotect(page, 4096, PROT_READ) == 0 ? 0 : 4;
}

static void forbidden_calls_fail_in_every_role(void **state)
{
	(void)state;
	in_every_role(no_sockets);
	in_every_role(no_other_programs);
	in_every_role(no_other_processes);
	in_every_role(no_writing);
	in_every_role(nothing_executable);
}

/* ---- what differs ----------------------------------------------------------------- */

static int may_connect(void)
{
	struct sockaddr_in nowhere = { .sin_family = AF_INET, .sin_port = htons(1), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return MADE(fd) && MADE(connect(fd, (struct sockaddr *)&nowhere, sizeof(nowhere))) ? 1 : 0;
}

static int may_accept(void)
{
	return MADE(accept4(0, NULL, NULL, 0)) ? 1 : 0;
}

static int may_push(void)
{
	return MADE(sendmmsg(0, NULL, 0, 0)) ? 1 : 0;
}

static void each_role_has_its_own(void **state)
{
	static const struct {
		enum role role;
		int connect, accept, push;
	} rows[] = {
		{ ROLE_WORKER, 0, 1, 0 },
		{ ROLE_PUSHER, 0, 0, 1 },
		{ ROLE_KEEPER, 1, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(in_role(rows[i].role, may_connect), rows[i].connect);
		assert_int_equal(in_role(rows[i].role, may_accept), rows[i].accept);
		assert_int_equal(in_role(rows[i].role, may_push), rows[i].push);
	}
}

/* ---- how it is refused ------------------------------------------------------------ */

static int young_calls_are_unknown(void)
{
	return syscall(SANDBOX_YOUNG + 500) == -1 && errno == ENOSYS ? 0 : 1;
}

static int aborts(void)
{
	abort();
}

static void libc_takes_the_older_way(void **state)
{
	(void)state;
	in_every_role(young_calls_are_unknown);
}

static void last_words_still_end_in_abort(void **state)
{
	(void)state;
	assert_int_equal(in_role(ROLE_WORKER, aborts), -SIGABRT);
}

static int enter(void *role)
{
	return sandbox_enter(*(enum role *)role);
}

static void locks_are_handed_over(void **state)
{
	(void)state;
	for (enum role role = ROLE_WORKER; role < ROLES; role++)
		assert_int_equal(segment_probe_robust(enter, &role), 0);
}

static void what_the_locks_need_is_in_the_table(void **state)
{
	static const int needed[] = { SYS_futex, SYS_set_robust_list, SYS_rt_sigreturn, SYS_fallocate };
	const unsigned all = SANDBOX_ROLE(ROLE_WORKER) | SANDBOX_ROLE(ROLE_PUSHER) | SANDBOX_ROLE(ROLE_KEEPER);

	(void)state;
	for (size_t n = 0; n < sizeof(needed) / sizeof(needed[0]); n++) {
		unsigned roles = 0;

		for (unsigned i = 0; i < sandbox_row_count; i++)
			if (sandbox_rows[i].call == needed[n] && sandbox_rows[i].limits[0].mask == 0)
				roles |= sandbox_rows[i].roles;
		assert_int_equal(roles, all);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forbidden_calls_fail_in_every_role),
		cmocka_unit_test(each_role_has_its_own),
		cmocka_unit_test(libc_takes_the_older_way),
		cmocka_unit_test(last_words_still_end_in_abort),
		cmocka_unit_test(locks_are_handed_over),
		cmocka_unit_test(what_the_locks_need_is_in_the_table),
	};

	slot = mmap(NULL, sizeof(*slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(slot != MAP_FAILED);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
