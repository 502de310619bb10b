/* privileges.h - from root to `user`, in two steps, and what a child may not do.
 *
 * While the segment is opened the effective user is already the configured one (so the
 * file is theirs); the sockets are opened as root again (low ports, receive buffer);
 * then the rights are gone for good, in the master too. */
#ifndef MASTER_PRIVILEGES_H
#define MASTER_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shared/base/err.h"

struct privileges {
	bool change; /* false: we stay who we are */
	uid_t uid;
	gid_t gid;
	char user[64];
};

/* "" : stay. Refuses an unknown user, or another one when we are not root. */
int privileges_find(struct privileges *p, const char *user, char *why, size_t why_size) MUST_CHECK;
/* Effective ids only, and back. */
int privileges_lower(const struct privileges *p) MUST_CHECK;
int privileges_raise(const struct privileges *p) MUST_CHECK;
/* For good. */
int privileges_drop(const struct privileges *p) MUST_CHECK;
/* In a child: dies with its master, shows its memory to nobody, gains nothing by exec.
 * False when the master is dead already. */
bool privileges_bind_child(pid_t master_pid);

#endif
