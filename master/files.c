#include "master/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 256

static const char *const names[] = { "pid", "port" };

static int give_to(const char *dir, uid_t uid, gid_t gid, bool made)
{
	struct stat st;

	if (lstat(dir, &st) < 0)
		return ERR_IO;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return ERR_IO;
	}
	/* Anybody could put another pid file in the place of ours. */
	if ((st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0) {
		errno = EPERM;
		return ERR_RANGE;
	}
	/* A folder that others use too (writable by all) is not ours to give away. */
	if (uid == (uid_t)-1 || st.st_uid == uid || (!made && (st.st_uid != 0 || (st.st_mode & S_IWOTH) != 0)))
		return 0;
	return lchown(dir, uid, gid) < 0 ? ERR_IO : 0;
}

int files_prepare(const char *runtime_dir, uid_t uid, gid_t gid)
{
	if (runtime_dir[0] == 0)
		return 0;
	bool made = mkdir(runtime_dir, 0755) == 0;
	if (!made && errno != EEXIST)
		return ERR_IO;
	if (made && chmod(runtime_dir, 0755) < 0)
		return ERR_IO;
	return give_to(runtime_dir, uid, gid, made);
}

static int write_number(const char *dir, const char *name, unsigned long number)
{
	char path[PATH_BYTES], fresh[PATH_BYTES], text[32];
	int n = snprintf(text, sizeof(text), "%lu\n", number);

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(fresh, sizeof(fresh), "%s/.%s.new", dir, name);
	/* Never into a file, link or pipe that somebody else has laid there. */
	unlink(fresh);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return ERR_IO;
	bool written = write(fd, text, (size_t)n) == n;
	if (close(fd) < 0 || !written || rename(fresh, path) < 0) {
		unlink(fresh);
		return ERR_IO;
	}
	return 0;
}

int files_write(const char *runtime_dir, uint16_t port)
{
	const unsigned long numbers[] = { (unsigned long)getpid(), port };

	if (runtime_dir[0] == 0)
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (write_number(runtime_dir, names[i], numbers[i]) < 0)
			return ERR_IO;
	return 0;
}

void files_remove(const char *runtime_dir)
{
	char path[PATH_BYTES];

	if (runtime_dir[0] == 0)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", runtime_dir, names[i]);
		unlink(path);
	}
}
