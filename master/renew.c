#include "master/renew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/master.h"
#include "shared/base/log.h"

/* With -f in front: we are where we shall be. */
static char **make_args(char **args)
{
	static char foreground[] = "-f";
	size_t count = 0, at = 0;
	char **out;

	while (args[count] != NULL)
		count++;
	if ((out = calloc(count + 2, sizeof(*out))) == NULL)
		return NULL;
	out[at++] = args[0];
	if (count < 2 || strcmp(args[1], foreground) != 0)
		out[at++] = foreground;
	for (size_t i = 1; i < count; i++)
		out[at++] = args[i];
	return out;
}

void renew_exec(struct master *m)
{
	char **args = make_args(m->args);

	activation_keep_for_exec(&m->activation);
	log_info("op=renew");
	if (args != NULL)
		execv("/proc/self/exe", args);
	log_error("op=renew err=\"%s\"", strerror(errno));
	free(args);
	m->failed = true;
}
