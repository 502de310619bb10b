/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/view/list.h"

#include <md5.h>
#include <stdlib.h>
#include <string.h>

#include "shared/codec/java.h"
#include "shared/codec/json_write.h"
#include "shared/registry/layout.h"
#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/view/metadata.h"

/* ---- hosts ----------------------------------------------------------------------------------- */

/* A view that was copied in pieces while clusters came (loose) may have instances of one that it
 * lacks. */
static struct str cluster_name(const struct service_view *view,
                               const struct instance_view *instance)
{
	return instance->cluster < view->cluster_count ? view->clusters[instance->cluster].name
	                                               : STR("DEFAULT");
}

void list_instance_id(struct buf *b, const struct service_view *view,
                      const struct instance_view *instance)
{
	if (instance->ident >= 0) {
		buf_i64(b, instance->ident);
		return;
	}
	json_escape(b, instance->ip);
	buf_char(b, '#');
	buf_i64(b, instance->port);
	buf_char(b, '#');
	json_escape(b, cluster_name(view, instance));
	buf_char(b, '#');
	json_escape(b, view->name);
}

/* Writes the part of a host that a flip changes, from the value of "valid" on:
 * true,"healthy":true. */
static void put_health(struct buf *b, bool healthy)
{
	if (healthy)
		BUF_LIT(b, "true,\"healthy\":true");
	else
		BUF_LIT(b, "false,\"healthy\":false");
}

/* Returns where in the host the part begins that a flip changes. The names are plain literals: a
 * JSON_KEY() costs more, and all hosts are written anew when more than health has changed. */
static uint32_t put_host(struct buf *b, const struct service_view *view,
                         const struct instance_view *instance, bool healthy, struct str service)
{
	size_t begin = b->len;
	uint32_t health;

	BUF_LIT(b, "{\"ip\":");
	json_string(b, instance->ip);
	BUF_LIT(b, ",\"port\":");
	buf_i64(b, instance->port);
	BUF_LIT(b, ",\"valid\":");
	health = (uint32_t)(b->len - begin);
	put_health(b, healthy);
	BUF_LIT(b, ",\"marked\":");
	json_bool(b, instance->flags & INSTANCE_MARKED);
	BUF_LIT(b, ",\"instanceId\":\"");
	list_instance_id(b, view, instance);
	BUF_LIT(b, "\",\"metadata\":");
	if (instance->flags & INSTANCE_METADATA_NULL)
		BUF_LIT(b, "null");
	else
		metadata_json(b, instance->metadata);
	BUF_LIT(b, ",\"enabled\":true,\"weight\":");
	json_double(b, instance->weight);
	BUF_LIT(b, ",\"clusterName\":");
	json_string(b, cluster_name(view, instance));
	BUF_LIT(b, ",\"serviceName\":");
	json_string(b, service);
	BUF_LIT(b, ",\"ephemeral\":");
	json_bool(b, instance->flags & INSTANCE_EPHEMERAL);
	buf_char(b, '}');
	return health;
}

struct hosts_writer {
	struct buf *b;
	const struct service_view *view;
	const struct pick *pick;
	struct str service;
	size_t end; /* where b has to end */
	uint32_t shown;
	struct list_piece *pieces; /* NULL: nobody asks */
	struct breath breath;
};

static int put_piece(struct hosts_writer *w, uint32_t at, bool shown_healthy)
{
	size_t begin, from = w->b->len;
	uint32_t health;

	ROSTER_ASSERT(at < w->view->instance_count);
	if (w->shown++ > 0)
		buf_char(w->b, ',');
	begin = w->b->len;
	health = put_host(w->b, w->view, &w->view->instances[at], shown_healthy, w->service);
	if (w->pieces != NULL)
		w->pieces[at] = (struct list_piece){ (uint32_t)begin, (uint32_t)(w->b->len - begin),
			                             health };
	return w->b->len > w->end ? ERR_TOO_BIG : breathe(&w->breath, w->b->len - from);
}

static bool is_of_group(const struct instance_view *instance, bool healthy)
{
	return (instance->flags & INSTANCE_ENABLED) != 0 &&
	       ((instance->flags & INSTANCE_HEALTHY) != 0) == healthy;
}

/* Writes one group of hosts: those whose true health is `healthy`, shown as `shown_healthy`. */
static int put_group(struct hosts_writer *w, bool healthy, bool shown_healthy)
{
	int ret = 0;

	for (uint32_t i = 0; i < w->pick->count; i++) {
		uint32_t c = w->pick->order[i];

		for (uint32_t at = w->pick->first[c]; at < w->pick->first[c + 1] && ret == 0; at++)
			ret = is_of_group(&w->view->instances[at], healthy)
			              ? put_piece(w, at, shown_healthy)
			              : breathe(&w->breath, 4);
	}
	return ret;
}

struct tally {
	uint32_t candidates, healthy;
};

static int count_candidates(const struct service_view *view, const struct pick *pick,
                            struct tally *tally_r)
{
	struct breath breath = { 0 };

	*tally_r = (struct tally){ 0, 0 };
	for (uint32_t i = 0; i < pick->count; i++) {
		uint32_t c = pick->order[i];

		tally_r->candidates += pick->first[c + 1] - pick->first[c];
		for (uint32_t at = pick->first[c]; at < pick->first[c + 1]; at++) {
			tally_r->healthy += (view->instances[at].flags & INSTANCE_HEALTHY) != 0;
			if (breathe(&breath, 4) < 0)
				return ERR_GONE;
		}
	}
	return 0;
}

/* Specification 4.6, steps 6 and 8. When too few candidates are healthy, all are shown as healthy:
 * clients had better try sick instances than run all over the few that are left. */
static int put_hosts(struct hosts_writer *w, struct tally tally, bool healthy_only)
{
	bool protect = (float)tally.healthy / (float)tally.candidates <= w->view->threshold;
	int ret = 0;

	ROSTER_ASSERT(tally.candidates > 0 && tally.healthy <= tally.candidates);
	buf_char(w->b, '[');
	if (protect)
		ret = put_group(w, true, true);
	else if (!healthy_only)
		ret = put_group(w, false, false);
	if (ret == 0)
		ret = put_group(w, !protect, true);
	buf_char(w->b, ']');
	return ret;
}

static void hex(const uint8_t in[16], char out[33])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[32] = '\0';
}

int list_shape_checksum(const struct service_view *view, struct list_shape *shape, bool *fresh_r,
                        uint8_t checksum_r[16])
{
	int ret = 0;

	*fresh_r = !view->has_checksum;
	if (view->has_checksum)
		memcpy(checksum_r, view->checksum, 16);
	else
		ret = list_checksum(view, checksum_r);
	if (ret == 0)
		hex(checksum_r, shape->checksum);
	return ret;
}

int list_hosts_picked(const struct service_view *view, const struct pick *pick,
                      const struct list_query *query, struct buf *b, struct list_shape *shape_r,
                      struct list_piece *pieces)
{
	struct hosts_writer w = { .b = b, .view = view, .pick = pick, .pieces = pieces };
	struct tally tally;
	int ret = count_candidates(view, pick, &tally);

	if (ret < 0)
		return ret;
	/* The pick was made for this view, as it is now. */
	ROSTER_ASSERT(pick->first[view->cluster_count] == view->instance_count);
	w.end = query->most == 0 ? SIZE_MAX : b->len + query->most;
	w.service = query->grouped ? view->name : list_bare_name(view->name);
	/* Instances that are not shown have a piece of no bytes. */
	if (pieces != NULL)
		memset(pieces, 0, view->instance_count * sizeof(pieces[0]));
	if (tally.candidates > 0)
		ret = put_hosts(&w, tally, query->healthy_only);
	shape_r->empty = tally.candidates == 0;
	shape_r->hosts = w.shown;
	if (ret == 0 && buf_failed(b))
		ret = ERR_NOMEM;
	return ret;
}

int list_hosts(const struct service_view *view, const struct list_query *query, struct buf *b,
               struct list_shape *shape_r, bool *fresh_checksum_r, uint8_t checksum_r[16],
               struct list_piece *pieces)
{
	struct pick pick;
	int ret;

	*fresh_checksum_r = false;
	ret = pick_make(&pick, view, query->clusters);
	if (ret == 0)
		ret = list_hosts_picked(view, &pick, query, b, shape_r, pieces);
	if (ret == 0)
		ret = list_shape_checksum(view, shape_r, fresh_checksum_r, checksum_r);
	pick_free(&pick);
	return ret;
}

/* ---- flips ----------------------------------------------------------------------------------- */

struct flip_writer {
	struct str hosts;
	struct list_piece *pieces;
	uint32_t count, shown;
	const uint64_t *healthy;
	struct buf *b;
};

static bool is_healthy(const uint64_t *healthy, uint32_t n)
{
	return healthy[n / 64] >> n % 64 & 1;
}

static void move_piece(struct flip_writer *w, struct list_piece *piece, bool shown_healthy)
{
	const char *old = w->hosts.p + piece->at, *health = old + piece->health;
	bool old_healthy = *health == 't'; /* true or false */
	size_t rest = piece->health +
	              (old_healthy ? sizeof("true,\"healthy\":true")
	                           : sizeof("false,\"healthy\":false")) -
	              1;
	size_t begin;

	ROSTER_ASSERT(piece->n <= w->hosts.n && piece->at <= w->hosts.n - piece->n &&
	              rest <= piece->n);
	if (w->shown++ > 0)
		buf_char(w->b, ',');
	begin = w->b->len;
	if (old_healthy == shown_healthy) {
		buf_put(w->b, old, piece->n);
	} else {
		buf_put(w->b, old, piece->health);
		put_health(w->b, shown_healthy);
		buf_put(w->b, old + rest, piece->n - rest);
	}
	piece->at = (uint32_t)begin;
	piece->n = (uint32_t)(w->b->len - begin);
}

static void move_group(struct flip_writer *w, bool healthy, bool shown_healthy)
{
	for (uint32_t n = 0; n < w->count; n++) {
		if (w->pieces[n].n > 0 && is_healthy(w->healthy, n) == healthy)
			move_piece(w, &w->pieces[n], shown_healthy);
	}
}

int list_flipped(struct str hosts, struct list_piece *pieces, uint32_t count,
                 const uint64_t *healthy, float threshold, struct buf *b)
{
	struct flip_writer w = {
		.hosts = hosts, .pieces = pieces, .count = count, .healthy = healthy, .b = b
	};
	uint32_t healthy_count = 0;

	ROSTER_ASSERT(count > 0); /* an answer without instances has no pieces */
	for (uint32_t n = 0; n < count; n++)
		healthy_count += is_healthy(healthy, n);
	/* A flip to unhealthy makes a host two bytes longer: true becomes false, twice. */
	if (!buf_reserve(b, hosts.n + count * 2 + 2))
		return ERR_NOMEM;
	buf_char(b, '[');
	if ((float)healthy_count / (float)count <= threshold) {
		move_group(&w, true, true);
		move_group(&w, false, true);
	} else {
		move_group(&w, false, false);
		move_group(&w, true, true);
	}
	buf_char(b, ']');
	return buf_failed(b) ? ERR_NOMEM : 0;
}

/* ---- reply ----------------------------------------------------------------------------------- */

/* The caller writes the comma before it, if one belongs there: the hosts may be in another
 * buffer. */
static void put_fields(struct buf *b, const struct list_shape *shape,
                       const struct list_fields *fields)
{
	BUF_LIT(b, "\"dom\":");
	json_string(b, fields->dom);
	JSON_PUT_STRING(b, "name", fields->name);
	JSON_PUT_U64(b, "cacheMillis", fields->cache_ms);
	JSON_PUT_U64(b, "lastRefTime", fields->last_ref_time);
	ROSTER_ASSERT(shape->checksum[sizeof(shape->checksum) - 1] == '\0');
	JSON_PUT_STRING(b, "checksum", str_make(shape->checksum, 32));
	JSON_PUT_LIT(b, "useSpecifiedURL", "false");
	JSON_PUT_STRING(b, "clusters", fields->clusters);
	JSON_PUT_STRING(b, "env", fields->env);
}

static void put_service_metadata(struct buf *b, const struct list_fields *fields)
{
	JSON_KEY(b, "metadata");
	buf_str(b, fields->metadata_json.n > 0 ? fields->metadata_json : STR("{}"));
	buf_char(b, '}');
}

void list_reply_tail(struct buf *b, const struct list_shape *shape,
                     const struct list_fields *fields)
{
	buf_char(b, ',');
	put_fields(b, shape, fields);
	put_service_metadata(b, fields);
}

void list_reply(struct buf *b, const struct list_query *query, const struct list_shape *shape,
                struct str hosts, const struct list_fields *fields)
{
	if (shape->empty) {
		buf_char(b, '{');
		put_fields(b, shape, fields);
		JSON_PUT_LIT(b, "hosts", "[]");
		put_service_metadata(b, fields);
	} else if (query->is_check) {
		BUF_LIT(b, "{}");
	} else {
		BUF_LIT(b, LIST_HEAD);
		buf_str(b, hosts);
		list_reply_tail(b, shape, fields);
	}
}

void list_reply_unknown(struct buf *b, const struct list_fields *fields)
{
	buf_char(b, '{');
	JSON_PUT_STRING(b, "name", fields->name);
	JSON_PUT_STRING(b, "clusters", fields->clusters);
	JSON_PUT_U64(b, "cacheMillis", fields->cache_ms);
	JSON_PUT_LIT(b, "hosts", "[]");
	buf_char(b, '}');
}

struct str list_bare_name(struct str grouped)
{
	const char *end = grouped.p + grouped.n;
	const char *at = grouped.n > 0 ? memmem(grouped.p, grouped.n, "@@", 2) : NULL;
	const char *next;

	if (at == NULL)
		return grouped;
	/* A further @@ ends the name, as Java's split() does. */
	at += 2;
	next = memmem(at, (size_t)(end - at), "@@", 2);
	return str_make(at, (size_t)((next != NULL ? next : end) - at));
}

/* ---- checksum -------------------------------------------------------------------------------- */

/* The hash of a cluster's name in a Java map. Names are ASCII, so bytes are UTF-16 units. */
static uint32_t map_hash(struct str name)
{
	uint32_t h = 0;

	for (size_t i = 0; i < name.n; i++)
		h = 31 * h + (uint8_t)name.p[i];
	return h ^ h >> 16;
}

struct map_slot {
	uint32_t bucket, index;
};

static int compare_slots(const void *a, const void *b)
{
	const struct map_slot *x = a, *y = b;

	if (x->bucket != y->bucket)
		return x->bucket < y->bucket ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* The order in which a Java HashMap with these clusters is walked (specification 7.3). */
static struct map_slot *map_order(const struct service_view *view)
{
	struct map_slot *slots = malloc(((size_t)view->cluster_count + 1) * sizeof(*slots));
	uint32_t cap = 16;

	if (slots == NULL)
		return NULL;
	while (view->cluster_count > cap / 4 * 3) /* a HashMap grows at a load of 3/4 */
		cap *= 2;
	for (uint32_t i = 0; i < view->cluster_count; i++)
		slots[i] = (struct map_slot){ map_hash(view->clusters[i].name) & (cap - 1), i };
	qsort(slots, view->cluster_count, sizeof(*slots), compare_slots);
	return slots;
}

/* Checkers are stored as JSON with "type" first, and the checksum leaves the type out. */
static void put_checker(struct buf *b, struct str checker)
{
	const char *comma = checker.n > 0 ? memchr(checker.p, ',', checker.n) : NULL;

	buf_char(b, '{');
	/* Behind the first comma are the other fields and the closing brace. */
	if (comma != NULL)
		buf_put(b, comma + 1, (size_t)(checker.p + checker.n - comma - 1));
	else
		buf_char(b, '}');
}

static void put_cluster(struct buf *b, const struct cluster_view *cluster)
{
	buf_char(b, '{');
	JSON_KEY(b, "healthChecker");
	put_checker(b, cluster->checker);
	JSON_PUT_I64(b, "defIPPort", cluster->check_port);
	JSON_PUT_I64(b, "defCkport", cluster->check_port);
	JSON_PUT_STRING(b, "name", cluster->name);
	JSON_PUT_BOOL(b, "useIPPort4Check", cluster->use_instance_port);
	JSON_PUT_LIT(b, "sitegroup", "\"\"");
	buf_char(b, '}');
}

static int put_service(struct buf *b, const struct service_view *view, const struct map_slot *slots,
                       struct breath *breath)
{
	uint32_t invalid = 0;
	int ret = 0;

	/* Disabled instances count here too. */
	for (uint32_t i = 0; i < view->instance_count && ret == 0; i++) {
		invalid += (view->instances[i].flags & INSTANCE_HEALTHY) == 0;
		ret = breathe(breath, 4);
	}
	buf_char(b, '{');
	JSON_PUT_U64(b, "invalidIPCount", invalid);
	JSON_PUT_STRING(b, "name", view->name);
	JSON_PUT_U64(b, "ipCount", view->instance_count);
	JSON_PUT_LIT(b, "owners", "[]");
	JSON_PUT_FLOAT(b, "protectThreshold", view->threshold);
	JSON_PUT_LIT(b, "clusters", "[");
	for (uint32_t i = 0; i < view->cluster_count && ret == 0; i++) {
		json_comma(b);
		put_cluster(b, &view->clusters[slots[i].index]);
		ret = breathe(breath, 256);
	}
	BUF_LIT(b, "]}");
	return ret;
}

struct sort_key {
	size_t at; /* in the texts */
	uint32_t n;
	uint32_t index;
};

/* Java compares UTF-16 units, where U+E000 to U+FFFF (lead bytes EE and EF) come after everything
 * beyond U+FFFF, whose units are surrogates. */
static unsigned utf16_rank(char c)
{
	unsigned u = (uint8_t)c;

	return u == 0xee || u == 0xef ? u + 0x10 : u;
}

struct sorting {
	const char *texts;
	struct breath *breath;
};

/* A pause here cannot give the work up, because sorting has no way out in the middle. The next
 * pause after it says the same again. */
static int compare_keys(const void *a, const void *b, void *arg)
{
	const struct sorting *sorting = arg;
	const struct sort_key *x = a, *y = b;
	const char *p = sorting->texts + x->at, *q = sorting->texts + y->at;
	uint32_t n = x->n < y->n ? x->n : y->n;

	(void)!breathe(sorting->breath, 16 + n);
	for (uint32_t i = 0; i < n; i++) {
		if (p[i] != q[i])
			return utf16_rank(p[i]) < utf16_rank(q[i]) ? -1 : 1;
	}
	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static void put_double(struct buf *b, double value)
{
	char text[JAVA_DOUBLE_TEXT];
	unsigned n = java_double_text(value, text);

	buf_put(b, text, n);
}

/* Instances are sorted by their text in the Java server: datumKey_weight_healthy_marked_cluster. */
static void put_sort_text(struct buf *b, const struct service_view *view,
                          const struct instance_view *instance)
{
	struct str cluster = cluster_name(view, instance);

	buf_str(b, instance->ip);
	if (instance->port > 0) {
		buf_char(b, ':');
		buf_i64(b, instance->port);
	}
	BUF_LIT(b, ":unknown:");
	buf_str(b, cluster);
	buf_char(b, '_');
	put_double(b, instance->weight);
	buf_char(b, '_');
	json_bool(b, instance->flags & INSTANCE_HEALTHY);
	buf_char(b, '_');
	json_bool(b, instance->flags & INSTANCE_MARKED);
	buf_char(b, '_');
	buf_str(b, cluster);
}

/* What the checksum covers of an instance: "ip:port_weight_healthy_cluster,". */
static void put_line(struct buf *b, const struct service_view *view,
                     const struct instance_view *instance)
{
	buf_str(b, instance->ip);
	buf_char(b, ':');
	buf_i64(b, instance->port);
	buf_char(b, '_');
	put_double(b, instance->weight);
	buf_char(b, '_');
	json_bool(b, instance->flags & INSTANCE_HEALTHY);
	buf_char(b, '_');
	buf_str(b, cluster_name(view, instance));
	buf_char(b, ',');
}

static int put_sorted(struct buf *b, const struct service_view *view, struct sort_key *keys,
                      struct buf *texts, struct breath *breath)
{
	struct sorting sorting = { .breath = breath };
	int ret = 0;

	for (uint32_t i = 0; i < view->instance_count && ret == 0; i++) {
		keys[i].at = texts->len;
		put_sort_text(texts, view, &view->instances[i]);
		keys[i].n = (uint32_t)(texts->len - keys[i].at);
		keys[i].index = i;
		ret = breathe(breath, 2 * (size_t)keys[i].n);
	}
	if (ret == 0 && buf_failed(texts))
		ret = ERR_NOMEM;
	ROSTER_ASSERT(ret < 0 || texts->len > 0 || view->instance_count == 0);
	sorting.texts = texts->data;
	if (ret == 0 && view->instance_count > 1)
		qsort_r(keys, view->instance_count, sizeof(*keys), compare_keys, &sorting);
	for (uint32_t i = 0; i < view->instance_count && ret == 0; i++) {
		put_line(b, view, &view->instances[keys[i].index]);
		ret = breathe(breath, keys[i].n);
	}
	return ret;
}

static int put_instances(struct buf *b, const struct service_view *view, struct breath *breath)
{
	struct sort_key *keys = malloc(((size_t)view->instance_count + 1) * sizeof(*keys));
	struct buf texts;
	int ret = ERR_NOMEM;

	buf_init(&texts);
	if (keys != NULL)
		ret = put_sorted(b, view, keys, &texts, breath);
	buf_free(&texts);
	free(keys);
	return ret;
}

static int sum_up(const struct buf *text, uint8_t out[16], struct breath *breath)
{
	MD5_CTX md5;
	int ret = 0;

	MD5Init(&md5);
	for (size_t at = 0; at < text->len && ret == 0; at += BREATH_WEIGHT) {
		size_t n = text->len - at < BREATH_WEIGHT ? text->len - at : BREATH_WEIGHT;

		MD5Update(&md5, (const uint8_t *)text->data + at, n);
		ret = breathe(breath, n);
	}
	MD5Final(out, &md5);
	return ret;
}

int list_checksum(const struct service_view *view, uint8_t out[16])
{
	struct map_slot *slots = map_order(view);
	struct breath breath = { 0 };
	struct buf text;
	int ret;

	if (slots == NULL)
		return ERR_NOMEM;
	buf_init(&text);
	ret = put_service(&text, view, slots, &breath);
	if (ret == 0)
		ret = put_instances(&text, view, &breath);
	if (ret == 0 && buf_failed(&text))
		ret = ERR_NOMEM;
	if (ret == 0)
		ret = sum_up(&text, out, &breath);
	buf_free(&text);
	free(slots);
	return ret;
}
