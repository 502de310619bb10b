/* SPDX-License-Identifier: Apache-2.0 */
/* seeds_main.c - runs a target once over each file named, and over each file of each folder named.
 *
 * Without arguments: over the seeds of the target the program is named after (make check). Each
 * file has a process of its own, so that one finding does not hide the next. The last line is "N
 * passed, N failed". */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define SEED_MAX (1U << 20)
#define SEED_SECONDS 60 /* under the sanitizers, on a busy machine */

static unsigned passed, failed;

/* A block of exactly that size: the address sanitizer sees a read behind its end. */
static uint8_t *read_seed(const char *path, size_t *size_r)
{
	static uint8_t data[SEED_MAX];
	FILE *file = fopen(path, "rb");
	uint8_t *copy;

	if (file == NULL)
		return NULL;
	*size_r = fread(data, 1, sizeof(data), file);
	fclose(file);
	copy = malloc(*size_r > 0 ? *size_r : 1);
	if (copy != NULL && *size_r > 0)
		memcpy(copy, data, *size_r);
	return copy;
}

static int run_here(const char *path)
{
	size_t size;
	uint8_t *data = read_seed(path, &size);

	if (data == NULL) {
		perror(path);
		return EXIT_FAILURE;
	}
	alarm(SEED_SECONDS);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return EXIT_SUCCESS;
}

static void run_file(const char *path)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0)
		exit(run_here(path));
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0) {
		passed++;
		return;
	}
	failed++;
	printf("%s: %s %d\n", path, WIFSIGNALED(status) ? "signal" : "exit code",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void run_folder(const char *folder)
{
	struct dirent **entries;
	char path[PATH_MAX];
	int count = scandir(folder, &entries, visible, alphasort);

	if (count < 0)
		perror(folder);
	failed += count <= 0; /* a folder without seeds checks nothing */
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		run_file(path);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

static void run_path(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		run_folder(path);
	else
		run_file(path);
}

/* .../http_seeds: the folder http beside the sources. */
static void run_own(const char *program)
{
	const char *base = strrchr(program, '/'), *top = getenv("srcdir"), *end;
	char path[PATH_MAX];

	base = base != NULL ? base + 1 : program;
	end = strstr(base, "_seeds");
	snprintf(path, sizeof(path), "%s/tests/fuzz/seeds/%.*s", top != NULL ? top : ".",
	         (int)(end != NULL ? (size_t)(end - base) : strlen(base)), base);
	run_path(path);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	if (argc == 1)
		run_own(argv[0]);
	printf("%u passed, %u failed\n", passed, failed);
	return failed > 0 || passed == 0;
}
