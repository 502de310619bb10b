/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/view/list.h"

#include <md5.h>
#include <stdlib.h>
#include <string.h>

#include "shared/codec/java.h"
#include "shared/codec/json_write.h"
#include "shared/registry/layout.h"
#include "shared/view/metadata.h"

/* ---- candidates ---------------------------------------------------------------- */

#define PICK_INLINE 16U

/* The clusters asked for, in the order asked; first[c] is where cluster c's instances begin. */
struct pick {
	uint32_t *first; /* cluster_count + 1 */
	uint32_t *order; /* at most cluster_count */
	uint32_t count;
	uint32_t room[2 * PICK_INLINE + 1];
	uint32_t *heap;
};

static bool pick_init(struct pick *pick, const struct service_view *view)
{
	uint32_t clusters = view->cluster_count, at = 0;

	pick->count = 0;
	pick->heap = NULL;
	pick->first = pick->room;
	if (clusters > PICK_INLINE) {
		pick->heap = malloc((2 * (size_t)clusters + 1) * sizeof(uint32_t));
		if (pick->heap == NULL)
			return false;
		pick->first = pick->heap;
	}
	pick->order = pick->first + clusters + 1;
	for (uint32_t c = 0; c < clusters; c++) {
		while (at < view->instance_count && view->instances[at].cluster < c)
			at++;
		pick->first[c] = at;
	}
	pick->first[clusters] = view->instance_count;
	return true;
}

/* A name asked for twice counts once: a reply must not be multiplied by its request. */
static void pick_add(struct pick *pick, const struct service_view *view, struct str name)
{
	for (uint32_t c = 0; c < view->cluster_count; c++) {
		if (!str_eq(view->clusters[c].name, name))
			continue;
		for (uint32_t i = 0; i < pick->count; i++) {
			if (pick->order[i] == c)
				return;
		}
		pick->order[pick->count++] = c;
		return;
	}
}

static void pick_clusters(struct pick *pick, const struct service_view *view, struct str text)
{
	bool named = false;

	while (text.n > 0) {
		const char *comma = memchr(text.p, ',', text.n);
		size_t n = comma != NULL ? (size_t)(comma - text.p) : text.n;

		if (n > 0) {
			named = true;
			pick_add(pick, view, str_make(text.p, n));
		}
		n += comma != NULL;
		text = str_make(text.p + n, text.n - n);
	}
	if (named)
		return;
	for (uint32_t c = 0; c < view->cluster_count; c++)
		pick->order[pick->count++] = c;
}

/* ---- hosts --------------------------------------------------------------------- */

static void put_bool(struct buf *b, bool value)
{
	if (value)
		BUF_LIT(b, "true");
	else
		BUF_LIT(b, "false");
}

static struct str cluster_name(const struct service_view *view, const struct instance_view *instance)
{
	return instance->cluster < view->cluster_count ? view->clusters[instance->cluster].name : STR("DEFAULT");
}

void list_instance_id(struct buf *b, const struct service_view *view, const struct instance_view *instance)
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

/* "true,"healthy":true": what a flip changes in a host. */
static void put_health(struct buf *b, bool healthy)
{
	if (healthy)
		BUF_LIT(b, "true,\"healthy\":true");
	else
		BUF_LIT(b, "false,\"healthy\":false");
}

static uint32_t put_host(struct buf *b, const struct service_view *view, const struct instance_view *instance, bool healthy,
                         struct str service)
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
	put_bool(b, instance->flags & INSTANCE_MARKED);
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
	put_bool(b, instance->flags & INSTANCE_EPHEMERAL);
	buf_char(b, '}');
	return health;
}

struct hosts_writer {
	struct buf *b;
	const struct service_view *view;
	const struct pick *pick;
	struct str service;
	uint32_t shown;
	struct list_piece *pieces; /* NULL: nobody asks */
};

static void put_piece(struct hosts_writer *w, uint32_t at, bool shown_healthy)
{
	size_t begin = w->b->len;
	uint32_t health = put_host(w->b, w->view, &w->view->instances[at], shown_healthy, w->service);

	if (w->pieces != NULL)
		w->pieces[at] = (struct list_piece){ (uint32_t)begin, (uint32_t)(w->b->len - begin), health };
}

/* One group of hosts: those whose true health is `healthy`, shown as `shown_healthy`. */
static void put_group(struct hosts_writer *w, bool healthy, bool shown_healthy)
{
	for (uint32_t i = 0; i < w->pick->count; i++) {
		uint32_t c = w->pick->order[i];

		for (uint32_t at = w->pick->first[c]; at < w->pick->first[c + 1]; at++) {
			const struct instance_view *instance = &w->view->instances[at];

			if ((instance->flags & INSTANCE_ENABLED) == 0 || ((instance->flags & INSTANCE_HEALTHY) != 0) != healthy)
				continue;
			if (w->shown++ > 0)
				buf_char(w->b, ',');
			put_piece(w, at, shown_healthy);
		}
	}
}

struct tally {
	uint32_t candidates, healthy;
};

static struct tally count_candidates(const struct service_view *view, const struct pick *pick)
{
	struct tally tally = { 0, 0 };

	for (uint32_t i = 0; i < pick->count; i++) {
		uint32_t c = pick->order[i];

		tally.candidates += pick->first[c + 1] - pick->first[c];
		for (uint32_t at = pick->first[c]; at < pick->first[c + 1]; at++)
			tally.healthy += (view->instances[at].flags & INSTANCE_HEALTHY) != 0;
	}
	return tally;
}

/* Specification 4.6 steps 6 and 8. */
static void put_hosts(struct hosts_writer *w, struct tally tally, bool healthy_only)
{
	buf_char(w->b, '[');
	if ((float)tally.healthy / (float)tally.candidates <= w->view->threshold) {
		put_group(w, true, true);
		put_group(w, false, true);
	} else {
		if (!healthy_only)
			put_group(w, false, false);
		put_group(w, true, true);
	}
	buf_char(w->b, ']');
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

static int shape_checksum(const struct service_view *view, struct list_shape *shape, bool *fresh_r, uint8_t checksum_r[16])
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

int list_hosts(const struct service_view *view, const struct list_query *query, struct buf *b, struct list_shape *shape_r,
               bool *fresh_checksum_r, uint8_t checksum_r[16], struct list_piece *pieces)
{
	struct hosts_writer w = { .b = b, .view = view, .pieces = pieces };
	struct tally tally;
	struct pick pick;
	int ret;

	if ((ret = shape_checksum(view, shape_r, fresh_checksum_r, checksum_r)) < 0)
		return ret;
	if (!pick_init(&pick, view))
		return ERR_NOMEM;
	pick_clusters(&pick, view, query->clusters);
	tally = count_candidates(view, &pick);
	w.pick = &pick;
	w.service = query->grouped ? view->name : list_bare_name(view->name);
	if (pieces != NULL)
		memset(pieces, 0, view->instance_count * sizeof(pieces[0]));
	if (tally.candidates > 0)
		put_hosts(&w, tally, query->healthy_only);
	free(pick.heap);
	shape_r->empty = tally.candidates == 0;
	shape_r->hosts = w.shown;
	return buf_failed(b) ? ERR_NOMEM : 0;
}

/* ---- flips --------------------------------------------------------------------- */

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
	bool old_healthy = *health == 't';
	size_t rest = piece->health + (old_healthy ? sizeof("true,\"healthy\":true") : sizeof("false,\"healthy\":false")) - 1;
	size_t begin;

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

int list_flipped(struct str hosts, struct list_piece *pieces, uint32_t count, const uint64_t *healthy, float threshold,
                 struct buf *b)
{
	struct flip_writer w = { .hosts = hosts, .pieces = pieces, .count = count, .healthy = healthy, .b = b };
	uint32_t healthy_count = 0;

	for (uint32_t n = 0; n < count; n++)
		healthy_count += is_healthy(healthy, n);
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

/* ---- reply --------------------------------------------------------------------- */

static void put_fields(struct buf *b, const struct list_shape *shape, const struct list_fields *fields)
{
	BUF_LIT(b, "\"dom\":");
	json_string(b, fields->dom);
	BUF_LIT(b, ",\"name\":");
	json_string(b, fields->name);
	BUF_LIT(b, ",\"cacheMillis\":");
	buf_u64(b, fields->cache_ms);
	BUF_LIT(b, ",\"lastRefTime\":");
	buf_u64(b, fields->last_ref_time);
	BUF_LIT(b, ",\"checksum\":\"");
	buf_put(b, shape->checksum, 32);
	BUF_LIT(b, "\",\"useSpecifiedURL\":false,\"clusters\":");
	json_string(b, fields->clusters);
	BUF_LIT(b, ",\"env\":");
	json_string(b, fields->env);
}

static void put_service_metadata(struct buf *b, const struct list_fields *fields)
{
	BUF_LIT(b, ",\"metadata\":");
	if (fields->metadata_json.n > 0)
		buf_str(b, fields->metadata_json);
	else
		BUF_LIT(b, "{}");
	buf_char(b, '}');
}

void list_reply_tail(struct buf *b, const struct list_shape *shape, const struct list_fields *fields)
{
	buf_char(b, ',');
	put_fields(b, shape, fields);
	put_service_metadata(b, fields);
}

void list_reply(struct buf *b, const struct list_query *query, const struct list_shape *shape, struct str hosts,
                const struct list_fields *fields)
{
	if (shape->empty) {
		buf_char(b, '{');
		put_fields(b, shape, fields);
		BUF_LIT(b, ",\"hosts\":[]");
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
	BUF_LIT(b, "{\"name\":");
	json_string(b, fields->name);
	BUF_LIT(b, ",\"clusters\":");
	json_string(b, fields->clusters);
	BUF_LIT(b, ",\"cacheMillis\":");
	buf_u64(b, fields->cache_ms);
	BUF_LIT(b, ",\"hosts\":[]}");
}

struct str list_bare_name(struct str grouped)
{
	const char *end = grouped.p + grouped.n;
	const char *at = grouped.n > 0 ? memmem(grouped.p, grouped.n, "@@", 2) : NULL;
	const char *next;

	if (at == NULL)
		return grouped;
	at += 2;
	next = memmem(at, (size_t)(end - at), "@@", 2);
	return str_make(at, (size_t)((next != NULL ? next : end) - at));
}

/* ---- checksum ------------------------------------------------------------------ */

/* Hash of a cluster name in a Java map: names are ASCII, so bytes are UTF-16 units. */
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
	while (view->cluster_count > cap / 4 * 3)
		cap *= 2;
	for (uint32_t i = 0; i < view->cluster_count; i++)
		slots[i] = (struct map_slot){ map_hash(view->clusters[i].name) & (cap - 1), i };
	qsort(slots, view->cluster_count, sizeof(*slots), compare_slots);
	return slots;
}

/* Checkers are kept as JSON with "type" first; the checksum leaves the type out. */
static void put_checker(struct buf *b, struct str checker)
{
	const char *comma = checker.n > 0 ? memchr(checker.p, ',', checker.n) : NULL;

	buf_char(b, '{');
	if (comma != NULL)
		buf_put(b, comma + 1, (size_t)(checker.p + checker.n - comma - 1));
	else
		buf_char(b, '}');
}

static void put_cluster(struct buf *b, const struct cluster_view *cluster)
{
	BUF_LIT(b, "{\"healthChecker\":");
	put_checker(b, cluster->checker);
	buf_printf(b, ",\"defIPPort\":%d,\"defCkport\":%d", cluster->check_port, cluster->check_port);
	BUF_LIT(b, ",\"name\":");
	json_string(b, cluster->name);
	BUF_LIT(b, ",\"useIPPort4Check\":");
	put_bool(b, cluster->use_instance_port);
	BUF_LIT(b, ",\"sitegroup\":\"\"}");
}

static void put_service(struct buf *b, const struct service_view *view, const struct map_slot *slots)
{
	uint32_t invalid = 0;

	for (uint32_t i = 0; i < view->instance_count; i++)
		invalid += (view->instances[i].flags & INSTANCE_HEALTHY) == 0;
	BUF_LIT(b, "{\"invalidIPCount\":");
	buf_u64(b, invalid);
	BUF_LIT(b, ",\"name\":");
	json_string(b, view->name);
	BUF_LIT(b, ",\"ipCount\":");
	buf_u64(b, view->instance_count);
	BUF_LIT(b, ",\"owners\":[],\"protectThreshold\":");
	json_float(b, view->threshold);
	BUF_LIT(b, ",\"clusters\":[");
	for (uint32_t i = 0; i < view->cluster_count; i++) {
		if (i > 0)
			buf_char(b, ',');
		put_cluster(b, &view->clusters[slots[i].index]);
	}
	BUF_LIT(b, "]}");
}

struct sort_key {
	size_t at; /* in the texts */
	uint32_t n;
	uint32_t index;
};

/* Java compares UTF-16 units: U+E000..U+FFFF (lead bytes EE, EF) come after everything beyond. */
static unsigned utf16_rank(char c)
{
	unsigned u = (uint8_t)c;

	return u == 0xee || u == 0xef ? u + 0x10 : u;
}

static int compare_keys(const void *a, const void *b, void *texts)
{
	const struct sort_key *x = a, *y = b;
	const char *p = (const char *)texts + x->at, *q = (const char *)texts + y->at;
	uint32_t n = x->n < y->n ? x->n : y->n;

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

/* datumKey_weight_healthy_marked_cluster */
static void put_sort_text(struct buf *b, const struct service_view *view, const struct instance_view *instance)
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
	put_bool(b, instance->flags & INSTANCE_HEALTHY);
	buf_char(b, '_');
	put_bool(b, instance->flags & INSTANCE_MARKED);
	buf_char(b, '_');
	buf_str(b, cluster);
}

/* ip:port_weight_healthy_cluster, */
static void put_line(struct buf *b, const struct service_view *view, const struct instance_view *instance)
{
	buf_str(b, instance->ip);
	buf_char(b, ':');
	buf_i64(b, instance->port);
	buf_char(b, '_');
	put_double(b, instance->weight);
	buf_char(b, '_');
	put_bool(b, instance->flags & INSTANCE_HEALTHY);
	buf_char(b, '_');
	buf_str(b, cluster_name(view, instance));
	buf_char(b, ',');
}

static int put_instances(struct buf *b, const struct service_view *view)
{
	struct sort_key *keys = malloc(((size_t)view->instance_count + 1) * sizeof(*keys));
	struct buf texts;
	int ret = ERR_NOMEM;

	buf_init(&texts);
	if (keys == NULL)
		goto done;
	for (uint32_t i = 0; i < view->instance_count; i++) {
		keys[i].at = texts.len;
		put_sort_text(&texts, view, &view->instances[i]);
		keys[i].n = (uint32_t)(texts.len - keys[i].at);
		keys[i].index = i;
	}
	if (buf_failed(&texts))
		goto done;
	if (view->instance_count > 1)
		qsort_r(keys, view->instance_count, sizeof(*keys), compare_keys, texts.data);
	for (uint32_t i = 0; i < view->instance_count; i++)
		put_line(b, view, &view->instances[keys[i].index]);
	ret = 0;
done:
	buf_free(&texts);
	free(keys);
	return ret;
}

int list_checksum(const struct service_view *view, uint8_t out[16])
{
	struct map_slot *slots = map_order(view);
	struct buf text;
	MD5_CTX md5;
	int ret;

	if (slots == NULL)
		return ERR_NOMEM;
	buf_init(&text);
	put_service(&text, view, slots);
	ret = put_instances(&text, view);
	if (ret == 0 && buf_failed(&text))
		ret = ERR_NOMEM;
	if (ret == 0) {
		MD5Init(&md5);
		MD5Update(&md5, (const uint8_t *)text.data, text.len);
		MD5Final(out, &md5);
	}
	buf_free(&text);
	free(slots);
	return ret;
}
