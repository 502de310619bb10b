/* SPDX-License-Identifier: Apache-2.0 */
#include "master/inherited.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* open() takes the lowest free number, so the one that is closed. */
static int open_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_NOCTTY) != fd)
			return ERR_IO;
	return 0;
}

/* Only what was ignored is set, because setting SIGCHLD to its default throws away one that is
 * pending, and between two images of an upgrade there may be one. */
static int notice_children(void)
{
	struct sigaction now;

	if (sigaction(SIGCHLD, NULL, &now) < 0)
		return ERR_IO;
	return now.sa_handler == SIG_IGN && signal(SIGCHLD, SIG_DFL) == SIG_ERR ? ERR_IO : 0;
}

int inherited_mend(void)
{
	if (open_standard() < 0 || notice_children() < 0)
		return ERR_IO;
	return signal(SIGXFSZ, SIG_IGN) == SIG_ERR ? ERR_IO : 0;
}
