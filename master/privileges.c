#include "master/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

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

int privileges_lower(const struct privileges *p)
{
	if (!p->change)
		return 0;
	return setegid(p->gid) < 0 || seteuid(p->uid) < 0 ? ERR_IO : 0;
}

int privileges_raise(const struct privileges *p)
{
	if (!p->change)
		return 0;
	return seteuid(0) < 0 || setegid(0) < 0 ? ERR_IO : 0;
}

int privileges_drop(const struct privileges *p)
{
	if (!p->change)
		return 0;
	if (initgroups(p->user, p->gid) < 0 || setgid(p->gid) < 0 || setuid(p->uid) < 0)
		return ERR_IO;
	if (setuid(0) == 0 || seteuid(0) == 0) {
		errno = EPERM; /* the way back must be closed */
		return ERR_IO;
	}
	return 0;
}

bool privileges_bind_child(pid_t master_pid)
{
	/* After setuid, which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return getppid() == master_pid;
}
