/* SPDX-License-Identifier: Apache-2.0 */
/* segment.h - the file in memory that outlives every process.
 *
 * Layout (all offsets from the base, everything little-endian fixed width):
 *
 *     header      one struct segment_header, and in the same page one struct queue_words (queue.h)
 *     slots       SLOTS_MAX process slots (slot.h)
 *     board       what the master tells its children (slot.h)
 *     routes      what each route cost each worker (slot.h)
 *     brake       one struct brake_state (brake_state.h)
 *     events      two rings (ring.h)
 *     shards      SHARDS_ALL struct shard (shard.h): 64 and the office
 *     owners      one byte a page: 0 free, else shard index + 1
 *     pages       one struct page_desc a page (slab.h)
 *     data        the pages themselves, SEGMENT_PAGE bytes each
 *
 * The whole reserve is mapped once, in the master, before the first fork, and never
 * unmapped: a robust lock whose mapping was removed is never handed over. Pages are
 * backed in steps by posix_fallocate *before* a lock is taken, so a full file system
 * is ERR_FULL and never SIGBUS. Nothing inside is a pointer; references are 32-bit
 * offsets in units of 16 bytes (0: none).
 *
 * Death: the file stays. A flock on it is held by the master and, through the
 * inherited descriptor, by its children; the next master waits for it, plays every
 * undo log, makes all locks anew (stale owner words wait for ever) and serves.
 *
 * The segment is one trust domain: whoever writes it is trusted, yet every walk is
 * bounded by a stored count and by what the segment can hold, and every reference is
 * checked when it becomes a pointer.
 *
 * Damage: an attach looks at the header (seal, ranges), the logs, the owners, every page
 * descriptor and, through config.damaged, the roots; the keeper checks the rest in slices
 * (keeper/audit.h). A file that fails gets the name NAME.aside.N, the two newest are kept,
 * and a new one is made. attach_tries counts attaches that died at it: after
 * SEGMENT_TRIES the file is set aside unread.
 *
 * Replacing: a new file is always made and filled as NAME.new, under the flock of the file NAME (an
 * empty one, if there was none), and gets its name by one rename: segment_commit(). Until then
 * whatever was there stays as it was, and whoever fails leaves it so. Death: NAME.new is removed by
 * the next start; doc/shared-memory.md has the steps. */
#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

#define SEGMENT_MAGIC 0x31524554534f52ULL /* "ROSTER1" */
#ifndef SEGMENT_LAYOUT                    /* a test builds another one */
#define SEGMENT_LAYOUT 5U                 /* raised by hand when meaning changes but sizes do not */
#endif
#define SEGMENT_PAGE 4096U
#define SEGMENT_UNIT 16U /* a reference counts these */
#define SHARDS 64U
#define SHARD_OFFICE 64U /* namespaces and switches; own lock, log and pages */
#define SHARDS_ALL 65U
#define SEGMENT_GROW_PAGES 256U /* backed in steps of 1 MiB */
#define SEGMENT_TRIES 3U        /* attaches that may die at one file */
/* pages of one transaction that are remembered: the longest text and all it comes with */
#define SEGMENT_TAKEN 96U
#define SEGMENT_QUEUE_AT 2048U /* struct queue_words, behind the header in the first page */

struct page_desc;
struct shard;
struct slot;
struct slot_route;
struct board;
struct brake_state;
struct ring;

struct segment_header {
	uint64_t magic;
	uint32_t layout;
	uint32_t node;           /* node number, 0 until there is a cluster; top byte of ids */
	uint8_t fingerprint[32]; /* sizes, offsets, glibc, page size: see segment_fingerprint() */
	char boot_id[40];
	uint64_t epoch; /* random, new with each new segment: part of every cache key */
	uint64_t seed;  /* secret: shard choice and hash tables */
	uint64_t bytes; /* reserve: the file's length */
	uint32_t pages; /* data pages in the reserve */
	uint32_t pad0;
	uint64_t backed;    /* data pages backed so far; grows by compare-and-swap */
	uint64_t free_hint; /* backed and unowned pages; a hint, rebuilt at attach */
	uint64_t page_hint; /* where the next search for a free page starts */
	/* CLOCK_BOOTTIME, written by the keeper each tick: segment.max_age */
	uint64_t served_at_ms;
	uint64_t attach_count;
	/* Health clock (health.h). */
	uint64_t health_ms;
	uint64_t health_mono_ms;
	/* Hybrid clock: microseconds since the epoch, strictly increasing (stamp_next). */
	uint64_t stamp;
	/* Statistics that belong to no process. */
	uint64_t rollbacks; /* locks whose dead owner was rolled back */
	uint64_t sweeps;    /* pages given back by those */
	uint64_t corrupt;   /* references found impossible */
	/* What an attach and the audit go by. */
	uint64_t seal; /* hash of everything from layout to pages, which never changes */
	/* ~health_ms of the last tick, 0: none yet; stored after it, so at most a step behind */
	uint64_t health_guard;
	uint64_t attach_tries; /* attaches in a row that died while they looked at the content */
	/* wall clock: an audit found damage; the next attach sets the file aside */
	uint64_t damaged_ms;
	/* raised by whoever distrusts the content: the keeper audits all of it again */
	uint64_t audit_wanted;
	uint64_t audit_passes; /* whole audits finished */
	uint64_t audit_broken; /* rules found broken, all audits together */
	uint64_t audit_shard;  /* parts done of the audit in work */
	uint64_t lock_waits;   /* locks that another held when they were asked for */
	uint64_t spare[23];
};

/* The handle of a process. The master makes it, children inherit it by fork, and nobody frees
 * it. */
struct segment {
	uint8_t *base;
	struct segment_header *header;
	struct slot *slots;
	struct board *board;
	struct slot_route *routes; /* SLOT_ROUTES a worker */
	struct brake_state *brake;
	struct ring *events;  /* changes of state */
	struct ring *removed; /* removed instances, with their names */
	struct shard *shards; /* [SHARDS_ALL] */
	uint8_t *owners;
	struct page_desc *descs;
	uint8_t *data;     /* page n at data + n * SEGMENT_PAGE */
	uint64_t data_off; /* of data, in bytes from base */
	uint64_t bytes;
	uint32_t pages;
	const struct shard *held; /* the shard that this process has locked (lock.c); NULL: none */
	/* steps of the table look-up in work (table.c): bounds chains that run in a circle */
	uint64_t probes;
	/* pages of the transaction in work (slab.c): what its roll-back gives back */
	uint32_t taken[SEGMENT_TAKEN];
	int fd;         /* holds the flock; inherited by children */
	int wake_fd[2]; /* eventfd a consumer (queue.h); -1 where nobody listens */
	bool pending;   /* made, but still NAME.new */
	bool aside;     /* pending: the file in its place is to be kept */
	int old_fd;     /* pending: that file, with its flock; -1: somebody else holds it */
	char path[256]; /* of the name it has or will have */
};

struct segment_config {
	const char *dir; /* "" = choose: runtime_dir if tmpfs, else a 0700 folder in /dev/shm */
	const char *runtime_dir;
	const char *name;      /* file name inside dir, e.g. "segment" */
	uint64_t limit_bytes;  /* 0 = min(1 GiB, half of what is free) */
	uint64_t max_age_ms;   /* not served for longer: attached_stale is set */
	uint64_t lock_wait_ms; /* for the flock of a predecessor; 10 s */
	bool forget;           /* start empty, in the place of what is there */
	/* as forget; the caller holds the flock already, by a descriptor of its own (upgrade) */
	bool held;
	/* a new one stays NAME.new until the caller's segment_commit() or segment_discard() */
	bool later;
	bool only_attach; /* make none and set none aside: ERR_NOT_FOUND */
	/* Asked after the logs were played, when nobody else maps the file. Returns NULL, or what
	 * is wrong with the content. */
	const char *(*damaged)(struct segment *seg);
};

enum segment_origin {
	SEGMENT_NEW,
	SEGMENT_ATTACHED,
	SEGMENT_SET_ASIDE /* new made, the old one kept aside */
};

struct segment_report {
	enum segment_origin origin;
	bool stale;           /* attached, but older than max_age: drop ephemeral instances */
	bool leftover;        /* a NAME.new was there, of somebody who died, and was removed */
	unsigned rolled_back; /* locks whose log was played */
	char why[320];        /* for the log: why set aside, or why refused */
};

/* For the master only. Opens or makes the file (mode 0600, no links followed), checks its size
 * against the file system and the memory limit of every parent cgroup, takes the flock, maps,
 * validates, plays logs and makes locks. On an error report_r->why says which number stands against
 * which, and the file that was there is as it was. ERR_BUSY: the flock did not come free in time,
 * and why names the processes that hold it. */
int segment_open(const struct segment_config *config, struct segment **segment_r,
                 struct segment_report *report_r) MUST_CHECK;

/* Gives a segment that was made with config.later its name, and the file that had it another one
 * (aside) or none. Does nothing to a segment that has its name. ERR_IO: errno says why, nothing has
 * changed. */
int segment_commit(struct segment *seg) MUST_CHECK;
/* Removes such a segment instead, and what was there is as it was. Does nothing to NULL, and to one
 * that has its name. The mapping stays. */
void segment_discard(struct segment *seg);
/* Returns false when the name (of dir_fd, or a whole path) stands for another file than fd, or for
 * none. Async-signal-safe. */
bool segment_has_name(int fd, int dir_fd, const char *name);
/* For an upgrade: removes the NAME.new of an image that went no further. Returns true when there
 * was one. */
bool segment_sweep_beside(const struct segment *seg);

/* For an upgrade (master/upgrade/upgrade.h), while other processes use the file behind fd. Both
 * functions check it as a start does (magic, fingerprint, boot, sizes, backing) and leave locks and
 * logs alone, because others hold them. ERR_RANGE: it has another layout; ERR_CORRUPT: anything
 * else is wrong, and why says what.
 *
 * segment_inspect() maps it read-only, walks the page owners and unmaps it; fd may be read-only.
 * segment_adopt() makes the handle of a master that takes over by exec in place: the flock comes
 * with the descriptor, path is for messages and segment_unlink(). */
int segment_inspect(int fd, char *why, size_t why_size) MUST_CHECK;
int segment_adopt(int fd, const char *path, struct segment **segment_r, char *why,
                  size_t why_size) MUST_CHECK;

/* Checks the configuration the way segment_open() would, without touching anything (-t). */
int segment_check_config(const struct segment_config *config, char *why,
                         unsigned why_size) MUST_CHECK;

/* Finds the next part of the bytes [*from, to) of the mapping that somebody has written to: *from
 * moves to its beginning, *until_r is its end. Returns false when there is none. The file has
 * holes, and to read one would fill it with memory. It makes system calls, so not under a lock. */
bool segment_next_written(const struct segment *seg, uint64_t *from, uint64_t to,
                          uint64_t *until_r);

/* For unit tests and benchmarks: makes a segment in an anonymous shared mapping. */
int segment_open_anonymous(uint64_t bytes, struct segment **segment_r) MUST_CHECK;
/* For tests only: here the mapping really goes away. */
void segment_close_for_test(struct segment **segment);

/* Removes the file (--forget at stop). The mapping stays. */
int segment_unlink(struct segment *seg) MUST_CHECK;

/* Does the kernel hand the lock of a dead process over? A probe child locks a robust mutex and
 * dies. ERR_LOCK when it does not (a filter refuses set_robust_list): the caller refuses to start.
 * The child first calls `before` (NULL: nothing), to become as restricted as a real one; ERR_IO
 * with its errno when that fails. */
typedef int lock_probe_fn(void *arg);
int segment_probe_robust(lock_probe_fn *before, void *arg) MUST_CHECK;

/* Makes sure that at least `pages` backed pages are free, and backs more if needed. It makes system
 * calls, so it is called *before* a lock is taken. ERR_FULL: the reserve is used up or the file
 * system refuses. Any number of processes may call it at once. A death in the middle leaves pages
 * that are backed but not yet counted; the next caller counts them. */
int segment_ensure(struct segment *seg, uint32_t pages) MUST_CHECK;

/* How many pages may be touched: as many as the header says, but never more than there are. */
static inline uint64_t segment_backed(const struct segment *seg)
{
	uint64_t backed = __atomic_load_n(&seg->header->backed, __ATOMIC_ACQUIRE);

	return backed < seg->pages ? backed : seg->pages;
}

/* The hash that header->seal holds. Whoever changes one of the words from layout to pages (the node
 * number, say) stores it anew. */
uint64_t segment_seal(const struct segment_header *header);

/* Asks the keeper to check everything again. Lock-free, from any process. */
static inline void segment_distrust(struct segment *seg)
{
	__atomic_fetch_add(&seg->header->audit_wanted, 1, __ATOMIC_RELAXED);
}

/* Says for good that the content is damaged: the next attach sets the file aside. */
void segment_condemn(struct segment *seg);

/* Counts the free pages again: at an attach, after a death, and when the hint says "none". */
void segment_recount(struct segment *seg);

/* The fingerprint of the layout as 16 hex digits (rosterd -v). */
const char *segment_fingerprint_text(void);

/* Turns a reference into a pointer. NULL unless its bytes lie inside the data pages. */
static inline void *segment_at(const struct segment *seg, uint32_t off, uint32_t bytes)
{
	uint64_t at = (uint64_t)off * SEGMENT_UNIT;

	if (off == 0 || at < seg->data_off || at + bytes > seg->bytes)
		return NULL;
	return seg->base + at;
}

/* The next value of the hybrid clock: the larger of the wall clock in us and the last value + 1. It
 * takes no lock. A value is never handed out again, not even after a restart. It stays below 2^53,
 * so that a reader who knows doubles only loses nothing. */
uint64_t stamp_next(struct segment *seg);

#endif
