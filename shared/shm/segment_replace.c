/* SPDX-License-Identifier: Apache-2.0 */
/* segment_replace.c - a new segment takes the place of the old one: by one rename, and the old
 * one may keep a second name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/shm/fault.h"
#include "shared/shm/segment_internal.h"

#define BESIDE ".new"
#define ASIDE_KEPT 2U
#define ASIDE_INFIX ".aside."
#define ASIDE_DIGITS 9U
#define NAME_BYTES 256

/* ---- files that were set aside --------------------------------------------------------------- */

/* What a walk over the files set aside looks for, and what it finds. */
struct asides {
	unsigned long below;   /* files with numbers below this are too many */
	bool remove;           /* they are removed */
	const struct stat *of; /* NULL, or the file whose second name is removed */
	unsigned long newest;  /* found: the highest number, 0: there is none */
	uint64_t bytes;        /* found: what those that are too many take */
};

/* Returns the number behind "<name>.aside.", 0 for any other file: a copy that somebody packed
 * ("segment.aside.3.gz") is his own. */
static unsigned long aside_number(const char *name, const char *file)
{
	size_t n = strlen(name);
	const char *digits;

	if (strncmp(file, name, n) != 0 || strncmp(file + n, ASIDE_INFIX, strlen(ASIDE_INFIX)) != 0)
		return 0;
	digits = file + n + strlen(ASIDE_INFIX);
	if (strlen(digits) > ASIDE_DIGITS || strspn(digits, "0123456789") != strlen(digits))
		return 0;
	return strtoul(digits, NULL, 10);
}

static void aside_look(int dir_fd, const char *file, unsigned long number, struct asides *asides)
{
	bool below = number < asides->below, second;
	struct stat st;

	ROSTER_ASSERT(number != 0); /* other files are nobody's business here */
	if (number > asides->newest)
		asides->newest = number;
	if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	second = asides->of != NULL && st.st_ino == asides->of->st_ino &&
	         st.st_dev == asides->of->st_dev;
	if (below)
		asides->bytes += (uint64_t)st.st_blocks * 512;
	if (second || (below && asides->remove))
		unlinkat(dir_fd, file, 0);
}

static void asides_walk(int dir_fd, const char *name, struct asides *asides)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		unsigned long number = aside_number(name, entry->d_name);

		if (number != 0)
			aside_look(dir_fd, entry->d_name, number, asides);
	}
	closedir(dir);
}

static unsigned long aside_newest(int dir_fd, const char *name)
{
	struct asides asides = { .below = 0 };

	asides_walk(dir_fd, name, &asides);
	return asides.newest;
}

/* Removes those that are too many once `newest` is one of them, or only says what they take. */
static uint64_t asides_prune(int dir_fd, const char *name, unsigned long newest, bool remove)
{
	struct asides asides = { .below = newest > ASIDE_KEPT - 1 ? newest - (ASIDE_KEPT - 1) : 0,
		                 .remove = remove };

	asides_walk(dir_fd, name, &asides);
	return asides.bytes;
}

/* ---- before something is made ---------------------------------------------------------------- */

bool segment_single_name(int dir_fd, const char *name, int fd)
{
	struct asides asides = { .below = 0 };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (st.st_nlink == 1)
		return true;
	/* Who set the file aside died before another one had its name, so it stays, and the second
	 * name goes. */
	asides.of = &st;
	asides_walk(dir_fd, name, &asides);
	return fstat(fd, &st) == 0 && st.st_nlink == 1;
}

static const char *beside_name(const char *name, char *out)
{
	snprintf(out, NAME_BYTES, "%.200s%s", name, BESIDE);
	return out;
}

bool segment_sweep(int dir_fd, const char *name)
{
	char beside[NAME_BYTES];
	bool removed = unlinkat(dir_fd, beside_name(name, beside), 0) == 0;

	asides_prune(dir_fd, name, aside_newest(dir_fd, name), true);
	return removed;
}

bool segment_sweep_beside(const struct segment *seg)
{
	char path[sizeof(seg->path) + sizeof(BESIDE)];

	snprintf(path, sizeof(path), "%s%s", seg->path, BESIDE);
	return unlink(path) == 0;
}

uint64_t segment_given_back(int dir_fd, const char *name, bool aside)
{
	struct stat st;

	if (aside)
		return asides_prune(dir_fd, name, aside_newest(dir_fd, name) + 1, false);
	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_blocks * 512
	                                                            : 0;
}

int segment_open_beside(int dir_fd, const char *name)
{
	char beside[NAME_BYTES];
	int fd;

	unlinkat(dir_fd, beside_name(name, beside), 0);
	fd = openat(dir_fd, beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void segment_drop_beside(int dir_fd, const char *name, int old_fd)
{
	char beside[NAME_BYTES];
	struct stat st;

	unlinkat(dir_fd, beside_name(name, beside), 0);
	/* An empty one was only made to have something to lock. */
	if (old_fd >= 0 && fstat(old_fd, &st) == 0 && st.st_size == 0)
		unlinkat(dir_fd, name, 0);
}

/* ---- the change ------------------------------------------------------------------------------ */

/* Opens the folder of the segment; *name_r is the rest of its path. Returns -1 with errno. */
static int open_folder(const struct segment *seg, const char **name_r)
{
	const char *slash = strrchr(seg->path, '/');
	char dir[sizeof(seg->path)];

	if (slash == NULL) {
		errno = ENOENT;
		return -1;
	}
	*name_r = slash + 1;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - seg->path), seg->path);
	return open(dir[0] == '\0' ? "/" : dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The old file gets its second name first, and the rename takes the first name from it: so who
 * waits for its lock finds a file under that name all the time. */
static int change(int dir_fd, const char *name, bool aside)
{
	unsigned long number = aside_newest(dir_fd, name) + 1;
	char beside[NAME_BYTES], kept[NAME_BYTES];

	FAULT_AT("segment-whole");
	snprintf(kept, sizeof(kept), "%.200s%s%lu", name, ASIDE_INFIX, number);
	if (aside && linkat(dir_fd, name, dir_fd, kept, 0) < 0)
		return ERR_IO;
	FAULT_AT("segment-two-names");
	if (renameat(dir_fd, beside_name(name, beside), dir_fd, name) < 0) {
		int saved = errno;

		if (aside)
			unlinkat(dir_fd, kept, 0);
		errno = saved;
		return ERR_IO;
	}
	FAULT_AT("segment-renamed");
	if (aside)
		asides_prune(dir_fd, name, number, true);
	return 0;
}

/* Whoever waited for the lock of the old file gets it now, and sees that the name stands for
 * another. */
static void release_old(struct segment *seg)
{
	ROSTER_ASSERT(seg->pending && (seg->old_fd < 0 || seg->old_fd != seg->fd));
	if (seg->old_fd >= 0)
		close(seg->old_fd);
	seg->old_fd = -1;
	seg->pending = false;
}

int segment_commit(struct segment *seg)
{
	const char *name;
	int dir_fd, ret, saved;

	if (!seg->pending)
		return 0;
	if ((dir_fd = open_folder(seg, &name)) < 0)
		return ERR_IO;
	ret = change(dir_fd, name, seg->aside);
	saved = errno;
	close(dir_fd);
	if (ret == 0)
		release_old(seg);
	errno = saved;
	return ret;
}

void segment_discard(struct segment *seg)
{
	const char *name;
	int dir_fd;

	if (seg == NULL || !seg->pending)
		return;
	if ((dir_fd = open_folder(seg, &name)) >= 0) {
		segment_drop_beside(dir_fd, name, seg->old_fd);
		close(dir_fd);
	}
	release_old(seg);
}
