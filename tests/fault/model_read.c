/* SPDX-License-Identifier: Apache-2.0 */
/* model_read.c - the registry as a model, and what differs between two models. */
#include "tests/fault/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/registry/namespaces.h"
#include "shared/registry/registry_internal.h"
#include "shared/registry/snapshot_value.h"
#include "shared/registry/subscribers.h"
#include "shared/registry/switches.h"
#include "shared/shm/blob.h"

#define FLAGS_SEEN (INSTANCE_EPHEMERAL | INSTANCE_ENABLED | INSTANCE_HEALTHY | INSTANCE_CONFIRMED)

static uint64_t hash(struct str text)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	if (!str_is_set(text))
		return 0;
	for (size_t i = 0; i < text.n; i++)
		h = (h ^ (uint8_t)text.p[i]) * 0x100000001b3ULL;
	return h;
}

static void copy(char *out, size_t size, struct str text)
{
	memset(out, 0, size);
	memcpy(out, text.p, text.n < size ? text.n : size - 1);
}

/* ---- reading --------------------------------------------------------------------------------- */

static int read_view(const struct service_view *view, struct model_service *s)
{
	if (view->cluster_count > MODEL_CLUSTERS || view->instance_count > MODEL_INSTANCES)
		return ERR_TOO_BIG;
	s->exists = true;
	s->checksum = view->has_checksum;
	s->clusters = view->cluster_count;
	s->instances = view->instance_count;
	for (uint32_t n = 0; n < view->cluster_count; n++)
		copy(s->cluster[n].name, sizeof(s->cluster[n].name), view->clusters[n].name);
	for (uint32_t n = 0; n < view->instance_count; n++) {
		const struct instance_view *i = &view->instances[n];
		struct model_instance *out = &s->instance[n];

		copy(out->ip, sizeof(out->ip), i->ip);
		copy(out->cluster, sizeof(out->cluster), view->clusters[i->cluster].name);
		out->port = i->port;
		out->flags = i->flags & FLAGS_SEEN;
		out->beat_ms = i->beat_ms;
	}
	return 0;
}

static int read_subscribers(struct bed *bed, const struct service_key *key, struct model_service *s)
{
	static struct subscriber_view views[MODEL_SUBSCRIBERS];
	struct audience_cursor cursor = { 0 };
	int count = registry_subscribers(&bed->reg, key, &cursor, views, MODEL_SUBSCRIBERS);

	for (int n = 0; n < count; n++) {
		bool sent = views[n].push_key == LATE_KEY && views[n].tries == 1;

		s->subscriber[n] = (struct model_subscriber){
			.port = views[n].port,
			.push = (views[n].flags & SUBSCRIBER_PUSH) != 0,
			.sent = sent,
			.acked = sent && views[n].acked_revision >= views[n].sent_revision
		};
	}
	s->subscribers = count < 0 ? 0 : (uint32_t)count;
	return count < 0 ? count : 0;
}

static bool is_text(const struct field_row *row)
{
	return row->type == FIELD_TEXT || field_is_blob(row);
}

/* The value of a key that is not saved: the usual number, or no text. */
static uint64_t read_field(const struct tx *tx, const struct saved_kind *kind, unsigned key,
                           const void *object)
{
	static char text[BLOB_MAX_BYTES];
	const struct field_context context = { tx, 0 };
	union field_value value;
	uint32_t blob;

	if (!field_saved(&context, kind, key, object, &value, &blob))
		return kind->fields->rows[key].usual;
	if (blob != 0)
		return hash(str_make(text, blob_copy(tx, blob, text, sizeof(text))));
	return is_text(&kind->fields->rows[key]) ? hash(value.text) : value.number;
}

static void read_fields(const struct tx *tx, const struct saved_kind *kind, const void *object,
                        uint64_t out[FIELD_KEYS])
{
	for (unsigned key = 1; key < kind->fields->saved; key++) {
		if (kind->fields->rows[key].shown)
			out[key] = read_field(tx, kind, key, object);
	}
}

/* Clusters and instances in the order of a view. */
static void read_stored(struct op *op, const struct service *at, struct model_service *s)
{
	uint32_t off = at->first_cluster;
	struct walk w;

	read_fields(&op->tx, &saved_services, at, s->fields);
	for (uint32_t n = 0; n < s->clusters && off != 0; n++) {
		const struct cluster *c = cluster_at(op, off);

		if (c == NULL)
			return;
		read_fields(&op->tx, &saved_clusters, c, s->cluster[n].fields);
		off = c->next;
	}
	walk_first(op, at, WALK_ALL, &w);
	for (uint32_t n = 0; n < s->instances && w.off != 0; n++) {
		read_fields(&op->tx, &saved_instances, w.i, s->instance[n].fields);
		walk_next(op, &w);
	}
}

/* What no reader's copy says, and every stored field that is shown. */
static int read_inside(struct bed *bed, const struct service_key *key, struct model_service *s,
                       struct model_queued *queued)
{
	struct place place = key_place(&bed->reg, key);
	struct service *at;
	struct op op;
	int ret = op_begin(&op, &bed->reg, place.shard, (struct origin){ 0 });

	if (ret < 0)
		return ret;
	if (service_find(&op, key, place.hash, &at) != 0) {
		s->on_purpose = (at->flags & SERVICE_EXPLICIT) != 0;
		read_stored(&op, at, s);
		*queued =
		        (struct model_queued){ at->id, at->changed,
			                       queue_link_pending(&at->queue[QUEUE_PUSHER]) != 0 };
	}
	ret = op.tx.err;
	op_end(&op);
	return ret;
}

static int read_service(struct bed *bed, unsigned n, struct model *m, struct model_queued *queued)
{
	struct service_key key = bed_key(bed, n);
	struct model_service *s = &m->service[n];
	struct service_view view;
	int ret;

	service_view_init(&view);
	ret = registry_view(&bed->reg, &key, &view);
	if (ret == 0 && view.stamp.found)
		ret = read_view(&view, s);
	service_view_free(&view);
	if (ret == 0)
		ret = read_subscribers(bed, &key, s);
	return ret == 0 ? read_inside(bed, &key, s, queued) : ret;
}

/* Instances, clusters and services that only the drain list still has. */
static int read_drain(struct bed *bed, struct model *m)
{
	uint64_t clusters;
	struct op op;
	int ret = op_begin(&op, &bed->reg, bed->shard, (struct origin){ 0 });

	if (ret < 0)
		return ret;
	clusters = op.tx.shard->slabs[SLAB_CLUSTER].objects;
	for (unsigned n = 0; n < SVC_COUNT; n++)
		clusters -= m->service[n].exists ? m->service[n].clusters : 0;
	m->drain = (uint32_t)(op.root->instances.count - op.root->instance_count + clusters +
	                      op.root->drain_count);
	op_end(&op);
	return 0;
}

static void read_namespace(const struct namespace_row *row, void *arg)
{
	struct model *m = arg;
	char id[16];
	int number;

	copy(id, sizeof(id), row->id);
	number = atoi(id + 1);
	if (number >= 0 && number < (int)MODEL_NAMESPACES)
		m->namespace[number] =
		        (struct model_namespace){ true, hash(row->name), hash(row->about) };
}

static int read_office(struct bed *bed, struct model *m)
{
	static struct switches_copy all;
	int ret = switches_read(&bed->reg, &all);

	if (ret < 0)
		return ret;
	m->switches[0] = all.words.cache_ms;
	m->switches[1] = all.words.check_times;
	m->switches[2] = all.words.mysql.max_ms;
	m->switches[3] = all.words.distro_expired_ms;
	m->ephemeral = all.words.ephemeral;
	m->masters = hash(all.texts.masters);
	m->limited = hash(all.texts.limited);
	return namespaces_each(&bed->reg, read_namespace, m);
}

int model_read(struct bed *bed, struct model *found_r, struct model_queued queued_r[SVC_COUNT])
{
	int ret = 0;

	memset(found_r, 0, sizeof(*found_r));
	memset(queued_r, 0, SVC_COUNT * sizeof(queued_r[0]));
	found_r->now_ms = found_r->began_ms = bed->seg->header->health_ms;
	for (unsigned n = 0; n < SVC_COUNT && ret == 0; n++)
		ret = read_service(bed, n, found_r, &queued_r[n]);
	if (ret == 0)
		ret = read_drain(bed, found_r);
	return ret == 0 ? read_office(bed, found_r) : ret;
}

/* ---- comparing ------------------------------------------------------------------------------- */

struct compare {
	char *why;
	size_t size;
	unsigned service;
	bool equal;
};

static void same(struct compare *c, const char *what, double wanted, double found)
{
	if (wanted == found || !c->equal)
		return;
	c->equal = false;
	snprintf(c->why, c->size, "service %u: %s is %.0f, should be %.0f", c->service, what, found,
	         wanted);
}

static void same_hash(struct compare *c, const char *what, uint64_t wanted, uint64_t found)
{
	if (wanted == found || !c->equal)
		return;
	c->equal = false;
	snprintf(c->why, c->size, "service %u: %s is another text", c->service, what);
}

static void same_fields(struct compare *c, const struct fields *fields, const uint64_t *wanted,
                        const uint64_t *found)
{
	for (unsigned key = 1; key < fields->saved && c->equal; key++) {
		const struct field_row *row = &fields->rows[key];

		if (!row->shown || wanted[key] == MODEL_ANY || wanted[key] == found[key])
			continue;
		c->equal = false;
		if (is_text(row))
			snprintf(c->why, c->size, "service %u: %s is another text", c->service,
			         row->name);
		else
			snprintf(c->why, c->size, "service %u: %s is %#llx, should be %#llx",
			         c->service, row->name, (unsigned long long)found[key],
			         (unsigned long long)wanted[key]);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct model_cluster *const *)a)->name,
	              (*(const struct model_cluster *const *)b)->name);
}

static void compare_clusters(struct compare *c, const struct model_service *wanted,
                             const struct model_service *found)
{
	const struct model_cluster *w[MODEL_CLUSTERS], *f[MODEL_CLUSTERS];

	for (uint32_t n = 0; n < wanted->clusters; n++) {
		w[n] = &wanted->cluster[n];
		f[n] = &found->cluster[n];
	}
	qsort(w, wanted->clusters, sizeof(w[0]), by_name);
	qsort(f, wanted->clusters, sizeof(f[0]), by_name);
	for (uint32_t n = 0; n < wanted->clusters; n++) {
		same(c, w[n]->name, 0, strcmp(w[n]->name, f[n]->name));
		same_fields(c, &cluster_fields, w[n]->fields, f[n]->fields);
	}
}

static int by_key(const void *a, const void *b)
{
	const struct model_instance *one = *(const struct model_instance *const *)a;
	const struct model_instance *two = *(const struct model_instance *const *)b;
	int order = strcmp(one->ip, two->ip);

	if (order == 0)
		order = (one->port > two->port) - (one->port < two->port);
	return order != 0 ? order : strcmp(one->cluster, two->cluster);
}

static void compare_instances(struct compare *c, const struct model_service *wanted,
                              const struct model_service *found)
{
	const struct model_instance *w[MODEL_INSTANCES], *f[MODEL_INSTANCES];

	for (uint32_t n = 0; n < wanted->instances; n++) {
		w[n] = &wanted->instance[n];
		f[n] = &found->instance[n];
	}
	qsort(w, wanted->instances, sizeof(w[0]), by_key);
	qsort(f, wanted->instances, sizeof(f[0]), by_key);
	for (uint32_t n = 0; n < wanted->instances; n++) {
		same(c, "key of an instance", 0, by_key(&w[n], &f[n]));
		same(c, "flags of an instance", w[n]->flags, f[n]->flags);
		same_fields(c, &instance_fields, w[n]->fields, f[n]->fields);
		same(c, "an answered beat missing", 0, f[n]->beat_ms < w[n]->beat_ms);
	}
}

static void compare_subscribers(struct compare *c, const struct model_service *wanted,
                                const struct model_service *found)
{
	same(c, "number of subscribers", wanted->subscribers, found->subscribers);
	for (uint32_t n = 0; c->equal && n < wanted->subscribers; n++) {
		same(c, "port of a subscriber", wanted->subscriber[n].port,
		     found->subscriber[n].port);
		same(c, "push of a subscriber", wanted->subscriber[n].push,
		     found->subscriber[n].push);
		same(c, "an answered delivery missing", 0,
		     wanted->subscriber[n].sent && !found->subscriber[n].sent);
		same(c, "an answered ACK missing", 0,
		     wanted->subscriber[n].acked && !found->subscriber[n].acked);
	}
}

static void compare_service(struct compare *c, const struct model_service *wanted,
                            const struct model_service *found)
{
	compare_subscribers(c, wanted, found);
	same(c, "existence", wanted->exists, found->exists);
	if (!wanted->exists)
		return;
	same(c, "number of instances", wanted->instances, found->instances);
	same(c, "number of clusters", wanted->clusters, found->clusters);
	same(c, "explicit", wanted->on_purpose, found->on_purpose);
	same(c, "checksum", wanted->checksum, found->checksum);
	same_fields(c, &service_fields, wanted->fields, found->fields);
	if (!c->equal)
		return;
	compare_clusters(c, wanted, found);
	compare_instances(c, wanted, found);
}

bool model_equal(const struct model *wanted, const struct model *found, char *why, size_t size)
{
	struct compare c = { .why = why, .size = size, .equal = true };

	for (c.service = 0; c.service < SVC_COUNT; c.service++)
		compare_service(&c, &wanted->service[c.service], &found->service[c.service]);
	same(&c, "(none) steps of the drain", wanted->drain, found->drain);
	for (unsigned n = 0; n < SWITCH_WORDS; n++)
		same(&c, "(none) a switch", (double)wanted->switches[n],
		     (double)found->switches[n]);
	same(&c, "(none) the switch for ephemeral", (double)wanted->ephemeral,
	     (double)found->ephemeral);
	same_hash(&c, "(none) masters", wanted->masters, found->masters);
	same_hash(&c, "(none) limited URLs", wanted->limited, found->limited);
	for (unsigned n = 0; n < MODEL_NAMESPACES; n++) {
		same(&c, "(none) existence of a namespace", wanted->namespace[n].exists,
		     found->namespace[n].exists);
		same_hash(&c, "(none) name of a namespace", wanted->namespace[n].name,
		          found->namespace[n].name);
		same_hash(&c, "(none) description of a namespace", wanted->namespace[n].about,
		          found->namespace[n].about);
	}
	return c.equal;
}
