/* SPDX-License-Identifier: Apache-2.0 */
#include "master/renew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/upgrade/handover.h"
#include "master/master.h"
#include "shared/base/assert.h"
#include "shared/base/log.h"

unsigned renew_first_arg(char *const *args)
{
	if (args[0] == NULL)
		return 0;
	return args[1] != NULL && strncmp(args[1], HANDOVER_OPTION, strlen(HANDOVER_OPTION)) == 0
	               ? 2
	               : 1;
}

/* Puts -f in front, because the next image is in the background already, if that was wanted. */
static char **make_args(char **args)
{
	static char foreground[] = "-f";
	unsigned first = renew_first_arg(args), count = first, at = 0;
	char **out;

	while (args[count] != NULL)
		count++;
	if ((out = calloc(count + 3U, sizeof(*out))) == NULL)
		return NULL;
	out[at++] = args[0];
	if (args[first] == NULL || strcmp(args[first], foreground) != 0)
		out[at++] = foreground;
	for (unsigned i = first; i < count; i++)
		out[at++] = args[i];
	ROSTER_ASSERT(at < count + 3U); /* room for the NULL that calloc() left there */
	return out;
}

void renew_exec(struct master *m)
{
	char **args = make_args(m->args);

	ROSTER_ASSERT(children_running(m->children) == 0); /* the next image knows none of them */
	activation_keep_for_exec(&m->activation);
	log_info("op=renew");
	if (args != NULL)
		execv("/proc/self/exe", args);
	log_error("op=renew err=\"%s\"", strerror(errno));
	free(args);
	m->failed = true;
}
