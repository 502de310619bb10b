/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold in the pusher (shared/base/assert.h): each row breaks it once, in a child of its
 * own. */
#include "tests/unit/death_fixture.h"

#include "pusher/datagram.h"
#include "pusher/deliver.h"
#include "pusher/inflight.h"
#include "pusher/rounds.h"
#include "pusher/udp.h"
#include "pusher/waiting.h"

#define FIRST_ROOM 256U /* entries that a new table has room for */

struct row {
	void (*broken)(void);
	const char *words;
};

static struct inflight *inflight(void)
{
	struct inflight *f;

	if (inflight_new(1, &f) < 0)
		_exit(1);
	return f;
}

static struct inflight_entry *entry(struct inflight *f, uint64_t id, uint64_t sent_ms)
{
	return inflight_add(f, &(struct inflight_entry){
	                               .sub_id = id, .key = id, .sent_ms = sent_ms });
}

static void room_was_not_reserved(void)
{
	struct inflight *f = inflight();

	for (uint64_t id = 0; id <= FIRST_ROOM; id++)
		entry(f, id, 0);
}

static void entry_of_another_table(void)
{
	struct inflight_entry stray = { .sub_id = 1 };

	inflight_remove(inflight(), &stray);
}

static void sent_before_the_last_one(void)
{
	struct inflight *f = inflight();

	inflight_wait(f, entry(f, 1, 20));
	inflight_wait(f, entry(f, 2, 19));
}

static void delayed_beyond_the_wheel(void)
{
	struct inflight *f = inflight();

	inflight_delay(f, entry(f, 1, 0), 5, 5 + INFLIGHT_DELAY_MAX_MS + 1);
}

static void released_twice(void)
{
	static struct datagrams set;
	struct datagram *one, *again;

	datagrams_init(&set, 100);
	one = again = datagram_new(&set, 7, STR("abc"));
	(void)datagram_hold(one);
	datagram_release(&set, &one);
	again->refs = 0;
	datagram_release(&set, &again);
}

static void one_datagram_too_many(void)
{
	static struct udp udp;
	static struct udp_out out[UDP_BATCH + 1];
	unsigned sent;

	(void)udp_send(&udp, out, UDP_BATCH + 1, &sent);
}

static void shard_that_nobody_is_in(void)
{
	static struct deliver deliver;

	deliver_owe(&deliver, SHARDS);
}

static void left_out_for_no_reason(void)
{
	static struct deliver deliver;
	static struct subscriber_view sub;

	deliver.inflight = inflight();
	deliver_unsent(&deliver, 0, &sub, 1, 1, 1);
}

static void waits_without_a_place(void)
{
	static struct waiting waiting = { .count = WAITING_MOST };
	static struct name_copy name;

	(void)waiting_add(&waiting, &(struct round_start){ .name = &name }, 1, 1);
}

static void taken_from_behind_the_end(void)
{
	static struct waiting waiting = { .count = 3 };

	(void)waiting_take(&waiting, 3);
}

static void step_of_no_round(void)
{
	static struct round round;

	(void)round_step(&round, 1, false);
}

static const struct row rows[] = {
	{ room_was_not_reserved, "assert f->fresh < f->capacity at " },
	{ entry_of_another_table, "assert i < f->fresh at " },
	{ sent_before_the_last_one,
	  "assert last == NONE || f->entries[last].sent_ms <= entry->sent_ms at " },
	{ delayed_beyond_the_wheel, "assert due_ms <= now_ms + INFLIGHT_DELAY_MAX_MS at " },
	{ released_twice, "assert datagram->refs > 0 at " },
	{ one_datagram_too_many, "assert count <= UDP_BATCH at " },
	{ shard_that_nobody_is_in, "assert shard < SHARDS at " },
	{ left_out_for_no_reason,
	  "assert why == REGISTRY_TRIES_OVERSIZE || why == REGISTRY_TRIES_VIEWS at " },
	{ waits_without_a_place, "assert waiting->count < WAITING_MOST at " },
	{ taken_from_behind_the_end, "assert at < waiting->count at " },
	{ step_of_no_round, "assert round->fiber != NULL at " },
};

static void end_by(const struct row *row)
{
	struct death death;

	if (death_fork(&death)) {
		row->broken();
		_exit(0);
	}
	death_was_by_assert(&death, row->words);
}

static void each_ends_the_process(void **state)
{

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		end_by(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_ends_the_process) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
