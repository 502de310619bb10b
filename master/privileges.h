/* SPDX-License-Identifier: Apache-2.0 */
/* privileges.h - from root to `user`, in two steps, and what a child may not do.
 *
 * What the account may influence is opened as the account: log, runtime folder, segment. Root
 * follows no path through a folder of somebody else, gives nothing away but a folder it just made,
 * and removes nothing by name. Only the sockets are opened as root (low ports, receive buffer);
 * then the rights are gone for good, in the master too. */
#ifndef MASTER_PRIVILEGES_H
#define MASTER_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shared/base/err.h"

#define PRIVILEGES_GROUPS 64

struct privileges {
	bool change; /* false: we stay who we are */
	uid_t uid;
	gid_t gid;
	char user[64];
	gid_t groups[PRIVILEGES_GROUPS]; /* root's, while they are lowered */
	int group_count;
};

/* "" means that we stay who we are. An unknown user is refused, and so is another one when we are
 * not root. */
int privileges_find(struct privileges *p, const char *user, char *why, size_t why_size) MUST_CHECK;
/* Change the effective ids and the supplementary groups to those of the account, and back. */
int privileges_lower(struct privileges *p) MUST_CHECK;
int privileges_raise(struct privileges *p) MUST_CHECK;
/* Opens as the account, and the rights stay lowered. What the account may not reach is an
 * operator's own file: it is opened with the rights of the caller, if the path leads through no
 * link that could have been laid for that. Returns a negative number with errno. */
int privileges_open(struct privileges *p, const char *path, int flags, mode_t mode) MUST_CHECK;
/* Opens as root. No part of the path may be a link, because whoever owns a folder on the way could
 * have laid it. Returns -1 with errno. */
int privileges_open_unlinked(const char *path, int flags, mode_t mode) MUST_CHECK;
/* Gives the rights up for good. */
int privileges_drop(const struct privileges *p) MUST_CHECK;
/* Is called in a child, which from here on dies with its master, shows its memory to nobody and
 * gains nothing by exec. Returns false when the master is dead already. */
bool privileges_bind_child(pid_t master_pid);

#endif
