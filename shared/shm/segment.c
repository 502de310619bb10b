/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>
#include <xxhash.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/shm/brake_state.h"
#include "shared/shm/fault.h"
#include "shared/shm/health.h"
#include "shared/shm/lock.h"
#include "shared/shm/queue.h"
#include "shared/shm/ring.h"
#include "shared/shm/segment_internal.h"
#include "shared/shm/shard.h"
#include "shared/shm/slab.h"
#include "shared/shm/slot.h"
#include "shared/shm/table.h"

/* The clock begins far from zero, so that "now - timeout" is never below zero. */
#define HEALTH_START_MS 86400000ULL

_Static_assert(sizeof(struct segment_header) <= SEGMENT_QUEUE_AT,
               "header and queue words share the first page");
_Static_assert(SEGMENT_QUEUE_AT + sizeof(struct queue_words) <= SEGMENT_PAGE,
               "header and queue words share the first page");
_Static_assert(SHARDS_ALL < 255, "an owner is one byte");

/* ---- layout ---------------------------------------------------------------------------------- */

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* Where the data begins when there are so many pages: behind the descriptors, which are behind the
 * owners. */
static uint64_t data_at(const struct segment_layout *layout, uint64_t pages, uint64_t *descs_r)
{
	*descs_r = round_up(layout->owners + pages, SEGMENT_PAGE);
	return round_up(*descs_r + pages * sizeof(struct page_desc), SEGMENT_PAGE);
}

int segment_layout(uint64_t bytes, struct segment_layout *layout_r)
{
	struct segment_layout layout = { .slots = SEGMENT_PAGE, .bytes = bytes };
	uint64_t pages;

	layout.board = round_up(layout.slots + SLOTS_MAX * sizeof(struct slot), 64);
	layout.routes = round_up(layout.board + sizeof(struct board), 64);
	layout.brake = round_up(layout.routes + SLOT_BANKS * WORKERS_MAX * SLOT_ROUTES *
	                                                sizeof(struct slot_route),
	                        64);
	layout.events = round_up(layout.brake + sizeof(struct brake_state), 64);
	layout.removed = round_up(layout.events + ring_bytes(RING_EVENTS, false), 64);
	layout.shards = round_up(layout.removed + ring_bytes(RING_REMOVED, true), SEGMENT_PAGE);
	layout.owners = round_up(layout.shards + SHARDS_ALL * sizeof(struct shard), SEGMENT_PAGE);
	if (bytes % SEGMENT_PAGE != 0 || bytes > SEGMENT_BYTES_MAX ||
	    bytes < layout.owners + 4ULL * SEGMENT_PAGE)
		return ERR_RANGE;
	/* As many as there would be without rounding, and then fewer until all of it fits. */
	pages = (bytes - layout.owners) / (SEGMENT_PAGE + sizeof(struct page_desc) + 1);
	while (pages > 0 && data_at(&layout, pages, &layout.descs) + pages * SEGMENT_PAGE > bytes)
		pages--;
	if (pages == 0)
		return ERR_RANGE;
	layout.data = data_at(&layout, pages, &layout.descs);
	layout.pages = (uint32_t)pages;
	ROSTER_ASSERT(layout.owners + pages <= layout.descs &&
	              layout.data + pages * SEGMENT_PAGE <= bytes);
	*layout_r = layout;
	return 0;
}

/* Two binaries with one fingerprint read the bytes of a segment in the same way. The version of the
 * C library is part of it, because the mutexes in the segment are the library's. */
void segment_fingerprint(uint8_t out[32])
{
	const uint64_t numbers[] = {
		SEGMENT_LAYOUT,
		SEGMENT_PAGE,
		SEGMENT_UNIT,
		SHARDS_ALL,
		SLOTS_MAX,
		SLOT_SECOND,
		RING_EVENTS,
		RING_REMOVED,
		SLAB_KINDS,
		UNDO_ENTRIES,
		UNDO_FREES,
		TABLE_INLINE,
		TABLE_HEADS,
		QUEUE_CONSUMERS,
		SHARD_ROOT_BYTES,
		sizeof(struct segment_header),
		offsetof(struct segment_header, backed),
		offsetof(struct segment_header, stamp),
		sizeof(struct slot),
		offsetof(struct slot, counters),
		sizeof(struct board),
		sizeof(struct slot_route),
		SLOT_ROUTES,
		sizeof(struct brake_state),
		sizeof(struct queue_words),
		sizeof(struct queue_link),
		sizeof(struct queue_list),
		sizeof(struct ring_event),
		ring_bytes(RING_EVENTS, false),
		ring_bytes(RING_REMOVED, true),
		sizeof(struct page_desc),
		sizeof(struct table),
		sizeof(struct shard),
		offsetof(struct shard, state),
		offsetof(struct shard, undo),
		offsetof(struct shard, slabs),
		offsetof(struct shard, root),
		sizeof(pthread_mutex_t),
		(uint64_t)sysconf(_SC_PAGESIZE),
		SLAB_BYTES_SERVICE,
		SLAB_BYTES_CLUSTER,
		SLAB_BYTES_INSTANCE,
		SLAB_BYTES_AUDIENCE,
		SLAB_BYTES_SUBSCRIBER,
		SLAB_BYTES_NAMESPACE,
	};
	const char *libc = gnu_get_libc_version();
	XXH128_hash_t a = XXH3_128bits(numbers, sizeof(numbers));
	XXH128_hash_t b = XXH3_128bits_withSeed(libc, strlen(libc), a.low64);

	memcpy(out, &a, 16);
	memcpy(out + 16, &b, 16);
}

const char *segment_fingerprint_text(void)
{
	static char text[17];
	uint8_t bytes[32];
	uint64_t fold = 0;

	segment_fingerprint(bytes);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		fold = fold * 31 + bytes[i];
	snprintf(text, sizeof(text), "%016llx", (unsigned long long)fold);
	return text;
}

/* Zero bytes when it cannot be read: then all boots look the same. */
void segment_boot_id(char out[40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, 36);

	if (fd >= 0)
		close(fd);
	memset(out + (n > 0 ? n : 0), 0, 40 - (size_t)(n > 0 ? n : 0));
}

uint64_t segment_seal(const struct segment_header *header)
{
	size_t from = offsetof(struct segment_header, layout);

	return XXH3_64bits((const uint8_t *)header + from,
	                   offsetof(struct segment_header, backed) - from);
}

void segment_condemn(struct segment *seg)
{
	__atomic_store_n(&seg->header->damaged_ms, clock_wall_ms(), __ATOMIC_RELEASE);
}

/* ---- handle and new memory ------------------------------------------------------------------- */

struct segment *segment_handle(void *base, const struct segment_layout *layout, int fd)
{
	struct segment *seg = calloc(1, sizeof(*seg));

	ROSTER_ASSERT((uintptr_t)base % SEGMENT_PAGE == 0 && layout->data % SEGMENT_PAGE == 0);
	if (seg == NULL)
		return NULL;
	seg->base = base;
	seg->header = base;
	seg->slots = (struct slot *)(seg->base + layout->slots);
	seg->board = (struct board *)(seg->base + layout->board);
	seg->routes = (struct slot_route *)(seg->base + layout->routes);
	seg->brake = (struct brake_state *)(seg->base + layout->brake);
	seg->events = (struct ring *)(seg->base + layout->events);
	seg->removed = (struct ring *)(seg->base + layout->removed);
	seg->shards = (struct shard *)(seg->base + layout->shards);
	seg->owners = seg->base + layout->owners;
	seg->descs = (struct page_desc *)(seg->base + layout->descs);
	seg->data = seg->base + layout->data;
	seg->data_off = layout->data;
	seg->bytes = layout->bytes;
	seg->pages = layout->pages;
	seg->fd = fd;
	seg->old_fd = -1;
	seg->wake_fd[0] = -1;
	seg->wake_fd[1] = -1;
	return seg;
}

int segment_format(struct segment *seg)
{
	struct segment_header *header = seg->header;

	ROSTER_ASSERT(header->magic == 0 && header->layout == 0); /* memory that is all zero */
	if (getrandom(&header->epoch, sizeof(header->epoch), 0) != (ssize_t)sizeof(header->epoch) ||
	    getrandom(&header->seed, sizeof(header->seed), 0) != (ssize_t)sizeof(header->seed))
		return ERR_IO;
	header->layout = SEGMENT_LAYOUT;
	segment_fingerprint(header->fingerprint);
	segment_boot_id(header->boot_id);
	header->bytes = seg->bytes;
	header->pages = seg->pages;
	header->seal = segment_seal(header);
	header->served_at_ms = clock_boot_ms();
	header->health_ms = HEALTH_START_MS;
	health_attach(seg, clock_mono_ms());
	for (uint32_t i = 0; i < SHARDS_ALL; i++)
		seg->shards[i].index = i;
	ring_create(seg->events, RING_EVENTS, false);
	ring_create(seg->removed, RING_REMOVED, true);
	lock_init_all(seg);
	__atomic_store_n(&header->magic, SEGMENT_MAGIC, __ATOMIC_RELEASE);
	return 0;
}

bool segment_next_written(const struct segment *seg, uint64_t *from, uint64_t to, uint64_t *until_r)
{
	off_t data, hole;

	ROSTER_ASSERT(to <= seg->bytes);
	if (*from >= to)
		return false;
	*until_r = to;
	if (seg->fd < 0) /* memory without a file has no holes to ask for */
		return true;
	data = lseek(seg->fd, (off_t)*from, SEEK_DATA);
	/* ENXIO: only a hole is left up to the end of the file. */
	if (data < 0 || (uint64_t)data >= to)
		return data < 0 && errno != ENXIO; /* a file system without holes: all of it */
	hole = lseek(seg->fd, data, SEEK_HOLE);
	if (hole > data && (uint64_t)hole < to)
		*until_r = (uint64_t)hole;
	*from = (uint64_t)data;
	return true;
}

int segment_open_anonymous(uint64_t bytes, struct segment **segment_r)
{
	struct segment_layout layout;
	struct segment *seg;
	void *base;
	int ret;

	bytes = bytes < SEGMENT_BYTES_MIN ? SEGMENT_BYTES_MIN : round_up(bytes, SEGMENT_PAGE);
	if ((ret = segment_layout(bytes, &layout)) < 0)
		return ret;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
	            -1, 0);
	if (base == MAP_FAILED)
		return ERR_NOMEM;
	seg = segment_handle(base, &layout, -1);
	if (seg == NULL || (ret = segment_format(seg)) < 0 || (ret = segment_ensure(seg, 1)) < 0) {
		munmap(base, bytes);
		free(seg);
		return ret < 0 ? ret : ERR_NOMEM;
	}
	*segment_r = seg;
	return 0;
}

void segment_close_for_test(struct segment **segment)
{
	struct segment *seg = *segment;

	*segment = NULL;
	if (seg == NULL)
		return;
	munmap(seg->base, seg->bytes);
	if (seg->fd >= 0)
		close(seg->fd);
	free(seg);
}

/* ---- room ------------------------------------------------------------------------------------ */

/* This takes the memory now: no later store into it can end in SIGBUS for want of room. */
static int allocate(const struct segment *seg, uint64_t from, uint64_t to)
{
	int rc;

	ROSTER_ASSERT(from < to && to <= seg->bytes);
	do
		rc = posix_fallocate(seg->fd, (off_t)from, (off_t)(to - from));
	while (rc == EINTR);
	return rc == 0 ? 0 : ERR_FULL;
}

/* Backs data pages [from, to) and their descriptors. */
static int back(const struct segment *seg, uint64_t from, uint64_t to)
{
	uint64_t descs = (uint64_t)((uint8_t *)seg->descs - seg->base);
	int ret;

	if (seg->fd < 0)
		return 0;
	ret = allocate(seg, descs + from * sizeof(struct page_desc),
	               descs + to * sizeof(struct page_desc));
	/* First the descriptors: a page without one could not even be looked at. */
	if (ret == 0)
		ret = allocate(seg, seg->data_off + from * SEGMENT_PAGE,
		               seg->data_off + to * SEGMENT_PAGE);
	return ret;
}

/* Backs one step more. Where another process was faster, its step is as good as this one. */
static int grow(struct segment *seg)
{
	struct segment_header *header = seg->header;
	uint64_t backed = __atomic_load_n(&header->backed, __ATOMIC_ACQUIRE);
	uint64_t next =
	        backed + SEGMENT_GROW_PAGES < seg->pages ? backed + SEGMENT_GROW_PAGES : seg->pages;

	if (backed >= seg->pages || back(seg, backed, next) < 0)
		return ERR_FULL;
	/* Who backs a step first counts it; the others have backed the same pages, which does no
	 * harm. */
	FAULT("grow-before-swap");
	if (__atomic_compare_exchange_n(&header->backed, &backed, next, false, __ATOMIC_ACQ_REL,
	                                __ATOMIC_ACQUIRE)) {
		FAULT("grow-after-swap");
		__atomic_fetch_add(&header->free_hint, next - backed, __ATOMIC_RELAXED);
		FAULT("grow-counted");
	}
	return 0;
}

/* The compare is signed, because takes and returns that pass each other may push the hint below
 * zero for a moment. */
static bool enough(const struct segment *seg, uint32_t pages)
{
	return (int64_t)__atomic_load_n(&seg->header->free_hint, __ATOMIC_RELAXED) >=
	       (int64_t)pages;
}

int segment_ensure(struct segment *seg, uint32_t pages)
{
	while (!enough(seg, pages)) {
		if (grow(seg) == 0)
			continue;
		/* Deaths may have left the hint too low: the owners know. */
		segment_recount(seg);
		return enough(seg, pages) ? 0 : ERR_FULL;
	}
	return 0;
}

void segment_recount(struct segment *seg)
{
	uint64_t backed = segment_backed(seg), count = 0;

	for (uint64_t page = 0; page < backed; page++)
		count += seg->owners[page] == 0;
	__atomic_store_n(&seg->header->free_hint, count, __ATOMIC_RELAXED);
	__atomic_store_n(&seg->header->page_hint, 0, __ATOMIC_RELAXED);
}

/* ---- the rest -------------------------------------------------------------------------------- */

int segment_unlink(struct segment *seg)
{
	if (seg->path[0] == '\0')
		return ERR_NOT_FOUND;
	return unlink(seg->path) == 0 ? 0 : ERR_IO;
}

int segment_probe_robust(lock_probe_fn *before, void *arg)
{
	return lock_probe(before, arg);
}

uint64_t stamp_next(struct segment *seg)
{
	uint64_t wall = clock_wall_us();
	uint64_t last = __atomic_load_n(&seg->header->stamp, __ATOMIC_RELAXED), next;

	/* The last value is in the segment, so a wall clock that is set back never repeats one. */
	do
		next = wall > last ? wall : last + 1;
	while (!__atomic_compare_exchange_n(&seg->header->stamp, &last, next, true,
	                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	FAULT("stamp-next");
	return next;
}
