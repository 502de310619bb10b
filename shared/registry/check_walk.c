/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/check_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "shared/base/fiber.h"
#include "shared/shm/blob.h"
#include "shared/shm/shard.h"

#define UNITS_IN_PAGE (SEGMENT_PAGE / SEGMENT_UNIT)
#define BREATH_NS 50000L /* between two holds: long enough for one who waits to wake up */

/* ---- findings -------------------------------------------------------------- */

void check_collect(const char *text, void *arg)
{
	struct check *check = arg;

	if (check->lines < CHECK_LINES)
		snprintf(check->line[check->lines++], CHECK_LINE_BYTES, "%s", text);
}

void check_broken(struct check *check, const char *format, ...)
{
	char text[CHECK_LINE_BYTES];
	int n = snprintf(text, sizeof(text), "registry: shard %u: ", check->shard);
	va_list args;

	if (check->disturbed)
		return;
	check->broken++;
	va_start(args, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
	va_end(args);
	check_collect(text, check);
}

void check_compare(struct check *check, const char *what, uint64_t stored, uint64_t found)
{
	if (stored != found)
		check_broken(check, "%s: %llu stored, %llu found", what, (unsigned long long)stored, (unsigned long long)found);
}

static bool is_possible(const struct check *check, uint64_t id)
{
	const struct segment *seg = check->op.reg->seg;
	uint64_t node = id >> 56;

	return undo_id_number(id) <= seg->shards[check->shard].next_id && (node == 0 || node == (seg->header->node & 0xff));
}

void check_id(struct check *check, const char *what, uint64_t id)
{
	if (undo_id_shard(id) != check->shard || !is_possible(check, id))
		check_broken(check, "%s: impossible id %#llx", what, (unsigned long long)id);
}

void check_kept_id(struct check *check, const char *what, uint64_t id)
{
	if (undo_id_shard(id) >= SHARDS || !is_possible(check, id))
		check_broken(check, "%s: impossible id %#llx", what, (unsigned long long)id);
}

/* ---- holds ----------------------------------------------------------------- */

static void breathe(struct check *check)
{
	struct registry *reg = check->op.reg;
	const struct timespec breath = { 0, BREATH_NS };
	bool gone;

	op_end(&check->op);
	nanosleep(&breath, NULL);
	gone = fiber_pause() < 0;
	check->err = op_begin(&check->op, reg, check->shard, (struct origin){ 0 });
	check->held = check->err == 0;
	check->op.tx.shard = &reg->seg->shards[check->shard];
	check->left = check->slice;
	check->disturbed = gone || !check->held || check->changes != check->op.tx.shard->changes;
}

bool check_go_on(struct check *check, uint32_t n)
{
	if (check->disturbed)
		return false;
	if (check->left > n)
		check->left -= n;
	else
		breathe(check);
	return !check->disturbed;
}

/* ---- reaching -------------------------------------------------------------- */

void *check_reach(struct check *check, uint32_t off, enum slab_kind kind, const char *what)
{
	void *object = slab_try(&check->op.tx, off, kind);
	uint64_t unit = (uint64_t)off - check->op.reg->seg->data_off / SEGMENT_UNIT;

	if (object == NULL) {
		check_broken(check, "%s: impossible reference %u", what, off);
		return NULL;
	}
	check->reached[kind]++;
	if (check->marks == NULL || unit / UNITS_IN_PAGE >= check->marked_pages)
		return object;
	if (check->marks[unit / 8] >> unit % 8 & 1) {
		check_broken(check, "%s: %u reached twice", what, off);
		return NULL;
	}
	check->marks[unit / 8] |= (uint8_t)(1U << unit % 8);
	return object;
}

void check_reach_blob(struct check *check, uint32_t off, const char *what)
{
	for (uint32_t left = BLOB_MAX_BYTES / 4088U + 1; off != 0; left--) {
		uint32_t next;

		if (left == 0 || !blob_chunk_valid(&check->op.tx, off, &next) ||
		    check_reach(check, off, slab_kind_at(&check->op.tx, off), what) == NULL) {
			check_broken(check, "%s: bad blob %u", what, off);
			return;
		}
		off = next;
	}
}

void check_list(struct check *check, const char *what, struct chain list, uint64_t count, check_each_fn *each, void *owner)
{
	uint64_t most = op_most(&check->op, list.kind, count), seen = 0;
	uint32_t off = *list.first, prev = 0;

	if (check->disturbed)
		return;
	while (off != 0) {
		uint8_t *object = seen > most ? NULL : check_reach(check, off, list.kind, what);
		uint32_t links[2];

		if (object == NULL) {
			check_broken(check, "%s: list broken after %llu", what, (unsigned long long)seen);
			return;
		}
		memcpy(links, object + list.link, sizeof(links));
		if (links[1] != prev)
			check_broken(check, "%s: %u points back to %u instead of %u", what, off, links[1], prev);
		seen++;
		each(check, off, object, owner);
		if (!check_go_on(check, 1))
			return;
		prev = off;
		off = links[0];
	}
	check_compare(check, what, count, seen);
	if (*list.last != prev)
		check_broken(check, "%s: last is %u instead of %u", what, *list.last, prev);
}
