/* SPDX-License-Identifier: Apache-2.0 */
#include "master/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/base/assert.h"

int privileges_find(struct privileges *p, const char *user, char *why, size_t why_size)
{
	const struct passwd *entry;

	*p = (struct privileges){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	if (user[0] == 0)
		return 0;
	if ((entry = getpwnam(user)) == NULL) {
		snprintf(why, why_size, "user \"%s\" does not exist", user);
		return ERR_NOT_FOUND;
	}
	if (entry->pw_uid == geteuid())
		return 0;
	if (geteuid() != 0) {
		snprintf(why, why_size, "only root can become user \"%s\"", user);
		return ERR_IO;
	}
	p->change = true;
	p->uid = entry->pw_uid;
	p->gid = entry->pw_gid;
	snprintf(p->user, sizeof(p->user), "%s", user);
	return 0;
}

/* Root's supplementary groups open what the account could not, so they go too. */
int privileges_lower(struct privileges *p)
{
	if (!p->change)
		return 0;
	if ((p->group_count = getgroups(PRIVILEGES_GROUPS, p->groups)) < 0)
		return ERR_IO;
	return initgroups(p->user, p->gid) < 0 || setegid(p->gid) < 0 || seteuid(p->uid) < 0
	               ? ERR_IO
	               : 0;
}

int privileges_raise(struct privileges *p)
{
	if (!p->change)
		return 0;
	ROSTER_ASSERT(p->group_count >= 0 && p->group_count <= PRIVILEGES_GROUPS);
	return seteuid(0) < 0 || setegid(0) < 0 || setgroups((size_t)p->group_count, p->groups) < 0
	               ? ERR_IO
	               : 0;
}

int privileges_open_unlinked(const char *path, int flags, mode_t mode)
{
	struct open_how how = { .flags = (uint64_t)flags, .resolve = RESOLVE_NO_SYMLINKS };

	how.mode = (flags & O_CREAT) != 0 ? mode : 0;
	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

int privileges_open(struct privileges *p, const char *path, int flags, mode_t mode)
{
	int fd, saved;

	if (privileges_lower(p) < 0)
		return -1;
	fd = open(path, flags, mode);
	if (fd >= 0 || errno != EACCES || !p->change || privileges_raise(p) < 0)
		return fd;
	fd = privileges_open_unlinked(path, flags, mode);
	saved = errno;
	if (privileges_lower(p) < 0) {
		saved = errno;
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	/* a lowering that succeeds may leave another one: it asks for groups by name */
	errno = saved;
	return fd;
}

int privileges_drop(const struct privileges *p)
{
	if (!p->change)
		return 0;
	ROSTER_ASSERT(p->uid != 0); /* privileges_find() asks for no change to root */
	if (initgroups(p->user, p->gid) < 0 || setgid(p->gid) < 0 || setuid(p->uid) < 0)
		return ERR_IO;
	if (setuid(0) == 0 || seteuid(0) == 0) {
		errno = EPERM; /* a way back was left open */
		return ERR_IO;
	}
	return 0;
}

bool privileges_bind_child(pid_t master_pid)
{
	/* It comes after setuid(), which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return getppid() == master_pid;
}
