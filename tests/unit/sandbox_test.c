/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "shared/base/log.h"
#include "shared/base/sanitized.h"
#include "shared/metrics/metrics.h"
#include "shared/process/sandbox.h"
#include "shared/process/sandbox_table.h"
#include "tests/unit/death_fixture.h"

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

/* ---- what nobody may ------------------------------------------------------------------------- */

static int no_sockets(void)
{
	if (!REFUSED(socket(AF_PACKET, SOCK_RAW, 0)))
		return 1;
	if (!REFUSED(socket(AF_INET, SOCK_RAW, IPPROTO_TCP)))
		return 2;
	if (!REFUSED(socket(AF_INET, SOCK_DGRAM, 0)))
		return 3;
	if (!REFUSED(socket(AF_UNIX, SOCK_STREAM, 0)))
		return 4;
	if (!REFUSED(listen(0, 1)))
		return 5;
	return slot->counters[METRIC_SANDBOX_REFUSED] == 5 ? 0 : 6;
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
#if !SANITIZED
	if (!REFUSED(ptrace(PTRACE_ATTACH, 1, NULL, NULL)))
		return 1;
	if (!REFUSED(syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0)))
		return 2;
	if (!REFUSED(kill(1, 0)))
		return 3;
	if (!REFUSED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) || !REFUSED(syscall(SYS_vfork)))
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
	if (MADE(open("/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0640)) &&
	    MADE(open("/dev/null", O_RDONLY)))
		return 0;
	return 7;
}

static void forbidden_calls_fail_in_every_role(void **state)
{
	(void)state;
	in_every_role(no_sockets);
	in_every_role(no_other_programs);
	in_every_role(no_other_processes);
	in_every_role(no_writing);
}

/* ---- code ------------------------------------------------------------------------------------ */

#define PAGE ((size_t)4096)

/* What a process holds before its filter. */
static struct {
	int memory;     /* a memfd */
	int file;       /* in memory, as the segment */
	int shared;     /* System V */
	char *writable; /* the memfd, mapped shared */
} held;

/* The function whose code the attempts are after. */
static __attribute__((noinline)) int victim(void)
{
	return 42;
}

static bool refused_mmap(int protection, int flags, int fd)
{
	return mmap(NULL, PAGE, protection, flags, fd, 0) == MAP_FAILED && errno == EPERM;
}

static bool by_mmap(void)
{
	return refused_mmap(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1) &&
	       refused_mmap(PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static bool by_memfd(void)
{
	return write(held.memory, "\xc3", 1) == 1 &&
	       refused_mmap(PROT_READ | PROT_EXEC, MAP_PRIVATE, held.memory) &&
	       refused_mmap(PROT_READ | PROT_EXEC, MAP_SHARED, held.memory) &&
	       REFUSED(syscall(SYS_memfd_create, "more", 0));
}

static bool by_segment(void)
{
	return refused_mmap(PROT_READ | PROT_EXEC, MAP_SHARED, held.file) &&
	       refused_mmap(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, held.file) &&
	       refused_mmap(PROT_EXEC, MAP_PRIVATE, held.file);
}

static bool by_mprotect(void)
{
	*held.writable = '\xc3';
	return REFUSED(mprotect(held.writable, PAGE, PROT_READ | PROT_EXEC)) &&
	       REFUSED(mprotect(held.writable, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC)) &&
	       mprotect(held.writable, PAGE, PROT_READ | PROT_WRITE) == 0;
}

static bool by_pkey_mprotect(void)
{
	return REFUSED(syscall(SYS_pkey_mprotect, held.writable, PAGE, PROT_READ | PROT_EXEC, -1));
}

static bool by_shmat(void)
{
	return shmat(held.shared, NULL, SHM_EXEC) == (void *)-1 && errno == EPERM;
}

/* Allowed, and moves what is written there; the page stays what it was. */
static bool by_mremap(void)
{
	void *moved = mremap(held.writable, PAGE, 2 * PAGE, MREMAP_MAYMOVE);

	if (moved == MAP_FAILED)
		return false;
	held.writable = moved;
	return REFUSED(mprotect(moved, PAGE, PROT_EXEC)) &&
	       REFUSED(syscall(SYS_remap_file_pages, moved, PAGE, 0, 0, 0));
}

static bool by_process_vm_writev(void)
{
	char code[] = "\xc3";
	struct iovec from = { code, 1 }, to = { *(void **)&(int (*)(void)){ victim }, 1 };

	return REFUSED(syscall(SYS_process_vm_writev, getpid(), &from, 1, &to, 1, 0));
}

/* Opened to append, as the log is, by root: the place to write at is what it does not get. */
static bool by_proc_mem(void)
{
#if !SANITIZED
	int fd = open("/proc/self/mem", O_WRONLY | O_APPEND);
	off_t at = (off_t)(uintptr_t) * (void **)&(int (*)(void)){ victim };
	struct iovec piece = { (char[]){ '\xc3' }, 1 };

	if (!REFUSED(open("/proc/self/mem", O_RDWR)) || !REFUSED(open("/proc/self/mem", O_WRONLY)))
		return false;
	if (fd < 0)
		return errno == EACCES; /* not root */
	return REFUSED(lseek(fd, at, SEEK_SET)) && REFUSED(lseek(fd, at, SEEK_CUR)) &&
	       lseek(fd, at, SEEK_DATA) == -1 && REFUSED(pwrite(fd, piece.iov_base, 1, at)) &&
	       REFUSED(pwritev(fd, &piece, 1, at)) && write(fd, "\xc3", 1) != 1;
#else
	return true;
#endif
}

static bool by_rules_of_the_process(void)
{
	return REFUSED(syscall(SYS_personality, 0x0400000 /* READ_IMPLIES_EXEC */)) &&
	       REFUSED(syscall(SYS_userfaultfd, 0)) && syscall(SYS_io_uring_setup, 1, NULL) == -1 &&
	       errno == ENOSYS;
}

static const struct {
	const char *name;
	bool (*refused)(void);
} code_attempts[] = {
	{ "mmap", by_mmap },
	{ "memfd", by_memfd },
	{ "segment", by_segment },
	{ "mprotect", by_mprotect },
	{ "pkey_mprotect", by_pkey_mprotect },
	{ "shmat", by_shmat },
	{ "mremap", by_mremap },
	{ "process_vm_writev", by_process_vm_writev },
	{ "/proc/self/mem", by_proc_mem },
	{ "personality, userfaultfd, io_uring", by_rules_of_the_process },
};
#define CODE_ATTEMPTS (sizeof(code_attempts) / sizeof(code_attempts[0]))

/* Every executable mapping; returns its length. */
static size_t read_executable(char *out, size_t size)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	size_t n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL && n + sizeof(line) < size) {
		const char *rights = strchr(line, ' ');

		if (rights != NULL && rights[3] == 'x')
			n += (size_t)snprintf(out + n, size - n, "%s", line);
	}
	fclose(maps);
	return n;
}

static int tries_code(void)
{
	static char before[65536], after[65536];
	size_t n = read_executable(before, sizeof(before));

	for (size_t i = 0; i < CODE_ATTEMPTS; i++)
		if (!code_attempts[i].refused())
			return (int)i + 1;
	if (victim() != 42)
		return 100;
	return read_executable(after, sizeof(after)) == n && memcmp(before, after, n) == 0 ? 0
	                                                                                   : 101;
}

static void no_code_comes_in(void **state)
{
	(void)state;
	held.memory = memfd_create("roster-test", MFD_CLOEXEC);
	held.file = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	held.shared = shmget(IPC_PRIVATE, PAGE, 0700);
	assert_true(held.memory >= 0 && held.file >= 0 && held.shared >= 0);
	assert_int_equal(ftruncate(held.memory, (off_t)(2 * PAGE)) |
	                         ftruncate(held.file, (off_t)PAGE),
	                 0);
	held.writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, held.memory, 0);
	assert_true(held.writable != MAP_FAILED);
	for (enum role role = ROLE_WORKER; role < ROLES; role++) {
		int failed = in_role(role, tries_code);

		if (failed != 0)
			fail_msg("role %d: %s (%d)", (int)role,
			         failed > 0 && failed <= (int)CODE_ATTEMPTS
			                 ? code_attempts[failed - 1].name
			                 : "what is executable",
			         failed);
	}
	shmctl(held.shared, IPC_RMID, NULL);
	munmap(held.writable, PAGE);
	close(held.file);
	close(held.memory);
}

/* As the page about it says: no row for any role lets memory be executable, or a place in a file be
 * chosen. */
static void the_table_has_no_row_for_code(void **state)
{
	static const int protecting[] = { SYS_mmap, SYS_mprotect };
	static const int absent[] = {
		SYS_pkey_mprotect, SYS_shmat,   SYS_memfd_create, SYS_process_vm_writev,
		SYS_pwrite64,      SYS_pwritev, SYS_pwritev2,     SYS_personality,
		SYS_userfaultfd,   SYS_execve,  SYS_execveat,     SYS_io_uring_setup
	};

	(void)state;
	for (unsigned i = 0; i < sandbox_row_count; i++) {
		const struct sandbox_row *row = &sandbox_rows[i];

		for (size_t n = 0; n < sizeof(protecting) / sizeof(protecting[0]); n++)
			if (row->call == protecting[n])
				assert_true(row->limits[0].at == 2 &&
				            (row->limits[0].mask & PROT_EXEC) != 0 &&
				            (row->limits[0].value & PROT_EXEC) == 0);
		for (size_t n = 0; n < sizeof(absent) / sizeof(absent[0]); n++)
			assert_int_not_equal(row->call, absent[n]);
	}
}

/* ---- what differs ---------------------------------------------------------------------------- */

static int may_connect(void)
{
	struct sockaddr_in nowhere = { .sin_family = AF_INET,
		                       .sin_port = htons(1),
		                       .sin_addr = { htonl(INADDR_LOOPBACK) } };
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

/* ---- how it is refused ----------------------------------------------------------------------- */

static int young_calls_are_unknown(void)
{
	return syscall(SANDBOX_YOUNG + 500) == -1 && errno == ENOSYS ? 0 : 1;
}

/* Each would be tried first by some libc; rseq is made. Without a signal: all are blocked, as where
 * a thread is started. */
static const struct {
	const char *name;
	long call;
	int error;
} known_calls[] = {
	{ "clone3", SYS_clone3, ENOSYS },
#if !SANITIZED
	{ "clone", SYS_clone, EPERM },
#endif
	{ "close_range", SYS_close_range, ENOSYS },
	{ "epoll_pwait2", SYS_epoll_pwait2, ENOSYS },
	{ "faccessat2", SYS_faccessat2, ENOSYS },
	{ "openat2", SYS_openat2, ENOSYS },
	{ "statx", SYS_statx, ENOSYS },
	{ "rseq", SYS_rseq, EINVAL },
};
#define KNOWN_CALLS (sizeof(known_calls) / sizeof(known_calls[0]))

static int known_calls_are_answered(void)
{
	sigset_t all;

	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return 100;
	for (size_t i = 0; i < KNOWN_CALLS; i++)
		if (syscall(known_calls[i].call, 0, 0, 0, 0, 0, 0) != -1 ||
		    errno != known_calls[i].error)
			return (int)i + 1;
	return slot->counters[METRIC_SANDBOX_REFUSED] == 0 ? 0 : 101;
}

static void *thread(void *arg)
{
	return arg;
}

/* libc blocks all signals, asks for clone3 and then for clone. */
static int threads_are_refused(void)
{
	pthread_t id;
	int ret = pthread_create(&id, NULL, thread, NULL);

#if SANITIZED
	return ret == 0 ? pthread_join(id, NULL) : 1;
#else
	return ret == EPERM && slot->counters[METRIC_SANDBOX_REFUSED] == 0 ? 0 : 1;
#endif
}

static void nobody_dies_of_a_thread(void **state)
{
	(void)state;
	for (enum role role = ROLE_WORKER; role < ROLES; role++) {
		int failed = in_role(role, known_calls_are_answered);

		if (failed != 0)
			fail_msg("role %d: %s (%d)", (int)role,
			         failed > 0 && failed <= (int)KNOWN_CALLS
			                 ? known_calls[failed - 1].name
			                 : "a signal",
			         failed);
	}
	in_every_role(threads_are_refused);
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

/* A filter survives exec, and the master execs itself. */
static void the_master_enters_none(void **state)
{
	struct death death;

	(void)state;
	if (death_fork(&death))
		_exit(sandbox_enter(ROLE_MASTER) < 0);
	death_was_by_assert(&death, "assert ");
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
	static const int needed[] = { SYS_futex, SYS_set_robust_list, SYS_rt_sigreturn,
		                      SYS_fallocate };
	const unsigned all =
	        SANDBOX_ROLE(ROLE_WORKER) | SANDBOX_ROLE(ROLE_PUSHER) | SANDBOX_ROLE(ROLE_KEEPER);

	(void)state;
	for (size_t n = 0; n < sizeof(needed) / sizeof(needed[0]); n++) {
		unsigned roles = 0;

		for (unsigned i = 0; i < sandbox_row_count; i++)
			if (sandbox_rows[i].call == needed[n] &&
			    sandbox_rows[i].limits[0].mask == 0)
				roles |= sandbox_rows[i].roles;
		assert_int_equal(roles, all);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forbidden_calls_fail_in_every_role),
		cmocka_unit_test(no_code_comes_in),
		cmocka_unit_test(the_table_has_no_row_for_code),
		cmocka_unit_test(each_role_has_its_own),
		cmocka_unit_test(libc_takes_the_older_way),
		cmocka_unit_test(nobody_dies_of_a_thread),
		cmocka_unit_test(last_words_still_end_in_abort),
		cmocka_unit_test(the_master_enters_none),
		cmocka_unit_test(locks_are_handed_over),
		cmocka_unit_test(what_the_locks_need_is_in_the_table),
	};

	slot = mmap(NULL, sizeof(*slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(slot != MAP_FAILED);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
