/* SPDX-License-Identifier: Apache-2.0 */
/* segment_place.h - a folder for the tests of segment files, with the way they are opened in it. */
#ifndef TESTS_SEGMENT_PLACE_H
#define TESTS_SEGMENT_PLACE_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/shm_common.h"

#define LIMIT (12ULL << 20)

struct place {
	char dir[64];
	char path[96];
	struct segment_config config;
	struct segment_report report;
	struct segment *seg;
};

static inline int place_new(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	snprintf(place->dir, sizeof(place->dir), "%s/roster-segment-XXXXXX",
	         access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(place->dir) == NULL)
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/segment", place->dir);
	place->config = (struct segment_config){ .dir = place->dir,
		                                 .runtime_dir = "",
		                                 .name = "segment",
		                                 .limit_bytes = LIMIT,
		                                 .max_age_ms = 600000,
		                                 .lock_wait_ms = 100 };
	*state = place;
	return 0;
}

/* Calls for each file of the folder; returns how many have `infix` in the name. */
static inline unsigned count_files(const struct place *place, const char *infix, bool remove)
{
	DIR *dir = opendir(place->dir);
	struct dirent *entry;
	unsigned n = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		n += strstr(entry->d_name, infix) != NULL;
		if (remove)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

static inline int place_free(void **state)
{
	struct place *place = *state;

	segment_close_for_test(&place->seg);
	count_files(place, "", true);
	rmdir(place->dir);
	free(place);
	return 0;
}

static inline int open_it(struct place *place)
{
	return segment_open(&place->config, &place->seg, &place->report);
}

static inline void reopen_at(struct spot spot, struct place *place, enum segment_origin origin)
{
	segment_close_for_test(&place->seg);
	assert_int_equal_at(spot, open_it(place), 0);
	assert_int_equal_at(spot, place->report.origin, origin);
}
#define reopen(...) reopen_at(SPOT, __VA_ARGS__)

#endif
