/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/holders.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/shm/segment_internal.h"
#include "shared/shm/slot.h"

#define HOLDERS_MAX (SLOTS_MAX + 2U)
#define TITLE "roster: "

struct holders {
	unsigned count;
	uint32_t pids[HOLDERS_MAX];
	char titles[HOLDERS_MAX][32];
};

/* Reads the first words of the command line, with bytes that could spoil a log line as '?'. Returns
 * false when there is no such process, or one without a command line: a zombie holds nothing. */
static bool read_title(uint32_t pid, char *out, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/cmdline", pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	n = read(fd, out, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	out[n] = '\0';
	for (char *c = out; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == '"')
			*c = '?';
	return true;
}

/* Adds a process that lives and is not listed yet. */
static void add(struct holders *holders, uint32_t pid, bool ours_only)
{
	char *title = holders->titles[holders->count < HOLDERS_MAX ? holders->count : 0];

	ROSTER_ASSERT(holders->count <= HOLDERS_MAX);
	if (pid == 0 || holders->count == HOLDERS_MAX)
		return;
	for (unsigned i = 0; i < holders->count; i++)
		if (holders->pids[i] == pid)
			return;
	if (!read_title(pid, title, sizeof(holders->titles[0])) ||
	    (ours_only && strncmp(title, TITLE, strlen(TITLE)) != 0))
		return;
	holders->pids[holders->count++] = pid;
}

/* A line of /proc/locks is like "1: FLOCK  ADVISORY  WRITE 1234 00:1b:5678 0 EOF". */
static void add_lockers(struct holders *holders, const struct stat *file)
{
	FILE *in = fopen("/proc/locks", "re");
	char line[256];

	while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
		unsigned long inode;
		unsigned pid, major_number, minor_number;

		if (sscanf(line, "%*u: FLOCK %*s %*s %u %x:%x:%lu", &pid, &major_number,
		           &minor_number, &inode) == 4 &&
		    inode == file->st_ino && major_number == major(file->st_dev) &&
		    minor_number == minor(file->st_dev))
			add(holders, pid, false);
	}
	if (in != NULL)
		fclose(in);
}

/* Has the file our layout? Another one has its slots elsewhere. */
static bool is_ours(int fd)
{
	struct segment_header header;
	uint8_t fingerprint[32];

	segment_fingerprint(fingerprint);
	return pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
	       header.magic == SEGMENT_MAGIC && header.layout == SEGMENT_LAYOUT &&
	       memcmp(header.fingerprint, fingerprint, sizeof(fingerprint)) == 0;
}

static void add_slots(struct holders *holders, int fd, const struct stat *file)
{
	struct segment_layout layout;
	struct board board;
	struct slot slot;

	if (!is_ours(fd) || segment_layout((uint64_t)file->st_size, &layout) < 0)
		return;
	if (pread(fd, &board, sizeof(board), (off_t)layout.board) == (ssize_t)sizeof(board))
		add(holders, (uint32_t)board.master_pid, true);
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (pread(fd, &slot, sizeof(slot), (off_t)(layout.slots + i * sizeof(slot))) ==
		    (ssize_t)sizeof(slot))
			add(holders, slot.pid, true);
}

void holders_describe(int fd, char *out, size_t size)
{
	struct holders holders = { .count = 0 };
	struct stat file;
	size_t used = 0;

	ROSTER_ASSERT(size > sizeof("..."));
	out[0] = '\0';
	if (fstat(fd, &file) < 0)
		return;
	add_lockers(&holders, &file);
	add_slots(&holders, fd, &file);
	for (unsigned i = 0; i < holders.count; i++) {
		char text[80];
		int n = snprintf(text, sizeof(text), "%spid %" PRIu32 " (%s)", i > 0 ? ", " : "",
		                 holders.pids[i], holders.titles[i]);

		ROSTER_ASSERT(n > 0 && (size_t)n < sizeof(text));
		if (used + (size_t)n + sizeof("...") > size) {
			snprintf(out + used, size - used, "...");
			return;
		}
		memcpy(out + used, text, (size_t)n + 1);
		used += (size_t)n;
	}
}
