/* SPDX-License-Identifier: Apache-2.0 */
/* segment_limit.c - how large a segment may become: free memory, the file system, the limits of
 * all parent cgroups. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "shared/base/assert.h"
#include "shared/shm/segment_internal.h"

#define UNLIMITED (1ULL << 60) /* cgroup v1 writes something just below 2^63 */
#define MARGIN 20U             /* a twentieth of what is free stays free */
#define MIB(bytes) ((bytes) >> 20)

static const struct segment_cgroups real_cgroups = {
	.self = "/proc/self/cgroup",
	.v2 = "/sys/fs/cgroup",
	.v1 = "/sys/fs/cgroup/memory",
};

struct hierarchy {
	const char *limit, *used,
	        *cache; /* files, and the line of memory.stat that can be taken back */
};

static const struct hierarchy unified = { "memory.max", "memory.current", "inactive_file " };
static const struct hierarchy legacy = { "memory.limit_in_bytes", "memory.usage_in_bytes",
	                                 "total_inactive_file " };

/* ---- control groups -------------------------------------------------------------------------- */

static FILE *open_in(const char *dir, const char *name)
{
	char path[700];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fopen(path, "re");
}

/* Returns the number in a file, or UINT64_MAX for "max", nonsense and files that do not exist. */
static uint64_t read_number(const char *dir, const char *name)
{
	FILE *file = open_in(dir, name);
	uint64_t value;

	if (file == NULL)
		return UINT64_MAX;
	if (fscanf(file, "%" SCNu64, &value) != 1)
		value = UINT64_MAX;
	fclose(file);
	return value;
}

/* Returns the number behind a key of memory.stat, or 0. */
static uint64_t read_stat(const char *dir, const char *key)
{
	FILE *file = open_in(dir, "memory.stat");
	char line[128];
	uint64_t value = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoull(line + strlen(key), NULL, 10);
	}
	if (file != NULL)
		fclose(file);
	return value;
}

static uint64_t room_of(const char *dir, const struct hierarchy *kind)
{
	uint64_t limit = read_number(dir, kind->limit), used = read_number(dir, kind->used);
	uint64_t cache, taken;

	if (limit >= UNLIMITED)
		return UINT64_MAX;
	/* Cached files count as used, but the kernel takes them back when somebody needs memory. */
	cache = read_stat(dir, kind->cache);
	used = used >= UNLIMITED ? 0 : used;
	taken = (used > cache ? used - cache : 0) + limit / 5;
	return limit > taken ? limit - taken : 0;
}

/* Asks the group itself and every parent up to the root of the hierarchy: inside a container the
 * root carries the limit, and the path of the group may not exist. */
static uint64_t room_along(const char *root, const char *group, const struct hierarchy *kind,
                           char *where, size_t size)
{
	uint64_t least = UINT64_MAX;
	char dir[600];
	size_t root_len = strlen(root);

	snprintf(dir, sizeof(dir), "%s%s", root, strcmp(group, "/") == 0 ? "" : group);
	for (;;) {
		uint64_t room = room_of(dir, kind);
		char *slash = strrchr(dir, '/');

		if (room < least) {
			least = room;
			snprintf(where, size, "%.100s/%s", dir, kind->limit);
		}
		if (slash == NULL || (size_t)(slash - dir) < root_len)
			return least;
		*slash = '\0';
	}
}

/* A line is "number:controllers:path"; without controllers it is the unified hierarchy. */
static uint64_t room_of_line(const struct segment_cgroups *cgroups, char *line, char *where,
                             size_t size)
{
	char *controllers = strchr(line, ':');
	char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');

	if (path == NULL)
		return UINT64_MAX;
	*path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	if (controllers[1] == '\0')
		return room_along(cgroups->v2, path, &unified, where, size);
	if (strstr(controllers + 1, "memory") != NULL)
		return room_along(cgroups->v1, path, &legacy, where, size);
	return UINT64_MAX;
}

uint64_t segment_cgroup_room(const struct segment_cgroups *cgroups, char *where, size_t size)
{
	FILE *file = fopen(cgroups->self, "re");
	uint64_t least = UINT64_MAX;
	char line[512], at[160] = "";

	where[0] = '\0';
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		uint64_t room = room_of_line(cgroups, line, at, sizeof(at));

		if (room < least) {
			least = room;
			snprintf(where, size, "%s", at);
		}
	}
	if (file != NULL)
		fclose(file);
	return least;
}

/* ---- choice ---------------------------------------------------------------------------------- */

static uint64_t page_down(uint64_t bytes)
{
	return bytes / SEGMENT_PAGE * SEGMENT_PAGE;
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int segment_choose_bytes(int dir_fd, uint64_t asked, uint64_t given_back, uint64_t *bytes_r,
                         char *why, size_t size)
{
	struct statvfs fs;
	uint64_t free_bytes, fs_room, cgroup_room, bytes;
	char where[160];

	if (fstatvfs(dir_fd, &fs) < 0) {
		snprintf(why, size, "the file system of the segment does not answer");
		return ERR_IO;
	}
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize + given_back;
	fs_room = free_bytes - free_bytes / MARGIN;
	cgroup_room = segment_cgroup_room(&real_cgroups, where, sizeof(where));
	bytes = asked != 0 ? asked
	                   : least_of(least_of(SEGMENT_BYTES_DEFAULT, free_bytes / 2), cgroup_room);
	bytes = page_down(least_of(bytes, SEGMENT_BYTES_MAX));
	if (bytes < SEGMENT_BYTES_MIN || bytes > fs_room) {
		snprintf(why, size,
		         "segment.limit %" PRIu64 " MiB, but the file system has %" PRIu64
		         " MiB free and the least is %llu MiB",
		         MIB(bytes), MIB(free_bytes), MIB(SEGMENT_BYTES_MIN));
		return ERR_RANGE;
	}
	if (bytes > cgroup_room) {
		snprintf(why, size,
		         "segment.limit %" PRIu64 " MiB, but %.80s leaves %" PRIu64 " MiB",
		         MIB(bytes), where, MIB(cgroup_room));
		return ERR_RANGE;
	}
	ROSTER_ASSERT(bytes % SEGMENT_PAGE == 0 && bytes <= SEGMENT_BYTES_MAX);
	*bytes_r = bytes;
	return 0;
}
