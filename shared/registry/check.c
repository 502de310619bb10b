/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - walks everything of a shard from its services down, each object once, and reports
 * each rule that does not hold. */
#include "shared/registry/check_walk.h"

#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/registry/fields.h"
#include "shared/registry/office.h"
#include "shared/registry/registry_check.h"
#include "shared/shm/blob.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

#define UNITS_IN_PAGE (SEGMENT_PAGE / SEGMENT_UNIT)

/* ---- services -------------------------------------------------------------------------------- */

/* What was counted of a service while its clusters are walked, perhaps in several holds. */
struct service_sums {
	struct service *s;
	uint64_t identity, moved; /* of the service; of the check, when the sums began */
	uint32_t soff, coff;
	unsigned kind;
	uint64_t instances, ephemeral, healthy, owned, owners, due_ms;
	int64_t bytes;
};

/* Adds one instance to the sums of its service and checks it by itself. */
static void check_instance(struct check *check, uint32_t off, void *object, void *owner)
{
	struct op *op = &check->op;
	struct service_sums *sums = owner;
	struct instance *i = object, *found;
	const struct cluster *c = slab_try(&op->tx, i->cluster, SLAB_CLUSTER);
	struct instance_key key = { .port = i->port,
		                    .ephemeral = (i->flags & INSTANCE_EPHEMERAL) != 0 };
	uint64_t due_ms = instance_due(&op->tx, i);
	uint64_t ahead_ms = health_now(op->reg->seg) + AHEAD_MS;
	uint32_t ip;

	ROSTER_ASSERT(sums->kind < 2);
	if (i->service != sums->soff || i->cluster != sums->coff ||
	    key.ephemeral != (sums->kind == 1) || c == NULL) {
		check_broken(check, "instance %u hangs in the wrong list", off);
		return;
	}
	key.ip = instance_ip(&op->tx, i);
	key.cluster = cluster_name(&op->tx, c);
	if (instance_find(op, sums->soff, sums->s, &key, &found) != off)
		check_broken(check, "instance %u is not found by its key", off);
	/* Instances keep their ids through a snapshot, so any shard may have made this one. */
	check_kept_id(check, "instance", i->id);
	if (i->revision > sums->s->revision || i->stamp > op->reg->seg->header->stamp)
		check_broken(check, "revision or stamp of instance %u", off);
	if (beat_ms(__atomic_load_n(&i->beat, __ATOMIC_RELAXED)) > ahead_ms)
		check_broken(check, "instance %u will have beaten in the future", off);
	sums->instances++;
	sums->ephemeral += key.ephemeral;
	sums->healthy += (i->flags & INSTANCE_HEALTHY) != 0;
	if (i->flags & INSTANCE_OWNED) {
		sums->owned++;
		sums->owners += i->sender;
	}
	sums->bytes += instance_bytes(&op->tx, i);
	if (due_ms < sums->due_ms)
		sums->due_ms = due_ms;
	check_reach_fields(check, &instance_fields, i);
	/* This text has no row of its own in fields.c, since its reference stands in the place of
	 * the address. */
	if (i->flags & INSTANCE_IP_BLOB) {
		memcpy(&ip, i->ip, sizeof(ip));
		check_reach_blob(check, ip, "instance ip");
	}
}

/* Only the head can be judged: what follows it is a text of a client. */
static void check_settings(struct check *check, const struct cluster *c)
{
	struct str stored =
	        c->check == 0 ? (struct str){ NULL, 0 } : blob_view(&check->op.tx, c->check);
	struct stored_check head;

	if (c->check == 0)
		return;
	if (stored.n >= sizeof(head))
		memcpy(&head, stored.p, sizeof(head));
	if (stored.n < sizeof(head) || head.use_instance_port > 1 || head.has_text > 1)
		check_broken(check, "settings of the checks of a cluster");
}

/* A cluster stays where it is as long as its service does, unless the service is being drained. */
static bool cluster_stands(const struct check *check, const struct service_sums *sums,
                           const struct cluster *c)
{
	return check->moved == sums->moved ||
	       (check_stands(check, sums->moved, sums->soff, SLAB_SERVICE, sums->identity) &&
	        slab_try(&check->op.tx, sums->coff, SLAB_CLUSTER) == c && c->service == sums->soff);
}

static void check_cluster(struct check *check, struct service_sums *sums, struct cluster *c)
{
	if (c->service != sums->soff)
		check_broken(check, "cluster %u of service %u says %u", sums->coff, sums->soff,
		             c->service);
	check_reach_fields(check, &cluster_fields, c);
	check_settings(check, c);
	sums->bytes += cluster_bytes(&check->op.tx, c);
	for (sums->kind = 0; sums->kind < 2; sums->kind++) {
		struct chain list = { &c->first[sums->kind], &c->last[sums->kind], SLAB_INSTANCE,
			              offsetof(struct instance, next) };

		check_list(check, "instances of a cluster", list, c->count[sums->kind],
		           check_instance, sums);
		if (check->disturbed || !cluster_stands(check, sums, c))
			return;
	}
}

static void check_checksum(struct check *check, const struct service *s)
{
	struct str text =
	        s->checksum == 0 ? (struct str){ NULL, 0 } : blob_view(&check->op.tx, s->checksum);
	struct stored_checksum stored;

	if (s->checksum == 0)
		return;
	if (text.n == sizeof(stored))
		memcpy(&stored, text.p, sizeof(stored));
	/* A checksum is of the present content or of an earlier one. */
	if (text.n != sizeof(stored) || stored.content > s->content)
		check_broken(check, "checksum of a service");
}

static void check_clusters(struct check *check, struct service_sums *sums)
{
	uint32_t off = sums->s->first_cluster, seen = 0;

	for (; off != 0; seen++) {
		/* A list that is longer than its count has no end that could be relied on. */
		struct cluster *c = seen >= sums->s->clusters
		                            ? NULL
		                            : check_reach(check, off, SLAB_CLUSTER, "cluster");

		if (c == NULL) {
			check_broken(check, "clusters of service %u", sums->soff);
			return;
		}
		sums->coff = off;
		check_cluster(check, sums, c);
		if (!check_go_on(check, 0) || !cluster_stands(check, sums, c))
			return;
		off = c->next;
	}
	if (check->moved == sums->moved)
		check_compare(check, "clusters", sums->s->clusters, seen);
}

/* Checks what a service owns; it is the same for one with a name and for one being drained. */
static void check_service(struct check *check, uint32_t off, struct service *s)
{
	struct service_sums sums = {
		.s = s, .soff = off, .moved = check->moved, .due_ms = UINT64_MAX
	};
	struct tx *tx = &check->op.tx;
	struct service_key key;

	if (!key_of(tx, s->name, s->ns_len, s->name_len, &key))
		check_broken(check, "name of service %u", off);
	check_id(check, "service", s->id);
	check_reach_fields(check, &service_fields, s);
	check_checksum(check, s);
	sums.bytes =
	        (int64_t)slab_object_bytes(SLAB_SERVICE) + fields_bytes(tx, &service_fields, s);
	sums.identity = check_identity(SLAB_SERVICE, s);
	check_clusters(check, &sums);
	/* The sums are of several holds; when somebody wrote in between, they mean nothing. */
	if (check->disturbed || check->moved != sums.moved)
		return;
	check_compare(check, "instances of a service", s->instances, sums.instances);
	check_compare(check, "ephemeral instances of a service", s->ephemeral, sums.ephemeral);
	check_compare(check, "healthy instances of a service", s->healthy, sums.healthy);
	check_compare(check, "owned instances of a service", s->owned, sums.owned);
	check_compare(check, "owners of a service", s->owners, sums.owners);
	check_compare(check, "bytes of a service", s->bytes, (uint64_t)sums.bytes);
	check->sums.bytes += s->bytes;
	/* A service that is being drained is in no sum of the shard but the bytes. */
	if (s->flags & SERVICE_REMOVED) {
		check->sums.drained += sums.instances;
		return;
	}
	/* A bound that is too early costs a visit; one that is too late lets the dead live on. */
	if (s->due_ms > sums.due_ms)
		check_broken(check, "service %u is due too late", off);
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
		check_broken(check, "removed service %u is still listed", off);
	/* Cursors go on by the id when the object that they stood at is gone. */
	if (s->id <= *last_id)
		check_broken(check, "ids of services do not rise at %u", off);
	*last_id = s->id;
	if (!key_of(&check->op.tx, s->name, s->ns_len, s->name_len, &key)) {
		check_broken(check, "name of service %u", off);
		return;
	}
	/* A service lies in the shard that its name hashes to, and a look-up by the name leads to
	 * it. */
	place = key_place(check->op.reg, &key);
	if (place.shard != check->op.tx.shard->index || place.hash != s->link.hash ||
	    service_find(&check->op, &key, place.hash, &found) != off)
		check_broken(check, "service %u is not found by its name", off);
	if (s->changed > s->revision || s->content > s->revision ||
	    s->revision > check->op.tx.shard->revision ||
	    s->stamp > check->op.reg->seg->header->stamp)
		check_broken(check, "revisions or stamp of service %u", off);
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++) {
		uint32_t pending = queue_link_pending(&s->queue[c]);

		check->sums.pending[c] += pending != 0;
		if (pending >> CHANGE_BITS != 0 ||
		    (pending != 0 &&
		     queue_link_changed_ms(&s->queue[c]) > clock_mono_ms() + AHEAD_MS))
			check_broken(check, "pending change of service %u", off);
	}
	check_service(check, off, s);
}

static void check_draining(struct check *check, uint32_t off, void *object, void *owner)
{
	struct service *s = object;

	(void)owner;
	check->sums.draining++;
	if ((s->flags & SERVICE_REMOVED) == 0)
		check_broken(check, "service %u drains although it was not removed", off);
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++) {
		if (queue_link_pending(&s->queue[c]) != 0)
			check_broken(check, "removed service %u is still queued", off);
	}
	check_service(check, off, s);
}

/* Describes a list of a shard in which ids rise. */
struct rising {
	const char *what;
	struct chain list;
	bool (*seek)(struct op *op, struct registry_cursor *cursor, uint32_t *off_r);
	check_each_fn *each; /* its owner is last_id */
	uint64_t last_id;
};

/* When the object that the walk stood at was removed, the walk goes on at the next one. */
static void check_rising(struct check *check, struct rising *rising, uint64_t count)
{
	bool through = check_list(check, rising->what, rising->list, count, rising->each,
	                          &rising->last_id);

	while (!through && !check->disturbed) {
		struct registry_cursor cursor = { .shard = check->shard, .id = rising->last_id };
		uint32_t off;

		while (!rising->seek(&check->op, &cursor, &off)) {
			if (!check_go_on(check, SEEK_STEPS))
				return;
		}
		through = check_list_from(check, rising->what, rising->list, off, rising->each,
		                          &rising->last_id);
	}
}

static void check_services(struct check *check)
{
	struct registry_root *root = check->op.root;
	struct chain live = { &root->first_service, &root->last_service, SLAB_SERVICE,
		              offsetof(struct service, next) };
	struct chain draining = { &root->first_drain, &root->last_drain, SLAB_SERVICE,
		                  offsetof(struct service, next) };
	struct rising services = {
		.what = "services", .list = live, .seek = service_seek, .each = check_live
	};

	check_rising(check, &services, root->service_count);
	check_list(check, "draining services", draining, root->drain_count, check_draining, NULL);
	/* Sums that were made over several states of the shard cannot be compared. */
	if (check->disturbed || check->moved > 0)
		return;
	/* The keeper takes this id as a hint that there are new services. */
	if (root->last_service_id < services.last_id)
		check_broken(check, "last service id");
	if (root->last_service_id != 0)
		check_id(check, "last service", root->last_service_id);
	check_compare(check, "table of services", root->services.count, check->sums.services);
	check_compare(check, "table of instances", root->instances.count,
	              check->sums.instances + check->sums.drained);
	check_compare(check, "instances", root->instance_count, check->sums.instances);
	check_compare(check, "ephemeral instances", root->ephemeral_count, check->sums.ephemeral);
	check_compare(check, "healthy instances", root->healthy_count, check->sums.healthy);
	check_compare(check, "bytes", root->bytes, check->sums.bytes);
}

static void check_queue(struct check *check, uint32_t consumer)
{
	const struct queue_list *list = &check->op.root->queue[consumer];
	uint32_t off = list->first, prev = 0;
	uint64_t seen = 0;
	uint64_t moved = check->moved;

	ROSTER_ASSERT(consumer < QUEUE_CONSUMERS);
	if (check->disturbed)
		return;
	while (off != 0) {
		const struct service *s = seen > op_most(&check->op, SLAB_SERVICE, list->count)
		                                  ? NULL
		                                  : slab_try(&check->op.tx, off, SLAB_SERVICE);

		/* A service that is queued has a pending change, and knows which one stands before
		 * it. */
		if (s == NULL || queue_link_pending(&s->queue[consumer]) == 0 ||
		    s->queue[consumer].prev != prev) {
			check_broken(check, "change queue %u at %u", consumer, off);
			return;
		}
		seen++;
		prev = off;
		if (!check_go_on(check, 1) || check->moved != moved)
			return;
		off = s->queue[consumer].next;
	}
	if (list->last != prev)
		check_broken(check, "change queue %u: last", consumer);
	check_compare(check, "change queue", list->count, seen);
	if (moved == 0)
		check_compare(check, "pending services", check->sums.pending[consumer], seen);
}

/* ---- audiences ------------------------------------------------------------------------------- */

struct audience_sums {
	struct audience *a;
	uint32_t aoff;
	uint64_t last_id;
	uint64_t bytes; /* of the audience itself */
};

static struct str check_text_of(const struct tx *tx, uint32_t blob)
{
	return blob == 0 ? STR("") : blob_view(tx, blob);
}

/* Does the hash of a subscriber's key lead to it? The place is compared, not the key: others may
 * have the same hash. */
static bool subscriber_found(struct op *op, uint32_t off, uint64_t audience_id,
                             const struct subscriber *sub)
{
	const struct table *table = &op->root->subscribers;
	struct subscriber_spec spec = { .agent = check_text_of(&op->tx, sub->agent),
		                        .clusters = check_text_of(&op->tx, sub->clusters),
		                        .port = sub->port };
	uint32_t at;

	memcpy(spec.address, sub->address, sizeof(spec.address));
	at = table_find(&op->tx, table, key_subscriber_hash(op->reg, audience_id, &spec));

	while (at != 0 && at != off)
		at = table_next(&op->tx, table, at);
	return at == off;
}

static void check_subscriber(struct check *check, uint32_t off, void *object, void *owner)
{
	struct audience_sums *sums = owner;
	const struct subscriber *sub = object;
	uint64_t bytes = subscriber_bytes(&check->op.tx, sub);
	uint32_t columns[SOURCE_ROWS];

	check->sums.subscribers++;
	check->sums.subscriber_bytes += bytes;
	/* The counts by source are made anew here and compared as a whole at the end. */
	source_columns(check->op.reg, sub->source, columns);
	for (uint32_t row = 0; row < SOURCE_ROWS; row++) {
		struct source_cell *cell = &check->sums.sources[row][columns[row]];

		cell->subscribers++;
		cell->units += (uint32_t)((bytes + sums->bytes) / SEGMENT_UNIT);
	}
	if (sub->audience != sums->aoff || sub->id <= sums->last_id)
		check_broken(check, "subscriber %u hangs in the wrong place", off);
	sums->last_id = sub->id;
	check_id(check, "subscriber", sub->id);
	if (__atomic_load_n(&sub->sent_revision, __ATOMIC_RELAXED) > check->op.tx.shard->revision ||
	    __atomic_load_n(&sub->acked_revision, __ATOMIC_RELAXED) > check->op.tx.shard->revision)
		check_broken(check, "revisions of subscriber %u", off);
	if (__atomic_load_n(&sub->seen_ms, __ATOMIC_RELAXED) >
	    health_now(check->op.reg->seg) + AHEAD_MS)
		check_broken(check, "subscriber %u will have been seen in the future", off);
	if (!subscriber_found(&check->op, off, sums->a->id, sub))
		check_broken(check, "subscriber %u is not found by its key", off);
	check_reach_fields(check, &subscriber_fields, sub);
}

static void check_audience(struct check *check, uint32_t off, void *object, void *owner)
{
	uint64_t *last_id = owner;
	struct audience *a = object, *found;
	struct audience_sums sums = { a, off, 0, audience_bytes(&check->op.tx, a) };
	struct chain list = { &a->first, &a->last, SLAB_SUBSCRIBER,
		              offsetof(struct subscriber, next) };
	uint64_t moved = check->moved, identity = check_identity(SLAB_AUDIENCE, a);
	struct service_key key;
	struct service *s;

	check->sums.audiences++;
	check->sums.subscriber_bytes += sums.bytes;
	if (a->id <= *last_id)
		check_broken(check, "ids of audiences do not rise at %u", off);
	*last_id = a->id;
	/* An audience goes with its last subscriber. */
	if (a->count == 0)
		check_broken(check, "audience %u is empty", off);
	check_id(check, "audience", a->id);
	/* Its own texts come after its subscribers, which may take several holds: by then it may be
	 * gone. */
	check_list(check, "subscribers", list, a->count, check_subscriber, &sums);
	if (check->disturbed || !check_stands(check, moved, off, SLAB_AUDIENCE, identity))
		return;
	check_reach_fields(check, &audience_fields, a);
	if (!key_of(&check->op.tx, a->name, a->ns_len, a->name_len, &key)) {
		check_broken(check, "name of audience %u", off);
		return;
	}
	if (key_place(check->op.reg, &key).hash != a->link.hash ||
	    audience_find(&check->op, &key, a->link.hash, &found) != off)
		check_broken(check, "audience %u is not found by its name", off);
	/* An audience is waiting as long as there is no service of its name. */
	check->sums.waiting += service_find(&check->op, &key, a->link.hash, &s) == 0;
}

static void check_audiences(struct check *check)
{
	struct registry_root *root = check->op.root;
	struct chain list = { &root->first_audience, &root->last_audience, SLAB_AUDIENCE,
		              offsetof(struct audience, next) };
	struct rising audiences = {
		.what = "audiences", .list = list, .seek = audience_seek, .each = check_audience
	};

	check_rising(check, &audiences, root->audiences.count);
	if (check->disturbed || check->moved > 0)
		return;
	check_compare(check, "table of subscribers", root->subscribers.count,
	              check->sums.subscribers);
	check_compare(check, "subscribers", root->subscriber_count, check->sums.subscribers);
	check_compare(check, "bytes of subscribers", root->subscriber_bytes,
	              check->sums.subscriber_bytes);
	check_compare(check, "waiting audiences", root->waiting_count, check->sums.waiting);
	if (memcmp(root->sources, check->sums.sources, sizeof(root->sources)) != 0)
		check_broken(check, "counts of subscribers by source");
}

/* ---- shards ---------------------------------------------------------------------------------- */

static void check_tables(struct check *check)
{
	const struct registry_root *root = check->op.root;

	check_table(check, &root->services, SLAB_SERVICE);
	check_table(check, &root->instances, SLAB_INSTANCE);
	check_table(check, &root->audiences, SLAB_AUDIENCE);
	check_table(check, &root->subscribers, SLAB_SUBSCRIBER);
}

struct namespace_sums {
	uint64_t bytes, last_number;
};

static void check_namespace(struct check *check, uint32_t off, void *object, void *owner)
{
	struct tx *tx = &check->op.tx;
	struct namespace *row = object, *found;
	struct str id = blob_view(tx, row->id);
	struct namespace_sums *sums = owner;

	if (row->number <= sums->last_number)
		check_broken(check, "numbers of namespaces do not rise at %u", off);
	sums->last_number = row->number;
	if (row->id == 0 || row->name == 0)
		check_broken(check, "namespace %u has no id or no name", off);
	check_reach_blob(check, row->id, "namespace id");
	check_reach_blob(check, row->name, "namespace name");
	check_reach_blob(check, row->about, "namespace description");
	sums->bytes +=
	        id.n + blob_len(tx, row->name) + (row->about == 0 ? 0 : blob_len(tx, row->about));
	if (row->link.hash != namespaces_hash(check->op.reg, id) ||
	    namespaces_find(&check->op, id, &found) != off)
		check_broken(check, "namespace %u is not found by its id", off);
}

static void check_office(struct check *check)
{
	struct office *office = office_of(check->op.reg->seg);
	struct namespace_sums sums = { 0, 0 };

	check_reach_blob(check, office->masters, "masters");
	check_reach_blob(check, office->limited, "limited URLs");
	check_reach_blob(check, office->status, "status");
	check_list(check, "namespaces", office_chain(office), office->namespaces.count,
	           check_namespace, &sums);
	if (check->moved == 0)
		check_compare(check, "bytes of namespaces", office->namespace_bytes, sums.bytes);
	check_table(check, &office->namespaces, SLAB_NAMESPACE);
}

static void check_whole_shard(struct check *check)
{
	/* The services come first, because the queue and the tables are compared with what is
	 * counted there. */
	check_services(check);
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++)
		check_queue(check, c);
	check_audiences(check);
	check_tables(check);
}

/* Takes the memory for the marks, and then the lock: under the lock there is no malloc. */
static int check_begin(struct check *check, struct registry *reg, uint32_t shard, uint32_t slice,
                       bool busy)
{
	int ret;

	check->shard = shard;
	check->busy = busy;
	check->slice = check->left = slice;
	check->marked_pages = segment_backed(reg->seg);
	check->marks = calloc(check->marked_pages + 1, UNITS_IN_PAGE / 8);
	/* The kernel clears memory when it is used for the first time, which must not happen under
	 * the lock. */
	for (uint64_t at = 0;
	     check->marks != NULL && at < check->marked_pages * (UNITS_IN_PAGE / 8);
	     at += SEGMENT_PAGE)
		*(volatile uint8_t *)(check->marks + at) = 0;
	ret = op_begin(&check->op, reg, shard, (struct origin){ 0 });
	check->held = ret == 0;
	if (ret == 0)
		check->changes = check->op.tx.shard->changes;
	return ret;
}

static int check_run(struct registry *reg, uint32_t shard, uint32_t slice, bool busy,
                     slab_say_fn *say, void *arg)
{
	struct check *check = calloc(1, sizeof(*check));
	int ret = check == NULL ? ERR_NOMEM : check_begin(check, reg, shard, slice, busy);

	if (ret == 0) {
		if (shard == SHARD_OFFICE)
			check_office(check);
		else
			check_whole_shard(check);
		check_slabs(check);
		ROSTER_ASSERT(check->held || check->disturbed);
		if (check->held)
			op_end(&check->op);
		ret = check->err != 0    ? check->err
		      : check->disturbed ? ERR_AGAIN
		                         : (int)check->broken;
	}
	/* The lines are handed out only now that the lock is dropped, because whoever gets them may
	 * write a log. */
	for (unsigned n = 0; ret > 0 && say != NULL && n < check->lines; n++)
		say(check->line[n], arg);
	if (check != NULL)
		free(check->marks);
	free(check);
	return ret;
}

int registry_check_shard(struct registry *reg, uint32_t shard, uint32_t slice, slab_say_fn *say,
                         void *arg)
{
	return check_run(reg, shard, slice, false, say, arg);
}

int registry_check_busy(struct registry *reg, uint32_t shard, uint32_t slice, slab_say_fn *say,
                        void *arg)
{
	return check_run(reg, shard, slice, true, say, arg);
}

unsigned registry_check(struct registry *reg, slab_say_fn *say, void *arg)
{
	unsigned broken = 0;

	for (uint32_t shard = 0; shard < SHARDS_ALL; shard++) {
		int ret = registry_check_shard(reg, shard, UINT32_MAX, say, arg);

		if (ret < 0 && say != NULL)
			say(err_str(ret), arg);
		broken += ret < 0 ? 1 : (unsigned)ret;
	}
	return broken + registry_check_rest(reg, say, arg);
}
