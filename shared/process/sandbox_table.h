/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox_table.h - one row a call that children may make: which roles, with which arguments, and
 * what for; and one a call that libc makes although it may not.
 *
 * Several rows of one call are alternatives. The rows are sorted by what they are for, as a reader
 * would ask. */
#ifndef PROCESS_SANDBOX_TABLE_H
#define PROCESS_SANDBOX_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/process/process.h"

/* Bits of sandbox_row.roles. */
#define SANDBOX_ROLE(role) (1U << (role))
#define SANDBOX_LIMITS 2U

/* Argument `at` must have exactly the bits `value` of `mask`. mask 0: no limit. */
struct sandbox_limit {
	uint64_t mask;
	uint64_t value;
	unsigned at;
	bool self; /* value is the pid of the child */
};

struct sandbox_row {
	int call; /* SCMP_SYS(); negative where the architecture has none: the row is left out */
	unsigned roles;
	struct sandbox_limit limits[SANDBOX_LIMITS];
	/* With 0 the call is made. With an errno libc is known to ask, and the filter itself
	 * answers with it: the call is not counted nor logged, and there is no signal. */
	int answer;
};

extern const struct sandbox_row sandbox_rows[];
extern const unsigned sandbox_row_count;

#endif
