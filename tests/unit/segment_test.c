/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "shared/base/clock.h"
#include "shared/shm/brake_state.h"
#include "shared/shm/ring.h"
#include "shared/shm/segment_internal.h"
#include "shared/shm/slot.h"
#include "tests/unit/segment_place.h"

static void poke(const struct place *place, uint64_t at, const void *bytes, size_t n)
{
	int fd = open(place->path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, (off_t)at), (ssize_t)n);
	close(fd);
}

/* ---- where ----------------------------------------------------------------------------------- */

/* Without segment.dir it is the runtime directory, if that is in memory, else a folder of our own
 * in /dev/shm. */
static void test_without_a_folder(void **state)
{
	struct place *place = *state;
	char own[64], *name = strrchr(place->dir, '/') + 1; /* nobody else has it */
	const struct {
		const char *runtime_dir, *dir;
	} rows[] = {
		{ place->dir, place->dir }, { "", own },         { NULL, own },
		{ "/proc", own },           { "/nowhere", own },
	};

	if (access("/dev/shm", W_OK) < 0)
		skip();
	snprintf(own, sizeof(own), "/dev/shm/roster-%u", (unsigned)geteuid());
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[128];

		place->config.dir = NULL;
		place->config.runtime_dir = rows[i].runtime_dir;
		place->config.name = name;
		assert_int_equal(open_it(place), 0);
		snprintf(path, sizeof(path), "%s/%s", rows[i].dir, name);
		assert_int_equal(unlink(place->seg->path), 0);
		assert_string_equal(place->seg->path, path);
		segment_close_for_test(&place->seg);
	}
}

/* ---- new, attached, stale -------------------------------------------------------------------- */

static void test_new_then_attached(void **state)
{
	struct place *place = *state;
	uint64_t epoch, *root;
	struct stat st;
	struct tx tx;

	assert_int_equal(open_it(place), 0);
	assert_int_equal(place->report.origin, SEGMENT_NEW);
	assert_int_equal(stat(place->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, LIMIT);
	epoch = place->seg->header->epoch;
	root = root_of(place->seg);
	tx = take(place->seg);
	undo_set64(&tx, root, 4711);
	assert_int_equal(undo_commit(&tx), 0);
	lock_drop(&tx);
	place->seg->slots[2].counters[5] = 8;
	place->seg->slots[2].pid = 77;

	reopen(place, SEGMENT_ATTACHED);
	assert_int_equal(place->seg->header->epoch, epoch);
	assert_int_equal(place->seg->header->attach_count, 1);
	assert_int_equal(*(uint64_t *)root_of(place->seg), 4711);
	assert_int_equal(place->seg->slots[2].counters[5], 8);
	assert_int_equal(place->seg->slots[2].pid, 0);
	assert_false(place->report.stale);
	assert_int_equal(place->report.rolled_back, 0);
}

/* Every process was killed, one of them in the middle of a change and with the lock in hand. */
static void test_attach_rolls_back(void **state)
{
	struct place *place = *state;
	struct tx tx;
	pid_t pid;
	int status;

	assert_int_equal(open_it(place), 0);
	pid = fork();
	if (pid == 0) {
		if (lock_take(place->seg, TEST_SHARD, &tx) != 0)
			_exit(1);
		undo_set64(&tx, root_of(place->seg), slab_alloc(&tx, SLAB_SERVICE));
		raise(SIGKILL);
	}
	wait_for(pid, &status);
	assert_true(WIFSIGNALED(status));
	reopen(place, SEGMENT_ATTACHED);
	assert_int_equal(place->report.rolled_back, 1);
	assert_int_equal(*(uint64_t *)root_of(place->seg), 0);
	tx = take(place->seg);
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	lock_drop(&tx);
}

static void test_stale(void **state)
{
	struct place *place = *state;

	assert_int_equal(open_it(place), 0);
	clock_set_for_test(86400ULL * 1000000, 1700000000000000ULL);
	place->seg->header->served_at_ms = clock_boot_ms() - 500000;
	/* A step of the wall clock says nothing. */
	clock_set_for_test(86400ULL * 1000000, 1700003600000000ULL);
	reopen(place, SEGMENT_ATTACHED);
	assert_false(place->report.stale);
	place->seg->header->served_at_ms = clock_boot_ms() - 700000;
	reopen(place, SEGMENT_ATTACHED);
	assert_true(place->report.stale);
	clock_set_for_test(0, 0);
}

static void test_forget(void **state)
{
	struct place *place = *state;
	uint64_t epoch;

	assert_int_equal(open_it(place), 0);
	epoch = place->seg->header->epoch;
	place->config.forget = true;
	reopen(place, SEGMENT_NEW);
	assert_int_not_equal(place->seg->header->epoch, epoch);
	assert_int_equal(segment_unlink(place->seg), 0);
	assert_int_equal(count_files(place, "", false), 0);
}

/* ---- the flock ------------------------------------------------------------------------------- */

static void test_held_by_a_child(void **state)
{
	struct place *place = *state;
	struct segment_report report;
	struct segment *second;
	char holder[32];
	int status;
	pid_t pid;

	assert_int_equal(open_it(place), 0);
	assert_int_equal(segment_open(&place->config, &second, &report), ERR_BUSY);
	snprintf(holder, sizeof(holder), "pid %d (", (int)getpid());
	assert_non_null(strstr(report.why, "held"));
	assert_non_null(strstr(report.why, holder));
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	segment_close_for_test(&place->seg);
	assert_int_equal(open_it(place), ERR_BUSY);
	kill(pid, SIGKILL);
	wait_for(pid, &status);
	assert_int_equal(open_it(place), 0);
	assert_int_equal(place->report.origin, SEGMENT_ATTACHED);
}

static void test_waits_for_the_predecessor(void **state)
{
	struct place *place = *state;
	int status;
	pid_t pid;

	assert_int_equal(open_it(place), 0);
	pid = fork();
	if (pid == 0) {
		nanosleep(&(struct timespec){ 0, 150000000 }, NULL);
		_exit(segment_unlink(place->seg) != 0);
	}
	segment_close_for_test(&place->seg);
	place->config.lock_wait_ms = 60000;
	/* It even removes the file meanwhile: what we lock must be what the name stands for. */
	assert_int_equal(open_it(place), 0);
	assert_int_equal(place->report.origin, SEGMENT_NEW);
	assert_int_equal(access(place->path, F_OK), 0);
	wait_for(pid, &status);
	assert_int_equal(status, 0);
}

/* ---- files that are not ours or damaged ------------------------------------------------------ */

struct damage {
	const char *name;
	uint64_t at; /* offset in the header; or beyond it by `part` */
	uint64_t value;
	enum { IN_HEADER, IN_SHARD, IN_OWNERS, IN_EVENTS } part;
};

static const struct damage damages[] = {
	{ "magic", offsetof(struct segment_header, magic), 0, IN_HEADER },
	{ "layout", offsetof(struct segment_header, layout), 99, IN_HEADER },
	{ "fingerprint", offsetof(struct segment_header, fingerprint), 1, IN_HEADER },
	{ "boot id", offsetof(struct segment_header, boot_id), 0x3030303030303030ULL, IN_HEADER },
	{ "bytes", offsetof(struct segment_header, bytes), LIMIT * 2, IN_HEADER },
	{ "pages", offsetof(struct segment_header, pages), 100000000, IN_HEADER },
	{ "backed beyond", offsetof(struct segment_header, backed), 100000000, IN_HEADER },
	{ "backed but sparse", offsetof(struct segment_header, backed), 2000, IN_HEADER },
	{ "backed in part of a step", offsetof(struct segment_header, backed), 17, IN_HEADER },
	{ "seed", offsetof(struct segment_header, seed), 1, IN_HEADER },
	{ "seal", offsetof(struct segment_header, seal), 1, IN_HEADER },
	{ "health clock", offsetof(struct segment_header, health_ms), 1ULL << 50, IN_HEADER },
	{ "guard of the health clock", offsetof(struct segment_header, health_guard), 1,
	  IN_HEADER },
	{ "stamp", offsetof(struct segment_header, stamp), 1ULL << 53, IN_HEADER },
	{ "condemned", offsetof(struct segment_header, damaged_ms), 1, IN_HEADER },
	{ "tries", offsetof(struct segment_header, attach_tries), SEGMENT_TRIES, IN_HEADER },
	{ "log", offsetof(struct shard, state), 300, IN_SHARD },
	{ "id", offsetof(struct shard, next_id), 1ULL << 48, IN_SHARD },
	{ "revision", offsetof(struct shard, revision), 1ULL << 63, IN_SHARD },
	{ "slab", offsetof(struct shard, slabs) + offsetof(struct slab, objects), 1, IN_SHARD },
	{ "log phase", offsetof(struct shard, state), 1ULL << 40, IN_SHARD },
	{ "index", offsetof(struct shard, index), 64, IN_SHARD },
	{ "owner", 0, 200, IN_OWNERS },
	{ "owner of an unbacked page", 2000, 1, IN_OWNERS },
	{ "ring", 8, 0, IN_EVENTS },
};

static uint64_t damage_at(const struct segment *seg, const struct damage *damage)
{
	switch (damage->part) {
	case IN_SHARD:
		return (uint64_t)((uint8_t *)&seg->shards[7] - seg->base) + damage->at;
	case IN_OWNERS:
		return (uint64_t)(seg->owners - seg->base) + damage->at;
	case IN_EVENTS:
		return (uint64_t)((uint8_t *)seg->events - seg->base) + damage->at;
	default:
		return damage->at;
	}
}

static void test_damaged_is_set_aside(void **state)
{
	struct place *place = *state;

	for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		uint64_t at;

		assert_int_equal(open_it(place), 0);
		at = damage_at(place->seg, &damages[i]);
		segment_close_for_test(&place->seg);
		poke(place, at, &damages[i].value, sizeof(damages[i].value));
		assert_int_equal(open_it(place), 0);
		if (place->report.origin != SEGMENT_SET_ASIDE)
			fail_msg("%s: not noticed", damages[i].name);
		assert_non_null(strstr(place->report.why, "set aside"));
		assert_int_equal(count_files(place, ".aside.", false), i == 0 ? 1 : 2);
		segment_close_for_test(&place->seg);
	}
}

static const char *die_looking(struct segment *seg)
{
	(void)seg;
	raise(SIGKILL);
	return NULL;
}

static const char *all_wrong(struct segment *seg)
{
	(void)seg;
	return "it is all wrong";
}

/* Who dies at the content says so to the next one; who finds it wrong sets it aside. */
static void test_deaths_at_looking_are_counted(void **state)
{
	struct place *place = *state;
	int status;
	pid_t pid;

	assert_int_equal(open_it(place), 0);
	segment_close_for_test(&place->seg);
	for (unsigned n = 0; n < SEGMENT_TRIES; n++) {
		pid = fork();
		if (pid == 0) {
			place->config.damaged = die_looking;
			_exit(open_it(place) != 0);
		}
		wait_for(pid, &status);
		assert_true(WIFSIGNALED(status));
	}
	assert_int_equal(open_it(place), 0);
	assert_int_equal(place->report.origin, SEGMENT_SET_ASIDE);
	assert_non_null(strstr(place->report.why, "died looking"));
	segment_close_for_test(&place->seg);
	assert_int_equal(open_it(place), 0);
	assert_int_equal(place->report.origin, SEGMENT_ATTACHED);
	assert_int_equal(place->seg->header->attach_tries, 0);
	segment_close_for_test(&place->seg);
	place->config.damaged = all_wrong;
	assert_int_equal(open_it(place), 0);
	assert_int_equal(place->report.origin, SEGMENT_SET_ASIDE);
	assert_non_null(strstr(place->report.why, "all wrong"));
}

static void test_strange_files(void **state)
{
	struct place *place = *state;
	int fd = open(place->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, "hello", 5), 5);
	close(fd);
	assert_int_equal(open_it(place), 0);
	assert_int_equal(place->report.origin, SEGMENT_SET_ASIDE);
	segment_close_for_test(&place->seg);
	assert_int_equal(truncate(place->path, LIMIT / 2), 0);
	assert_int_equal(open_it(place), 0);
	assert_int_equal(place->report.origin, SEGMENT_SET_ASIDE);
}

static void test_unsafe_places(void **state)
{
	struct place *place = *state;
	char target[128];

	snprintf(target, sizeof(target), "%s/target", place->dir);
	assert_int_equal(symlink(target, place->path), 0);
	assert_int_equal(open_it(place), ERR_IO);
	assert_int_not_equal(access(target, F_OK), 0);
	assert_int_equal(unlink(place->path), 0);
	assert_int_equal(open_it(place), 0);
	segment_close_for_test(&place->seg);
	assert_int_equal(chmod(place->path, 0644), 0);
	assert_int_equal(open_it(place), ERR_IO);
	assert_int_equal(chmod(place->path, 0600), 0);
	assert_int_equal(link(place->path, target), 0);
	assert_int_equal(open_it(place), ERR_IO);
	assert_int_equal(unlink(target), 0);
	assert_int_equal(chmod(place->dir, 0777), 0);
	assert_int_equal(open_it(place), ERR_IO);
	assert_non_null(strstr(place->report.why, "writable"));
	assert_int_equal(chmod(place->dir, 0700), 0);
	assert_int_equal(open_it(place), 0);
}

/* Whoever owns the folder can put another file in our place. */
static void test_folder_of_another_account(void **state)
{
	struct place *place = *state;

	if (geteuid() != 0) {
		print_message("this test needs root, to give a folder away\n");
		skip();
	}
	assert_int_equal(chown(place->dir, 65534, 65534), 0);
	assert_int_equal(open_it(place), ERR_IO);
	assert_non_null(strstr(place->report.why, "belongs to user 65534"));
	assert_int_equal(chown(place->dir, 0, 0), 0);
	assert_int_equal(open_it(place), 0);
}

/* A start makes the last folder of segment.dir, so its absence refuses no configuration. */
static void test_folder_to_be_made(void **state)
{
	struct place *place = *state;
	char inside[96], deep[128], why[160] = "";

	snprintf(inside, sizeof(inside), "%s/new", place->dir);
	snprintf(deep, sizeof(deep), "%s/new/deep", place->dir);
	place->config.dir = inside;
	assert_int_equal(segment_check_config(&place->config, why, sizeof(why)), 0);
	assert_int_not_equal(access(inside, F_OK), 0);
	place->config.only_attach = true;
	assert_int_equal(open_it(place), ERR_IO);
	assert_int_not_equal(access(inside, F_OK), 0);
	place->config.only_attach = false;
	place->config.dir = deep;
	assert_int_equal(segment_check_config(&place->config, why, sizeof(why)), ERR_IO);
	assert_non_null(strstr(why, deep));
	assert_non_null(strstr(why, "No such file"));
	place->config.dir = inside;
	place->config.limit_bytes = SEGMENT_BYTES_MIN / 2;
	assert_int_equal(segment_check_config(&place->config, why, sizeof(why)), ERR_RANGE);
	place->config.limit_bytes = LIMIT;
	assert_int_equal(open_it(place), 0);
	snprintf(deep, sizeof(deep), "%s/segment", inside);
	assert_int_equal(unlink(deep), 0);
	assert_int_equal(rmdir(inside), 0);
}

/* For the folder in /dev/shm that a start would make, what lies in /dev/shm is no segment. */
static void test_own_folder_to_be_made(void **state)
{
	struct place *place = *state;
	char why[160] = "";
	int ret;

	if (geteuid() != 0) {
		print_message("this test needs root, to become an account without a folder\n");
		skip();
	}
	if (access("/dev/shm", W_OK) < 0)
		skip();
	place->config.dir = NULL;
	place->config.name = strrchr(place->dir, '/') + 1; /* a name that is taken there */
	place->config.limit_bytes = SEGMENT_BYTES_MIN / 2;
	assert_int_equal(seteuid(64001), 0);
	ret = segment_check_config(&place->config, why, sizeof(why));
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(ret, ERR_RANGE);
}

/* Bytes turned over anywhere before the pages: refused, set aside or attached, never a crash. */
static void test_random_damage(void **state)
{
	struct place *place = *state;
	uint64_t x = 4711, end;

	assert_int_equal(open_it(place), 0);
	end = (uint64_t)(place->seg->owners - place->seg->base) + 300;
	for (unsigned i = 0; i < 60; i++) {
		struct tx tx;

		segment_close_for_test(&place->seg);
		for (unsigned k = 0; k < 20; k++) {
			uint8_t byte = (uint8_t)(x >> 40);

			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			poke(place, (k % 4 == 0 ? x >> 20 & 255 : x >> 20) % end, &byte, 1);
		}
		assert_int_equal(open_it(place), 0);
		for (uint32_t shard = 0; shard < SHARDS_ALL; shard++) {
			assert_int_equal(lock_take(place->seg, shard, &tx), 0);
			(void)slab_alloc(&tx, SLAB_INSTANCE);
			(void)slab_audit(&tx, NULL, NULL);
			lock_drop(&tx);
		}
	}
}

/* ---- room ------------------------------------------------------------------------------------ */

static void test_ensure(void **state)
{
	struct place *place = *state;
	struct segment *seg;
	struct tx tx;
	uint32_t off = 0;

	assert_int_equal(open_it(place), 0);
	seg = place->seg;
	assert_int_equal(seg->header->backed, SEGMENT_GROW_PAGES);
	assert_int_equal(segment_ensure(seg, SEGMENT_GROW_PAGES + 1), 0);
	assert_int_equal(seg->header->backed, 2 * SEGMENT_GROW_PAGES);
	assert_int_equal(segment_ensure(seg, seg->pages), 0);
	assert_int_equal(seg->header->backed, seg->pages);
	assert_int_equal(segment_ensure(seg, seg->pages + 1), ERR_FULL);
	tx = take(seg);
	for (uint32_t i = 0; i < seg->pages; i++) {
		off = slab_alloc(&tx, SLAB_BLOB4K);
		memset(slab_at(&tx, off, SLAB_BLOB4K), 1, SEGMENT_PAGE);
		assert_int_equal(undo_commit(&tx), 0);
	}
	assert_int_equal(slab_alloc(&tx, SLAB_BLOB32), 0);
	lock_drop(&tx);
	assert_int_equal(segment_ensure(seg, 1), ERR_FULL);
	tx = take(seg);
	slab_free(&tx, off);
	assert_int_equal(undo_commit(&tx), 0);
	lock_drop(&tx);
	assert_int_equal(segment_ensure(seg, 1), 0);
	/* A hint that lost count does not lose the page. */
	seg->header->free_hint = 0;
	assert_int_equal(segment_ensure(seg, 1), 0);
	assert_int_equal(segment_ensure(seg, 2), ERR_FULL);
}

static void test_ensure_by_many(void **state)
{
	struct place *place = *state;
	pid_t pids[4];

	assert_int_equal(open_it(place), 0);
	for (unsigned i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			for (uint32_t n = 1; n < place->seg->pages; n += 50) {
				if (segment_ensure(place->seg, n) != 0)
					_exit(1);
			}
			_exit(0);
		}
	}
	for (unsigned i = 0; i < 4; i++) {
		int status;

		wait_for(pids[i], &status);
		assert_int_equal(status, 0);
	}
	assert_int_equal(place->seg->header->free_hint, place->seg->header->backed);
}

/* The parts stand in their order, each at the first boundary behind the one before: so a segment
 * wastes nothing, and two binaries of the same fingerprint find the same things. */
static void test_layout_is_tight(void **state)
{
	struct segment_layout l;

	(void)state;
	assert_int_equal(segment_layout(SEGMENT_BYTES_MIN, &l), 0);
	const struct {
		uint64_t at, bytes, boundary;
	} parts[] = {
		{ 0, SEGMENT_PAGE, SEGMENT_PAGE }, /* header and queue words */
		{ l.slots, SLOTS_MAX * sizeof(struct slot), SEGMENT_PAGE },
		{ l.board, sizeof(struct board), 64 },
		{ l.routes, SLOT_BANKS * WORKERS_MAX * SLOT_ROUTES * sizeof(struct slot_route),
		  64 },
		{ l.brake, sizeof(struct brake_state), 64 },
		{ l.events, ring_bytes(RING_EVENTS, false), 64 },
		{ l.removed, ring_bytes(RING_REMOVED, true), 64 },
		{ l.shards, SHARDS_ALL * sizeof(struct shard), SEGMENT_PAGE },
		{ l.owners, l.pages, SEGMENT_PAGE },
		{ l.descs, l.pages * sizeof(struct page_desc), SEGMENT_PAGE },
		{ l.data, (uint64_t)l.pages * SEGMENT_PAGE, SEGMENT_PAGE },
	};

	for (size_t i = 1; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t end = parts[i - 1].at + parts[i - 1].bytes;

		assert_int_equal(parts[i].at % parts[i].boundary, 0);
		assert_in_range(parts[i].at, end, end + parts[i].boundary - 1);
	}
}

static void test_layout(void **state)
{
	struct segment_layout l;

	(void)state;
	for (uint64_t bytes = SEGMENT_BYTES_MIN; bytes <= 4ULL << 30;
	     bytes = bytes * 3 / 2 / SEGMENT_PAGE * SEGMENT_PAGE) {
		assert_int_equal(segment_layout(bytes, &l), 0);
		assert_true(l.owners + l.pages <= l.descs);
		assert_true(l.descs + (uint64_t)l.pages * sizeof(struct page_desc) <= l.data);
		assert_true(l.data + (uint64_t)l.pages * SEGMENT_PAGE <= bytes);
		assert_true(l.data + (uint64_t)(l.pages + 3) * SEGMENT_PAGE > bytes);
	}
	assert_int_equal(segment_layout(SEGMENT_BYTES_MIN + 1, &l), ERR_RANGE);
	assert_int_equal(segment_layout(SEGMENT_PAGE, &l), ERR_RANGE);
	assert_int_equal(segment_layout(128ULL << 30, &l), ERR_RANGE);
	assert_int_equal(strlen(segment_fingerprint_text()), 16);
}

static void test_limits_refuse(void **state)
{
	struct place *place = *state;
	char why[160] = "";

	assert_int_equal(segment_check_config(&place->config, why, sizeof(why)), 0);
	assert_int_equal(count_files(place, "", false), 0);
	place->config.limit_bytes = SEGMENT_BYTES_MIN / 2;
	assert_int_equal(segment_check_config(&place->config, why, sizeof(why)), ERR_RANGE);
	assert_non_null(strstr(why, "segment.limit 4 MiB"));
	assert_int_equal(open_it(place), ERR_RANGE);
	assert_non_null(strstr(place->report.why, "MiB"));
}

/* ---- control groups -------------------------------------------------------------------------- */

static void put_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

struct cgroup_row {
	const char *name, *self, *dir, *limit_name, *limit, *used_name, *used, *stat;
	uint64_t room_mib; /* UINT64_MAX: no limit */
};

static const struct cgroup_row cgroup_rows[] = {
	{ "v2", "0::/a/b\n", "a", "memory.max", "104857600\n", "memory.current", "31457280\n",
	  "inactive_file 0\n", 50 },
	{ "v2, cache can go", "0::/a/b\n", "a/b", "memory.max", "104857600\n", "memory.current",
	  "31457280\n", "anon 5\ninactive_file 20971520\n", 70 },
	{ "v2 unlimited", "0::/a/b\n", "a", "memory.max", "max\n", "memory.current", "31457280\n",
	  "", UINT64_MAX },
	{ "v2 in a container", "0::/not/visible\n", ".", "memory.max", "104857600\n",
	  "memory.current", "0\n", "", 80 },
	{ "v2 used up", "0::/a\n", "a", "memory.max", "104857600\n", "memory.current", "94371840\n",
	  "", 0 },
	{ "v1", "5:cpu:/x\n4:memory:/a\n", "a", "memory.limit_in_bytes", "104857600\n",
	  "memory.usage_in_bytes", "41943040\n", "total_inactive_file 10485760\n", 50 },
	{ "v1 unlimited", "4:memory:/a\n", "a", "memory.limit_in_bytes", "9223372036854771712\n",
	  "memory.usage_in_bytes", "1\n", "", UINT64_MAX },
	{ "other hierarchy", "4:cpu:/a\n", "a", "memory.limit_in_bytes", "104857600\n",
	  "memory.usage_in_bytes", "1\n", "", UINT64_MAX },
};

static void check_cgroup_row(const char *root, const struct cgroup_row *row)
{
	char dir[128], self[128], where[160];
	struct segment_cgroups cgroups = { self, root, root };
	uint64_t room;

	snprintf(self, sizeof(self), "%s/self", root);
	snprintf(dir, sizeof(dir), "%s/%s", root, row->dir);
	put_file(root, "self", row->self);
	put_file(dir, row->limit_name, row->limit);
	put_file(dir, row->used_name, row->used);
	put_file(dir, "memory.stat", row->stat);
	room = segment_cgroup_room(&cgroups, where, sizeof(where));
	if (room != UINT64_MAX)
		room >>= 20;
	if (room != row->room_mib)
		fail_msg("%s: %llu, %s", row->name, (unsigned long long)room, where);
	for (unsigned i = 0; i < 3; i++) {
		const char *names[] = { row->limit_name, row->used_name, "memory.stat" };
		char path[200];

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
}

static void test_cgroups(void **state)
{
	struct place *place = *state;
	char a[80], b[80];

	snprintf(a, sizeof(a), "%s/a", place->dir);
	snprintf(b, sizeof(b), "%s/a/b", place->dir);
	assert_int_equal(mkdir(a, 0700) | mkdir(b, 0700), 0);
	for (unsigned i = 0; i < sizeof(cgroup_rows) / sizeof(cgroup_rows[0]); i++)
		check_cgroup_row(place->dir, &cgroup_rows[i]);
	assert_int_equal(rmdir(b) | rmdir(a), 0);
}

/* Others run: a lock that is held stays held, an open log is left alone, and what they write is
 * seen. */
static void test_adopt(void **state)
{
	struct place *place = *state;
	struct segment *other = NULL;
	char why[160];
	struct tx tx;
	int fd;

	assert_int_equal(open_it(place), 0);
	assert_int_equal(lock_take(place->seg, 3, &tx), 0);
	place->seg->slots[2].pid = 77;
	fd = open(place->path, O_RDONLY);
	assert_int_equal(segment_inspect(fd, why, sizeof(why)), 0);
	close(fd);
	fd = open(place->path, O_RDWR);
	assert_int_equal(segment_adopt(fd, place->path, &other, why, sizeof(why)), 0);
	assert_string_equal(other->path, place->path);
	assert_int_equal(other->slots[2].pid, 77);
	assert_int_equal(other->shards[3].owner, getpid());
	assert_int_equal(other->header->attach_count, 0);
	other->board->workers = 5;
	assert_int_equal(place->seg->board->workers, 5);
	lock_drop(&tx);
	segment_close_for_test(&other);
}

static void test_adopt_refuses(void **state)
{
	struct place *place = *state;
	struct segment *other = NULL;
	char why[160];
	int fd;

	assert_int_equal(open_it(place), 0);
	fd = open(place->path, O_RDWR);
	place->seg->header->layout++;
	assert_int_equal(segment_inspect(fd, why, sizeof(why)), ERR_RANGE);
	assert_int_equal(segment_adopt(fd, place->path, &other, why, sizeof(why)), ERR_RANGE);
	assert_string_equal(why, "the segment is of another layout");
	place->seg->header->layout--;
	place->seg->header->boot_id[0] ^= 1;
	assert_int_equal(segment_inspect(fd, why, sizeof(why)), ERR_CORRUPT);
	place->seg->header->boot_id[0] ^= 1;
	place->seg->owners[1] = 200;
	assert_int_equal(segment_inspect(fd, why, sizeof(why)), ERR_CORRUPT);
	place->seg->owners[1] = 0;
	assert_int_equal(segment_inspect(fd, why, sizeof(why)), 0);
	close(fd);
	assert_null(other);
}

/* Whoever starts with no standard input open finds the boot in descriptor 0, and gives it back. */
static void test_boot(void **state)
{
	char boot[40], again[40];
	int input = dup(STDIN_FILENO);

	(void)state;
	segment_boot_id(boot);
	assert_int_equal(strnlen(boot, sizeof(boot)), 36);
	close(STDIN_FILENO);
	segment_boot_id(again);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
	if (input >= 0) {
		assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
		close(input);
	}
	assert_memory_equal(again, boot, sizeof(boot));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, place_new, place_free)
		ROW(test_without_a_folder),
		ROW(test_new_then_attached),
		ROW(test_attach_rolls_back),
		ROW(test_stale),
		ROW(test_forget),
		ROW(test_held_by_a_child),
		ROW(test_waits_for_the_predecessor),
		ROW(test_damaged_is_set_aside),
		ROW(test_deaths_at_looking_are_counted),
		ROW(test_strange_files),
		ROW(test_unsafe_places),
		ROW(test_folder_of_another_account),
		ROW(test_folder_to_be_made),
		ROW(test_own_folder_to_be_made),
		ROW(test_random_damage),
		ROW(test_ensure),
		ROW(test_ensure_by_many),
		ROW(test_layout_is_tight),
		ROW(test_layout),
		ROW(test_limits_refuse),
		ROW(test_cgroups),
		ROW(test_adopt),
		ROW(test_adopt_refuses),
		ROW(test_boot),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
