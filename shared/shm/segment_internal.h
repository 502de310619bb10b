/* SPDX-License-Identifier: Apache-2.0 */
/* segment_internal.h - what segment.c, segment_open.c and segment_limit.c share. */
#ifndef SHM_SEGMENT_INTERNAL_H
#define SHM_SEGMENT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/shm/segment.h"

#define SEGMENT_BYTES_MIN (8ULL << 20)
#define SEGMENT_BYTES_MAX (32ULL << 30) /* half of what references reach */
#define SEGMENT_BYTES_DEFAULT (1ULL << 30)

/* Offsets from the base; all follow from the length alone. */
struct segment_layout {
	uint64_t slots, board, routes, brake, events, removed, shards, owners, descs, data;
	uint64_t bytes;
	uint32_t pages;
};

/* ERR_RANGE when the length holds no page or more than references reach. */
int segment_layout(uint64_t bytes, struct segment_layout *layout_r) MUST_CHECK;
/* A handle onto mapped memory; NULL when malloc refuses. */
struct segment *segment_handle(void *base, const struct segment_layout *layout, int fd);
/* Fills zeroed memory; the magic is the last store. */
int segment_format(struct segment *seg) MUST_CHECK;
/* Backs data pages [from, to) and their descriptors. */
int segment_back(const struct segment *seg, uint64_t from, uint64_t to) MUST_CHECK;
void segment_fingerprint(uint8_t out[32]);
void segment_boot_id(char out[40]);

/* Where limits of memory are read: the machine's files, or a test's. */
struct segment_cgroups {
	const char *self;    /* /proc/self/cgroup */
	const char *v2, *v1; /* roots of the unified and of the memory hierarchy */
};

/* The smallest room that any parent cgroup leaves (limit - used - 20 %); UINT64_MAX: no limit. */
uint64_t segment_cgroup_room(const struct segment_cgroups *cgroups, char *where, size_t size);
/* Length of a new segment on the file system of dir_fd: as asked, or chosen when asked is 0. ERR_RANGE
 * with both numbers in why. */
int segment_choose_bytes(int dir_fd, uint64_t asked, uint64_t *bytes_r, char *why, size_t size) MUST_CHECK;

#endif
