/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/process/sandbox.h"

#include <errno.h>
#include <malloc.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/process/sandbox_table.h"

/* Where the answer of a refused call goes. On other architectures the filter answers by itself,
 * with EPERM, and the call is neither counted nor logged. */
#if defined(__x86_64__)
#define REFUSED_ANSWER(context) (context)->uc_mcontext.gregs[REG_RAX]
#elif defined(__aarch64__)
#define REFUSED_ANSWER(context) (context)->uc_mcontext.regs[0]
#endif

#define CALL_ARGUMENTS 6U

#ifdef REFUSED_ANSWER
#define REFUSE SCMP_ACT_TRAP
#define CALLS_LOGGED 1024 /* each number once */

/* The signal comes from the call itself, so between two instructions of ordinary code, and no call
 * of ours is made under a lock: so it may log. */
static void on_refused(int number, siginfo_t *info, void *arg)
{
	static uint64_t logged[CALLS_LOGGED / 64];
	ucontext_t *context = arg;
	unsigned call = (unsigned)info->si_syscall % CALLS_LOGGED;
	int saved = errno;

	(void)number;
	metric_add(METRIC_SANDBOX_REFUSED, 1);
	if ((logged[call / 64] >> call % 64 & 1) == 0) {
		logged[call / 64] |= 1ULL << call % 64;
		log_error("op=sandbox-refused call=%d", info->si_syscall);
	}
	errno = saved;
	REFUSED_ANSWER(context) = info->si_syscall >= SANDBOX_YOUNG ? -ENOSYS : -EPERM;
}

static int hear_refusals(void)
{
	struct sigaction action = { .sa_sigaction = on_refused,
		                    .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART };

	sigemptyset(&action.sa_mask);
	return sigaction(SIGSYS, &action, NULL);
}
#else
#define REFUSE SCMP_ACT_ERRNO(EPERM)

static int hear_refusals(void)
{
	return 0;
}
#endif

static int add_row(scmp_filter_ctx filter, const struct sandbox_row *row)
{
	struct scmp_arg_cmp limits[SANDBOX_LIMITS];
	unsigned count = 0;

	if (row->call < 0)
		return 0;
	for (unsigned i = 0; i < SANDBOX_LIMITS; i++) {
		const struct sandbox_limit *limit = &row->limits[i];
		uint64_t value = limit->self ? (uint64_t)getpid() : limit->value;

		ROSTER_ASSERT(limit->at < CALL_ARGUMENTS);
		if (limit->mask != 0)
			limits[count++] = (struct scmp_arg_cmp){ limit->at, SCMP_CMP_MASKED_EQ,
				                                 limit->mask, value & limit->mask };
	}
	return seccomp_rule_add_array(filter,
	                              row->answer != 0 ? SCMP_ACT_ERRNO((uint16_t)row->answer)
	                                               : SCMP_ACT_ALLOW,
	                              row->call, count, limits);
}

static int fill_filter(scmp_filter_ctx filter, enum role role)
{
	int ret = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	/* Calls shall not get slower for the sake of a sandbox that runs no foreign code. */
	if (ret == 0)
		ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	for (unsigned i = 0; i < sandbox_row_count && ret == 0; i++)
		if ((sandbox_rows[i].roles & SANDBOX_ROLE(role)) != 0)
			ret = add_row(filter, &sandbox_rows[i]);
	return ret;
}

static int load_filter(enum role role)
{
	scmp_filter_ctx filter = seccomp_init(REFUSE);
	int ret = filter == NULL ? -ENOMEM : fill_filter(filter, role);

	if (ret == 0)
		ret = seccomp_load(filter);
	if (filter != NULL)
		seccomp_release(filter);
	(void)malloc_trim(0); /* making a filter takes 100 KB */
	errno = -ret;
	return ret < 0 ? ERR_IO : 0;
}

int sandbox_enter(enum role role)
{
	/* A filter of the master would survive its exec. */
	ROSTER_ASSERT(role > ROLE_MASTER && role < ROLES);
	/* libc reads the time zone with the first date, under a lock that the line about a refused
	 * call would wait for. */
	tzset();
	if (hear_refusals() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return ERR_IO;
	return load_filter(role);
}
