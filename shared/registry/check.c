#include "shared/registry/registry_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/registry/office.h"
#include "shared/shm/blob.h"
#include "shared/shm/shard.h"

#define UNITS_IN_PAGE (SEGMENT_PAGE / SEGMENT_UNIT)

/* Sums over what was reached, to be compared with what is stored. */
struct sums {
	uint64_t services, draining, instances, ephemeral, healthy, bytes, drained;
	uint64_t audiences, waiting, subscribers;
	uint64_t pending[QUEUE_CONSUMERS];
};

struct check {
	struct op op;
	slab_say_fn *say;
	void *arg;
	unsigned broken;
	uint8_t *marks; /* a bit a unit of the data: reached already; NULL: no memory for it */
	uint64_t marked_pages;
	uint64_t reached[SLAB_KINDS];
	struct sums sums;
};

static void broken(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void broken(struct check *check, const char *format, ...)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "registry: shard %u: ", check->op.tx.shard->index);
	va_list args;

	check->broken++;
	if (check->say == NULL)
		return;
	va_start(args, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
	va_end(args);
	check->say(text, check->arg);
}

static void compare(struct check *check, const char *what, uint64_t stored, uint64_t found)
{
	if (stored != found)
		broken(check, "%s: %llu stored, %llu found", what, (unsigned long long)stored, (unsigned long long)found);
}

/* ---- reaching -------------------------------------------------------------- */

/* The object, counted and marked; NULL (and reported) when it is none or was reached before. */
static void *reach(struct check *check, uint32_t off, enum slab_kind kind, const char *what)
{
	void *object = slab_try(&check->op.tx, off, kind);
	uint64_t unit = (uint64_t)off - check->op.reg->seg->data_off / SEGMENT_UNIT;

	if (object == NULL) {
		broken(check, "%s: impossible reference %u", what, off);
		return NULL;
	}
	check->reached[kind]++;
	if (check->marks == NULL || unit / UNITS_IN_PAGE >= check->marked_pages)
		return object;
	if (check->marks[unit / 8] >> unit % 8 & 1) {
		broken(check, "%s: %u reached twice", what, off);
		return NULL;
	}
	check->marks[unit / 8] |= (uint8_t)(1U << unit % 8);
	return object;
}

static void reach_blob(struct check *check, uint32_t off, const char *what)
{
	for (uint32_t left = BLOB_MAX_BYTES / 4088U + 1; off != 0; left--) {
		enum slab_kind kind = slab_kind_at(&check->op.tx, off);
		const struct blob *blob = left == 0 || kind < SLAB_BLOB32 ? NULL : reach(check, off, kind, what);

		if (blob == NULL) {
			broken(check, "%s: bad blob %u", what, off);
			return;
		}
		off = blob->next;
	}
}

/* Walks a list, checks its backward links and its end, hands each object on. */
typedef void each_fn(struct check *check, uint32_t off, void *object, void *owner);

static void walk_list(struct check *check, const char *what, struct chain list, uint64_t count, each_fn *each, void *owner)
{
	uint32_t off = *list.first, prev = 0;
	uint64_t seen = 0;

	while (off != 0) {
		uint8_t *object = seen > count ? NULL : reach(check, off, list.kind, what);
		uint32_t links[2];

		if (object == NULL) {
			broken(check, "%s: list broken after %llu", what, (unsigned long long)seen);
			return;
		}
		memcpy(links, object + list.link, sizeof(links));
		if (links[1] != prev)
			broken(check, "%s: %u points back to %u instead of %u", what, off, links[1], prev);
		seen++;
		each(check, off, object, owner);
		prev = off;
		off = links[0];
	}
	compare(check, what, count, seen);
	if (*list.last != prev)
		broken(check, "%s: last is %u instead of %u", what, *list.last, prev);
}

/* ---- services -------------------------------------------------------------- */

struct service_sums {
	struct service *s;
	uint32_t soff, coff;
	unsigned kind;
	uint64_t instances, ephemeral, healthy, due_ms;
	int64_t bytes;
};

static void check_instance(struct check *check, uint32_t off, void *object, void *owner)
{
	struct op *op = &check->op;
	struct service_sums *sums = owner;
	struct instance *i = object, *found;
	const struct cluster *c = slab_try(&op->tx, i->cluster, SLAB_CLUSTER);
	struct instance_key key = { .port = i->port, .ephemeral = (i->flags & INSTANCE_EPHEMERAL) != 0 };
	uint64_t due_ms = instance_due(&op->tx, i);
	uint32_t ip;

	if (i->service != sums->soff || i->cluster != sums->coff || key.ephemeral != (sums->kind == 1) || c == NULL) {
		broken(check, "instance %u hangs in the wrong list", off);
		return;
	}
	key.ip = instance_ip(&op->tx, i);
	key.cluster = cluster_name(&op->tx, c);
	if (instance_find(op, sums->soff, sums->s, &key, &found) != off)
		broken(check, "instance %u is not found by its key", off);
	sums->instances++;
	sums->ephemeral += key.ephemeral;
	sums->healthy += (i->flags & INSTANCE_HEALTHY) != 0;
	sums->bytes += instance_bytes(&op->tx, i);
	if (due_ms < sums->due_ms)
		sums->due_ms = due_ms;
	reach_blob(check, i->metadata, "instance metadata");
	reach_blob(check, i->app, "instance app");
	reach_blob(check, i->overrides, "instance overrides");
	if (i->flags & INSTANCE_IP_BLOB) {
		memcpy(&ip, i->ip, sizeof(ip));
		reach_blob(check, ip, "instance ip");
	}
}

static void check_cluster(struct check *check, struct service_sums *sums, struct cluster *c)
{
	if (c->service != sums->soff)
		broken(check, "cluster %u of service %u says %u", sums->coff, sums->soff, c->service);
	reach_blob(check, c->name, "cluster name");
	reach_blob(check, c->metadata, "cluster metadata");
	reach_blob(check, c->check, "cluster checker");
	sums->bytes += cluster_bytes(&check->op.tx, c);
	for (sums->kind = 0; sums->kind < 2; sums->kind++) {
		struct chain list = { &c->first[sums->kind], &c->last[sums->kind], SLAB_INSTANCE,
			              offsetof(struct instance, next) };

		walk_list(check, "instances of a cluster", list, c->count[sums->kind], check_instance, sums);
	}
}

static void check_clusters(struct check *check, struct service_sums *sums)
{
	uint32_t off = sums->s->first_cluster, seen = 0;

	for (; off != 0; seen++) {
		struct cluster *c = seen >= sums->s->clusters ? NULL : reach(check, off, SLAB_CLUSTER, "cluster");

		if (c == NULL) {
			broken(check, "clusters of service %u", sums->soff);
			return;
		}
		sums->coff = off;
		check_cluster(check, sums, c);
		off = c->next;
	}
	compare(check, "clusters", sums->s->clusters, seen);
}

/* What a service owns; the same for one with a name and one being drained. */
static void check_service(struct check *check, uint32_t off, struct service *s)
{
	struct service_sums sums = { .s = s, .soff = off, .due_ms = UINT64_MAX };
	struct tx *tx = &check->op.tx;

	reach_blob(check, s->name, "service name");
	reach_blob(check, s->metadata, "service metadata");
	reach_blob(check, s->selector, "service selector");
	reach_blob(check, s->checksum, "checksum");
	sums.bytes = (int64_t)slab_object_bytes(SLAB_SERVICE) + blob_bytes(tx, s->name) + blob_bytes(tx, s->metadata) +
	             blob_bytes(tx, s->selector) + blob_bytes(tx, s->checksum);
	check_clusters(check, &sums);
	compare(check, "instances of a service", s->instances, sums.instances);
	compare(check, "ephemeral instances of a service", s->ephemeral, sums.ephemeral);
	compare(check, "healthy instances of a service", s->healthy, sums.healthy);
	compare(check, "bytes of a service", s->bytes, (uint64_t)sums.bytes);
	check->sums.bytes += s->bytes;
	if (s->flags & SERVICE_REMOVED) {
		check->sums.drained += sums.instances;
		return;
	}
	if (s->due_ms > sums.due_ms)
		broken(check, "service %u is due too late", off);
	check->sums.instances += sums.instances;
	check->sums.ephemeral += sums.ephemeral;
	check->sums.healthy += sums.healthy;
}

static void check_live(struct check *check, uint32_t off, void *object, void *owner)
{
	uint64_t *last_id = owner;
	struct service *s = object, *found;
	struct service_key key;
	struct place place;

	check->sums.services++;
	if (s->flags & SERVICE_REMOVED)
		broken(check, "removed service %u is still listed", off);
	if (s->id <= *last_id)
		broken(check, "ids of services do not rise at %u", off);
	*last_id = s->id;
	if (!key_of(&check->op.tx, s->name, s->ns_len, s->name_len, &key)) {
		broken(check, "name of service %u", off);
		return;
	}
	place = key_place(check->op.reg, &key);
	if (place.shard != check->op.tx.shard->index || place.hash != s->link.hash ||
	    service_find(&check->op, &key, place.hash, &found) != off)
		broken(check, "service %u is not found by its name", off);
	if (s->changed > s->revision || s->content > s->revision)
		broken(check, "revisions of service %u", off);
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++)
		check->sums.pending[c] += queue_link_pending(&s->queue[c]) != 0;
	check_service(check, off, s);
}

static void check_draining(struct check *check, uint32_t off, void *object, void *owner)
{
	struct service *s = object;

	(void)owner;
	check->sums.draining++;
	if ((s->flags & SERVICE_REMOVED) == 0)
		broken(check, "service %u drains although it was not removed", off);
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++) {
		if (queue_link_pending(&s->queue[c]) != 0)
			broken(check, "removed service %u is still queued", off);
	}
	check_service(check, off, s);
}

static void check_services(struct check *check)
{
	struct registry_root *root = check->op.root;
	struct chain live = { &root->first_service, &root->last_service, SLAB_SERVICE, offsetof(struct service, next) };
	struct chain draining = { &root->first_drain, &root->last_drain, SLAB_SERVICE, offsetof(struct service, next) };
	uint64_t last_id = 0;

	walk_list(check, "services", live, root->service_count, check_live, &last_id);
	walk_list(check, "draining services", draining, root->drain_count, check_draining, NULL);
	if (root->last_service_id < last_id)
		broken(check, "last service id");
	compare(check, "table of services", root->services.count, check->sums.services);
	compare(check, "table of instances", root->instances.count, check->sums.instances + check->sums.drained);
	compare(check, "instances", root->instance_count, check->sums.instances);
	compare(check, "ephemeral instances", root->ephemeral_count, check->sums.ephemeral);
	compare(check, "healthy instances", root->healthy_count, check->sums.healthy);
	compare(check, "bytes", root->bytes, check->sums.bytes);
}

static void check_queue(struct check *check, uint32_t consumer)
{
	const struct queue_list *list = &check->op.root->queue[consumer];
	uint32_t off = list->first, prev = 0;
	uint64_t seen = 0;

	while (off != 0) {
		const struct service *s = seen > list->count ? NULL : slab_try(&check->op.tx, off, SLAB_SERVICE);

		if (s == NULL || queue_link_pending(&s->queue[consumer]) == 0 || s->queue[consumer].prev != prev) {
			broken(check, "change queue %u at %u", consumer, off);
			return;
		}
		seen++;
		prev = off;
		off = s->queue[consumer].next;
	}
	if (list->last != prev)
		broken(check, "change queue %u: last", consumer);
	compare(check, "change queue", list->count, seen);
	compare(check, "pending services", check->sums.pending[consumer], seen);
}

/* ---- audiences ------------------------------------------------------------- */

struct audience_sums {
	struct audience *a;
	uint32_t aoff;
	uint64_t last_id;
};

static bool subscriber_found(struct op *op, uint32_t off, const struct subscriber *sub)
{
	const struct table *table = &op->root->subscribers;
	uint32_t at = table_find(&op->tx, table, sub->link.hash);

	while (at != 0 && at != off)
		at = table_next(&op->tx, table, at);
	return at == off;
}

static void check_subscriber(struct check *check, uint32_t off, void *object, void *owner)
{
	struct audience_sums *sums = owner;
	const struct subscriber *sub = object;

	check->sums.subscribers++;
	if (sub->audience != sums->aoff || sub->id <= sums->last_id)
		broken(check, "subscriber %u hangs in the wrong place", off);
	sums->last_id = sub->id;
	if (!subscriber_found(&check->op, off, sub))
		broken(check, "subscriber %u is not found by its key", off);
	reach_blob(check, sub->agent, "agent");
	reach_blob(check, sub->clusters, "clusters");
	reach_blob(check, sub->app, "app");
	reach_blob(check, sub->address_text, "address");
}

static void check_audience(struct check *check, uint32_t off, void *object, void *owner)
{
	uint64_t *last_id = owner;
	struct audience *a = object, *found;
	struct audience_sums sums = { a, off, 0 };
	struct chain list = { &a->first, &a->last, SLAB_SUBSCRIBER, offsetof(struct subscriber, next) };
	struct service_key key;
	struct service *s;

	check->sums.audiences++;
	if (a->id <= *last_id)
		broken(check, "ids of audiences do not rise at %u", off);
	*last_id = a->id;
	if (a->count == 0)
		broken(check, "audience %u is empty", off);
	walk_list(check, "subscribers", list, a->count, check_subscriber, &sums);
	reach_blob(check, a->name, "audience name");
	if (!key_of(&check->op.tx, a->name, a->ns_len, a->name_len, &key)) {
		broken(check, "name of audience %u", off);
		return;
	}
	if (audience_find(&check->op, &key, key_place(check->op.reg, &key).hash, &found) != off)
		broken(check, "audience %u is not found by its name", off);
	check->sums.waiting += service_find(&check->op, &key, a->link.hash, &s) == 0;
}

static void check_audiences(struct check *check)
{
	struct registry_root *root = check->op.root;
	struct chain list = { &root->first_audience, &root->last_audience, SLAB_AUDIENCE, offsetof(struct audience, next) };
	uint64_t last_id = 0;

	walk_list(check, "audiences", list, root->audiences.count, check_audience, &last_id);
	compare(check, "table of subscribers", root->subscribers.count, check->sums.subscribers);
	compare(check, "subscribers", root->subscriber_count, check->sums.subscribers);
	compare(check, "waiting audiences", root->waiting_count, check->sums.waiting);
}

/* ---- the lower layer ------------------------------------------------------- */

static void check_table(struct check *check, const struct table *table)
{
	check->broken += table_check(&check->op.tx, table, check->say, check->arg);
	if (table->buckets > TABLE_INLINE)
		check->reached[SLAB_TABLE] += 1 + (table->buckets - TABLE_INLINE + TABLE_HEADS - 1) / TABLE_HEADS;
}

static void check_tables(struct check *check)
{
	const struct registry_root *root = check->op.root;

	check_table(check, &root->services);
	check_table(check, &root->instances);
	check_table(check, &root->audiences);
	check_table(check, &root->subscribers);
}

static void check_slabs(struct check *check)
{
	const struct shard *shard = check->op.tx.shard;

	check->broken += slab_check(&check->op.tx, check->say, check->arg);
	for (unsigned kind = SLAB_TABLE; kind < SLAB_KINDS; kind++) {
		if (shard->slabs[kind].objects != check->reached[kind])
			broken(check, "objects of kind %u: %llu taken, %llu reached", kind,
			       (unsigned long long)shard->slabs[kind].objects, (unsigned long long)check->reached[kind]);
	}
}

static void check_namespace(struct check *check, uint32_t off, void *object, void *owner)
{
	struct tx *tx = &check->op.tx;
	struct namespace *row = object, *found;
	struct str id = blob_view(tx, row->id);
	uint64_t *bytes = owner;

	if (row->id == 0 || row->name == 0)
		broken(check, "namespace %u has no id or no name", off);
	reach_blob(check, row->id, "namespace id");
	reach_blob(check, row->name, "namespace name");
	reach_blob(check, row->about, "namespace description");
	*bytes += id.n + blob_len(tx, row->name) + (row->about == 0 ? 0 : blob_len(tx, row->about));
	if (row->link.hash != namespaces_hash(check->op.reg, id) || namespaces_find(&check->op, id, &found) != off)
		broken(check, "namespace %u is not found by its id", off);
}

static void check_office(struct check *check)
{
	struct office *office = office_of(check->op.reg->seg);
	uint64_t bytes = 0;

	reach_blob(check, office->masters, "masters");
	reach_blob(check, office->limited, "limited URLs");
	reach_blob(check, office->status, "status");
	walk_list(check, "namespaces", office_chain(office), office->namespaces.count, check_namespace, &bytes);
	compare(check, "bytes of namespaces", office->namespace_bytes, bytes);
	check_table(check, &office->namespaces);
}

static bool begin(struct check *check, struct registry *reg, uint32_t shard)
{
	int ret = op_begin(&check->op, reg, shard, (struct origin){ 0 });

	if (ret < 0) {
		check->broken++;
		if (check->say != NULL)
			check->say(err_str(ret), check->arg);
		return false;
	}
	memset(check->reached, 0, sizeof(check->reached));
	check->sums = (struct sums){ .services = 0 };
	return true;
}

static void check_shard(struct check *check)
{
	check_services(check);
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++)
		check_queue(check, c);
	check_audiences(check);
	check_tables(check);
}

unsigned registry_check(struct registry *reg, slab_say_fn *say, void *arg)
{
	struct check check = { .say = say, .arg = arg };

	check.marked_pages = __atomic_load_n(&reg->seg->header->backed, __ATOMIC_ACQUIRE);
	check.marks = calloc(check.marked_pages + 1, UNITS_IN_PAGE / 8);
	for (uint32_t shard = 0; shard < SHARDS_ALL; shard++) {
		if (!begin(&check, reg, shard))
			continue;
		if (shard == SHARD_OFFICE)
			check_office(&check);
		else
			check_shard(&check);
		check_slabs(&check);
		op_end(&check.op);
	}
	free(check.marks);
	return check.broken;
}
