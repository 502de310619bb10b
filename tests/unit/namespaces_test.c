/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces at their edges: the table's growth, texts that are not there, a restart, what the
 * check sees. Creating, changing, removing and the limits: office_test.c. */
#include "tests/unit/registry_fixture.h"

#include <unistd.h>

#include "shared/registry/namespaces.h"
#include "shared/registry/office.h"
#include "shared/registry/registry_audit.h"
#include "shared/shm/blob.h"

static int create(struct fixture *f, const char *id, struct str name, struct str about)
{
	struct namespace_row row = { str_of(id), name, about };

	return namespaces_create(&f->reg, &row);
}

static void count_row(const struct namespace_row *row, void *arg)
{
	assert_true(str_is_set(row->id) && str_is_set(row->name));
	++*(unsigned *)arg;
}

static unsigned rows_of(struct fixture *f)
{
	unsigned rows = 0;

	assert_int_equal(namespaces_each(&f->reg, count_row, &rows), 0);
	return rows;
}

/* A row without a name could not be read again, nor could the others beside it. */
static void an_unset_name_is_an_empty_one(void **state)
{
	static const struct str unset = { NULL, 0 };
	struct fixture *f = *state;
	struct namespace_row row = { STR("b"), unset, unset };
	struct namespace_copy found;

	assert_int_equal(create(f, "a", unset, unset), 0);
	assert_int_equal(create(f, "b", STR("B"), STR("about")), 0);
	assert_int_equal(namespaces_update(&f->reg, &row), 0);
	assert_int_equal(namespaces_get(&f->reg, STR("b"), &found), 0);
	assert_true(str_is_set(found.row.name));
	assert_int_equal(found.row.name.n, 0);
	assert_false(str_is_set(found.row.about));
	assert_int_equal(rows_of(f), 2);
	assert_clean(f);
}

/* The id of a damaged row may be as long as any text, also where a piece is nearly full. */
static void long_ids_of_damaged_rows_fit_a_piece(void **state)
{
	static char text[NAMESPACES_TEXT_MAX];
	struct fixture *f = *state;
	struct str longest = { text, sizeof(text) };
	char id[16];

	memset(text, 'x', sizeof(text));
	assert_int_equal(create(f, "first", longest, (struct str){ NULL, 0 }), 0);
	for (unsigned n = 0; n < 50; n++) {
		struct namespace *row;
		struct op op;

		snprintf(id, sizeof(id), "n%u", n);
		assert_int_equal(create(f, id, longest, longest), 0);
		assert_int_equal(op_begin(&op, &f->reg, SHARD_OFFICE, client), 0);
		assert_int_not_equal(namespaces_find(&op, str_of(id), &row), 0);
		row->id = row->about;
		op_end(&op);
	}
	assert_int_equal(rows_of(f), 51);
}

static void operations_fit_the_log(void **state)
{
	static char text[NAMESPACES_TEXT_MAX];
	struct fixture *f = *state;
	struct str longest = { text, sizeof(text) };
	struct namespace_row row = { STR("n3"), STR("short"), { NULL, 0 } };
	char id[16];

	memset(text, 'x', sizeof(text));
	for (unsigned n = 0; n < 500; n++) { /* past the table's first page */
		snprintf(id, sizeof(id), "n%u", n);
		assert_int_equal(create(f, id, longest, longest), 0);
	}
	assert_true(office_of(f->seg)->namespaces.buckets > TABLE_INLINE);
	assert_in_range(f->reg.most_entries, 16, OP_ENTRIES_NAMESPACE);
	f->reg.most_entries = 0;
	assert_int_equal(namespaces_update(&f->reg, &row), 0);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_NAMESPACE);
	f->reg.most_entries = 0;
	for (unsigned n = 0; n < 500; n++) {
		snprintf(id, sizeof(id), "n%u", n);
		assert_int_equal(namespaces_remove(&f->reg, str_of(id)), 0);
	}
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_NAMESPACE);
	assert_clean(f);
}

/* ---- restarts -------------------------------------------------------------------------------- */

static void open_file(const char *dir, struct fixture *f, enum segment_origin origin)
{
	struct segment_config config = {
		.dir = dir, .runtime_dir = dir, .name = "segment", .limit_bytes = 16U << 20
	};
	struct segment_report report;

	assert_int_equal(segment_open(&config, &f->seg, &report), 0);
	assert_int_equal(report.origin, origin);
	if (origin == SEGMENT_NEW)
		assert_int_equal(registry_format(f->seg), 0);
	registry_init(&f->reg, f->seg);
}

struct home {
	struct fixture fixture;
	char dir[40];
};

static int make_home(void **state)
{
	static struct home home;

	home = (struct home){ .dir = "/dev/shm/namespaces-test-XXXXXX" };
	*state = &home;
	return mkdtemp(home.dir) == NULL ? -1 : 0;
}

static int remove_home(void **state)
{
	struct home *home = *state;

	if (home->fixture.seg != NULL) {
		if (segment_unlink(home->fixture.seg) < 0)
			return -1;
		segment_close_for_test(&home->fixture.seg);
	}
	return rmdir(home->dir);
}

static void rows_and_switches_outlive_a_restart(void **state)
{
	static struct switches_copy copy;
	struct home *home = *state;
	struct fixture *f = &home->fixture;
	const char *dir = home->dir;
	struct namespace_copy found;

	open_file(dir, f, SEGMENT_NEW);
	assert_int_equal(create(f, "kept", STR("K"), STR("about")), 0);
	assert_int_equal(switches_read(&f->reg, &copy), 0);
	copy.words.cache_ms = 4321;
	copy.texts.masters = STR("m");
	assert_int_equal(switches_write(&f->reg, &copy.words, &copy.texts), 0);
	segment_close_for_test(&f->seg);

	open_file(dir, f, SEGMENT_ATTACHED);
	assert_int_equal(namespaces_get(&f->reg, STR("kept"), &found), 0);
	assert_true(str_eq(found.row.name, STR("K")));
	assert_true(str_eq(found.row.about, STR("about")));
	assert_int_equal(switches_read(&f->reg, &copy), 0);
	assert_int_equal(copy.words.cache_ms, 4321);
	assert_int_equal(copy.words.generation, 1);
	assert_true(str_eq(copy.texts.masters, STR("m")));
	assert_clean(f);
}

/* ---- the check ------------------------------------------------------------------------------- */

static struct namespace *row_of(struct fixture *f, struct str id)
{
	struct namespace *row = NULL;
	struct op op;

	assert_int_equal(op_begin(&op, &f->reg, SHARD_OFFICE, client), 0);
	assert_int_not_equal(namespaces_find(&op, id, &row), 0);
	op_end(&op);
	return row;
}

static void the_check_sees_each_damage(void **state)
{
	struct fixture *f = *state;
	struct namespace *row, *other;
	uint32_t kept;

	assert_int_equal(create(f, "a", STR("A"), STR("about")), 0);
	assert_int_equal(create(f, "b", STR("B"), STR("about")), 0);
	assert_clean(f);
	row = row_of(f, STR("a"));
	other = row_of(f, STR("b"));
	uint32_t *fields[] = { &row->id,   &row->name, &row->about,
		               &row->next, &row->prev, &row->link.hash };

	for (unsigned n = 0; n < sizeof(fields) / sizeof(fields[0]); n++) {
		kept = *fields[n];
		*fields[n] = kept == 0 ? 12345 : 0;
		assert_true(registry_audit(&f->reg, NULL, NULL) > 0);
		*fields[n] = kept;
	}
	/* Two rows share a text. */
	kept = other->about;
	other->about = row->about;
	assert_true(registry_audit(&f->reg, NULL, NULL) > 0);
	other->about = kept;
	office_of(f->seg)->namespaces.count++;
	assert_true(registry_audit(&f->reg, NULL, NULL) > 0);
	office_of(f->seg)->namespaces.count--;
	assert_int_equal(registry_audit(&f->reg, fixture_say, NULL), 0);
}

/* Nothing is leaked and every sum is right: only the name is missing. */
static void the_check_sees_a_row_without_a_name(void **state)
{
	struct fixture *f = *state;
	struct namespace *row;
	struct op op;

	assert_int_equal(create(f, "a", STR(""), (struct str){ NULL, 0 }), 0);
	row = row_of(f, STR("a"));
	assert_int_equal(op_begin(&op, &f->reg, SHARD_OFFICE, client), 0);
	blob_free(&op.tx, row->name);
	undo_set32(&op.tx, &row->name, 0);
	assert_int_equal(op_finish(&op, 0), 0);
	assert_int_equal(registry_audit(&f->reg, NULL, NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		ROW(an_unset_name_is_an_empty_one),
		ROW(long_ids_of_damaged_rows_fit_a_piece),
		ROW(operations_fit_the_log),
		cmocka_unit_test_setup_teardown(rows_and_switches_outlive_a_restart, make_home,
		                                remove_home),
		ROW(the_check_sees_each_damage),
		ROW(the_check_sees_a_row_without_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
