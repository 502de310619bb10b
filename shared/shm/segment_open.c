/* SPDX-License-Identifier: Apache-2.0 */
/* segment_open.c - opens the file of the segment: waits for its lock, judges what is there,
 * attaches, adopts or makes a new one. */
#include "shared/shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/shm/fault.h"
#include "shared/shm/health.h"
#include "shared/shm/holders.h"
#include "shared/shm/lock.h"
#include "shared/shm/ring.h"
#include "shared/shm/segment_internal.h"
#include "shared/shm/shard.h"
#include "shared/shm/slab.h"
#include "shared/shm/slot.h"
#include "shared/shm/undo.h"

#define FLOCK_POLL_MS 20U
#define HEALTH_BITS 48 /* of a beat's time */
#define STAMP_BITS 53
#define ID_BITS 48
#define REVISION_BITS 62

/* What segment_open() carries from step to step. */
struct opening {
	const struct segment_config *config;
	struct segment_report *report;
	char dir[200];
	int dir_fd;
	int fd; /* the file that becomes the segment */
	/* the one that is there, with its flock; -1: it is fd, or the caller holds it */
	int old_fd;
	bool asks;      /* only whether it could be opened: segment_check_config() */
	bool stands_in; /* dir_fd is the folder that the missing one would be made in */
	struct segment *seg;
};

static int refuse_opening(struct segment_report *report, int err, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static int refuse_opening(struct segment_report *report, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(report->why, sizeof(report->why), format, args);
	va_end(args);
	return err;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static bool is_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens the folder that the missing one would be made in. errno is kept. */
static bool stand_in(struct opening *o)
{
	int saved = errno;
	char *slash = strrchr(o->dir, '/');

	ROSTER_ASSERT(slash != NULL); /* a path of the configuration is absolute */
	slash[slash == o->dir ? 1 : 0] = '\0';
	o->dir_fd = open_dir(o->dir);
	o->stands_in = o->dir_fd >= 0;
	errno = saved;
	return o->stands_in;
}

/* An operator may ask for a folder on any file system, but nobody else may put files there in our
 * place. To who only asks, the folder around a missing one stands for it. */
static int dir_asked(struct opening *o, bool make)
{
	struct stat st;

	snprintf(o->dir, sizeof(o->dir), "%s", o->config->dir);
	if (make)
		(void)mkdir(o->dir, 0700);
	o->dir_fd = open_dir(o->dir);
	if (o->dir_fd < 0 && errno == ENOENT && o->asks && stand_in(o))
		return 0;
	if (o->dir_fd < 0 || fstat(o->dir_fd, &st) < 0)
		return refuse_opening(o->report, ERR_IO, "segment.dir %.100s: %s", o->config->dir,
		                      strerror(errno));
	if ((st.st_mode & 022) != 0 && (st.st_mode & S_ISVTX) == 0)
		return refuse_opening(o->report, ERR_IO, "segment.dir %.100s is writable by others",
		                      o->dir);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse_opening(o->report, ERR_IO, "segment.dir %.100s belongs to user %u",
		                      o->dir, (unsigned)st.st_uid);
	if (!is_memory(o->dir_fd))
		refuse_opening(o->report, 0, "segment.dir %.80s is not a memory file system: slow",
		               o->dir);
	return 0;
}

/* The runtime directory will do when it is in memory. */
static bool dir_runtime(struct opening *o)
{
	if (o->config->runtime_dir == NULL || o->config->runtime_dir[0] == '\0')
		return false;
	snprintf(o->dir, sizeof(o->dir), "%s", o->config->runtime_dir);
	o->dir_fd = open_dir(o->dir);
	if (o->dir_fd >= 0 && is_memory(o->dir_fd))
		return true;
	if (o->dir_fd >= 0)
		close(o->dir_fd);
	o->dir_fd = -1;
	return false;
}

/* Everybody may write to /dev/shm, so the folder in it must be ours, private and no link. Where it
 * is not there and may not be made, /dev/shm itself stands for it. */
static int dir_own(struct opening *o, bool make)
{
	struct stat st;

	snprintf(o->dir, sizeof(o->dir), "/dev/shm/roster-%u", (unsigned)geteuid());
	if (make)
		(void)mkdir(o->dir, 0700);
	o->dir_fd = open_dir(o->dir);
	if (o->dir_fd < 0 && errno == ENOENT && !make && stand_in(o))
		return 0;
	if (o->dir_fd < 0 || fstat(o->dir_fd, &st) < 0)
		return refuse_opening(o->report, ERR_IO, "%s: %s", o->dir, strerror(errno));
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return refuse_opening(o->report, ERR_IO, "%s is not a private folder of user %u",
		                      o->dir, (unsigned)geteuid());
	return 0;
}

static int choose_dir(struct opening *o, bool make)
{
	ROSTER_ASSERT(o->dir_fd < 0);
	if (o->config->dir != NULL && o->config->dir[0] != '\0')
		return dir_asked(o, make);
	return dir_runtime(o) ? 0 : dir_own(o, make);
}

/* ---- the file and its flock ------------------------------------------------------------------ */

static int refuse_alien(struct opening *o)
{
	return refuse_opening(o->report, ERR_IO, "%.60s/%.40s is not a private file of user %u",
	                      o->dir, o->config->name, (unsigned)geteuid());
}

static int open_file(struct opening *o)
{
	int flags = o->config->only_attach ? 0 : O_CREAT;
	struct stat st;

	ROSTER_ASSERT(o->fd < 0);
	o->fd = openat(o->dir_fd, o->config->name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
	if (o->fd < 0 && errno == ENOENT && o->config->only_attach)
		return refuse_opening(o->report, ERR_NOT_FOUND, "there is none");
	if (o->fd < 0 || fstat(o->fd, &st) < 0)
		return refuse_opening(o->report, ERR_IO, "%.60s/%.40s: %s", o->dir, o->config->name,
		                      strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return refuse_alien(o);
	return 0;
}

bool segment_has_name(int fd, int dir_fd, const char *name)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

static void pause_ms(unsigned ms)
{
	struct timespec t = { 0, (long)ms * 1000000L };

	ROSTER_ASSERT(ms < 1000);
	nanosleep(&t, NULL);
}

static int refuse_held(struct opening *o, uint64_t waited_ms)
{
	char holders[160];

	holders_describe(o->fd, holders, sizeof(holders));
	return refuse_opening(o->report, ERR_BUSY, "%.60s/%.40s is still held after %llu ms by %s",
	                      o->dir, o->config->name, (unsigned long long)waited_ms,
	                      holders[0] != '\0' ? holders
	                                         : "a process that cannot be seen from here");
}

/* Waits for the flock of the file that has the name in the end. */
static int lock_file(struct opening *o)
{
	uint64_t waited = 0;
	int ret;

	for (;;) {
		if ((ret = open_file(o)) < 0)
			return ret;
		while (flock(o->fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno != EWOULDBLOCK && errno != EINTR)
				return refuse_opening(o->report, ERR_IO, "flock: %s",
				                      strerror(errno));
			if (waited >= o->config->lock_wait_ms)
				return refuse_held(o, waited);
			pause_ms(FLOCK_POLL_MS);
			waited += FLOCK_POLL_MS;
		}
		/* The predecessor may have replaced or removed the one that is locked now. */
		if (segment_has_name(o->fd, o->dir_fd, o->config->name))
			return segment_single_name(o->dir_fd, o->config->name, o->fd)
			               ? 0
			               : refuse_alien(o);
		close(o->fd);
		o->fd = -1;
	}
}

/* ---- mapping --------------------------------------------------------------------------------- */

static int map(struct opening *o, const struct segment_layout *layout)
{
	void *base;

	ROSTER_ASSERT(o->seg == NULL && o->fd >= 0); /* never twice in one process */
	base = mmap(NULL, layout->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, o->fd,
	            0);
	if (base == MAP_FAILED)
		return refuse_opening(o->report, ERR_NOMEM, "mapping %llu MiB: %s",
		                      (unsigned long long)(layout->bytes >> 20), strerror(errno));
	o->seg = segment_handle(base, layout, o->fd);
	if (o->seg == NULL) {
		munmap(base, layout->bytes);
		return ERR_NOMEM;
	}
	snprintf(o->seg->path, sizeof(o->seg->path), "%.199s/%.55s", o->dir, o->config->name);
	return 0;
}

/* Allowed only as long as nobody has taken a lock in it. */
static void unmap(struct opening *o)
{
	if (o->seg == NULL)
		return;
	munmap(o->seg->base, o->seg->bytes);
	free(o->seg);
	o->seg = NULL;
}

/* Makes a segment in the empty file that o->fd is. */
static int make_new(struct opening *o, bool aside)
{
	struct segment_layout layout;
	uint64_t bytes, given_back;
	char why[sizeof(o->report->why)];
	int ret;

	given_back = segment_given_back(o->dir_fd, o->config->name, aside);
	if ((ret = segment_choose_bytes(o->dir_fd, o->config->limit_bytes, given_back, &bytes, why,
	                                sizeof(why))) < 0)
		return refuse_opening(o->report, ret, "%s", why);
	if ((ret = segment_layout(bytes, &layout)) < 0)
		return refuse_opening(o->report, ret, "segment.limit %llu MiB cannot be laid out",
		                      (unsigned long long)(bytes >> 20));
	if (ftruncate(o->fd, (off_t)bytes) < 0)
		return refuse_opening(o->report, ERR_IO, "segment.limit %llu MiB: %s",
		                      (unsigned long long)(bytes >> 20), strerror(errno));
	/* What comes before the descriptors is used from the start; those and the pages are backed
	 * in steps. */
	if (posix_fallocate(o->fd, 0, (off_t)layout.descs) != 0)
		return refuse_opening(o->report, ERR_FULL,
		                      "the file system refuses the first %llu KiB",
		                      (unsigned long long)(layout.descs >> 10));
	if ((ret = map(o, &layout)) < 0)
		return ret;
	if ((ret = segment_format(o->seg)) == 0)
		ret = segment_ensure(o->seg, 1);
	if (ret < 0) {
		unmap(o);
		return refuse_opening(o->report, ret, "the file system refuses the first pages");
	}
	FAULT_AT("segment-made");
	return 0;
}

/* Makes a segment beside what is there, which stays as it is until segment_commit(). */
static int make_beside(struct opening *o, bool aside)
{
	int ret;

	ROSTER_ASSERT(o->old_fd < 0); /* there is one old file */
	o->old_fd = o->fd;
	if ((o->fd = segment_open_beside(o->dir_fd, o->config->name)) < 0)
		return refuse_opening(o->report, ERR_IO, "%.60s/%.40s.new: %s", o->dir,
		                      o->config->name, strerror(errno));
	if ((ret = make_new(o, aside)) < 0 || o->seg == NULL)
		return ret < 0 ? ret : ERR_IO;
	o->seg->old_fd = o->old_fd;
	o->seg->aside = aside;
	o->seg->pending = true;
	return 0;
}

/* ---- attaching ------------------------------------------------------------------------------- */

/* Returns NULL, or why the content is not to be used: an earlier life said so, or there are numbers
 * that no life leaves behind. */
static const char *unfit(const struct segment_header *header)
{
	uint64_t guard = ~header->health_guard, health = header->health_ms;
	uint64_t apart = guard > health ? guard - health : health - guard;

	if (header->damaged_ms != 0)
		return "the check found it damaged";
	if (header->attach_tries >= SEGMENT_TRIES)
		return "too many starts died looking at it";
	if (health >> HEALTH_BITS != 0 || (header->health_guard != 0 && apart > HEALTH_STEP_MAX_MS))
		return "its health clock is impossible";
	if (header->stamp >> STAMP_BITS != 0)
		return "its clock is impossible";
	return NULL;
}
static const char other_layout[] = "of another layout";

/* Returns NULL, or why this file is not a segment of ours. It reads the file and maps nothing. */
static const char *foreign(const struct opening *o, struct segment_layout *layout_r)
{
	struct segment_header header;
	uint8_t fingerprint[32];
	char boot_id[40];
	struct stat st;

	if (fstat(o->fd, &st) < 0 ||
	    pread(o->fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return "shorter than a header";
	segment_fingerprint(fingerprint);
	segment_boot_id(boot_id);
	if (header.magic != SEGMENT_MAGIC)
		return "not a finished segment";
	if (header.layout != SEGMENT_LAYOUT ||
	    memcmp(header.fingerprint, fingerprint, sizeof(fingerprint)) != 0)
		return other_layout;
	if (header.seal != segment_seal(&header))
		return "its header does not agree with its seal";
	if (memcmp(header.boot_id, boot_id, sizeof(boot_id)) != 0)
		return "of another boot";
	if (header.bytes != (uint64_t)st.st_size || segment_layout(header.bytes, layout_r) < 0 ||
	    header.pages != layout_r->pages || header.backed > header.pages ||
	    (header.backed % SEGMENT_GROW_PAGES != 0 && header.backed != header.pages))
		return "its sizes contradict each other";
	/* A copy with holes would end in SIGBUS when the file system is full one day. */
	if ((uint64_t)st.st_blocks * 512 <
	    layout_r->descs + header.backed * (SEGMENT_PAGE + sizeof(struct page_desc)))
		return "not backed as far as it says";
	return unfit(&header);
}

/* Returns NULL, or what makes the mapped content unusable, before its logs are played. Nothing is
 * changed yet. */
static const char *damaged(const struct segment *seg)
{
	for (uint32_t i = 0; i < SHARDS_ALL; i++) {
		if (seg->shards[i].index != i)
			return "shards out of order";
		if (!undo_valid(seg, &seg->shards[i]))
			return "an undo log is impossible";
		if (seg->shards[i].next_id >> ID_BITS != 0 ||
		    seg->shards[i].revision >> REVISION_BITS != 0)
			return "a shard's numbers are impossible";
	}
	for (uint64_t page = 0; page < seg->pages; page++) {
		if (seg->owners[page] > SHARDS_ALL ||
		    (page >= seg->header->backed && seg->owners[page] != 0))
			return "impossible page owners";
	}
	if (!ring_valid(seg->events, RING_EVENTS, false) ||
	    !ring_valid(seg->removed, RING_REMOVED, true))
		return "an event ring is impossible";
	return NULL;
}

/* Clears what was said about processes that are dead now. Their counters stay. */
static void reset_slots(struct segment *seg)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct slot *slot = &seg->slots[i];

		slot->pid = 0;
		slot->state = SLOT_FREE;
		slot->stopped = 0;
		slot->busy_since_ms = 0;
		slot->stuck_shard = 0;
		slot->stuck_owner = 0;
		slot->connections = 0;
	}
	memset(seg->board, 0, sizeof(*seg->board));
}

/* Plays the logs. Returns NULL, or what is wrong with what is there then. */
static const char *recover(struct opening *o)
{
	struct segment *seg = o->seg;
	uint64_t corrupt = seg->header->corrupt;
	const char *why;

	o->report->rolled_back = lock_recover_all(seg);
	if (seg->header->corrupt != corrupt)
		return "an undo log frees what cannot be freed";
	why = slab_damaged(seg);
	return why == NULL && o->config->damaged != NULL ? o->config->damaged(seg) : why;
}

/* From here on the content is ours. */
static void take_over(struct opening *o)
{
	struct segment_header *header = o->seg->header;
	uint64_t now = clock_boot_ms();

	header->rollbacks += o->report->rolled_back;
	header->attach_count++;
	health_attach(o->seg, clock_mono_ms());
	reset_slots(o->seg);
	o->report->origin = SEGMENT_ATTACHED;
	o->report->stale = o->config->max_age_ms != 0 && now > header->served_at_ms &&
	                   now - header->served_at_ms > o->config->max_age_ms;
	if (o->config->limit_bytes != 0 &&
	    o->config->limit_bytes / SEGMENT_PAGE != header->bytes / SEGMENT_PAGE)
		refuse_opening(
		        o->report, 0,
		        "segment.limit changed: the segment keeps its %llu MiB until it is made anew",
		        (unsigned long long)(header->bytes >> 20));
}

/* Takes the old content over, or says in *why_r why not: then nothing is mapped, and the caller may
 * make another segment in its place. */
static int attach(struct opening *o, const char **why_r)
{
	struct segment_layout layout;
	int ret;

	*why_r = foreign(o, &layout);
	if (*why_r != NULL)
		return 0;
	if ((ret = map(o, &layout)) < 0)
		return ret;
	/* Raised for as long as the content is looked at: who dies of it has told the next one. */
	__atomic_fetch_add(&o->seg->header->attach_tries, 1, __ATOMIC_SEQ_CST);
	*why_r = damaged(o->seg);
	if (*why_r == NULL)
		*why_r = recover(o);
	__atomic_store_n(&o->seg->header->attach_tries, 0, __ATOMIC_SEQ_CST);
	if (*why_r != NULL)
		unmap(o);
	else
		take_over(o);
	return 0;
}

static int attach_only(struct opening *o, bool none)
{
	const char *why = "there is none";
	int ret = none ? 0 : attach(o, &why);

	return ret < 0 || why == NULL ? ret : refuse_opening(o->report, ERR_NOT_FOUND, "%s", why);
}

static int attach_or_make(struct opening *o)
{
	char text[sizeof(o->report->why)];
	const char *why;
	struct stat st;
	int ret;

	o->report->origin = SEGMENT_NEW;
	if (o->config->held)
		return make_beside(o, false);
	if (fstat(o->fd, &st) < 0)
		return refuse_opening(o->report, ERR_IO, "fstat: %s", strerror(errno));
	if (o->config->only_attach)
		return attach_only(o, st.st_size == 0);
	o->report->leftover = segment_sweep(o->dir_fd, o->config->name);
	if (st.st_size == 0 || o->config->forget)
		return make_beside(o, false);
	if ((ret = attach(o, &why)) < 0 || why == NULL)
		return ret;
	if ((ret = make_beside(o, true)) < 0) {
		memcpy(text, o->report->why, sizeof(text));
		return refuse_opening(o->report, ret,
		                      "%.200s; the old segment stays, and cannot be used: %s", text,
		                      why);
	}
	o->report->origin = SEGMENT_SET_ASIDE;
	refuse_opening(o->report, 0, "the old segment is set aside: %s", why);
	return 0;
}

static int commit_now(struct opening *o)
{
	if (o->seg == NULL || o->config->later || segment_commit(o->seg) == 0)
		return 0;
	return refuse_opening(o->report, ERR_IO, "%.60s/%.40s cannot be put in its place: %s",
	                      o->dir, o->config->name, strerror(errno));
}

/* Undoes a failed opening: what was made goes, and so does an empty file that was there to be
 * locked. */
static void give_up(struct opening *o)
{
	if (o->old_fd >= 0 || (o->config->held && o->dir_fd >= 0))
		segment_drop_beside(o->dir_fd, o->config->name, o->old_fd);
	unmap(o);
	if (o->fd >= 0)
		close(o->fd);
	if (o->old_fd >= 0)
		close(o->old_fd);
}

int segment_open(const struct segment_config *config, struct segment **segment_r,
                 struct segment_report *report_r)
{
	struct opening o = {
		.config = config, .report = report_r, .dir_fd = -1, .fd = -1, .old_fd = -1
	};
	int ret;

	memset(report_r, 0, sizeof(*report_r));
	if ((ret = choose_dir(&o, !config->only_attach)) == 0 &&
	    (config->held || (ret = lock_file(&o)) == 0) && (ret = attach_or_make(&o)) == 0)
		ret = commit_now(&o);
	if (ret < 0)
		give_up(&o);
	if (o.dir_fd >= 0)
		close(o.dir_fd);
	ROSTER_ASSERT(ret < 0 || o.seg != NULL);
	if (ret == 0)
		*segment_r = o.seg;
	return ret;
}

/* ---- upgrade --------------------------------------------------------------------------------- */

static int refuse_running(const char *what, char *why, size_t why_size)
{
	snprintf(why, why_size, "the segment is %s", what);
	return what == other_layout ? ERR_RANGE : ERR_CORRUPT;
}

int segment_inspect(int fd, char *why, size_t why_size)
{
	struct opening o = { .fd = fd };
	struct segment_layout layout;
	const char *what = foreign(&o, &layout);
	const uint8_t *base, *owners;
	bool sound = true;

	if (what != NULL)
		return refuse_running(what, why, why_size);
	base = mmap(NULL, layout.bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED) {
		snprintf(why, why_size, "mapping %llu MiB: %s",
		         (unsigned long long)(layout.bytes >> 20), strerror(errno));
		return ERR_NOMEM;
	}
	owners = base + layout.owners;
	for (uint32_t page = 0; page < layout.pages && sound; page++)
		sound = owners[page] <= SHARDS_ALL;
	munmap((void *)(uintptr_t)base, layout.bytes); /* no lock was taken through it */
	return sound ? 0 : refuse_running("damaged: impossible page owners", why, why_size);
}

int segment_adopt(int fd, const char *path, struct segment **segment_r, char *why, size_t why_size)
{
	struct segment_report report = { .why = "" };
	struct segment_config config = { .name = "" };
	struct opening o = {
		.config = &config, .report = &report, .fd = fd, .dir_fd = -1, .old_fd = -1
	};
	struct segment_layout layout;
	const char *what = foreign(&o, &layout);
	int ret;

	if (what != NULL)
		return refuse_running(what, why, why_size);
	if ((ret = map(&o, &layout)) < 0) {
		snprintf(why, why_size, "%s", report.why);
		return ret;
	}
	snprintf(o.seg->path, sizeof(o.seg->path), "%s", path);
	*segment_r = o.seg;
	return 0;
}

int segment_check_config(const struct segment_config *config, char *why, unsigned why_size)
{
	struct segment_report report = { .why = "" };
	struct opening o = { .config = config,
		             .report = &report,
		             .dir_fd = -1,
		             .fd = -1,
		             .old_fd = -1,
		             .asks = true };
	uint64_t bytes;
	struct stat st;
	int ret = choose_dir(&o, false);

	snprintf(why, why_size, "%s", report.why);
	if (ret == 0 && !o.stands_in &&
	    fstatat(o.dir_fd, config->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0)
		ret = 0; /* a running server has its memory already */
	else if (ret == 0)
		ret = segment_choose_bytes(o.dir_fd, config->limit_bytes, 0, &bytes, why, why_size);
	if (o.dir_fd >= 0)
		close(o.dir_fd);
	return ret;
}
