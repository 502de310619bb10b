/* SPDX-License-Identifier: Apache-2.0 */
/* audit.c - walks everything of a shard from its services down, each object once, and reports
 * each rule that does not hold. */
#include "shared/registry/audit_walk.h"

#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/registry/fields.h"
#include "shared/registry/office.h"
#include "shared/registry/registry_audit.h"
#include "shared/shm/blob.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

#define UNITS_IN_PAGE (SEGMENT_PAGE / SEGMENT_UNIT)

/* ---- services -------------------------------------------------------------------------------- */

/* What was counted of a service while its clusters are walked, perhaps in several holds. */
struct service_sums {
	struct service *s;
	uint64_t identity, moved; /* of the service; of the audit, when the sums began */
	uint32_t soff, coff;
	unsigned kind;
	uint64_t instances, ephemeral, healthy, owned, owners, due_ms;
	int64_t bytes;
};

/* Adds one instance to the sums of its service and checks it by itself. */
static void audit_instance(struct auditor *auditor, uint32_t off, void *object, void *owner)
{
	struct op *op = &auditor->op;
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
		audit_broken(auditor, "instance %u hangs in the wrong list", off);
		return;
	}
	key.ip = instance_ip(&op->tx, i);
	key.cluster = cluster_name(&op->tx, c);
	if (instance_find(op, sums->soff, sums->s, &key, &found) != off)
		audit_broken(auditor, "instance %u is not found by its key", off);
	/* Instances keep their ids through a snapshot, so any shard may have made this one. */
	audit_kept_id(auditor, "instance", i->id);
	if (i->revision > sums->s->revision || i->stamp > op->reg->seg->header->stamp)
		audit_broken(auditor, "revision or stamp of instance %u", off);
	if (beat_ms(__atomic_load_n(&i->beat, __ATOMIC_RELAXED)) > ahead_ms)
		audit_broken(auditor, "instance %u will have beaten in the future", off);
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
	audit_reach_fields(auditor, &instance_fields, i);
	/* This text has no row of its own in fields.c, since its reference stands in the place of
	 * the address. */
	if (i->flags & INSTANCE_IP_BLOB) {
		memcpy(&ip, i->ip, sizeof(ip));
		audit_reach_blob(auditor, ip, "instance ip");
	}
}

/* Only the head can be judged: what follows it is a text of a client. */
static void audit_settings(struct auditor *auditor, const struct cluster *c)
{
	struct str stored =
	        c->check == 0 ? (struct str){ NULL, 0 } : blob_view(&auditor->op.tx, c->check);
	struct stored_check head;

	if (c->check == 0)
		return;
	if (stored.n >= sizeof(head))
		memcpy(&head, stored.p, sizeof(head));
	if (stored.n < sizeof(head) || head.use_instance_port > 1 || head.has_text > 1)
		audit_broken(auditor, "settings of the checks of a cluster");
}

/* A cluster stays where it is as long as its service does, unless the service is being drained. */
static bool cluster_stands(const struct auditor *auditor, const struct service_sums *sums,
                           const struct cluster *c)
{
	return auditor->moved == sums->moved ||
	       (audit_stands(auditor, sums->moved, sums->soff, SLAB_SERVICE, sums->identity) &&
	        slab_try(&auditor->op.tx, sums->coff, SLAB_CLUSTER) == c &&
	        c->service == sums->soff);
}

static void audit_cluster(struct auditor *auditor, struct service_sums *sums, struct cluster *c)
{
	if (c->service != sums->soff)
		audit_broken(auditor, "cluster %u of service %u says %u", sums->coff, sums->soff,
		             c->service);
	audit_reach_fields(auditor, &cluster_fields, c);
	audit_settings(auditor, c);
	sums->bytes += cluster_bytes(&auditor->op.tx, c);
	for (sums->kind = 0; sums->kind < 2; sums->kind++) {
		struct chain list = { &c->first[sums->kind], &c->last[sums->kind], SLAB_INSTANCE,
			              offsetof(struct instance, next) };

		audit_list(auditor, "instances of a cluster", list, c->count[sums->kind],
		           audit_instance, sums);
		if (auditor->disturbed || !cluster_stands(auditor, sums, c))
			return;
	}
}

static void audit_checksum(struct auditor *auditor, const struct service *s)
{
	struct str text = s->checksum == 0 ? (struct str){ NULL, 0 }
	                                   : blob_view(&auditor->op.tx, s->checksum);
	struct stored_checksum stored;

	if (s->checksum == 0)
		return;
	if (text.n == sizeof(stored))
		memcpy(&stored, text.p, sizeof(stored));
	/* A checksum is of the present content or of an earlier one. */
	if (text.n != sizeof(stored) || stored.content > s->content)
		audit_broken(auditor, "checksum of a service");
}

static void audit_clusters(struct auditor *auditor, struct service_sums *sums)
{
	uint32_t off = sums->s->first_cluster, seen = 0;

	for (; off != 0; seen++) {
		/* A list that is longer than its count has no end that could be relied on. */
		struct cluster *c = seen >= sums->s->clusters
		                            ? NULL
		                            : audit_reach(auditor, off, SLAB_CLUSTER, "cluster");

		if (c == NULL) {
			audit_broken(auditor, "clusters of service %u", sums->soff);
			return;
		}
		sums->coff = off;
		audit_cluster(auditor, sums, c);
		if (!audit_go_on(auditor, 0) || !cluster_stands(auditor, sums, c))
			return;
		off = c->next;
	}
	if (auditor->moved == sums->moved)
		audit_compare(auditor, "clusters", sums->s->clusters, seen);
}

/* Checks what a service owns; it is the same for one with a name and for one being drained. */
static void audit_service(struct auditor *auditor, uint32_t off, struct service *s)
{
	struct service_sums sums = {
		.s = s, .soff = off, .moved = auditor->moved, .due_ms = UINT64_MAX
	};
	struct tx *tx = &auditor->op.tx;
	struct service_key key;

	if (!key_of(tx, s->name, s->ns_len, s->name_len, &key))
		audit_broken(auditor, "name of service %u", off);
	audit_id(auditor, "service", s->id);
	audit_reach_fields(auditor, &service_fields, s);
	audit_checksum(auditor, s);
	sums.bytes =
	        (int64_t)slab_object_bytes(SLAB_SERVICE) + fields_bytes(tx, &service_fields, s);
	sums.identity = audit_identity(SLAB_SERVICE, s);
	audit_clusters(auditor, &sums);
	/* The sums are of several holds; when somebody wrote in between, they mean nothing. */
	if (auditor->disturbed || auditor->moved != sums.moved)
		return;
	audit_compare(auditor, "instances of a service", s->instances, sums.instances);
	audit_compare(auditor, "ephemeral instances of a service", s->ephemeral, sums.ephemeral);
	audit_compare(auditor, "healthy instances of a service", s->healthy, sums.healthy);
	audit_compare(auditor, "owned instances of a service", s->owned, sums.owned);
	audit_compare(auditor, "owners of a service", s->owners, sums.owners);
	audit_compare(auditor, "bytes of a service", s->bytes, (uint64_t)sums.bytes);
	auditor->sums.bytes += s->bytes;
	/* A service that is being drained is in no sum of the shard but the bytes. */
	if (s->flags & SERVICE_REMOVED) {
		auditor->sums.drained += sums.instances;
		return;
	}
	/* A bound that is too early costs a visit; one that is too late lets the dead live on. */
	if (s->due_ms > sums.due_ms)
		audit_broken(auditor, "service %u is due too late", off);
	auditor->sums.instances += sums.instances;
	auditor->sums.ephemeral += sums.ephemeral;
	auditor->sums.healthy += sums.healthy;
}

static void audit_live(struct auditor *auditor, uint32_t off, void *object, void *owner)
{
	uint64_t *last_id = owner;
	struct service *s = object, *found;
	struct service_key key;
	struct place place;

	auditor->sums.services++;
	if (s->flags & SERVICE_REMOVED)
		audit_broken(auditor, "removed service %u is still listed", off);
	/* Cursors go on by the id when the object that they stood at is gone. */
	if (s->id <= *last_id)
		audit_broken(auditor, "ids of services do not rise at %u", off);
	*last_id = s->id;
	if (!key_of(&auditor->op.tx, s->name, s->ns_len, s->name_len, &key)) {
		audit_broken(auditor, "name of service %u", off);
		return;
	}
	/* A service lies in the shard that its name hashes to, and a look-up by the name leads to
	 * it. */
	place = key_place(auditor->op.reg, &key);
	if (place.shard != auditor->op.tx.shard->index || place.hash != s->link.hash ||
	    service_find(&auditor->op, &key, place.hash, &found) != off)
		audit_broken(auditor, "service %u is not found by its name", off);
	if (s->changed > s->revision || s->content > s->revision ||
	    s->revision > auditor->op.tx.shard->revision ||
	    s->stamp > auditor->op.reg->seg->header->stamp)
		audit_broken(auditor, "revisions or stamp of service %u", off);
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++) {
		uint32_t pending = queue_link_pending(&s->queue[c]);

		auditor->sums.pending[c] += pending != 0;
		if (pending >> CHANGE_BITS != 0 ||
		    (pending != 0 &&
		     queue_link_changed_ms(&s->queue[c]) > clock_mono_ms() + AHEAD_MS))
			audit_broken(auditor, "pending change of service %u", off);
	}
	audit_service(auditor, off, s);
}

static void audit_draining(struct auditor *auditor, uint32_t off, void *object, void *owner)
{
	struct service *s = object;

	(void)owner;
	auditor->sums.draining++;
	if ((s->flags & SERVICE_REMOVED) == 0)
		audit_broken(auditor, "service %u drains although it was not removed", off);
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++) {
		if (queue_link_pending(&s->queue[c]) != 0)
			audit_broken(auditor, "removed service %u is still queued", off);
	}
	audit_service(auditor, off, s);
}

/* Describes a list of a shard in which ids rise. */
struct rising {
	const char *what;
	struct chain list;
	bool (*seek)(struct op *op, struct registry_cursor *cursor, uint32_t *off_r);
	audit_each_fn *each; /* its owner is last_id */
	uint64_t last_id;
};

/* When the object that the walk stood at was removed, the walk goes on at the next one. */
static void audit_rising(struct auditor *auditor, struct rising *rising, uint64_t count)
{
	bool through = audit_list(auditor, rising->what, rising->list, count, rising->each,
	                          &rising->last_id);

	while (!through && !auditor->disturbed) {
		struct registry_cursor cursor = { .shard = auditor->shard, .id = rising->last_id };
		uint32_t off;

		while (!rising->seek(&auditor->op, &cursor, &off)) {
			if (!audit_go_on(auditor, SEEK_STEPS))
				return;
		}
		through = audit_list_from(auditor, rising->what, rising->list, off, rising->each,
		                          &rising->last_id);
	}
}

static void audit_services(struct auditor *auditor)
{
	struct registry_root *root = auditor->op.root;
	struct chain live = { &root->first_service, &root->last_service, SLAB_SERVICE,
		              offsetof(struct service, next) };
	struct chain draining = { &root->first_drain, &root->last_drain, SLAB_SERVICE,
		                  offsetof(struct service, next) };
	struct rising services = {
		.what = "services", .list = live, .seek = service_seek, .each = audit_live
	};

	audit_rising(auditor, &services, root->service_count);
	audit_list(auditor, "draining services", draining, root->drain_count, audit_draining, NULL);
	/* Sums that were made over several states of the shard cannot be compared. */
	if (auditor->disturbed || auditor->moved > 0)
		return;
	/* The keeper takes this id as a hint that there are new services. */
	if (root->last_service_id < services.last_id)
		audit_broken(auditor, "last service id");
	if (root->last_service_id != 0)
		audit_id(auditor, "last service", root->last_service_id);
	audit_compare(auditor, "table of services", root->services.count, auditor->sums.services);
	audit_compare(auditor, "table of instances", root->instances.count,
	              auditor->sums.instances + auditor->sums.drained);
	audit_compare(auditor, "instances", root->instance_count, auditor->sums.instances);
	audit_compare(auditor, "ephemeral instances", root->ephemeral_count,
	              auditor->sums.ephemeral);
	audit_compare(auditor, "healthy instances", root->healthy_count, auditor->sums.healthy);
	audit_compare(auditor, "bytes", root->bytes, auditor->sums.bytes);
}

static void audit_queue(struct auditor *auditor, uint32_t consumer)
{
	const struct queue_list *list = &auditor->op.root->queue[consumer];
	uint32_t off = list->first, prev = 0;
	uint64_t seen = 0;
	uint64_t moved = auditor->moved;

	ROSTER_ASSERT(consumer < QUEUE_CONSUMERS);
	if (auditor->disturbed)
		return;
	while (off != 0) {
		const struct service *s = seen > op_most(&auditor->op, SLAB_SERVICE, list->count)
		                                  ? NULL
		                                  : slab_try(&auditor->op.tx, off, SLAB_SERVICE);

		/* A service that is queued has a pending change, and knows which one stands before
		 * it. */
		if (s == NULL || queue_link_pending(&s->queue[consumer]) == 0 ||
		    s->queue[consumer].prev != prev) {
			audit_broken(auditor, "change queue %u at %u", consumer, off);
			return;
		}
		seen++;
		prev = off;
		if (!audit_go_on(auditor, 1) || auditor->moved != moved)
			return;
		off = s->queue[consumer].next;
	}
	if (list->last != prev)
		audit_broken(auditor, "change queue %u: last", consumer);
	audit_compare(auditor, "change queue", list->count, seen);
	if (moved == 0)
		audit_compare(auditor, "pending services", auditor->sums.pending[consumer], seen);
}

/* ---- audiences ------------------------------------------------------------------------------- */

struct audience_sums {
	struct audience *a;
	uint32_t aoff;
	uint64_t last_id;
	uint64_t bytes; /* of the audience itself */
};

static struct str audit_text_of(const struct tx *tx, uint32_t blob)
{
	return blob == 0 ? STR("") : blob_view(tx, blob);
}

/* Does the hash of a subscriber's key lead to it? The place is compared, not the key: others may
 * have the same hash. */
static bool subscriber_found(struct op *op, uint32_t off, uint64_t audience_id,
                             const struct subscriber *sub)
{
	const struct table *table = &op->root->subscribers;
	struct subscriber_spec spec = { .agent = audit_text_of(&op->tx, sub->agent),
		                        .clusters = audit_text_of(&op->tx, sub->clusters),
		                        .port = sub->port };
	uint32_t at;

	memcpy(spec.address, sub->address, sizeof(spec.address));
	at = table_find(&op->tx, table, key_subscriber_hash(op->reg, audience_id, &spec));

	while (at != 0 && at != off)
		at = table_next(&op->tx, table, at);
	return at == off;
}

static void audit_subscriber(struct auditor *auditor, uint32_t off, void *object, void *owner)
{
	struct audience_sums *sums = owner;
	const struct subscriber *sub = object;
	uint64_t bytes = subscriber_bytes(&auditor->op.tx, sub);
	uint32_t columns[SOURCE_ROWS];

	auditor->sums.subscribers++;
	auditor->sums.subscriber_bytes += bytes;
	/* The counts by source are made anew here and compared as a whole at the end. */
	source_columns(auditor->op.reg, sub->source, columns);
	for (uint32_t row = 0; row < SOURCE_ROWS; row++) {
		struct source_cell *cell = &auditor->sums.sources[row][columns[row]];

		cell->subscribers++;
		cell->units += (uint32_t)((bytes + sums->bytes) / SEGMENT_UNIT);
	}
	if (sub->audience != sums->aoff || sub->id <= sums->last_id)
		audit_broken(auditor, "subscriber %u hangs in the wrong place", off);
	sums->last_id = sub->id;
	audit_id(auditor, "subscriber", sub->id);
	if (__atomic_load_n(&sub->sent_revision, __ATOMIC_RELAXED) >
	            auditor->op.tx.shard->revision ||
	    __atomic_load_n(&sub->acked_revision, __ATOMIC_RELAXED) >
	            auditor->op.tx.shard->revision)
		audit_broken(auditor, "revisions of subscriber %u", off);
	if (__atomic_load_n(&sub->seen_ms, __ATOMIC_RELAXED) >
	    health_now(auditor->op.reg->seg) + AHEAD_MS)
		audit_broken(auditor, "subscriber %u will have been seen in the future", off);
	if (!subscriber_found(&auditor->op, off, sums->a->id, sub))
		audit_broken(auditor, "subscriber %u is not found by its key", off);
	audit_reach_fields(auditor, &subscriber_fields, sub);
}

static void audit_audience(struct auditor *auditor, uint32_t off, void *object, void *owner)
{
	uint64_t *last_id = owner;
	struct audience *a = object, *found;
	struct audience_sums sums = { a, off, 0, audience_bytes(&auditor->op.tx, a) };
	struct chain list = { &a->first, &a->last, SLAB_SUBSCRIBER,
		              offsetof(struct subscriber, next) };
	uint64_t moved = auditor->moved, identity = audit_identity(SLAB_AUDIENCE, a);
	struct service_key key;
	struct service *s;

	auditor->sums.audiences++;
	auditor->sums.subscriber_bytes += sums.bytes;
	if (a->id <= *last_id)
		audit_broken(auditor, "ids of audiences do not rise at %u", off);
	*last_id = a->id;
	/* An audience goes with its last subscriber. */
	if (a->count == 0)
		audit_broken(auditor, "audience %u is empty", off);
	audit_id(auditor, "audience", a->id);
	/* Its own texts come after its subscribers, which may take several holds: by then it may be
	 * gone. */
	audit_list(auditor, "subscribers", list, a->count, audit_subscriber, &sums);
	if (auditor->disturbed || !audit_stands(auditor, moved, off, SLAB_AUDIENCE, identity))
		return;
	audit_reach_fields(auditor, &audience_fields, a);
	if (!key_of(&auditor->op.tx, a->name, a->ns_len, a->name_len, &key)) {
		audit_broken(auditor, "name of audience %u", off);
		return;
	}
	if (key_place(auditor->op.reg, &key).hash != a->link.hash ||
	    audience_find(&auditor->op, &key, a->link.hash, &found) != off)
		audit_broken(auditor, "audience %u is not found by its name", off);
	/* An audience is waiting as long as there is no service of its name. */
	auditor->sums.waiting += service_find(&auditor->op, &key, a->link.hash, &s) == 0;
}

static void audit_audiences(struct auditor *auditor)
{
	struct registry_root *root = auditor->op.root;
	struct chain list = { &root->first_audience, &root->last_audience, SLAB_AUDIENCE,
		              offsetof(struct audience, next) };
	struct rising audiences = {
		.what = "audiences", .list = list, .seek = audience_seek, .each = audit_audience
	};

	audit_rising(auditor, &audiences, root->audiences.count);
	if (auditor->disturbed || auditor->moved > 0)
		return;
	audit_compare(auditor, "table of subscribers", root->subscribers.count,
	              auditor->sums.subscribers);
	audit_compare(auditor, "subscribers", root->subscriber_count, auditor->sums.subscribers);
	audit_compare(auditor, "bytes of subscribers", root->subscriber_bytes,
	              auditor->sums.subscriber_bytes);
	audit_compare(auditor, "waiting audiences", root->waiting_count, auditor->sums.waiting);
	if (memcmp(root->sources, auditor->sums.sources, sizeof(root->sources)) != 0)
		audit_broken(auditor, "counts of subscribers by source");
}

/* ---- shards ---------------------------------------------------------------------------------- */

static void audit_tables(struct auditor *auditor)
{
	const struct registry_root *root = auditor->op.root;

	audit_table(auditor, &root->services, SLAB_SERVICE);
	audit_table(auditor, &root->instances, SLAB_INSTANCE);
	audit_table(auditor, &root->audiences, SLAB_AUDIENCE);
	audit_table(auditor, &root->subscribers, SLAB_SUBSCRIBER);
}

struct namespace_sums {
	uint64_t bytes, last_number;
};

static void audit_namespace(struct auditor *auditor, uint32_t off, void *object, void *owner)
{
	struct tx *tx = &auditor->op.tx;
	struct namespace *row = object, *found;
	struct str id = blob_view(tx, row->id);
	struct namespace_sums *sums = owner;

	if (row->number <= sums->last_number)
		audit_broken(auditor, "numbers of namespaces do not rise at %u", off);
	sums->last_number = row->number;
	if (row->id == 0 || row->name == 0)
		audit_broken(auditor, "namespace %u has no id or no name", off);
	audit_reach_blob(auditor, row->id, "namespace id");
	audit_reach_blob(auditor, row->name, "namespace name");
	audit_reach_blob(auditor, row->about, "namespace description");
	sums->bytes +=
	        id.n + blob_len(tx, row->name) + (row->about == 0 ? 0 : blob_len(tx, row->about));
	if (row->link.hash != namespaces_hash(auditor->op.reg, id) ||
	    namespaces_find(&auditor->op, id, &found) != off)
		audit_broken(auditor, "namespace %u is not found by its id", off);
}

static void audit_office(struct auditor *auditor)
{
	struct office *office = office_of(auditor->op.reg->seg);
	struct namespace_sums sums = { 0, 0 };

	audit_reach_blob(auditor, office->masters, "masters");
	audit_reach_blob(auditor, office->limited, "limited URLs");
	audit_reach_blob(auditor, office->status, "status");
	audit_list(auditor, "namespaces", office_chain(office), office->namespaces.count,
	           audit_namespace, &sums);
	if (auditor->moved == 0)
		audit_compare(auditor, "bytes of namespaces", office->namespace_bytes, sums.bytes);
	audit_table(auditor, &office->namespaces, SLAB_NAMESPACE);
}

static void audit_whole_shard(struct auditor *auditor)
{
	/* The services come first, because the queue and the tables are compared with what is
	 * counted there. */
	audit_services(auditor);
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++)
		audit_queue(auditor, c);
	audit_audiences(auditor);
	audit_tables(auditor);
}

/* Takes the memory for the marks, and then the lock: under the lock there is no malloc. */
static int audit_begin(struct auditor *auditor, struct registry *reg, uint32_t shard,
                       uint32_t slice, bool busy)
{
	int ret;

	auditor->shard = shard;
	auditor->busy = busy;
	auditor->slice = auditor->left = slice;
	auditor->marked_pages = segment_backed(reg->seg);
	auditor->marks = calloc(auditor->marked_pages + 1, UNITS_IN_PAGE / 8);
	/* The kernel clears memory when it is used for the first time, which must not happen under
	 * the lock. */
	for (uint64_t at = 0;
	     auditor->marks != NULL && at < auditor->marked_pages * (UNITS_IN_PAGE / 8);
	     at += SEGMENT_PAGE)
		*(volatile uint8_t *)(auditor->marks + at) = 0;
	ret = op_begin(&auditor->op, reg, shard, (struct origin){ 0 });
	auditor->held = ret == 0;
	if (ret == 0)
		auditor->changes = auditor->op.tx.shard->changes;
	return ret;
}

static int audit_run(struct registry *reg, uint32_t shard, uint32_t slice, bool busy,
                     slab_say_fn *say, void *arg)
{
	struct auditor *auditor = calloc(1, sizeof(*auditor));
	int ret = auditor == NULL ? ERR_NOMEM : audit_begin(auditor, reg, shard, slice, busy);

	if (ret == 0) {
		if (shard == SHARD_OFFICE)
			audit_office(auditor);
		else
			audit_whole_shard(auditor);
		audit_slabs(auditor);
		ROSTER_ASSERT(auditor->held || auditor->disturbed);
		if (auditor->held)
			op_end(&auditor->op);
		ret = auditor->err != 0    ? auditor->err
		      : auditor->disturbed ? ERR_AGAIN
		                           : (int)auditor->broken;
	}
	/* The lines are handed out only now that the lock is dropped, because whoever gets them may
	 * write a log. */
	for (unsigned n = 0; ret > 0 && say != NULL && n < auditor->lines; n++)
		say(auditor->line[n], arg);
	if (auditor != NULL)
		free(auditor->marks);
	free(auditor);
	return ret;
}

int registry_audit_shard(struct registry *reg, uint32_t shard, uint32_t slice, slab_say_fn *say,
                         void *arg)
{
	return audit_run(reg, shard, slice, false, say, arg);
}

int registry_audit_busy(struct registry *reg, uint32_t shard, uint32_t slice, slab_say_fn *say,
                        void *arg)
{
	return audit_run(reg, shard, slice, true, say, arg);
}

unsigned registry_audit(struct registry *reg, slab_say_fn *say, void *arg)
{
	unsigned broken = 0;

	for (uint32_t shard = 0; shard < SHARDS_ALL; shard++) {
		int ret = registry_audit_shard(reg, shard, UINT32_MAX, say, arg);

		if (ret < 0 && say != NULL)
			say(err_str(ret), arg);
		broken += ret < 0 ? 1 : (unsigned)ret;
	}
	return broken + registry_audit_rest(reg, say, arg);
}
