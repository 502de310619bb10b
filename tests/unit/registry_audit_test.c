/* SPDX-License-Identifier: Apache-2.0 */
/* What the check says about one thing that is wrong, and that it says nothing about what only looks
 * like it. */
#include "shared/base/fiber.h"
#include "shared/registry/fields.h"
#include "shared/registry/registry_keeper.h"
#include "shared/registry/settings.h"
#include "tests/unit/registry_fixture.h"

#define NAME "g@@s"

/* ---- what is said ---------------------------------------------------------------------------- */

struct said {
	unsigned lines;
	char text[40][200];
};

static void say(const char *text, void *arg)
{
	struct said *said = arg;

	assert_true(said->lines < 40);
	snprintf(said->text[said->lines++], sizeof(said->text[0]), "%s", text);
}

/* The check finds something, and each finding is told; `text` is in one of them. */
static void assert_found(struct fixture *f, const char *text)
{
	struct said said = { .lines = 0 };
	unsigned found = registry_audit(&f->reg, say, &said);

	assert_true(found > 0);
	assert_int_equal(said.lines, found);
	for (unsigned n = 0; n < said.lines; n++) {
		if (strstr(said.text[n], text) != NULL)
			return;
	}
	fail_msg("no \"%s\", but \"%s\"", text, said.text[0]);
}

/* The word may have the first value; with the second one the check says so. */
static void bounded(struct fixture *f, uint64_t *word, uint64_t good, uint64_t bad,
                    const char *text)
{
	uint64_t before = *word;

	*word = good;
	assert_clean(f);
	*word = bad;
	assert_found(f, text);
	*word = before;
	assert_clean(f);
}

/* ---- a shard --------------------------------------------------------------------------------- */

static struct subscriber_spec subscriber_at_port(uint16_t port)
{
	return (struct subscriber_spec){ .agent = STR("agent"), .port = port, .address = { 1 } };
}

static struct things populated(struct fixture *f)
{
	struct service_key key = key_for(NAME);
	struct subscriber_spec spec = subscriber_at_port(1);
	struct service_stamp stamp;

	add(f, NAME, "1.1.1.1", 1);
	add(f, NAME, "1.1.1.2", 2);
	assert_int_equal(registry_poll(&f->reg, &key, &spec, &stamp), 0);
	add(f, NAME, "1.1.1.3", 3);
	assert_clean(f);
	return things_of(f, NAME);
}

static void revisions_and_stamps(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);
	uint64_t stamp = f->seg->header->stamp;

	bounded(f, &t.i->revision, t.s->revision, t.s->revision + 1, "revision or stamp of inst");
	bounded(f, &t.i->stamp, stamp, stamp + 1, "revision or stamp of instance");
	bounded(f, &t.s->changed, t.s->revision, t.s->revision + 1, "revisions or stamp of serv");
	bounded(f, &t.s->content, t.s->revision, t.s->revision + 1, "revisions or stamp of serv");
	bounded(f, &t.s->stamp, stamp, stamp + 1, "revisions or stamp of service");
	bounded(f, &t.s->revision, t.shard->revision, t.shard->revision + 1, "revisions or stamp");
	bounded(f, &t.sub->sent_revision, t.shard->revision, t.shard->revision + 1,
	        "revisions of subscriber");
	bounded(f, &t.sub->acked_revision, t.shard->revision, t.shard->revision + 1,
	        "revisions of subscriber");
}

static void times_far_ahead(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);
	uint64_t now_ms = health_now(f->seg);

	bounded(f, &t.i->beat, now_ms + AHEAD_MS, now_ms + AHEAD_MS + 1,
	        "will have beaten in the future");
	bounded(f, &t.sub->seen_ms, now_ms + AHEAD_MS, now_ms + AHEAD_MS + 1,
	        "will have been seen in the future");
	bounded(f, &t.s->queue[0].state, (FIXTURE_MONO_US / 1000 + AHEAD_MS) << 8 | CHANGE_CONTENT,
	        (FIXTURE_MONO_US / 1000 + AHEAD_MS + 1) << 8 | CHANGE_CONTENT,
	        "pending change of service");
	bounded(f, &t.s->queue[0].state, CHANGE_CONTENT, CHANGE_CONTENT | 1U << CHANGE_BITS,
	        "pending change of service");
	bounded(f, &t.s->due_ms, t.s->due_ms, t.s->due_ms + 1, "is due too late");
}

static void ids_rise(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);
	struct service_key key;
	struct subscriber_spec spec = subscriber_at_port(1);
	struct service_stamp stamp;
	unsigned n = 0;
	char name[32];

	key = key_for(name_in_shard(f, t.shard->index, &n, name));
	add(f, name, "1.1.1.1", 1);
	assert_int_equal(registry_poll(&f->reg, &key, &spec, &stamp), 0);
	bounded(f, &t.s->id, t.s->id,
	        ((struct service *)segment_at(f->seg, t.root->last_service, sizeof(*t.s)))->id,
	        "ids of services do not rise");
	bounded(f, &t.a->id, t.a->id,
	        ((struct audience *)segment_at(f->seg, t.root->last_audience, sizeof(*t.a)))->id,
	        "ids of audiences do not rise");
}

/* Settings of checks without a text of their own are as good as those with one. */
static void settings_of_checks(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);
	struct service_key key = key_for(NAME);
	struct cluster_settings settings = { 81, false, { NULL, 0 }, false, { NULL, 0 } };

	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("DEFAULT"), &settings),
	                 0);
	assert_int_not_equal(t.c->check, 0);
	assert_clean(f);
}

/* A list that goes on behind its count is not followed, and its end is not blamed too. */
static void lists_longer_than_their_count(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);
	struct said said = { .lines = 0 };

	t.c->count[1] -= 2;
	assert_found(f, "list broken after");
	assert_true(registry_audit(&f->reg, say, &said) > 0);
	for (unsigned n = 0; n < said.lines; n++)
		assert_null(strstr(said.text[n], "last is"));
	t.c->count[1] += 2;
	assert_clean(f);
}

struct slices {
	struct fixture *f;
	uint32_t shard, slice;
	bool busy;
	int ret;
};

static void check_in_slices(void *arg)
{
	struct slices *s = arg;

	s->ret = s->busy ? registry_audit_busy(&s->f->reg, s->shard, s->slice, NULL, NULL)
	                 : registry_audit_shard(&s->f->reg, s->shard, s->slice, NULL, NULL);
}

/* A hold looks at about as many objects as the slice says, not at fewer. */
static void holds_of_a_slice(void **state)
{
	enum { INSTANCES = 2000, SLICE = 100 };
	struct fixture *f = *state;
	struct service_key key = key_for(NAME);
	struct slices s = { f, registry_shard_of(&f->reg, &key), SLICE, false, 0 };
	struct fiber *fiber;
	unsigned holds = 1;

	for (int32_t port = 1; port <= INSTANCES; port++)
		add(f, NAME, "1.1.1.1", port);
	assert_non_null(fiber = fiber_new(check_in_slices, &s));
	while (!fiber_run(fiber, 0, false))
		holds++;
	assert_int_equal(s.ret, 0);
	assert_in_range(holds, INSTANCES / SLICE, 4 * INSTANCES / SLICE);
}

static void remove_first(struct fixture *f, uint32_t shard)
{
	const struct registry_root *root = (struct registry_root *)f->seg->shards[shard].root;
	const struct service *s = segment_at(f->seg, root->first_service, sizeof(*s));
	const struct tx tx = { .seg = f->seg, .shard = &f->seg->shards[shard] };
	struct service_key key;

	assert_true(key_of(&tx, s->name, s->ns_len, s->name_len, &key));
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	assert_int_equal(registry_drain(&f->reg, shard, 100), 0);
}

/* Whatever a busy check stands at goes: it comes to the last one all the same. */
static void a_busy_check_goes_on_behind_what_is_gone(void **state)
{
	enum { SERVICES = 40, KEPT = 3 };

	(void)state;
	for (unsigned damaged = 0; damaged < 2; damaged++) {
		struct fixture f;
		struct service_key key = key_for(NAME);
		struct slices s = { .f = &f, .slice = 1, .busy = true };
		struct registry_root *root;
		struct service *last;
		struct fiber *fiber;
		unsigned names = 0;
		char name[32];

		fixture_open(&f, 8U << 20);
		s.shard = registry_shard_of(&f.reg, &key);
		root = (struct registry_root *)f.seg->shards[s.shard].root;
		while (root->service_count < SERVICES)
			add(&f, name_in_shard(&f, s.shard, &names, name), "1.1.1.1", 1);
		last = segment_at(f.seg, root->last_service, sizeof(*last));
		last->stamp += damaged ? 1U << 30 : 0;
		assert_non_null(fiber = fiber_new(check_in_slices, &s));
		for (unsigned n = 0; !fiber_run(fiber, 0, false); n++) {
			assert_true(n < 10000);
			if (root->service_count > KEPT)
				remove_first(&f, s.shard);
		}
		assert_int_equal(s.ret, damaged);
		assert_int_equal(root->service_count, KEPT);
		fixture_close(&f);
	}
}

/* More than are kept are counted, and some are told. */
static void many_findings(void **state)
{
	struct fixture *f = *state;
	struct said said = { .lines = 0 };
	struct things t;

	for (int32_t port = 100; port < 200; port++)
		add(f, NAME, "1.1.1.1", port);
	t = populated(f);
	for (struct instance *i = t.i;; i = segment_at(f->seg, i->next, sizeof(*i))) {
		i->stamp = f->seg->header->stamp + 1;
		if (i->next == 0)
			break;
	}
	assert_true(registry_audit(&f->reg, say, &said) > 100);
	assert_in_range(said.lines, 30, 34);
	for (unsigned n = 0; n < said.lines; n++)
		assert_non_null(strstr(said.text[n], "instance"));
}

/* ---- what belongs to no shard ---------------------------------------------------------------- */

static void the_header(void **state)
{
	static const char *text = "the header does not agree with its seal";
	struct fixture *f = *state;
	struct segment_header *header = f->seg->header, good = *header;

	header->seal++;
	assert_found(f, text);
	*header = good;
	header->magic++;
	assert_found(f, text);
	*header = good;
	header->backed = header->pages + 1;
	assert_int_equal(registry_audit_rest(&f->reg, NULL, NULL) > 0, 1);
	*header = good;
	header->bytes++;
	header->seal = segment_seal(header);
	assert_found(f, text);
	*header = good;
	header->pages++;
	header->seal = segment_seal(header);
	assert_found(f, text);
	*header = good;
	assert_clean(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(revisions_and_stamps),
		TEST(times_far_ahead),
		TEST(ids_rise),
		TEST(settings_of_checks),
		TEST(lists_longer_than_their_count),
		TEST(holds_of_a_slice),
		cmocka_unit_test(a_busy_check_goes_on_behind_what_is_gone),
		TEST(many_findings),
		TEST(the_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
