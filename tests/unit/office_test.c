/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/registry_fixture.h"

#include "shared/registry/namespaces.h"
#include "shared/registry/office.h"
#include "shared/registry/registry_audit.h"

static struct switches_copy copy, other;

static const struct switches_texts no_texts;

static void test_defaults(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(switches_read(&f->reg, &copy), 0);
	assert_int_equal(copy.words.generation, 0);
	assert_int_equal(copy.words.push_cache_ms, 10000);
	assert_int_equal(copy.words.cache_ms, 3000);
	assert_int_equal(copy.words.push, 1);
	assert_false(str_is_set(copy.texts.masters));
	assert_false(str_is_set(copy.texts.limited));
	assert_false(str_is_set(copy.texts.status));
	assert_clean(f);
}

static void test_write(void **state)
{
	struct fixture *f = *state;
	struct switches_texts texts = { STR("a,b"), { NULL, 0 }, STR("") };

	assert_int_equal(switches_read(&f->reg, &copy), 0);
	copy.words.cache_ms = 4000;
	assert_int_equal(switches_write(&f->reg, &copy.words, &texts), 0);
	assert_int_equal(switches_of(f->seg)->cache_ms, 4000);
	assert_int_equal(switches_generation(switches_of(f->seg)), 1);
	assert_int_equal(switches_read(&f->reg, &other), 0);
	assert_true(str_eq(other.texts.masters, STR("a,b")));
	assert_false(str_is_set(other.texts.limited));
	assert_true(str_is_set(other.texts.status));
	assert_int_equal(other.texts.status.n, 0);
	assert_clean(f);
	assert_int_equal(switches_write(&f->reg, &other.words, &no_texts), 0);
	assert_int_equal(switches_read(&f->reg, &copy), 0);
	assert_false(str_is_set(copy.texts.masters));
	assert_false(str_is_set(copy.texts.status));
	assert_int_equal(copy.words.cache_ms, 4000);
	assert_clean(f);
	assert_int_equal(f->seg->shards[SHARD_OFFICE].slabs[SLAB_BLOB32].objects, 0);
}

/* What was made of an older state must not undo what came between. */
static void test_write_of_the_past(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(switches_read(&f->reg, &copy), 0);
	other = copy;
	copy.words.cache_ms = 4000;
	assert_int_equal(switches_write(&f->reg, &copy.words, &no_texts), 0);
	other.words.push_cache_ms = 20000;
	assert_int_equal(switches_write(&f->reg, &other.words, &no_texts), ERR_AGAIN);
	assert_int_equal(switches_of(f->seg)->cache_ms, 4000);
	assert_int_equal(switches_of(f->seg)->push_cache_ms, 10000);
}

static void test_text_limit(void **state)
{
	static char text[SWITCHES_TEXT_MAX + 1];
	struct fixture *f = *state;
	struct switches_texts texts = { .limited = { text, SWITCHES_TEXT_MAX } };

	memset(text, 'x', sizeof(text));
	assert_int_equal(switches_read(&f->reg, &copy), 0);
	assert_int_equal(switches_write(&f->reg, &copy.words, &texts), 0);
	assert_int_equal(switches_read(&f->reg, &copy), 0);
	assert_memory_equal(copy.texts.limited.p, text, SWITCHES_TEXT_MAX);
	texts.limited.n++;
	assert_int_equal(switches_write(&f->reg, &copy.words, &texts), ERR_TOO_BIG);
	assert_clean(f);
}

/* ---- namespaces ------------------------------------------------------------------------------ */

static int create(struct fixture *f, const char *id, const char *name, const char *about)
{
	struct namespace_row row = { str_of(id), str_of(name), { NULL, 0 } };

	if (about != NULL)
		row.about = str_of(about);
	return namespaces_create(&f->reg, &row);
}

struct listed {
	char text[400]; /* "id=name(about);" one after the other */
	unsigned rows;
};

static void on_row(const struct namespace_row *row, void *arg)
{
	struct listed *listed = arg;
	size_t n = strlen(listed->text);

	listed->rows++;
	snprintf(listed->text + n, sizeof(listed->text) - n, "%.*s=%.*s(%.*s);", (int)row->id.n,
	         row->id.p, (int)row->name.n, row->name.p,
	         str_is_set(row->about) ? (int)row->about.n : 4,
	         str_is_set(row->about) ? row->about.p : "null");
}

static void assert_listed(struct fixture *f, const char *text)
{
	struct listed listed = { "", 0 };

	assert_int_equal(namespaces_each(&f->reg, on_row, &listed), 0);
	assert_string_equal(listed.text, text);
	assert_clean(f);
}

static void test_namespaces(void **state)
{
	struct fixture *f = *state;
	struct namespace_copy found;
	struct namespace_row row = { STR("b"), STR("B2"), STR("") };

	assert_listed(f, "");
	assert_int_equal(create(f, "a", "A", NULL), 0);
	assert_int_equal(create(f, "b", "B", "about"), 0);
	assert_int_equal(create(f, "c", "", "x"), 0);
	assert_int_equal(create(f, "b", "other", NULL), ERR_EXISTS);
	assert_listed(f, "a=A(null);b=B(about);c=(x);");
	assert_int_equal(namespaces_update(&f->reg, &row), 0);
	assert_listed(f, "a=A(null);b=B2();c=(x);");
	row.id = STR("d");
	assert_int_equal(namespaces_update(&f->reg, &row), ERR_NOT_FOUND);
	assert_int_equal(namespaces_get(&f->reg, STR("c"), &found), 0);
	assert_true(str_eq(found.row.id, STR("c")));
	assert_true(str_eq(found.row.about, STR("x")));
	assert_int_equal(namespaces_get(&f->reg, STR("a"), &found), 0);
	assert_false(str_is_set(found.row.about));
	assert_int_equal(namespaces_get(&f->reg, STR("d"), &found), ERR_NOT_FOUND);
	assert_int_equal(namespaces_remove(&f->reg, STR("d")), ERR_NOT_FOUND);
	assert_int_equal(namespaces_remove(&f->reg, STR("b")), 0);
	assert_listed(f, "a=A(null);c=(x);");
	assert_int_equal(namespaces_remove(&f->reg, STR("a")), 0);
	assert_int_equal(namespaces_remove(&f->reg, STR("c")), 0);
	assert_listed(f, "");
	assert_int_equal(office_of(f->seg)->namespace_bytes, 0);
}

static void test_namespace_limits(void **state)
{
	static char text[NAMESPACES_TEXT_MAX + 2];
	struct fixture *f = *state;

	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(create(f, "long", text, NULL), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.name");
	text[NAMESPACES_TEXT_MAX] = '\0';
	assert_int_equal(create(f, "long", text, text), 0);
	text[NAMESPACES_ID_MAX + 1] = '\0';
	assert_int_equal(create(f, text, "", NULL), ERR_LIMIT);
	text[NAMESPACES_ID_MAX] = '\0';
	assert_int_equal(create(f, text, "", NULL), 0);
	f->reg.limits.namespaces = 2;
	assert_int_equal(create(f, "third", "", NULL), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.namespaces");
	assert_int_equal(f->reg.refused.limit, 2);
	f->reg.limits.name_bytes = 10;
	f->reg.limits.namespaces = 0;
	assert_int_equal(create(f, "third", "12345678901", NULL), ERR_LIMIT);
	assert_clean(f);
}

static void test_many_namespaces(void **state)
{
	struct fixture *f = *state;
	struct listed listed = { "", 0 };
	struct namespace_copy found;
	char id[16];

	for (unsigned n = 0; n < 3000; n++) {
		snprintf(id, sizeof(id), "ns-%u", n);
		assert_int_equal(create(f, id, "name of the namespace",
		                        "a description of some length"),
		                 0);
	}
	assert_int_equal(namespaces_each(&f->reg, on_row, &listed), 0);
	assert_int_equal(listed.rows, 3000);
	assert_clean(f);
	for (unsigned n = 0; n < 3000; n++) {
		snprintf(id, sizeof(id), "ns-%u", n);
		assert_int_equal(namespaces_get(&f->reg, str_of(id), &found), 0);
		assert_int_equal(namespaces_remove(&f->reg, str_of(id)), 0);
	}
	assert_listed(f, "");
	for (unsigned kind = SLAB_TABLE + 1; kind < SLAB_KINDS; kind++)
		assert_int_equal(f->seg->shards[SHARD_OFFICE].slabs[kind].objects, 0);
}

/* A full node refuses and keeps what it has. */
static void test_full(void **state)
{
	struct fixture *f = *state;
	struct listed listed = { "", 0 };
	unsigned made = 0;
	char id[16];
	int ret;

	fixture_close(f);
	fixture_open(f, 3U << 20);
	do {
		snprintf(id, sizeof(id), "ns-%u", made);
		ret = create(f, id, "name of the namespace", "a description of some length");
		made += ret == 0;
	} while (ret == 0);
	assert_int_equal(ret, ERR_FULL);
	assert_true(made > 100);
	assert_int_equal(namespaces_each(&f->reg, on_row, &listed), 0);
	assert_int_equal(listed.rows, made);
	assert_clean(f);
}

/* The check must be able to fail. */
static void test_check_sees(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(create(f, "a", "A", NULL), 0);
	assert_clean(f);
	office_of(f->seg)->namespace_bytes++;
	assert_int_equal(registry_audit(&f->reg, NULL, NULL), 1);
	office_of(f->seg)->namespace_bytes--;
	office_of(f->seg)->masters = office_of(f->seg)->first_namespace;
	assert_true(registry_audit(&f->reg, NULL, NULL) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_write, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_write_of_the_past, fixture_setup,
		                                fixture_teardown),
		cmocka_unit_test_setup_teardown(test_text_limit, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_namespaces, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_namespace_limits, fixture_setup,
		                                fixture_teardown),
		cmocka_unit_test_setup_teardown(test_many_namespaces, fixture_setup,
		                                fixture_teardown),
		cmocka_unit_test_setup_teardown(test_full, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_check_sees, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
