/* SPDX-License-Identifier: Apache-2.0 */
/* invariants: whoever breaks a rule of shared/shm, shared/base, shared/view, shared/metrics or
 * shared/net is stopped at the place that states it. */
#include "tests/unit/death_fixture.h"
#include "tests/unit/shm_common.h"

#include "shared/base/fiber.h"
#include "shared/base/sort.h"
#include "shared/base/split.h"
#include "shared/metrics/metrics.h"
#include "shared/net/destination.h"
#include "shared/shm/health.h"
#include "shared/shm/ring.h"
#include "shared/shm/slot.h"
#include "shared/view/list.h"

/* One way to break a rule, and how the last words of the process begin. */
struct row {
	void (*broken)(struct segment *seg);
	const char *words;
};

/* ---- locks and transactions ------------------------------------------------------------------ */

static void second_shard(struct segment *seg)
{
	struct tx tx = take(seg), other;

	(void)!lock_take(seg, TEST_SHARD + 1, &other);
	lock_drop(&tx);
}

static void hold_that_is_over(struct segment *seg)
{
	struct tx tx = take(seg), copy = tx;

	lock_drop(&tx);
	lock_drop(&copy);
}

static void locks_made_anew_under_a_hold(struct segment *seg)
{
	struct tx tx = take(seg);

	lock_init_all(seg);
	lock_drop(&tx);
}

static void store_without_lock(struct segment *seg)
{
	struct tx tx = take(seg);

	lock_drop(&tx);
	undo_set64(&tx, root_of(seg), 1);
}

static void commit_without_lock(struct segment *seg)
{
	struct tx tx = take(seg);

	lock_drop(&tx);
	(void)!undo_commit(&tx);
}

static void free_without_lock(struct segment *seg)
{
	struct tx tx = take(seg);
	uint32_t off = slab_alloc(&tx, SLAB_CLUSTER);

	if (undo_commit(&tx) != 0)
		_exit(1);
	lock_drop(&tx);
	slab_free(&tx, off);
}

static void free_after_the_commit(struct segment *seg)
{
	struct tx tx = take(seg);

	tx.drain = true;
	undo_push_free(&tx, 1);
}

static void rollback_after_the_commit(struct segment *seg)
{
	struct tx tx = take(seg);

	tx.drain = true;
	undo_rollback(&tx);
}

/* ---- what stands in the segment -------------------------------------------------------------- */

static void object_of_no_kind(struct segment *seg)
{
	struct tx tx = take(seg);

	slab_alloc(&tx, SLAB_NONE);
}

static void reserve_in_a_transaction(struct segment *seg)
{
	struct table *table = root_of(seg);
	struct tx tx = take(seg);

	table_init(table, SLAB_CLUSTER);
	undo_set64(&tx, &table->count, 1);
	table_reserve(&tx, table, 1000);
}

static void table_of_texts(struct segment *seg)
{
	table_init(root_of(seg), SLAB_BLOB64);
}

static void unknown_change(struct segment *seg)
{
	struct tx tx = take(seg);

	queue_mark(&tx, root_of(seg), 0, SLAB_CLUSTER, 8, 1U << CHANGE_BITS, 1);
}

static void unknown_consumer(struct segment *seg)
{
	queue_wake(seg, QUEUE_CONSUMERS);
}

static void ring_of_twelve(struct segment *seg)
{
	ring_create(seg->events, 12, false);
}

static void unknown_cause(struct segment *seg)
{
	ring_append(seg->events, &(struct ring_event){ .cause = CAUSE_KINDS }, STR(""));
}

static void flag_in_the_time_of_a_beat(struct segment *seg)
{
	beat_touch(root_of(seg), 1, 0, 1);
}

static void bank_that_is_none(struct segment *seg)
{
	seg->slots[slot_of_worker(SLOT_BANKS, 0)].state = SLOT_FREE;
}

static const struct row shm_rows[] = {
	{ second_shard, "assert seg->held == NULL || seg->held == s at " },
	{ hold_that_is_over, "assert shard == tx->seg->held at " },
	{ locks_made_anew_under_a_hold, "assert seg->held == NULL at " },
	{ store_without_lock, "assert tx->shard != NULL at " },
	{ commit_without_lock, "assert tx->shard != NULL && !tx->drain at " },
	{ free_without_lock, "assert tx->shard != NULL at " },
	{ free_after_the_commit, "assert !tx->drain at " },
	{ rollback_after_the_commit, "assert tx->shard != NULL && !tx->drain at " },
	{ object_of_no_kind, "assert kind > SLAB_NONE && kind < SLAB_KINDS at " },
	{ reserve_in_a_transaction, "assert tx->entries == 0 && tx->frees == 0 at " },
	{ table_of_texts, "assert kind > SLAB_TABLE && kind < SLAB_BLOB32 at " },
	{ unknown_change, "assert change >> CHANGE_BITS == 0 && " },
	{ unknown_consumer, "assert consumer < QUEUE_CONSUMERS at " },
	{ ring_of_twelve, "assert slots != 0 && " },
	{ unknown_cause, "assert event->kind < EVENT_KINDS && event->cause < CAUSE_KINDS at " },
	{ flag_in_the_time_of_a_beat, "assert flags << 8 == 0 at " },
	{ bank_that_is_none, "assert bank < SLOT_BANKS && worker < WORKERS_MAX at " },
};

/* ---- memory of a process --------------------------------------------------------------------- */

static void run_again(void *arg)
{
	fiber_run(arg, 0, false);
}

static void run_within(void *arg)
{
	run_again(fiber_new(run_again, arg));
}

static void fiber_within_a_fiber(struct segment *seg)
{
	fiber_run(fiber_new(run_within, seg), 0, false);
}

static void copy_in_pieces_of_nothing(struct segment *seg)
{
	char to[4];

	(void)!fiber_copy(to, seg->base, sizeof(to), 0);
}

static int compare_never(const void *a, const void *b)
{
	return (a > b) - (a < b);
}

static void rows_of_nothing(struct segment *seg)
{
	(void)!sort_rows(seg->base, 2, 0, compare_never);
}

static void table_without_buckets(struct segment *seg)
{
	seg->base[split_place(1, (uint32_t)seg->header->attach_count)] = 0;
}

static void unknown_metric(struct segment *seg)
{
	(void)seg;
	metric_add(METRICS, 1);
}

static void too_many_claims(struct segment *seg)
{
	struct destination_policy policy;

	destination_init(&policy, (const struct address_claim *)seg->base, ADDRESS_CLAIMS_MAX + 1);
}

/* The view is filled anew between the choice of clusters and the rendering. */
static void pick_of_another_view(struct segment *seg)
{
	struct instance_view instances[2] = { { .ip = STR("10.0.0.1") },
		                              { .ip = STR("10.0.0.2") } };
	struct cluster_view clusters[1] = { { .name = STR("DEFAULT") } };
	struct service_view view = { .clusters = clusters,
		                     .cluster_count = 1,
		                     .instances = instances,
		                     .instance_count = 2 };
	struct list_shape shape;
	struct pick pick;
	struct buf b;

	(void)seg;
	buf_init(&b);
	if (pick_make(&pick, &view, STR("")) < 0)
		_exit(1);
	view.instance_count = 1;
	(void)!list_hosts_picked(&view, &pick, &(struct list_query){ .grouped = true }, &b, &shape,
	                         NULL);
}

static const struct row private_rows[] = {
	{ fiber_within_a_fiber, "assert current == NULL at " },
	{ copy_in_pieces_of_nothing, "assert piece > 0 at " },
	{ rows_of_nothing, "assert row_bytes > 0 at " },
	{ table_without_buckets, "assert buckets > 0 at " },
	{ unknown_metric, "assert id < METRICS at " },
	{ too_many_claims, "assert count <= ADDRESS_CLAIMS_MAX at " },
	{ pick_of_another_view,
	  "assert pick->first[view->cluster_count] == view->instance_count at " },
};

/* ---- the ends -------------------------------------------------------------------------------- */

static void end_by(const struct row *row, struct segment *seg)
{
	struct death death;

	if (death_fork(&death)) {
		row->broken(seg);
		_exit(0);
	}
	death_was_by_assert(&death, row->words);
}

static void end_by_each(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		void *seg;

		assert_int_equal(open_segment(&seg), 0);
		end_by(&rows[i], seg);
		close_segment(&seg);
	}
}

static void shared_memory(void **state)
{
	(void)state;
	end_by_each(shm_rows, sizeof(shm_rows) / sizeof(shm_rows[0]));
}

static void private_memory(void **state)
{
	(void)state;
	end_by_each(private_rows, sizeof(private_rows) / sizeof(private_rows[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_memory),
		cmocka_unit_test(private_memory),
	};

	return cmocka_run_group_tests_name("invariants", tests, NULL, NULL);
}
