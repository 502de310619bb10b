/* SPDX-License-Identifier: Apache-2.0 */
/* account_fixture.h - another account than ours, for what root does on its behalf. */
#ifndef TESTS_ACCOUNT_FIXTURE_H
#define TESTS_ACCOUNT_FIXTURE_H

#include <grp.h>
#include <pwd.h>
#include <sys/types.h>
#include <unistd.h>

#include "master/privileges.h"
#include "tests/unit/child_fixture.h"
#include "tests/unit/spot.h"

#define ACCOUNT "nobody"

/* Filled in as by a start. Needs root: without it the test says so and is skipped, which
 * tests/run.py counts as a failure. */
static inline struct privileges account_privileges_at(struct spot spot)
{
	struct privileges p;
	char why[128] = "";

	if (geteuid() != 0) {
		print_message("this test needs root, to become another account\n");
		skip();
	}
	if (privileges_find(&p, ACCOUNT, why, sizeof(why)) < 0)
		fail_at(spot, "no privileges of " ACCOUNT ": %s", why);
	return p;
}
#define account_privileges() account_privileges_at(SPOT)

/* In a child: becomes the account for good, and leaves all groups but the account's own. A child
 * that is not root has an ordinary account already and keeps it. */
static inline void account_become(void)
{
	const struct passwd *entry = getpwnam(ACCOUNT);

	if (geteuid() != 0)
		return;
	CHILD_MUST(entry != NULL);
	CHILD_MUST(setgroups(0, NULL) == 0 && setgid(entry->pw_gid) == 0 &&
	           setuid(entry->pw_uid) == 0);
}

#endif
