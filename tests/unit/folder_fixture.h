/* SPDX-License-Identifier: Apache-2.0 */
/* folder_fixture.h - a folder for one test, which is removed with all that is in it. It lies in a
 * memory file system where there is one, as segments need it. */
#ifndef TESTS_FOLDER_FIXTURE_H
#define TESTS_FOLDER_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/spot.h"

static char folder[64];

/* Other accounts may look into the folder. */
static inline int folder_set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "%s/roster-unit-XXXXXX",
	         access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(folder) != NULL && chmod(folder, 0755) == 0 ? 0 : -1;
}

static inline int folder_remove_one(const char *path, const struct stat *st, int kind,
                                    struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline int folder_tear_down(void **state)
{
	(void)state;
	return nftw(folder, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of a name in it; good until the fourth call after. */
static inline const char *folder_path(const char *name)
{
	static char paths[4][512];
	static unsigned at;
	char *path = paths[at++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static inline void folder_put_at(struct spot spot, const char *name, const char *text)
{
	int fd = open(folder_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true_at(spot, fd >= 0);
	assert_int_equal_at(spot, write(fd, text, strlen(text)), strlen(text));
	assert_int_equal_at(spot, close(fd), 0);
}
#define folder_put(...) folder_put_at(SPOT, __VA_ARGS__)

static inline void folder_expect_at(struct spot spot, const char *name, const char *text)
{
	char got[512];
	int fd = open(folder_path(name), O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		fail_at(spot, "no file %s to read", name);
	n = read(fd, got, sizeof(got) - 1);
	close(fd);
	assert_true_at(spot, n >= 0);
	got[n] = 0;
	if (strcmp(got, text) != 0)
		fail_at(spot, "%s holds \"%s\", not \"%s\"", name, got, text);
}
#define folder_expect(...) folder_expect_at(SPOT, __VA_ARGS__)

static inline bool folder_has(const char *name)
{
	struct stat st;

	return lstat(folder_path(name), &st) == 0;
}

#endif
