/* SPDX-License-Identifier: Apache-2.0 */
/* poke FILE WHAT: damages a segment file, in use or not, in one of a few ways that a test can name.
 *
 *     table    the first chain of each table of services begins somewhere else
 *     list     the first service of each shard points to itself
 *     bitmap   the last object of each page in use is free
 *     beats    every instance will have beaten in a year */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/registry/layout.h"
#include "shared/shm/segment_internal.h"

static struct registry_root *root_of(const struct segment *seg, uint32_t shard)
{
	return (struct registry_root *)seg->shards[shard].root;
}

static void *object_at(const struct segment *seg, uint32_t off)
{
	return off == 0 ? NULL : segment_at(seg, off, SLAB_BYTES_SERVICE);
}

static unsigned poke_table(struct segment *seg)
{
	unsigned done = 0;

	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		struct table *table = &root_of(seg, shard)->services;

		for (unsigned n = 0; n < TABLE_INLINE; n++) {
			if (table->heads[n] == 0)
				continue;
			table->heads[n] ^= 1U << 20;
			done++;
			break;
		}
	}
	return done;
}

static unsigned poke_list(struct segment *seg)
{
	unsigned done = 0;

	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		uint32_t first = root_of(seg, shard)->first_service;
		struct service *s = object_at(seg, first);

		if (s != NULL && s->next != 0) {
			s->next = first;
			done++;
		}
	}
	return done;
}

static unsigned poke_bitmap(struct segment *seg)
{
	unsigned done = 0;

	for (uint64_t page = 0; page < segment_backed(seg); page++) {
		uint64_t *word = &seg->descs[page].bitmap[0];

		if (seg->owners[page] == 0 || *word == 0)
			continue;
		*word &= *word - 1;
		done++;
	}
	return done;
}

static unsigned poke_beats(struct segment *seg)
{
	unsigned done = 0;

	for (uint64_t page = 0; page < segment_backed(seg); page++) {
		for (unsigned n = 0; seg->descs[page].kind == SLAB_INSTANCE && n < 36; n++) {
			struct instance *i = (struct instance *)(seg->data + page * SEGMENT_PAGE +
			                                         n * SLAB_BYTES_INSTANCE);

			if ((seg->descs[page].bitmap[0] >> n & 1) == 0)
				continue;
			i->beat += 365ULL * 86400 * 1000;
			done++;
		}
	}
	return done;
}

static const struct {
	const char *name;
	unsigned (*poke)(struct segment *seg);
} ways[] = { { "table", poke_table },
	     { "list", poke_list },
	     { "bitmap", poke_bitmap },
	     { "beats", poke_beats } };

static struct segment *map_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct segment_layout layout;
	struct stat st;
	void *base;

	if (fd < 0 || fstat(fd, &st) < 0 || segment_layout((uint64_t)st.st_size, &layout) < 0)
		return NULL;
	base = mmap(NULL, layout.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return base == MAP_FAILED ? NULL : segment_handle(base, &layout, fd);
}

int main(int argc, char **argv)
{
	struct segment *seg = argc == 3 ? map_file(argv[1]) : NULL;
	unsigned done = 0;

	for (unsigned n = 0; seg != NULL && n < sizeof(ways) / sizeof(ways[0]); n++)
		if (strcmp(ways[n].name, argv[2]) == 0)
			done = ways[n].poke(seg);
	printf("%u words\n", done);
	if (seg != NULL)
		segment_close_for_test(&seg);
	return done == 0;
}
