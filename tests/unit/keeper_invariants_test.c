/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold in the keeper (shared/base/assert.h): each row breaks it once, in a child of its
 * own. */
#include "tests/unit/death_fixture.h"

#include "keeper/census.h"
#include "keeper/check_rule.h"
#include "keeper/check_table.h"
#include "keeper/due.h"

struct row {
	void (*broken)(void);
	const char *words;
};

static void in_two_heaps(void)
{
	struct due_heap one = { .items = NULL }, other = { .items = NULL };
	struct due item = { .at_ms = 0 }, another = { .at_ms = 0 };

	if (due_set(&one, &item, 1) < 0 || due_set(&other, &another, 1) < 0)
		_exit(1);
	due_drop(&other, &item);
}

static void moved_in_another_heap(void)
{
	struct due_heap one = { .items = NULL }, other = { .items = NULL };
	struct due item = { .at_ms = 0 };

	if (due_set(&one, &item, 1) < 0)
		_exit(1);
	(void)!due_set(&other, &item, 2);
}

static void removed_and_counted(void)
{
	static struct census census = { .round = 1 };

	census_add(&census, 5, EXPIRE_REMOVED);
}

static void more_silent_than_there_are(void)
{
	static struct census census = { .round = 1, .count = { .silent = 1 } };

	census_add(&census, 5, EXPIRE_LOST);
}

static void passed_and_failed_in_a_row(void)
{
	struct check_counts counts = { .passed = 1, .failed = 1 };

	(void)check_judge(&counts, CHECK_PASSED, false, false, 3);
}

static struct check_service *learned(struct check_table *table)
{
	struct check_service *service;
	bool new;

	check_table_init(table);
	service = check_table_learn(table, 3, (struct keeper_entry){ 7, 1 }, &new);
	if (service == NULL)
		_exit(1);
	return service;
}

static void forgotten_while_it_is_due(void)
{
	static struct check_table table;
	struct check_service *service = learned(&table);

	service->due.place = 1;
	check_table_forget(&table, service);
}

static void forgotten_by_another_table(void)
{
	static struct check_table table, other;
	struct check_service *service = learned(&table);

	(void)learned(&other);
	check_table_forget(&other, service);
}

static void run_beyond_its_targets(void)
{
	static struct check_table table;
	static struct check_cluster cluster = { .count = 1, .turn = 1, .running = true };

	table.run_first = table.run_last = &cluster;
	(void)check_table_next(&table);
}

static void probe_that_nobody_counted(void)
{
	static struct check_table table = { .probes = 1 };

	check_table_free(&table);
}

static const struct row rows[] = {
	{ in_two_heaps, "assert at < heap->count && heap->items[at] == item at " },
	{ moved_in_another_heap, "assert at < heap->count && heap->items[at] == item at " },
	{ removed_and_counted, "assert state != EXPIRE_REMOVED at " },
	{ more_silent_than_there_are, "assert c->count.silent <= c->count.sources && " },
	{ passed_and_failed_in_a_row, "assert counts->passed == 0 || counts->failed == 0 at " },
	{ forgotten_while_it_is_due, "assert service->due.place == 0 && table->count > 0 at " },
	{ forgotten_by_another_table, "assert *link != NULL at " },
	{ run_beyond_its_targets, "assert cluster->running && cluster->turn < cluster->count at " },
	{ probe_that_nobody_counted, "assert table->probes == 0 && table->run_first == NULL at " },
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
