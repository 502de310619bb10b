/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/fault.h"

#ifdef ROSTER_FAULTS

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static uint64_t passed;
static uint64_t armed;
static const char *volatile *told;
static int death = SIGKILL;

void fault_point(const char *name)
{
	passed++;
	if (armed == 0 || passed != armed)
		return;
	if (told != NULL)
		*told = name;
	kill(getpid(), death);
	while (death == SIGKILL)
		pause();
}

void fault_arm(uint64_t at)
{
	armed = at;
	passed = 0;
}

void fault_tell(const char *volatile *where)
{
	told = where;
}

uint64_t fault_count(void)
{
	return passed;
}

static void arm_at_random(const char *role)
{
	char name[64];
	const char *mean;
	uint64_t random;

	snprintf(name, sizeof(name), "ROSTER_FAULT_MEAN_%s", role);
	mean = getenv(name);
	if (mean != NULL && strtoull(mean, NULL, 10) > 0 &&
	    getrandom(&random, sizeof(random), 0) == (ssize_t)sizeof(random))
		fault_arm(1 + random % (2 * strtoull(mean, NULL, 10)));
}

void fault_arm_from_environment(const char *role)
{
	const char *at = getenv("ROSTER_FAULT");
	const char *only = getenv("ROSTER_FAULT_ROLE");

	if (getenv("ROSTER_FAULT_STOP") != NULL)
		death = SIGSTOP;
	if (at != NULL && (only == NULL || strcmp(only, role) == 0))
		fault_arm(strtoull(at, NULL, 10));
	else
		arm_at_random(role);
}

static void end_by(const char *how)
{
	if (strcmp(how, "kill") == 0)
		raise(SIGKILL);
	else if (strcmp(how, "segv") == 0)
		raise(SIGSEGV);
	else if (strcmp(how, "abort") == 0)
		abort();
	else if (strcmp(how, "exit") == 0)
		exit(EXIT_FAILURE);
	else if (strcmp(how, "stop") == 0) {
		raise(SIGSTOP);
		return;
	}
	for (;;)
		pause();
}

void fault_at(const char *name)
{
	const char *at = getenv("ROSTER_FAULT_AT");
	size_t n = strlen(name);

	if (at != NULL && strncmp(at, name, n) == 0 && at[n] == '=')
		end_by(at + n + 1);
}

#else

/* An empty translation unit is not C. */
typedef int fault_unused;

#endif
