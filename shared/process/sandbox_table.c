/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/process/sandbox_table.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/sanitized.h"

#define WORKER SANDBOX_ROLE(ROLE_WORKER)
#define PUSHER SANDBOX_ROLE(ROLE_PUSHER)
#define KEEPER SANDBOX_ROLE(ROLE_KEEPER)
/* Every child, whatever its role. */
#define ALL (((1U << ROLES) - 1) & ~SANDBOX_ROLE(ROLE_MASTER))

#define IS(argument, wanted) \
	{ \
		.mask = UINT64_MAX, .value = (uint64_t)(wanted), .at = (argument) \
	}
#define BITS(argument, bits, wanted) \
	{ \
		.mask = (uint64_t)(bits), .value = (uint64_t)(wanted), .at = (argument) \
	}
/* Of a 32-bit argument: the upper half of the register is nobody's. */
#define IS32(argument, wanted) BITS(argument, UINT32_MAX, wanted)
#define SELF(argument) \
	{ \
		.mask = UINT32_MAX, .at = (argument), .self = true \
	}
#define SOCKET_TYPE 0xfU /* without SOCK_NONBLOCK, SOCK_CLOEXEC */

#define ANY(call, roles) \
	{ \
		SCMP_SYS(call), roles, { { 0 } }, 0 \
	}
#define WITH(call, roles, ...) \
	{ \
		SCMP_SYS(call), roles, { __VA_ARGS__ }, 0 \
	}
#define ANSWERED(call, roles, error) \
	{ \
		SCMP_SYS(call), roles, { { 0 } }, error \
	}

const struct sandbox_row sandbox_rows[] = {
	/* the loop: libev, signals and wake-ups as descriptors */
	ANY(epoll_create1, ALL),
	ANY(epoll_ctl, ALL),
	ANY(epoll_wait, ALL),
	ANY(epoll_pwait, ALL),
	ANY(timerfd_create, ALL),
	ANY(timerfd_settime, ALL),
	ANY(eventfd2, ALL),
	ANY(signalfd4, ALL),
	ANY(read, ALL),
	ANY(write, ALL),
	ANY(close, ALL),
	ANY(fcntl, ALL),
	ANY(poll, ALL), /* standing still (freeze.h), and libmariadb */
	ANY(rt_sigpending, ALL),

	/* the locks of the segment: a dead owner's list is what hands them over; growing the
	 * file */
	ANY(futex, ALL),
	ANY(set_robust_list, ALL),
	ANY(get_robust_list, ALL),
	ANY(rseq, ALL),
	ANY(fallocate, ALL),

	/* memory: none is mapped executable or made so; modules are mapped before the filter
	 * (role_row.prepare) */
	ANY(brk, ALL),
	WITH(mmap, ALL, BITS(2, PROT_EXEC, 0)),
	ANY(munmap, ALL),
	ANY(mremap, ALL),
	ANY(madvise, ALL),
	WITH(mprotect, ALL, BITS(2, PROT_EXEC, 0)),

	/* signals, time, chance, itself */
	ANY(rt_sigaction, ALL),
	ANY(rt_sigprocmask, ALL),
	ANY(rt_sigreturn, ALL),
	ANY(restart_syscall, ALL),
	WITH(tgkill, ALL, SELF(0)), /* abort() */
	ANY(clock_gettime, ALL),
	ANY(clock_nanosleep, ALL),
	ANY(gettimeofday, ALL),
	ANY(time, ALL),
	ANY(getrandom, ALL),
	ANY(getpid, ALL),
	ANY(gettid, ALL),
	ANY(uname, ALL), /* libev asks for the version, and whether it is run with other rights */
	ANY(getuid, ALL),
	ANY(geteuid, ALL),
	ANY(getgid, ALL),
	ANY(getegid, ALL),
	ANY(sysinfo, ALL),                          /* qsort() of large arrays */
	WITH(prlimit64, ALL, IS32(0, 0), IS(2, 0)), /* reads its own limits */
	ANY(exit, ALL),
	ANY(exit_group, ALL),

	/* files: read, or appended to (the log after SIGUSR1); none is made otherwise, emptied or
	 * removed */
	WITH(openat, ALL, BITS(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)),
	WITH(openat, ALL, BITS(2, O_ACCMODE | O_APPEND | O_TRUNC, O_WRONLY | O_APPEND)),
	ANY(fstat, ALL),
	ANY(newfstatat, ALL),
	/* lseek finds the holes of the segment. Nobody may choose a place to write at, so that not
	 * even root writes code through /proc/self/mem. */
	WITH(lseek, ALL, IS32(2, SEEK_DATA)),
	WITH(lseek, ALL, IS32(2, SEEK_HOLE)),
	ANY(dup3, ALL),
	ANY(dup2, ALL),

	/* worker: accepted connections; the list of its own addresses by netlink. No connection of
	 * its own. */
	ANY(accept4, WORKER),
	WITH(socket, WORKER, IS32(0, AF_NETLINK)),
	ANY(bind, WORKER),
	ANY(sendmsg, ALL), /* answers, pushes, checks; log lines to journald, which must not wait */
	ANY(sendto, WORKER | KEEPER),
	ANY(recvmsg, WORKER | PUSHER | KEEPER),
	ANY(recvfrom, WORKER | KEEPER),
	ANY(setsockopt, ALL),
	ANY(getsockopt, ALL),
	ANY(getsockname, ALL),
	ANY(shutdown, WORKER | KEEPER),

	/* pusher: the one UDP socket it was given */
	ANY(sendmmsg, PUSHER),
	ANY(recvmmsg, PUSHER),

	/* keeper: active checks by TCP, HTTP and MySQL. No listening, no datagrams. */
	WITH(socket, KEEPER, IS32(0, AF_INET), BITS(1, SOCKET_TYPE, SOCK_STREAM)),
	WITH(socket, KEEPER, IS32(0, AF_INET6), BITS(1, SOCKET_TYPE, SOCK_STREAM)),
	ANY(connect, KEEPER),
	ANY(getpeername, WORKER | KEEPER),

	/* What libc tries first and has an older way for. A refusal that comes as a signal kills
	 * who blocks all signals, as whoever starts a thread does: so it is the filter that
	 * answers, for the older way of that too. */
	ANSWERED(clone3, ALL, ENOSYS),
#if !SANITIZED
	ANSWERED(clone, ALL, EPERM),
#endif
	ANSWERED(close_range, ALL, ENOSYS),
	ANSWERED(epoll_pwait2, ALL, ENOSYS),
	ANSWERED(faccessat2, ALL, ENOSYS),
	ANSWERED(openat2, ALL, ENOSYS),
	ANSWERED(statx, ALL, ENOSYS),

#ifdef ROSTER_FAULTS
	/* A crash point kills its own process. */
	WITH(kill, ALL, SELF(0)),
	ANY(pause, ALL),
#endif

#if SANITIZED
	/* The run-time of the sanitizers: reports, and the search for leaks at the end by a thread
	 * that looks into its parent. */
	ANY(clone, ALL),
	ANY(wait4, ALL),
	ANY(ptrace, ALL),
	ANY(process_vm_readv, ALL),
	ANY(kill, ALL),
	ANY(prctl, ALL),
	ANY(getppid, ALL),
	ANY(open, ALL),
	ANY(stat, ALL),
	ANY(readlink, ALL),
	ANY(readlinkat, ALL),
	ANY(getdents, ALL),
	ANY(getdents64, ALL),
	ANY(pipe2, ALL),
	ANY(sched_yield, ALL),
	ANY(sched_getaffinity, ALL),
	ANY(sigaltstack, ALL),
	ANY(setrlimit, ALL),
	ANY(getrlimit, ALL),
	ANY(nanosleep, ALL),
	ANY(writev, ALL),
	ANY(ioctl, ALL),
	ANY(lseek, ALL),
#endif
};

const unsigned sandbox_row_count = sizeof(sandbox_rows) / sizeof(sandbox_rows[0]);
