/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/newfile.h"

static char folder[64], path[80];
static struct privileges same; /* nobody else to become */

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/roster-newfile-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/out", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *content(void)
{
	static char text[32];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void begin(struct newfile *file)
{
	assert_int_equal(newfile_open(file, &same, path, 0600), 0);
	assert_int_equal(write(file->fd, "whole", 5), 5);
}

static void a_name_when_it_is_whole(void **state)
{
	struct newfile file;
	struct stat st;

	(void)state;
	begin(&file);
	assert_false(file.named);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(newfile_commit(&file), 0);
	assert_string_equal(content(), "whole");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
}

static void nothing_is_left_of_one_that_is_not(void **state)
{
	struct newfile file;

	(void)state;
	begin(&file);
	assert_true(newfile_discard(&file));
	assert_int_equal(access(path, F_OK), -1);
}

static void a_name_that_is_taken_stays(void **state)
{
	struct newfile file;

	(void)state;
	put(path, "theirs");
	assert_int_equal(newfile_open(&file, &same, path, 0600), ERR_IO);
	assert_int_equal(errno, EEXIST);
	unlink(path);
	/* Taken meanwhile. */
	begin(&file);
	put(path, "theirs");
	assert_int_equal(newfile_commit(&file), ERR_IO);
	assert_int_equal(errno, EEXIST);
	assert_true(newfile_discard(&file));
	assert_string_equal(content(), "theirs");
	unlink(path);
	/* A link to nowhere is a name too. */
	assert_int_equal(symlink("/nowhere", path), 0);
	assert_int_equal(newfile_open(&file, &same, path, 0600), ERR_IO);
	assert_int_equal(errno, EEXIST);
}

static void paths(void **state)
{
	char text[100], name[300];
	struct newfile file;
	int back = open(".", O_RDONLY | O_DIRECTORY);

	(void)state;
	snprintf(text, sizeof(text), "%s/", path);
	assert_int_equal(newfile_open(&file, &same, text, 0600), ERR_IO);
	assert_int_equal(errno, EISDIR);
	snprintf(text, sizeof(text), "%s/no/out", folder);
	assert_int_equal(newfile_open(&file, &same, text, 0600), ERR_IO);
	assert_int_equal(errno, ENOENT);
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(newfile_open(&file, &same, name, 0600), ERR_IO);
	assert_int_equal(errno, ENAMETOOLONG);
	/* Without a folder: the current one. */
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(newfile_open(&file, &same, "out", 0600), 0);
	assert_int_equal(newfile_commit(&file), 0);
	assert_int_equal(fchdir(back), 0);
	close(back);
	assert_int_equal(access(path, F_OK), 0);
}

/* As a file system without files without a name says it: openat with O_TMPFILE fails with
 * EOPNOTSUPP. */
static bool refuse_nameless(void)
{
	const unsigned bit = O_TMPFILE & ~O_DIRECTORY;
	struct sock_filter rows[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bit, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(rows) / sizeof(rows[0]), .filter = rows };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Exit code: the line that failed, 0 for none. */
static int named_from_the_start(void)
{
	struct newfile file;

	if (!refuse_nameless())
		return __LINE__;
	if (newfile_open(&file, &same, path, 0600) < 0 || !file.named || access(path, F_OK) < 0)
		return __LINE__;
	if (!newfile_discard(&file) || access(path, F_OK) == 0)
		return __LINE__;
	if (newfile_open(&file, &same, path, 0600) < 0 || write(file.fd, "whole", 5) != 5 ||
	    newfile_commit(&file) < 0)
		return __LINE__;
	if (newfile_open(&file, &same, path, 0600) == 0 || errno != EEXIST)
		return __LINE__;
	return 0;
}

static void where_all_files_have_names(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		int line = named_from_the_start();

		if (line != 0)
			fprintf(stderr, "line %d\n", line);
		_exit(line != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(content(), "whole");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_name_when_it_is_whole),    TEST(nothing_is_left_of_one_that_is_not),
		TEST(a_name_that_is_taken_stays), TEST(paths),
		TEST(where_all_files_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
