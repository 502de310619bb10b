/* SPDX-License-Identifier: Apache-2.0 */
#include "master/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/shm/fault.h"

#define PATH_BYTES 256
#define FRESH "%s/.%s.new" /* until it is whole */

static const char *const names[] = { "pid", "port" };

/* Looks, as the account, at what is there: it must be a folder in which nobody else can put files
 * in the place of ours. */
static int check_folder(const char *dir)
{
	struct stat st;

	if (lstat(dir, &st) < 0)
		return ERR_IO;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return ERR_IO;
	}
	if ((st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0) {
		errno = EPERM;
		return ERR_RANGE;
	}
	return faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) < 0 ? ERR_IO : 0;
}

/* The mode is 0755 whatever the umask, which could also leave a folder that its owner cannot open.
 * heir gets the folder, unless it is NULL. One that is there already is left alone. */
static int make_folder(int parent, const char *dir, const struct privileges *heir)
{
	mode_t mask = umask(022);
	int fd, ret = mkdirat(parent, dir, 0755);

	umask(mask);
	if (ret < 0)
		return errno == EEXIST ? 0 : ERR_IO;
	if ((fd = openat(parent, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return ERR_IO;
	ret = fchmod(fd, 0755) < 0 || (heir != NULL && fchown(fd, heir->uid, heir->gid) < 0)
	              ? ERR_IO
	              : 0;
	close(fd);
	return ret;
}

/* Makes it as root, for the account. The folder above is reached once and without links, because
 * the account may own one further up, and exchange what stands in there at any time. */
static int make_folder_for(const struct privileges *heir, const char *dir)
{
	char path[PATH_BYTES], *name;
	int parent, ret, saved;
	size_t n = strlen(dir);

	ROSTER_ASSERT(dir[0] == '/' && n < sizeof(path)); /* the rules of the key runtime_dir */
	while (n > 1 && dir[n - 1] == '/')
		n--;
	snprintf(path, sizeof(path), "%.*s", (int)n, dir);
	name = strrchr(path, '/') + 1; /* it is absolute */
	name[-1] = '\0';
	parent = privileges_open_unlinked(path[0] == '\0' ? "/" : path,
	                                  O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (parent < 0)
		return ERR_IO;
	ret = make_folder(parent, name, heir);
	saved = errno;
	close(parent);
	errno = saved;
	return ret;
}

int files_prepare(const char *runtime_dir, struct privileges *privileges)
{
	int ret, saved;

	if (runtime_dir[0] == 0)
		return 0;
	if (privileges_lower(privileges) < 0)
		return ERR_IO;
	if ((ret = make_folder(AT_FDCWD, runtime_dir, NULL)) < 0 && errno == EACCES &&
	    privileges->change) {
		if (privileges_raise(privileges) < 0)
			return ERR_IO;
		ret = make_folder_for(privileges, runtime_dir);
		saved = errno;
		if (privileges_lower(privileges) < 0)
			return ERR_IO;
		errno = saved;
	}
	if (ret == 0)
		ret = check_folder(runtime_dir);
	saved = errno;
	if (privileges_raise(privileges) < 0)
		return ERR_IO;
	errno = saved;
	return ret;
}

static int write_number(const char *dir, const char *name, unsigned long number)
{
	char path[PATH_BYTES], fresh[PATH_BYTES], text[32];
	int n = snprintf(text, sizeof(text), "%lu\n", number);

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(fresh, sizeof(fresh), FRESH, dir, name);
	/* We never write into a file, link or pipe that somebody else has laid there. */
	unlink(fresh);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return ERR_IO;
	bool written = write(fd, text, (size_t)n) == n;
	FAULT_AT("files-fresh");
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
		snprintf(path, sizeof(path), FRESH, runtime_dir, names[i]);
		unlink(path);
	}
}
