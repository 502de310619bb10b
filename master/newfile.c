/* SPDX-License-Identifier: Apache-2.0 */
#include "master/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/shm/fault.h"

#define PATH_BYTES 4096

/* Copies the folder of the path to dir; the rest is the name. */
static int split_path(struct newfile *file, const char *path, char *dir, size_t dir_size)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	size_t n = slash != NULL ? (size_t)(slash - path) : 0;

	if (name[0] == '\0' || strlen(name) >= sizeof(file->name) || n >= dir_size) {
		errno = name[0] == '\0' ? EISDIR : ENAMETOOLONG;
		return ERR_IO;
	}
	snprintf(file->name, sizeof(file->name), "%s", name);
	snprintf(dir, dir_size, "%.*s", (int)n, path);
	if (n == 0)
		snprintf(dir, dir_size, "%s", slash != NULL ? "/" : ".");
	return 0;
}

/* Makes the file in the folder dir_fd, which is ours from here, also when it fails. */
static int make_file(struct newfile *file, int dir_fd, mode_t mode)
{
	struct stat st;
	int saved;

	ROSTER_ASSERT(file->fd < 0 && file->dir_fd < 0);
	if (dir_fd < 0)
		return ERR_IO;
	if (fstatat(dir_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
	} else {
		file->fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
		file->named = file->fd < 0 && errno == EOPNOTSUPP;
		if (file->named)
			file->fd =
			        openat(dir_fd, file->name,
			               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	}
	if (file->fd >= 0) {
		file->dir_fd = dir_fd;
		return 0;
	}
	saved = errno;
	close(dir_fd);
	errno = saved;
	return ERR_IO;
}

/* Makes it as the caller, through no link that somebody could have laid for that. */
static int make_file_raised(struct newfile *file, const char *dir, mode_t mode)
{
	int ret, saved;

	if (privileges_raise(file->privileges) < 0)
		return ERR_IO;
	ret = make_file(file, privileges_open_unlinked(dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0),
	                mode);
	saved = errno;
	file->raised = true;
	if (privileges_lower(file->privileges) < 0)
		return ERR_IO;
	errno = saved;
	return ret;
}

int newfile_open(struct newfile *file_r, struct privileges *privileges, const char *path,
                 mode_t mode)
{
	char dir[PATH_BYTES];
	int ret;

	*file_r = (struct newfile){ .privileges = privileges, .dir_fd = -1, .fd = -1 };
	if (split_path(file_r, path, dir, sizeof(dir)) < 0 || privileges_lower(privileges) < 0)
		return ERR_IO;
	ret = make_file(file_r, open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), mode);
	if (ret < 0 && errno == EACCES && privileges->change)
		ret = make_file_raised(file_r, dir, mode);
	return ret;
}

static int give_name(const struct newfile *file)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	return linkat(AT_FDCWD, self, file->dir_fd, file->name, AT_SYMLINK_FOLLOW) < 0 ? ERR_IO : 0;
}

/* The name too shall be there after a power cut. Who may write to the folder but not read it has to
 * do without. */
static int sync_folder(const struct newfile *file)
{
	int fd = openat(file->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret, saved;

	if (fd < 0)
		return errno == EACCES ? 0 : ERR_IO;
	ret = fsync(fd) < 0 && errno != EINVAL ? ERR_IO : 0;
	saved = errno;
	close(fd);
	errno = saved;
	return ret;
}

/* Makes the call with the rights that the file was made with. */
static int as_made(struct newfile *file, int (*call)(const struct newfile *file))
{
	int ret, saved;

	if (!file->raised)
		return call(file);
	if (privileges_raise(file->privileges) < 0)
		return ERR_IO;
	ret = call(file);
	saved = errno;
	if (privileges_lower(file->privileges) < 0)
		return ERR_IO;
	errno = saved;
	return ret;
}

static void close_both(struct newfile *file)
{
	close(file->fd);
	close(file->dir_fd);
	file->fd = file->dir_fd = -1;
}

int newfile_commit(struct newfile *file)
{
	ROSTER_ASSERT(file->fd >= 0 && file->dir_fd >= 0); /* neither committed nor discarded yet */
	if (fsync(file->fd) < 0)
		return ERR_IO;
	FAULT_AT("newfile-whole");
	if (!file->named && as_made(file, give_name) < 0)
		return ERR_IO;
	file->named = true;
	FAULT_AT("newfile-named");
	if (as_made(file, sync_folder) < 0)
		return ERR_IO;
	close_both(file);
	return 0;
}

/* The rights stay lowered, because root removes nothing by name. */
bool newfile_discard(struct newfile *file)
{
	ROSTER_ASSERT(file->fd >= 0 && file->dir_fd >= 0);
	bool gone = !file->named || unlinkat(file->dir_fd, file->name, 0) == 0;

	close_both(file);
	return gone;
}
