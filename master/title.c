/* SPDX-License-Identifier: Apache-2.0 */
#include "master/title.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct {
	char *at;
	size_t size;
	char **args, **env; /* the copies, for ever */
} title;

/* Returns array and texts in one block, the array ended by NULL. */
static char **copy_strings(char **strings, size_t count)
{
	size_t bytes = (count + 1) * sizeof(char *);
	char **copy, *text;

	for (size_t i = 0; i < count; i++)
		bytes += strlen(strings[i]) + 1;
	if ((copy = malloc(bytes)) == NULL)
		return NULL;
	text = (char *)(copy + count + 1);
	for (size_t i = 0; i < count; i++) {
		size_t size = strlen(strings[i]) + 1;

		copy[i] = memcpy(text, strings[i], size);
		text += size;
	}
	copy[count] = NULL;
	return copy;
}

/* Returns how far the strings follow each other without a gap: only that much may be
 * overwritten. */
static char *end_of_strings(char **strings, char *end)
{
	for (size_t i = 0; strings[i] != NULL && strings[i] == end; i++)
		end = strings[i] + strlen(strings[i]) + 1;
	return end;
}

char **title_init(int argc, char **argv)
{
	size_t environ_count = 0;

	while (environ[environ_count] != NULL)
		environ_count++;
	title.args = copy_strings(argv, (size_t)argc);
	title.env = copy_strings(environ, environ_count);
	if (title.args == NULL || title.env == NULL)
		return NULL;
	if (argc > 0) {
		char *end = end_of_strings(environ, end_of_strings(argv, argv[0]));

		title.at = argv[0];
		title.size = (size_t)(end - argv[0]);
	}
	environ = title.env;
	return title.args;
}

void title_set(const char *name)
{
	char comm[40], *slash;

	snprintf(comm, sizeof(comm), "roster-%s", name);
	if ((slash = strchr(comm, '/')) != NULL)
		memmove(slash, slash + 1, strlen(slash));
	prctl(PR_SET_NAME, comm); /* the kernel keeps 15 characters, which hold "roster-worker63" */
	if (title.size < 2)
		return;
	memset(title.at, 0, title.size);
	snprintf(title.at, title.size, "roster: %s", name);
}
