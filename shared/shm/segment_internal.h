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

/* Offsets from the base, which all follow from the length alone. */
struct segment_layout {
	uint64_t slots, board, routes, brake, events, removed, shards, owners, descs, data;
	uint64_t bytes;
	uint32_t pages;
};

/* ERR_RANGE when the length holds no page or more than references reach. */
int segment_layout(uint64_t bytes, struct segment_layout *layout_r) MUST_CHECK;
/* Makes a handle onto mapped memory; NULL when malloc refuses. */
struct segment *segment_handle(void *base, const struct segment_layout *layout, int fd);
/* Fills zeroed memory. The magic is the last store: without it the file is not a finished
 * segment. */
int segment_format(struct segment *seg) MUST_CHECK;
void segment_fingerprint(uint8_t out[32]);
void segment_boot_id(char out[40]);

/* Where limits of memory are read: the machine's files, or a test's. */
struct segment_cgroups {
	const char *self;    /* /proc/self/cgroup */
	const char *v2, *v1; /* roots of the unified and of the memory hierarchy */
};

/* The smallest room that any parent cgroup leaves (limit - used - 20 %); UINT64_MAX: no limit. */
uint64_t segment_cgroup_room(const struct segment_cgroups *cgroups, char *where, size_t size);
/* The length of a new segment on the file system of dir_fd: as asked, or chosen when asked is 0.
 * given_back are the bytes that the change to it frees. ERR_RANGE with both numbers in why. */
int segment_choose_bytes(int dir_fd, uint64_t asked, uint64_t given_back, uint64_t *bytes_r,
                         char *why, size_t size) MUST_CHECK;

/* ---- segment_replace.c: a new file in the place of an old one. Who calls one of these holds the
 * flock of the file `name`, which so belongs to nobody else, nor do NAME.new and NAME.aside.N. */

/* Has the file one name only? Takes back a second one, given by somebody who died in
 * segment_commit(). */
bool segment_single_name(int dir_fd, const char *name, int fd) MUST_CHECK;
/* Removes what a death left: NAME.new (returns true), and files set aside beyond those that are
 * kept. */
bool segment_sweep(int dir_fd, const char *name);
/* How many bytes of the file system the change will free: those of the file that goes, or, where
 * that is set aside, those of the older ones that go for it. */
uint64_t segment_given_back(int dir_fd, const char *name, bool aside);
/* Makes NAME.new, empty and locked, in the place of a leftover. Returns -1 with errno. */
int segment_open_beside(int dir_fd, const char *name);
/* Removes NAME.new, and the file `name` when it is empty. old_fd is that file, or -1 to leave it
 * alone. */
void segment_drop_beside(int dir_fd, const char *name, int old_fd);

#endif
