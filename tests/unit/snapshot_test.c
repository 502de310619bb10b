/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: everything comes back, and nothing but a whole snapshot is taken. */
#include "tests/unit/registry_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/registry/namespaces.h"
#include "shared/registry/office.h"
#include "shared/registry/persistent.h"
#include "shared/registry/registry_pusher.h"
#include "shared/registry/settings.h"
#include "shared/registry/snapshot.h"
#include "shared/registry/snapshot_internal.h"
#include "shared/registry/snapshot_pack.h"
#include "shared/registry/snapshot_value.h"
#include "shared/registry/subscribers.h"
#include "shared/shm/shard.h"

#define STREAM_MAX (8U << 20)
#define OTHER_SEED 977
#define SMALL_BYTES (8U << 20)

struct stream {
	char *bytes;
	size_t n;
};

/* What write() takes at once, and how often it is interrupted before. */
static size_t write_most = SIZE_MAX;
static unsigned write_interrupts;

ssize_t write(int fd, const void *bytes, size_t n)
{
	if (write_interrupts > 0) {
		write_interrupts--;
		errno = EINTR;
		return -1;
	}
	if (write_most == 0)
		return 0;
	return syscall(SYS_write, fd, bytes, n < write_most ? n : write_most);
}

/* ---- streams --------------------------------------------------------------------------------- */

static int memory_file(const char *bytes, size_t n)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static struct stream save_stream(struct fixture *f)
{
	struct snapshot_report report;
	int fd = memfd_create("snapshot", MFD_CLOEXEC);
	struct stream stream;

	assert_int_equal(snapshot_save(&f->reg, fd, &report), 0);
	stream.n = report.bytes;
	assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)stream.n);
	assert_non_null(stream.bytes = malloc(stream.n));
	assert_int_equal(pread(fd, stream.bytes, stream.n, 0), (ssize_t)stream.n);
	close(fd);
	return stream;
}

static int load_bytes(struct fixture *to, const char *bytes, size_t n,
                      struct snapshot_report *report_r)
{
	int fd = memory_file(bytes, n), ret = snapshot_load(&to->reg, fd, report_r);

	close(fd);
	return ret;
}

static void load_stream(struct fixture *to, const struct stream *stream, uint64_t seed)
{
	struct snapshot_report report;

	fixture_open(to, FIXTURE_BYTES);
	to->seg->header->seed = seed;
	assert_int_equal(load_bytes(to, stream->bytes, stream->n, &report), 0);
	assert_int_equal(report.bytes, stream->n);
	assert_int_equal(to->seg->header->magic, SEGMENT_MAGIC);
	assert_clean(to);
}

/* ---- a registry with something of everything ------------------------------------------------- */

static void subscribe(struct fixture *f, const char *name, uint16_t port, const char *clusters)
{
	struct subscriber_spec spec = {
		.agent = STR("Nacos-Java-Client:v1.4.2"),
		.agent_kind = 1,
		.agent_version = 1 << 20 | 4 << 10 | 2,
		.grouped = true,
		.push = port % 2 == 0,
		.clusters = str_of(clusters),
		.app = STR("app"),
		.address_text = STR("10.1.2.3"),
		.address = { 1, 2, [15] = 9 },
		.source = { [15] = 7 },
		.port = port,
	};
	struct service_key key = key_for(name);
	struct service_stamp stamp;

	assert_int_equal(registry_poll(&f->reg, &key, &spec, &stamp), 0);
}

static void add_special(struct fixture *f, const char *name)
{
	static char long_ip[300], packed[200000];
	struct service_key key = key_for(name);
	struct instance_spec spec = spec_for("1.1.1.1", -3);
	struct beat_result beat;

	memset(long_ip, 'x', sizeof(long_ip) - 1);
	memset(packed, 'm', sizeof(packed));
	spec.key.ip = str_of(long_ip);
	spec.metadata = (struct instance_metadata){ .packed = str_make(packed, sizeof(packed)),
		                                    .snowflake = true };
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	spec = spec_for("1.1.1.1", 1);
	spec.metadata = (struct instance_metadata){ .null = true,
		                                    .overrides = { true, true, 700, 900, 1200 } };
	spec.weight = 0.25;
	spec.app = (struct str){ NULL, 0 };
	spec.enabled = spec.healthy = false;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	spec = spec_for("1.1.1.2", 2);
	spec.key.ephemeral = false;
	spec.key.cluster = STR("c-2");
	spec.app = STR("");
	spec.metadata.overrides = (struct overrides){ true, false, 0, UINT32_MAX, 5 };
	assert_int_equal(registry_register(&f->reg,
	                                   (struct origin){ .writer = WRITER_PEER,
	                                                    .node = 3,
	                                                    .cause = CAUSE_CLIENT },
	                                   &key, &spec),
	                 0);
	advance(f, 123);
	add(f, name, "exactly-16-bytes", 7);
	spec = spec_for("exactly-16-bytes", 7);
	assert_int_equal(registry_beat(&f->reg,
	                               (struct origin){ .cause = CAUSE_BEAT,
	                                                .sender = 0xabcdef0123456789 },
	                               &key, &spec.key, &beat),
	                 0);
}

static void set_settings(struct fixture *f, const char *name)
{
	struct service_key key = key_for(name);
	struct service_settings settings = { 0.5F, STR("\x81\xa1k\xa1v"),
		                             STR("{\"type\":\"label\"}") };
	struct cluster_settings cluster = { 81, false, STR("{\"type\":\"HTTP\"}"), true,
		                            STR("\x81\xa1z\xa1y") };

	assert_int_equal(registry_create_service(&f->reg, client, &key, &settings), 0);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("c-2"), &cluster), 0);
}

static void set_office(struct fixture *f)
{
	struct switches_copy copy;

	assert_int_equal(switches_read(&f->reg, &copy), 0);
	copy.words.push = 0;
	copy.words.cache_ms = 1234;
	copy.texts.masters = STR("a,b");
	copy.texts.limited = STR("/nacos/x:404");
	copy.texts.status = STR("DOWN");
	assert_int_equal(switches_write(&f->reg, &copy.words, &copy.texts), 0);
	assert_int_equal(namespaces_create(&f->reg, &(struct namespace_row){ STR("n1"), STR("one"),
	                                                                     STR("about") }),
	                 0);
	assert_int_equal(namespaces_create(&f->reg, &(struct namespace_row){ STR("n2"),
	                                                                     STR(""),
	                                                                     { NULL, 0 } }),
	                 0);
}

static void set_deliveries(struct fixture *f, const char *name)
{
	struct service_key key = key_for(name);
	struct audience_cursor cursor = { 0 };
	struct subscriber_view views[4];
	uint32_t shard = registry_shard_of(&f->reg, &key);
	struct delivery d;

	assert_int_equal(registry_subscribers(&f->reg, &key, &cursor, views, 4), 2);
	d = (struct delivery){ views[0].id,
		               views[0].off,
		               views[0].sent_revision,
		               4711,
		               FIXTURE_MONO_US / 1000 - 250,
		               2 };
	assert_int_equal(registry_mark_sent(&f->reg, shard, &d, 1), 0);
}

static void take_one(struct fixture *f, const char *name)
{
	struct service_key key = key_for(name);
	struct changed_service changed;
	uint64_t wait_ms;

	assert_int_equal(registry_take_changed(&f->reg, registry_shard_of(&f->reg, &key),
	                                       QUEUE_PUSHER, UINT64_MAX, 0, &changed, &wait_ms),
	                 1);
}

static void populate(struct fixture *f)
{
	char name[32];

	for (int n = 0; n < 200; n++) {
		snprintf(name, sizeof(name), "DEFAULT_GROUP@@s%d", n % 60);
		add(f, name, "10.0.0.1", 100 + n);
	}
	set_settings(f, "G@@special");
	add_special(f, "G@@special");
	subscribe(f, "G@@special", 20, "");
	subscribe(f, "G@@special", 21, "c-2,DEFAULT");
	subscribe(f, "G@@waits", 22, "");
	set_deliveries(f, "G@@special");
	set_office(f);
	take_one(f, "DEFAULT_GROUP@@s7");
	add(f, "G@@gone", "10.0.0.2", 1);
	assert_int_equal(registry_remove_service(&f->reg, client,
	                                         &(struct service_key){ STR("public"),
	                                                                STR("G@@gone") },
	                                         NULL),
	                 0);
	assert_clean(f);
}

/* ---- the same in both ------------------------------------------------------------------------ */

static uint32_t find_service(struct op *op, struct fixture *f, struct service_key key,
                             struct service **s_r)
{
	struct place place = key_place(&f->reg, &key);

	assert_int_equal(op_begin(op, &f->reg, place.shard, client), 0);
	return service_find(op, &key, place.hash, s_r);
}

static void same_blob(const struct tx *a, uint32_t x, const struct tx *b, uint32_t y)
{
	static char first[BLOB_MAX_BYTES], second[BLOB_MAX_BYTES];
	uint32_t n = blob_copy(a, x, first, sizeof(first));

	assert_int_equal(x == 0, y == 0);
	assert_int_equal(blob_copy(b, y, second, sizeof(second)), n);
	assert_memory_equal(first, second, n);
}

/* Every field that is saved or a text, as it is stored; but that of the key `but`, 0: none. */
static void same_fields(const struct fields *fields, unsigned but, const struct tx *a,
                        const void *x, const struct tx *b, const void *y)
{
	for (unsigned n = 1; n < fields->count; n++) {
		const struct field_row *row = &fields->rows[n];
		bool same = true;

		if (n == but || row->bytes == 0)
			continue;
		if (field_is_blob(row))
			same_blob(a, (uint32_t)field_number(row, x), b,
			          (uint32_t)field_number(row, y));
		else if (n < fields->saved)
			same = memcmp((const char *)x + row->at, (const char *)y + row->at,
			              row->bytes) == 0;
		if (!same)
			fail_msg("%s did not come back", row->name);
	}
}

static void same_instance(const struct tx *a, const struct instance *x, const struct tx *b,
                          const struct instance *y)
{
	same_fields(&instance_fields, 0, a, x, b, y);
	/* The other half of the sender is of the segment. */
	assert_int_equal(sender_source(x->sender), sender_source(y->sender));
	assert_int_equal(y->sender & 0xffffffff, 0);
	assert_true(str_eq(instance_ip(a, x), instance_ip(b, y)));
}

static void same_cluster(const struct tx *a, const struct cluster *x, const struct tx *b,
                         const struct cluster *y)
{
	same_fields(&cluster_fields, 0, a, x, b, y);
	assert_memory_equal(x->count, y->count, sizeof(x->count));
}

static void same_members(struct op *a, const struct service *s, struct op *b,
                         const struct service *t)
{
	struct walk v, w;

	walk_first(b, t, WALK_ALL, &w);
	for (walk_first(a, s, WALK_ALL, &v); v.off != 0; walk_next(a, &v), walk_next(b, &w)) {
		assert_int_not_equal(w.off, 0);
		assert_int_equal(v.cluster_index, w.cluster_index);
		same_instance(&a->tx, v.i, &b->tx, w.i);
		same_cluster(&a->tx, cluster_at(a, v.cluster), &b->tx, cluster_at(b, w.cluster));
	}
	assert_int_equal(w.off, 0);
}

static void same_service(struct op *a, const struct service *s, struct op *b,
                         const struct service *t)
{
	same_fields(&service_fields, SAVED_SERVICE_ID, &a->tx, s, &b->tx, t);
	assert_int_equal(s->bytes, t->bytes);
	assert_int_equal(s->clusters, t->clusters);
	assert_int_equal(s->instances, t->instances);
	assert_int_equal(s->ephemeral, t->ephemeral);
	assert_int_equal(s->healthy, t->healthy);
	assert_int_equal(queue_link_pending(&s->queue[0]), queue_link_pending(&t->queue[0]));
	if (queue_link_pending(&s->queue[0]) != 0)
		assert_int_equal(queue_link_changed_ms(&s->queue[0]),
		                 queue_link_changed_ms(&t->queue[0]));
	same_members(a, s, b, t);
}

struct pair {
	struct fixture *a, *b;
	uint32_t seen;
};

static void same_named(const struct service_row *row, void *arg)
{
	struct pair *pair = arg;
	struct service_key key = { row->ns, row->name };
	struct service *s, *t;
	struct op a, b;

	assert_int_not_equal(find_service(&a, pair->a, key, &s), 0);
	assert_int_not_equal(find_service(&b, pair->b, key, &t), 0);
	same_service(&a, s, &b, t);
	op_end(&b);
	op_end(&a);
	pair->seen++;
}

static void same_subscribers(struct fixture *a, struct fixture *b, const char *name, int count)
{
	struct service_key key = key_for(name);
	struct audience_cursor from = { 0 }, to = { 0 };
	struct subscriber_view x[4], y[4];

	memset(x, 0, sizeof(x));
	memset(y, 0, sizeof(y));
	assert_int_equal(registry_subscribers(&a->reg, &key, &from, x, 4), count);
	assert_int_equal(registry_subscribers(&b->reg, &key, &to, y, 4), count);
	for (int n = 0; n < count; n++) {
		y[n].id = x[n].id;
		y[n].off = x[n].off;
		assert_memory_equal(&x[n], &y[n], offsetof(struct subscriber_view, clusters));
		assert_memory_equal(x[n].clusters, y[n].clusters, x[n].clusters_len);
		assert_memory_equal(x[n].agent, y[n].agent, x[n].agent_len);
		assert_memory_equal(x[n].app, y[n].app, x[n].app_len);
		assert_memory_equal(x[n].address_text, y[n].address_text, x[n].address_text_len);
	}
}

static void append_namespace(const struct namespace_row *row, void *arg)
{
	char *out = arg;

	sprintf(out + strlen(out), "%.*s|%.*s|%.*s%d;", (int)row->id.n, row->id.p, (int)row->name.n,
	        row->name.p, (int)row->about.n, row->about.p == NULL ? "" : row->about.p,
	        str_is_set(row->about));
}

static void same_office(struct fixture *a, struct fixture *b)
{
	static struct switches_copy x, y;
	char first[300] = "", second[300] = "";

	assert_int_equal(switches_read(&a->reg, &x), 0);
	assert_int_equal(switches_read(&b->reg, &y), 0);
	assert_memory_equal(&x.words, &y.words, sizeof(x.words));
	assert_true(str_eq(x.texts.masters, y.texts.masters) &&
	            str_eq(x.texts.limited, y.texts.limited));
	assert_true(str_eq(x.texts.status, y.texts.status) && str_is_set(y.texts.status));
	assert_int_equal(namespaces_each(&a->reg, append_namespace, first), 0);
	assert_int_equal(namespaces_each(&b->reg, append_namespace, second), 0);
	assert_string_equal(first, "n1|one|about1;n2||0;");
	assert_string_equal(first, second);
}

static void same_registry(struct fixture *a, struct fixture *b)
{
	struct pair pair = { a, b, 0 };
	struct registry_stats x = stats_of(a), y = stats_of(b);

	assert_int_equal(registry_services(&a->reg, (struct str){ NULL, 0 }, same_named, &pair), 0);
	assert_int_equal(pair.seen, 61);
	assert_int_equal(y.services, 61);
	assert_int_equal(y.draining, 0);
	assert_int_equal(x.instances, y.instances);
	assert_int_equal(x.ephemeral, y.ephemeral);
	assert_int_equal(x.healthy, y.healthy);
	assert_int_equal(x.subscribers, y.subscribers);
	assert_int_equal(x.waiting, y.waiting);
	assert_int_equal(x.queued, y.queued);
	same_subscribers(a, b, "G@@special", 2);
	same_subscribers(a, b, "G@@waits", 1);
	same_office(a, b);
	assert_int_equal(a->seg->header->health_ms, b->seg->header->health_ms);
	assert_int_equal(a->seg->header->stamp, b->seg->header->stamp);
	assert_int_equal(a->seg->header->served_at_ms, b->seg->header->served_at_ms);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void written_in_small_pieces(void **state)
{
	struct fixture *f = *state;
	struct stream whole, pieces;

	populate(f);
	whole = save_stream(f);
	write_most = 7;
	write_interrupts = 3;
	pieces = save_stream(f);
	write_most = SIZE_MAX;
	assert_int_equal(write_interrupts, 0);
	assert_int_equal(whole.n, pieces.n);
	assert_memory_equal(whole.bytes, pieces.bytes, whole.n);
	free(pieces.bytes);
	free(whole.bytes);
}

static void a_file_that_takes_nothing(void **state)
{
	struct fixture *f = *state;
	struct snapshot_report report;

	write_most = 0;
	assert_int_equal(snapshot_save(&f->reg, -1, &report), ERR_IO);
	write_most = SIZE_MAX;
	assert_string_equal(report.why, "cannot be written");
}

/* ---- round trips ----------------------------------------------------------------------------- */

static void same_seed_gives_the_same_bytes(void **state)
{
	struct fixture *f = *state, to;
	struct stream first, second;

	populate(f);
	first = save_stream(f);
	load_stream(&to, &first, f->seg->header->seed);
	same_registry(f, &to);
	second = save_stream(&to);
	assert_int_equal(first.n, second.n);
	assert_memory_equal(first.bytes, second.bytes, first.n);
	free(first.bytes);
	free(second.bytes);
	fixture_close(&to);
}

static uint64_t highest(const struct fixture *f, bool revision)
{
	uint64_t most = 0;

	for (uint32_t i = 0; i < SHARDS; i++) {
		uint64_t value = revision ? f->seg->shards[i].revision : f->seg->shards[i].next_id;

		most = value > most ? value : most;
	}
	return most;
}

static void another_seed_keeps_everything_but_ids(void **state)
{
	struct fixture *f = *state, to;
	struct service_stamp stamp;
	struct service_view view;
	struct stream stream;
	uint64_t ids, revisions, last;

	populate(f);
	ids = highest(f, false);
	revisions = highest(f, true);
	last = f->seg->header->stamp;
	stream = save_stream(f);
	load_stream(&to, &stream, OTHER_SEED);
	same_registry(f, &to);
	assert_int_not_equal(f->seg->header->epoch, to.seg->header->epoch);
	/* What comes now is above all that was. */
	add(&to, "G@@special", "9.9.9.9", 9);
	stamp = stamp_of(&to, "G@@special");
	assert_true(stamp.revision > revisions);
	assert_true(to.seg->header->stamp > last);
	service_view_init(&view);
	view_of(&to, "G@@special", &view);
	assert_true((view_find(&view, "9.9.9.9", 9)->id & 0xffffffffffff) > ids);
	service_view_free(&view);
	assert_clean(&to);
	free(stream.bytes);
	fixture_close(&to);
}

/* ---- each field by itself -------------------------------------------------------------------- */

/* An object of each kind. */
struct objects {
	struct service *s;
	struct cluster *c;
	struct instance *i;
	struct audience *a;
	struct subscriber *sub;
};

/* In one shard and hold, since all belong to one name. */
static void find_objects(struct op *op, struct fixture *f, const char *name, struct objects *out_r)
{
	struct service_key key = key_for(name);

	assert_int_not_equal(find_service(op, f, key, &out_r->s), 0);
	assert_non_null(out_r->c = cluster_at(op, out_r->s->first_cluster));
	assert_non_null(out_r->i = instance_at(op, out_r->c->first[1]));
	assert_int_not_equal(audience_find(op, &key, key_place(&f->reg, &key).hash, &out_r->a), 0);
	assert_non_null(out_r->sub = subscriber_at(op, out_r->a->first));
}

/* Ids are given out, and of flags of a service a load takes those that it knows. */
static bool is_bound(const struct fields *fields, unsigned key)
{
	return (fields == &service_fields &&
	        (key == SAVED_SERVICE_ID || key == SAVED_SERVICE_FLAGS)) ||
	       (fields == &instance_fields && key == SAVED_INSTANCE_ID) ||
	       (fields == &subscriber_fields && key == SAVED_SUBSCRIBER_ID);
}

/* Gives each field a value of its own; one that has bounds or is made from others stays as it
 * is. */
static void change_fields(struct op *op, const struct saved_kind *kind, void *object)
{
	const struct fields *fields = kind->fields;
	char text[16];

	for (unsigned key = 1; key < fields->saved; key++) {
		const struct field_row *row = &fields->rows[key];

		snprintf(text, sizeof(text), "text %u", key);
		if (row->bytes == 0 || is_bound(fields, key))
			continue;
		if (field_is_blob(row))
			field_set(op, field_blob(row, object), str_of(text));
		else if (row->type == FIELD_ADDRESS)
			memset((char *)object + row->at, (int)key, row->bytes);
		else if (kind->make[key] == NULL && row->most == 0)
			field_set_number(row, object, 0x50 + key);
	}
}

static void every_field_comes_back(void **state)
{
	struct fixture *f = *state, to;
	struct objects x, y;
	struct stream stream;
	struct op a, b;

	add(f, "G@@s", "1.1.1.1", 1);
	subscribe(f, "G@@s", 20, "x");
	find_objects(&a, f, "G@@s", &x);
	change_fields(&a, &saved_services, x.s);
	change_fields(&a, &saved_clusters, x.c);
	x.i->flags &= ~(uint32_t)INSTANCE_APP_DEFAULT;
	change_fields(&a, &saved_instances, x.i);
	change_fields(&a, &saved_subscribers, x.sub);
	assert_int_equal(op_finish(&a, 0), 0);
	stream = save_stream(f);
	load_stream(&to, &stream, f->seg->header->seed);
	find_objects(&a, f, "G@@s", &x);
	find_objects(&b, &to, "G@@s", &y);
	same_fields(&service_fields, 0, &a.tx, x.s, &b.tx, y.s);
	same_fields(&cluster_fields, 0, &a.tx, x.c, &b.tx, y.c);
	same_fields(&instance_fields, 0, &a.tx, x.i, &b.tx, y.i);
	same_fields(&audience_fields, 0, &a.tx, x.a, &b.tx, y.a);
	same_fields(&subscriber_fields, 0, &a.tx, x.sub, &b.tx, y.sub);
	op_end(&a);
	op_end(&b);
	free(stream.bytes);
	fixture_close(&to);
}

/* Time of the machine between: ages count, not times. */
static void owed_pushes_come_back(void **state)
{
	struct fixture *f = *state, to;
	struct service_key key = key_for("G@@s");
	struct changed_service changed;
	struct stream stream;
	uint32_t shard;
	uint64_t wait_ms;

	add(f, "G@@s", "1.1.1.1", 1);
	clock_set_for_test(FIXTURE_MONO_US + 300000, FIXTURE_WALL_US);
	stream = save_stream(f);
	load_stream(&to, &stream, OTHER_SEED); /* sets the clock back */
	shard = registry_shard_of(&to.reg, &key);
	assert_int_not_equal(queue_take_dirty(to.seg, QUEUE_PUSHER) >> shard & 1, 0);
	assert_int_equal(registry_take_changed(&to.reg, shard, QUEUE_PUSHER, FIXTURE_MONO_US / 1000,
	                                       1000, &changed, &wait_ms),
	                 0);
	assert_int_equal(wait_ms, 700);
	assert_int_equal(registry_take_changed(&to.reg, shard, QUEUE_PUSHER,
	                                       FIXTURE_MONO_US / 1000 + 700, 1000, &changed,
	                                       &wait_ms),
	                 1);
	assert_int_equal(changed.change, CHANGE_CONTENT);
	assert_int_equal(changed.changed, stamp_of(f, "G@@s").revision);
	free(stream.bytes);
	fixture_close(&to);
}

/* More than the buffer holds at once, too. */
static void many_namespaces(void **state)
{
	enum { NAMESPACES = 1500 };
	static char text[NAMESPACES_TEXT_MAX];
	struct fixture *f = *state, to;
	struct str all = str_make(text, sizeof(text));
	struct stream stream, again;
	char id[32];

	memset(text, 't', sizeof(text));
	for (int n = 0; n < NAMESPACES; n++) {
		snprintf(id, sizeof(id), "n%d", n);
		assert_int_equal(namespaces_create(&f->reg,
		                                   &(struct namespace_row){ str_of(id), all, all }),
		                 0);
	}
	stream = save_stream(f);
	assert_true(stream.n > (size_t)NAMESPACES * 2 * NAMESPACES_TEXT_MAX);
	load_stream(&to, &stream, f->seg->header->seed);
	again = save_stream(&to);
	assert_int_equal(stream.n, again.n);
	assert_memory_equal(stream.bytes, again.bytes, stream.n);
	free(again.bytes);
	free(stream.bytes);
	fixture_close(&to);
}

/* What a reader of the header finds in it. */
static void the_header_says_how_much_comes(void **state)
{
	struct fixture *f = *state;
	struct snapshot_reader r;
	struct snapshot_map map;
	struct stream stream;
	uint64_t instances = 0;
	unsigned key;
	int fd;

	populate(f);
	stream = save_stream(f);
	fd = memory_file(stream.bytes, stream.n);
	assert_int_equal(snapshot_reader_open(&r, fd), 0);
	snapshot_read_start(&r);
	assert_int_equal(snapshot_u64(&r, UINT64_MAX), SNAPSHOT_HEADER);
	snapshot_map_begin(&r, &map);
	while (snapshot_map_next(&r, &map, &key)) {
		if (key == HEADER_INSTANCES)
			instances = snapshot_u64(&r, UINT64_MAX);
		else
			snapshot_skip(&r);
	}
	assert_int_equal(r.err, 0);
	assert_int_equal(instances, stats_of(f).instances);
	snapshot_reader_close(&r);
	close(fd);
	free(stream.bytes);
}

/* One service longer than the buffer, and more of them than one hold packs. */
static void long_services_and_many(void **state)
{
	struct fixture *f = *state, to;
	struct stream stream;
	char name[32], ip[32];

	for (int n = 0; n < 40000; n++) {
		snprintf(name, sizeof(name), "G@@%d", n < 20000 ? -1 : n / 3);
		snprintf(ip, sizeof(ip), "10.0.%d.%d", n / 256, n % 256);
		add(f, name, ip, 80);
	}
	for (uint16_t n = 0; n < 9000; n++)
		subscribe(f, "G@@-1", (uint16_t)(1024 + n), "");
	stream = save_stream(f);
	load_stream(&to, &stream, OTHER_SEED);
	assert_int_equal(stats_of(&to).instances, 40000);
	assert_int_equal(stats_of(&to).subscribers, 9000);
	free(stream.bytes);
	fixture_close(&to);
}

/* ---- nothing but the whole ------------------------------------------------------------------- */

static struct stream small_stream(void)
{
	struct fixture f;
	struct stream stream;

	fixture_open(&f, SMALL_BYTES);
	set_settings(&f, "G@@a");
	add(&f, "G@@a", "1.1.1.1", 1);
	subscribe(&f, "G@@a", 20, "x");
	assert_int_equal(namespaces_create(&f.reg, &(struct namespace_row){ STR("n"),
	                                                                    STR("one"),
	                                                                    { NULL, 0 } }),
	                 0);
	stream = save_stream(&f);
	fixture_close(&f);
	return stream;
}

/* One attempt with a segment of its own; what it gave. An error leaves no segment. */
static int attempt(const char *bytes, size_t n, char why[120])
{
	struct snapshot_report report;
	struct fixture to;
	int ret;

	fixture_open(&to, SMALL_BYTES);
	ret = load_bytes(&to, bytes, n, &report);
	assert_int_equal(to.seg->header->magic, ret == 0 ? SEGMENT_MAGIC : 0);
	assert_int_equal(report.why[0] != 0, ret != 0);
	if (why != NULL)
		snprintf(why, 120, "%s", report.why);
	if (ret == 0)
		assert_clean(&to);
	fixture_close(&to);
	return ret;
}

static void cut_anywhere_is_refused(void **state)
{
	struct stream stream = small_stream();
	struct snapshot_report report;

	(void)state;
	for (size_t n = 0; n < stream.n; n++) {
		int fd = memory_file(stream.bytes, n);

		assert_int_equal(attempt(stream.bytes, n, NULL), ERR_SYNTAX);
		assert_int_equal(snapshot_verify(fd, &report), ERR_SYNTAX);
		close(fd);
	}
	assert_int_equal(attempt(stream.bytes, stream.n, NULL), 0);
	free(stream.bytes);
}

static void a_flipped_bit_is_refused(void **state)
{
	struct stream stream = small_stream();
	struct snapshot_report report;

	(void)state;
	for (size_t n = 0; n < stream.n; n++) {
		int fd;

		stream.bytes[n] ^= (char)(1 << n % 8);
		assert_true(attempt(stream.bytes, stream.n, NULL) < 0);
		fd = memory_file(stream.bytes, stream.n);
		assert_true(snapshot_verify(fd, &report) < 0);
		close(fd);
		stream.bytes[n] ^= (char)(1 << n % 8);
	}
	free(stream.bytes);
}

static void sealed_append(struct pack *p)
{
	uint64_t sum = __builtin_bswap64(XXH3_64bits(p->data, p->len));

	pack_append(p, "\xcf", 1);
	pack_append(p, &sum, sizeof(sum));
}

/* Hand-made streams: the text is one record after the other, without start and checksum. */
#define HEADER "\x01\x82\x02\xcd\x10\x10\x06\x40" /* health 4112, last id 64 */
#define END(s, i, u) "\x7f\x83\x01" s "\x02" i "\x03" u
#define INSTANCE_A \
	"\x82\x01\xa1" \
	"a\x02\x07"

#define SERVICE "\x04\x82\x02\xa4G@@a\x64\x91\x81\x64\x91" /* one instance follows */
#define INSTANCE_B(pairs, more) \
	pairs "\x01\xa1" \
	      "b\x02\x07" more
#define AUDIENCE "\x05\x82\x02\xa4G@@a\x64\x91" /* one subscriber follows */
#define ONE_INSTANCE END("\1", "\1", "\0")

static void pack_start(struct pack *p, uint32_t version)
{
	pack_str(p, sizeof(SNAPSHOT_MAGIC) - 1);
	pack_append(p, SNAPSHOT_MAGIC, sizeof(SNAPSHOT_MAGIC) - 1);
	pack_uint32(p, version);
}

static int attempt_records(const char *records, size_t n, uint32_t version, char why[120])
{
	char bytes[2000];
	struct pack p = { bytes, 0, sizeof(bytes) };

	pack_start(&p, version);
	pack_append(&p, records, n);
	sealed_append(&p);
	return attempt(bytes, p.len, why);
}

#define ROW(text, ret, why) \
	{ \
		text, sizeof(text) - 1, ret, why \
	}

static const struct {
	const char *text;
	size_t n;
	int ret;
	const char *why;
} hand_made[] = {
	ROW(HEADER END("\0", "\0", "\0"), 0, ""),
	ROW(HEADER "\x04\x82\x02\xa4G@@a\x64\x91\x81\x64\x91" INSTANCE_A END("\1", "\1", "\0"), 0,
	    ""),
	/* unknown kinds and keys, before and behind the members */
	ROW(HEADER "\x3c\x93\xc0\x82\x01\x02\xa1k\x91\xca\1\2\3\4\xc7\2\5xy" END("\0", "\0", "\0"),
	    0, ""),
	ROW(HEADER
	    "\x04\x84\x02\xa4G@@a\x46\x92\xc3\xd6\1\2\3\4\5\x64\x90\x65\xc4\1z" END("\1", "\0",
	                                                                            "\0"),
	    0, ""),
	ROW(HEADER "\x04\x82\x02\xa4G@@a\x64\x91\x81\x64\x91\x83\x01\xa1"
	           "a\x02\xff\x63\xdc\0\2\xc0\xc2" END("\1", "\1", "\0"),
	    0, ""),
	/* What is further ahead of the health clock than a minute (64112) would never expire. */
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x05\xcd\xfa\x70") ONE_INSTANCE, 0, ""),
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x05\xcd\xfa\x71") ONE_INSTANCE, ERR_SYNTAX,
	    "a beat in the future"),
	ROW(HEADER AUDIENCE "\x81\x02\xcd\xfa\x70" END("\0", "\0", "\1"), 0, ""),
	ROW(HEADER AUDIENCE "\x81\x02\xcd\xfa\x71" END("\0", "\0", "\1"), ERR_SYNTAX,
	    "a subscriber seen in the future"),
	/* of the last shard; of none; of another node */
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x04\xcf\0\x3f\0\0\0\0\0\x40") ONE_INSTANCE, 0, ""),
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x04\xcf\0\x40\0\0\0\0\0\1") ONE_INSTANCE,
	    ERR_SYNTAX, "an id that no shard can have made"),
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x04\xcf\5\0\0\0\0\0\0\1") ONE_INSTANCE, ERR_SYNTAX,
	    "an id that no shard can have made"),
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x04\x41") ONE_INSTANCE, ERR_SYNTAX,
	    "an id above the highest"),
	ROW("\x01\x83\x02\xcd\x10\x10\x06\x40\x07\x10" SERVICE INSTANCE_B("\x83", "\x07\1")
	            ONE_INSTANCE,
	    ERR_SYNTAX, "an instance above the revision of its service"),
	/* texts, and those in packed metadata, where nil is one without a text */
	ROW(HEADER "\x02\x81\x03\xa1\xff", ERR_SYNTAX, "a text that is no UTF-8"),
	ROW(HEADER "\x03\x82\x01\xa1n\x02\xa2\xc3(", ERR_SYNTAX, "a text that is no UTF-8"),
	ROW(HEADER "\x04\x81\x02\xa1\xff", ERR_SYNTAX, "a text that is no UTF-8"),
	ROW(HEADER SERVICE "\x81\x01\xa3\xed\xa0\x80", ERR_SYNTAX, "a text that is no UTF-8"),
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x0a\xa1\xe4"), ERR_SYNTAX,
	    "a text that is no UTF-8"),
	ROW(HEADER AUDIENCE "\x81\x08\xa1\x80", ERR_SYNTAX, "a text that is no UTF-8"),
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x09\xa8\x82\xa1k\xc0\xa1l\xa1m") ONE_INSTANCE, 0,
	    ""),
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x09\xa8\x82\xa1k\xc0\xa1l\xa1\xff"), ERR_SYNTAX,
	    "a text that is no UTF-8"),
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x09\xa5\x81\xa1\xff\xa1k"), ERR_SYNTAX,
	    "a text that is no UTF-8"),
	ROW(HEADER SERVICE INSTANCE_B("\x83", "\x09\xa4\x82\xa1k\xff") ONE_INSTANCE, 0, ""),
	ROW("", ERR_SYNTAX, "a value of the wrong type or out of range"),
	ROW("\x7f\x80", ERR_SYNTAX, "records out of order"),
	ROW("\x01\x80", ERR_SYNTAX, "an impossible header"),
	ROW(HEADER HEADER END("\0", "\0", "\0"), ERR_SYNTAX, "a record twice"),
	ROW(HEADER "\x05\x80", ERR_SYNTAX, "a name without text, or too long"),
	ROW(HEADER "\x05\x81\x02\xa1"
	           "a" END("\0", "\0", "\0"),
	    ERR_SYNTAX, "subscribers of a name, but none"),
	ROW(HEADER "\x04\x81\x02\xa1"
	           "a\x03\x80",
	    ERR_SYNTAX, "records out of order"),
	ROW(HEADER "\x04\x81\x02\xa1"
	           "a\x04\x81\x02\xa1"
	           "a",
	    ERR_SYNTAX, "a service twice"),
	ROW(HEADER "\x04\x82\x02\xa1"
	           "a\x64\x92\x80\x80",
	    ERR_SYNTAX, "a cluster twice"),
	ROW(HEADER "\x04\x82\x02\xa1"
	           "a\x64\x91\x81\x64\x92" INSTANCE_A INSTANCE_A,
	    ERR_SYNTAX, "an instance twice"),
	ROW(HEADER "\x04\x82\x02\xa1"
	           "a\x02\xa1"
	           "b",
	    ERR_SYNTAX, "keys do not rise"),
	ROW(HEADER "\x04\x82\x02\xa1"
	           "a\x03\x41",
	    ERR_SYNTAX, "an id above the highest"),
	ROW(HEADER "\x04\x82\x02\xa1"
	           "a\x05\x01",
	    ERR_SYNTAX, "a revision above the highest"),
	ROW(HEADER "\x04\x82\x02\xa1"
	           "a\x04\x01",
	    ERR_SYNTAX, "a stamp above the clock"),
	ROW(HEADER "\x04\x82\x02\xa1"
	           "a\x06\x01",
	    ERR_SYNTAX, "a change above the revision"),
	ROW(HEADER "\x04\x81\x02\x07", ERR_SYNTAX, "a value of the wrong type or out of range"),
	ROW(HEADER "\x04\x81\x02\xda\x04\x01", ERR_SYNTAX,
	    "a value of the wrong type or out of range"),
	ROW(HEADER "\x04\x81\x02\xdb\xff\xff\xff\xff", ERR_SYNTAX,
	    "a value of the wrong type or out of range"),
	ROW(HEADER "\x04\x82\x02\xa1"
	           "a\x64\xdd\xff\xff\xff\xff",
	    ERR_SYNTAX, "a value of the wrong type or out of range"),
	ROW(HEADER "\x3c\xdf\xff\xff\xff\xff", ERR_SYNTAX, "cut off"),
	ROW(HEADER "\x3c\xc1", ERR_SYNTAX, "a value of the wrong type or out of range"),
	ROW(HEADER "\x02\x81\x01\xdd\0\0\x10\x01", ERR_SYNTAX, "too many switches"),
	ROW(HEADER "\x03\x81\x01\xa1n", ERR_SYNTAX, "a namespace without id or name"),
	ROW(HEADER "\x03\x82\x01\xa1n\x02\xa0\x03\x82\x01\xa1n\x02\xa0", ERR_SYNTAX,
	    "a namespace twice"),
	ROW(HEADER END("\1", "\0", "\0"), ERR_SYNTAX, "counts that are not those of what was read"),
	ROW(HEADER END("\0", "\0", "\0") "\0", ERR_SYNTAX, NULL),
};

static void hand_made_streams(void **state)
{
	char why[120];

	(void)state;
	for (size_t i = 0; i < sizeof(hand_made) / sizeof(hand_made[0]); i++) {
		int ret = attempt_records(hand_made[i].text, hand_made[i].n, 1, why);

		if (ret != hand_made[i].ret ||
		    (hand_made[i].why != NULL && strcmp(why, hand_made[i].why) != 0))
			fail_msg("stream %zu: %d, \"%s\"", i, ret, why);
	}
	assert_int_equal(attempt_records(hand_made[0].text, hand_made[0].n, 2, why), ERR_RANGE);
	assert_string_equal(why, "made by a later version");
	assert_int_equal(attempt("\x90", 1, why), ERR_SYNTAX);
	assert_string_equal(why, "not a snapshot of a registry");
}

/* What a snapshot of an older layout cannot have is told. */
static void fields_of_a_later_layout(void **state)
{
	static const struct {
		const char *header;
		uint32_t layout;
		const char *lacks;
	} rows[] = {
		{ "\x01\x83\x02\xcd\x10\x10\x06\x40\x09\x03", 3, "instance source" },
		{ "\x01\x83\x02\xcd\x10\x10\x06\x40\x09\x04", 4, "" },
		{ HEADER, 0, "" }, /* before layouts were told */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char bytes[200];
		struct pack p = { bytes, 0, sizeof(bytes) };
		struct snapshot_report report;
		struct fixture to;

		pack_start(&p, 1);
		pack_append(&p, rows[i].header, strlen(rows[i].header));
		pack_append(&p, END("\0", "\0", "\0"), sizeof(END("\0", "\0", "\0")) - 1);
		sealed_append(&p);
		fixture_open(&to, SMALL_BYTES);
		assert_int_equal(load_bytes(&to, bytes, p.len, &report), 0);
		assert_int_equal(report.layout, rows[i].layout);
		assert_string_equal(report.lacks, rows[i].lacks);
		fixture_close(&to);
	}
}

static void the_own_layout_is_told(void **state)
{
	struct stream stream = small_stream();
	struct snapshot_report report;
	struct fixture to;

	(void)state;
	fixture_open(&to, SMALL_BYTES);
	assert_int_equal(load_bytes(&to, stream.bytes, stream.n, &report), 0);
	assert_int_equal(report.layout, SEGMENT_LAYOUT);
	assert_string_equal(report.lacks, "");
	fixture_close(&to);
	free(stream.bytes);
}

static void nothing_is_behind_the_end(void **state)
{
	struct stream stream = small_stream();
	char *longer = malloc(stream.n + 1), why[120];
	struct snapshot_report report;
	int fd;

	(void)state;
	assert_non_null(longer);
	memcpy(longer, stream.bytes, stream.n);
	longer[stream.n] = 0;
	assert_int_equal(attempt(longer, stream.n + 1, why), ERR_SYNTAX);
	assert_string_equal(why, "something follows the end");
	fd = memory_file(stream.bytes, stream.n);
	assert_int_equal(snapshot_verify(fd, &report), 0);
	assert_int_equal(report.bytes, stream.n);
	close(fd);
	free(longer);
	free(stream.bytes);
}

/* The checksum alone is looked at, so a stream without any record is whole. */
static void the_shortest_stream_that_is_whole(void **state)
{
	char bytes[100];
	struct pack p = { bytes, 0, sizeof(bytes) };
	struct snapshot_report report;
	int fd;

	(void)state;
	pack_start(&p, 1);
	sealed_append(&p);
	fd = memory_file(bytes, p.len);
	assert_int_equal(snapshot_verify(fd, &report), 0);
	assert_int_equal(report.bytes, p.len);
	close(fd);
}

/* Memory of our own, read as a file, fails where nothing is mapped. */
static void a_read_that_fails_late_is_an_error(void **state)
{
	const size_t head = 6U << 20, all = 8U << 20;
	struct stream stream = small_stream();
	struct snapshot_report report;
	char *at = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_ptr_not_equal(at, MAP_FAILED);
	assert_true(fd >= 0);
	memcpy(at, stream.bytes, stream.n);
	munmap(at + head, all - head);
	assert_true(lseek(fd, (off_t)(uintptr_t)at, SEEK_SET) >= 0);
	assert_int_equal(snapshot_verify(fd, &report), ERR_IO);
	assert_string_equal(report.why, "cannot be read");
	close(fd);
	munmap(at, head);
	free(stream.bytes);
}

static void refusals_of_the_system(void **state)
{
	struct fixture *f = *state, to;
	struct snapshot_report report;
	struct stream stream;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char name[32];

	add(f, "G@@a", "1.1.1.1", 1);
	assert_int_equal(snapshot_save(&f->reg, fd, &report), ERR_IO);
	assert_string_equal(report.why, "cannot be written");
	close(fd);
	fd = memory_file("", 0);
	assert_int_equal(snapshot_load(&f->reg, fd, &report), ERR_EXISTS);
	close(fd);
	assert_int_equal(f->seg->header->magic, SEGMENT_MAGIC);
	for (int n = 0; n < 40000; n++) {
		snprintf(name, sizeof(name), "G@@%d", n);
		add(f, name, "1.1.1.1", 1);
	}
	stream = save_stream(f);
	fixture_open(&to, SMALL_BYTES);
	assert_int_equal(load_bytes(&to, stream.bytes, stream.n, &report), ERR_FULL);
	assert_int_equal(to.seg->header->magic, 0);
	fixture_close(&to);
	fixture_open(&to, SMALL_BYTES);
	assert_int_equal(snapshot_load(&to.reg, -1, &report), ERR_IO);
	assert_string_equal(report.why, "cannot be read");
	fixture_close(&to);
	free(stream.bytes);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(same_seed_gives_the_same_bytes),
		TEST(another_seed_keeps_everything_but_ids),
		TEST(every_field_comes_back),
		TEST(owed_pushes_come_back),
		TEST(many_namespaces),
		TEST(the_header_says_how_much_comes),
		TEST(long_services_and_many),
		TEST(written_in_small_pieces),
		TEST(a_file_that_takes_nothing),
		cmocka_unit_test(the_shortest_stream_that_is_whole),
		cmocka_unit_test(cut_anywhere_is_refused),
		cmocka_unit_test(a_flipped_bit_is_refused),
		cmocka_unit_test(hand_made_streams),
		cmocka_unit_test(fields_of_a_later_layout),
		cmocka_unit_test(the_own_layout_is_told),
		cmocka_unit_test(nothing_is_behind_the_end),
		cmocka_unit_test(a_read_that_fails_late_is_an_error),
		TEST(refusals_of_the_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
