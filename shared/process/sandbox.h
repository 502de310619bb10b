/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - what a child may ask of the kernel.
 *
 * sandbox_enter() is the last thing before a role's entrance: from then on only the calls of the
 * role's rows in sandbox_table.c work. Everything a child needs of higher rights (listening
 * sockets, segment, log) was opened before.
 *
 * A call outside the table is not made: it fails with EPERM, is counted
 * (roster_sandbox_refused_total) and logged once a number. It does not kill: a registry that dies
 * because a new libc asks another question would be a worse neighbour than one that says no. Calls
 * that are younger than the table (Linux 5.1 and later: SANDBOX_YOUNG) fail with ENOSYS, so that
 * libc takes the older way. A call of another architecture (int 0x80, x32) kills the process.
 *
 * The refusal is a signal (SIGSYS), and who blocks that is killed after all: nothing of ours does,
 * but libc blocks all signals where it starts threads and processes. What it may ask then has a row
 * with the answer of the filter.
 *
 * The master has no filter: filters survive exec, and it execs itself. Not thread-safe; one call a
 * process, after the fork. */
#ifndef PROCESS_SANDBOX_H
#define PROCESS_SANDBOX_H

#include "shared/base/err.h"
#include "shared/process/process.h"

/* From this number on calls have the same number on every architecture. */
#define SANDBOX_YOUNG 424

/* Takes away new rights by exec, then enters the filter of the role, which is not the master.
 * Returns ERR_IO when the kernel has no seccomp filters or cannot take a row of the table; errno
 * says which. There is no way back. */
int sandbox_enter(enum role role) MUST_CHECK;

#endif
