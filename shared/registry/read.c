/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/registry_internal.h"

#include <stdlib.h>

#include "shared/shm/blob.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

#define PIECE 4096U      /* instances copied in one hold */
#define TRIES 2U         /* before the lock is held throughout */
#define MORE_ROOM 1      /* a copy that found its buffers too small */
#define NAMES_PIECE 512U /* services looked at in one hold */
#define NAMES_BYTES 65536U

static const struct origin reader = { 0 };

void service_stamp_of(const struct op *op, const struct service *s, struct service_stamp *stamp_r)
{
	*stamp_r = (struct service_stamp){ .epoch = op->reg->seg->header->epoch };
	if (s == NULL)
		return;
	stamp_r->found = true;
	stamp_r->disabled = (s->flags & SERVICE_DISABLED) != 0;
	stamp_r->id = s->id;
	stamp_r->revision = s->revision;
	stamp_r->clusters = s->clusters;
	stamp_r->instances = s->instances;
	stamp_r->healthy = s->healthy;
	memcpy(&stamp_r->threshold, &s->threshold, sizeof(stamp_r->threshold));
}

/* ---- memory of a view ------------------------------------------------------ */

struct need {
	uint64_t text, clusters, instances;
};

void service_view_init(struct service_view *view)
{
	*view = (struct service_view){ .text = NULL };
}

void service_view_free(struct service_view *view)
{
	free(view->text);
	free(view->clusters);
	free(view->instances);
	service_view_init(view);
}

static bool has_room(const struct service_view *view, const struct need *need)
{
	return view->text_cap >= need->text && view->cluster_cap >= need->clusters && view->instance_cap >= need->instances;
}

static int grow(void **at, uint32_t *cap, uint64_t need, size_t size)
{
	uint64_t want = need + need / 8 + 16;
	void *new;

	if (*cap >= need)
		return 0;
	if (want > UINT32_MAX || (new = realloc(*at, want * size)) == NULL)
		return ERR_NOMEM;
	*at = new;
	*cap = (uint32_t)want;
	return 0;
}

/* Outside the lock. What was copied before is void. */
static int make_room(struct service_view *view, const struct need *need)
{
	int ret = grow((void **)&view->text, &view->text_cap, need->text, 1);

	if (ret == 0)
		ret = grow((void **)&view->clusters, &view->cluster_cap, need->clusters, sizeof(view->clusters[0]));
	if (ret == 0)
		ret = grow((void **)&view->instances, &view->instance_cap, need->instances, sizeof(view->instances[0]));
	return ret;
}

/* Texts are blobs, at most as long as what they cost; else an address in the row or "DEFAULT". */
static bool need_of(const struct op *op, const struct service *s, struct need *need_r)
{
	uint64_t rows = slab_object_bytes(SLAB_SERVICE) +
	                (uint64_t)s->clusters * (slab_object_bytes(SLAB_CLUSTER) - DEFAULT_CLUSTER.n) +
	                (uint64_t)s->instances * (slab_object_bytes(SLAB_INSTANCE) - sizeof(((struct instance *)0)->ip));

	*need_r = (struct need){ s->bytes > rows ? s->bytes - rows : 0, s->clusters, s->instances };
	/* Memory is taken for what is stored, not for what a damaged count says. */
	return s->bytes <= op->reg->seg->bytes && s->clusters == op_most(op, SLAB_CLUSTER, s->clusters) &&
	       s->instances == op_most(op, SLAB_INSTANCE, s->instances);
}

/* ---- copying --------------------------------------------------------------- */

static struct str put(struct op *op, struct service_view *view, struct str text)
{
	char *at = view->text + view->text_len;

	if (!str_is_set(text))
		return text;
	if (text.n > view->text_cap - view->text_len) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return (struct str){ NULL, 0 };
	}
	if (text.n > 0)
		memcpy(at, text.p, text.n);
	view->text_len += (uint32_t)text.n;
	return str_make(at, text.n);
}

static struct str put_blob(struct op *op, struct service_view *view, uint32_t off)
{
	char *at = view->text + view->text_len;
	uint32_t room = view->text_cap - view->text_len, n;

	if (off == 0)
		return (struct str){ NULL, 0 };
	n = blob_copy(&op->tx, off, at, room);
	if (n > room) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return (struct str){ NULL, 0 };
	}
	view->text_len += n;
	return str_make(at, n);
}

static void copy_cluster(struct op *op, const struct cluster *c, struct service_view *view)
{
	struct cluster_view *out = &view->clusters[view->cluster_count++];
	struct check_settings check;

	cluster_check(&op->tx, c, &check);
	*out = (struct cluster_view){
		.name = put(op, view, cluster_name(&op->tx, c)),
		.metadata = put_blob(op, view, c->metadata),
		.checker = put(op, view, check.checker),
		.check_port = check.port,
		.use_instance_port = check.use_instance_port,
	};
}

static void copy_instance(struct op *op, const struct instance *i, uint32_t cluster, struct service_view *view)
{
	struct instance_view *out = &view->instances[view->instance_count++];

	*out = (struct instance_view){
		.id = i->id,
		.revision = i->revision,
		.beat_ms = beat_ms(i->beat),
		.ip = put(op, view, instance_ip(&op->tx, i)),
		.port = i->port,
		.flags = i->flags,
		.metadata = put_blob(op, view, i->metadata),
		.app = i->flags & INSTANCE_APP_DEFAULT ? DEFAULT_APP : put_blob(op, view, i->app),
		.ident = (int64_t)i->ident - 1,
		.cluster = cluster,
	};
	memcpy(&out->weight, &i->weight, sizeof(out->weight));
}

/* False: none is known for this content. */
static bool checksum_of(struct op *op, const struct service *s, uint8_t md5[16])
{
	struct stored_checksum stored = { 0 };

	if (s->checksum == 0 || blob_copy(&op->tx, s->checksum, (char *)&stored, sizeof(stored)) != sizeof(stored))
		return false;
	memcpy(md5, stored.md5, sizeof(stored.md5));
	return stored.content == s->content;
}

static void copy_settings(struct op *op, const struct service *s, struct service_view *view)
{
	struct str name;

	service_stamp_of(op, s, &view->stamp);
	view->text_len = 0;
	view->cluster_count = 0;
	view->instance_count = 0;
	view->changed = s->changed;
	view->content = s->content;
	view->has_checksum = checksum_of(op, s, view->checksum);
	memcpy(&view->threshold, &s->threshold, sizeof(view->threshold));
	name = put_blob(op, view, s->name);
	if (name.n != (size_t)s->ns_len + 1 + s->name_len) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return;
	}
	view->ns = str_make(name.p, s->ns_len);
	view->name = str_make(name.p + s->ns_len + 1, s->name_len);
	view->metadata = put_blob(op, view, s->metadata);
	view->selector = put_blob(op, view, s->selector);
}

static void copy_clusters(struct op *op, const struct service *s, struct service_view *view)
{
	uint32_t off = s->first_cluster;

	for (uint32_t left = s->clusters; off != 0; left--) {
		const struct cluster *c = left == 0 ? NULL : cluster_at(op, off);

		if (c == NULL) {
			undo_fail(&op->tx, ERR_CORRUPT);
			return;
		}
		copy_cluster(op, c, view);
		off = c->next;
	}
}

static void copy_piece(struct op *op, struct walk *w, uint32_t most, struct service_view *view)
{
	for (; w->off != 0 && most > 0 && op->tx.err == 0; most--) {
		if (view->instance_count >= view->instance_cap) {
			undo_fail(&op->tx, ERR_CORRUPT);
			return;
		}
		copy_instance(op, w->i, w->cluster_index, view);
		walk_next(op, w);
	}
}

/* The rest of a long service, one piece a hold, as long as its revision stays. The walk's
 * references are good because every change would have moved the revision. */
static int copy_rest(struct op *op, const struct service_key *key, struct place place, struct walk *w, struct service_view *view)
{
	struct registry *reg = op->reg;
	struct service *s;
	int ret = op->tx.err;

	while (ret == 0 && w->off != 0) {
		op_end(op);
		if ((ret = op_begin(op, reg, place.shard, reader)) < 0)
			return ret;
		if (service_find(op, key, place.hash, &s) == 0 || s->id != view->stamp.id ||
		    s->revision != view->stamp.revision) {
			ret = ERR_AGAIN;
			break;
		}
		copy_piece(op, w, PIECE, view);
		ret = op->tx.err;
	}
	op_end(op);
	return ret;
}

static int copy_whole(struct registry *reg, const struct service_key *key, bool one_hold, struct service_view *view,
                      struct need *need_r)
{
	struct place place = key_place(reg, key);
	struct op op;
	struct service *s;
	struct walk w;
	int ret = op_begin(&op, reg, place.shard, reader);

	if (ret < 0)
		return ret;
	if (service_find(&op, key, place.hash, &s) == 0) {
		ret = op.tx.err;
		service_stamp_of(&op, NULL, &view->stamp);
		view->cluster_count = view->instance_count = 0;
		op_end(&op);
		return ret;
	}
	if (!need_of(&op, s, need_r)) {
		op_end(&op);
		return ERR_CORRUPT;
	}
	if (!has_room(view, need_r)) {
		op_end(&op);
		return MORE_ROOM;
	}
	copy_settings(&op, s, view);
	copy_clusters(&op, s, view);
	walk_first(&op, s, WALK_ALL, &w);
	copy_piece(&op, &w, one_hold ? UINT32_MAX : PIECE, view);
	return copy_rest(&op, key, place, &w, view);
}

int registry_view(struct registry *reg, const struct service_key *service, struct service_view *view)
{
	struct need need = { 0 };
	int ret;

	for (unsigned tries = 0;;) {
		ret = copy_whole(reg, service, tries >= TRIES, view, &need);
		if (ret == MORE_ROOM)
			ret = make_room(view, &need);
		else if (ret == ERR_AGAIN)
			tries++;
		else
			break;
		if (ret < 0 && ret != ERR_AGAIN)
			break;
	}
	if (ret < 0)
		view->stamp.found = false;
	return ret;
}

/* ---- health ---------------------------------------------------------------- */

static int copy_health(struct op *op, const struct service *s, uint64_t *healthy)
{
	uint32_t n = 0;
	struct walk w;

	memset(healthy, 0, (s->instances + 63) / 64 * sizeof(healthy[0]));
	for (walk_first(op, s, WALK_ALL, &w); w.off != 0 && n < s->instances; walk_next(op, &w), n++) {
		if (w.i->flags & INSTANCE_HEALTHY)
			healthy[n / 64] |= 1ULL << n % 64;
	}
	if (w.off != 0 || n != s->instances)
		undo_fail(&op->tx, ERR_CORRUPT);
	return op->tx.err;
}

int registry_health(struct registry *reg, const struct service_key *service, uint64_t id, uint64_t content, uint32_t count,
                    uint64_t *healthy, struct service_stamp *stamp_r)
{
	struct place place = key_place(reg, service);
	struct op op;
	struct service *s;
	int ret = op_begin(&op, reg, place.shard, reader);

	if (ret < 0)
		return ret;
	if (service_find(&op, service, place.hash, &s) == 0 || s->id != id || s->content != content || s->instances != count ||
	    count > PIECE)
		ret = ERR_AGAIN;
	else
		ret = copy_health(&op, s, healthy);
	if (ret == 0)
		service_stamp_of(&op, s, stamp_r);
	op_end(&op);
	return ret;
}

/* ---- one instance ---------------------------------------------------------- */

static int get_find(struct op *op, uint32_t soff, const struct service *s, const struct instance_key *key, int only_kind,
                    struct instance **i_r)
{
	struct instance_key kind = *key;

	for (int k = 0; k < 2 && op->tx.err == 0; k++) {
		kind.ephemeral = k == 1;
		if ((only_kind < 0 || only_kind == k) && instance_find_exact(op, soff, s, &kind, i_r) != 0)
			return 0;
	}
	return op->tx.err != 0 ? op->tx.err : ERR_NO_INSTANCE;
}

static int get_copy(struct op *op, const struct service *s, const struct instance *i, struct service_view *view,
                    struct need *need_r)
{
	const struct cluster *c = cluster_at(op, i->cluster);

	if (c == NULL)
		return op->tx.err;
	*need_r = (struct need){
		.text = (uint64_t)(blob_bytes(&op->tx, s->name) + blob_bytes(&op->tx, s->metadata) +
		                   blob_bytes(&op->tx, s->selector) + cluster_bytes(&op->tx, c) + instance_bytes(&op->tx, i)),
		.clusters = 1,
		.instances = 1,
	};
	if (!has_room(view, need_r))
		return MORE_ROOM;
	copy_settings(op, s, view);
	copy_cluster(op, c, view);
	copy_instance(op, i, 0, view);
	return op->tx.err;
}

static int get_once(struct registry *reg, const struct service_key *service, const struct instance_key *key, int only_kind,
                    struct service_view *view, bool *cluster_known_r, struct need *need_r)
{
	struct place place = key_place(reg, service);
	struct op op;
	struct service *s;
	struct instance *i;
	struct cluster *c;
	uint32_t soff;
	int ret = op_begin(&op, reg, place.shard, reader);

	if (ret < 0)
		return ret;
	soff = service_find(&op, service, place.hash, &s);
	if (soff == 0) {
		ret = op.tx.err != 0 ? op.tx.err : ERR_NOT_FOUND;
	} else if ((ret = get_find(&op, soff, s, key, only_kind, &i)) == 0) {
		*cluster_known_r = true;
		ret = get_copy(&op, s, i, view, need_r);
	} else if (cluster_find(&op, s, key->cluster, &c) != 0) {
		*cluster_known_r = c->count[0] + c->count[1] > 0;
	}
	op_end(&op);
	return ret;
}

int registry_get(struct registry *reg, const struct service_key *service, const struct instance_key *key, int only_kind,
                 struct service_view *view, bool *cluster_known_r)
{
	struct need need = { 0 };
	int ret;

	*cluster_known_r = false;
	while ((ret = get_once(reg, service, key, only_kind, view, cluster_known_r, &need)) == MORE_ROOM) {
		if ((ret = make_room(view, &need)) < 0)
			break;
	}
	if (ret < 0)
		view->stamp.found = false;
	return ret;
}

/* ---- checksum -------------------------------------------------------------- */

struct checksum {
	const struct service_key *service;
	struct place place;
	uint64_t id;
	struct stored_checksum stored;
};

static int checksum_op(struct op *op, void *arg)
{
	const struct checksum *p = arg;
	struct stored_checksum stored = p->stored;
	uint8_t known[16];
	struct service *s;

	if (service_find(op, p->service, p->place.hash, &s) == 0)
		return ERR_NOT_FOUND;
	if (service_is_foreign(op, s))
		return ERR_OWNER;
	if (s->id != p->id || s->content != p->stored.content)
		return ERR_AGAIN;
	/* Another one for the same list (PUT /service/checksum after a flip) is a change of the content: nobody may go on with
	 * the old one. */
	if (checksum_of(op, s, known) && memcmp(known, stored.md5, sizeof(known)) != 0) {
		stored.content = undo_next_revision(&op->tx);
		undo_set64(&op->tx, &s->revision, stored.content);
		undo_set64(&op->tx, &s->content, stored.content);
	}
	service_account(op, s, field_set(op, &s->checksum, str_make((const char *)&stored, sizeof(stored))));
	return 0;
}

int registry_renew_checksum(struct registry *reg, struct origin origin, const struct service_key *service, uint64_t id,
                            uint64_t content, const uint8_t checksum[16])
{
	struct checksum p = { .service = service, .place = key_place(reg, service), .id = id, .stored = { .content = content } };

	memcpy(p.stored.md5, checksum, sizeof(p.stored.md5));
	return op_run(reg, p.place.shard, origin, checksum_op, &p);
}

int registry_store_checksum(struct registry *reg, const struct service_key *service, uint64_t id, uint64_t content,
                            const uint8_t checksum[16])
{
	return registry_renew_checksum(reg, reader, service, id, content, checksum);
}

/* ---- names ----------------------------------------------------------------- */

/* One service in struct names: this, the namespace, the name; not aligned. */
struct name_head {
	uint32_t instances;
	uint16_t ns_len, name_len;
};

/* Names copied in one hold. */
struct names {
	char bytes[NAMES_BYTES];
	uint32_t len;
	uint64_t after; /* id of the last service looked at */
	bool end;
};

static bool names_add(struct op *op, const struct service *s, struct str ns, struct names *names)
{
	struct name_head head = { s->instances, s->ns_len, s->name_len };
	struct str text;

	if (str_is_set(ns) && s->ns_len != ns.n)
		return true;
	text = blob_view(&op->tx, s->name);
	if (text.n != (size_t)s->ns_len + 1 + s->name_len) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return false;
	}
	if (str_is_set(ns) && !str_eq(ns, str_make(text.p, ns.n)))
		return true;
	if (names->len + sizeof(head) + text.n - 1 > sizeof(names->bytes))
		return false;
	memcpy(names->bytes + names->len, &head, sizeof(head));
	names->len += (uint32_t)sizeof(head);
	memcpy(names->bytes + names->len, text.p, head.ns_len);
	memcpy(names->bytes + names->len + head.ns_len, text.p + head.ns_len + 1, head.name_len);
	names->len += (uint32_t)text.n - 1;
	return true;
}

static int names_copy(struct registry *reg, uint32_t shard, struct str ns, struct names *names)
{
	struct op op;
	struct service *s;
	uint32_t off;
	int ret = op_begin(&op, reg, shard, reader);

	if (ret < 0)
		return ret;
	names->len = 0;
	off = service_after(&op, names->after);
	for (uint32_t n = 0; off != 0 && n < NAMES_PIECE && op.tx.err == 0; n++) {
		if ((s = service_at(&op, off)) == NULL)
			break;
		if (s->id <= names->after) { /* a list that runs in a circle has no end */
			undo_fail(&op.tx, ERR_CORRUPT);
			break;
		}
		if (!names_add(&op, s, ns, names))
			break;
		names->after = s->id;
		reg->service_cursor = (struct registry_cursor){ shard, off, s->id };
		off = s->next;
	}
	names->end = off == 0;
	ret = op.tx.err;
	op_end(&op);
	return ret;
}

static void names_tell(const struct names *names, registry_service_fn *fn, void *arg)
{
	const char *at = names->bytes, *end = names->bytes + names->len;
	struct name_head head;

	while (at < end) {
		struct service_row row;

		memcpy(&head, at, sizeof(head));
		at += sizeof(head);
		row = (struct service_row){ str_make(at, head.ns_len), str_make(at + head.ns_len, head.name_len),
			                    head.instances };
		at += head.ns_len + head.name_len;
		fn(&row, arg);
	}
}

int registry_services(struct registry *reg, struct str ns, registry_service_fn *fn, void *arg)
{
	struct names *names = malloc(sizeof(*names));
	int ret = names == NULL ? ERR_NOMEM : 0;

	for (uint32_t shard = 0; shard < SHARDS && ret == 0; shard++) {
		const struct registry_root *root = (const struct registry_root *)reg->seg->shards[shard].root;

		names->after = 0;
		names->end = __atomic_load_n(&root->service_count, __ATOMIC_RELAXED) == 0;
		while (!names->end && (ret = names_copy(reg, shard, ns, names)) == 0)
			names_tell(names, fn, arg);
	}
	free(names);
	return ret;
}

struct name_listener {
	registry_name_fn *fn;
	void *arg;
};

static void tell_name(const struct service_row *row, void *arg)
{
	const struct name_listener *listener = arg;

	listener->fn(row->name, listener->arg);
}

int registry_names(struct registry *reg, struct str ns, registry_name_fn *fn, void *arg)
{
	struct name_listener listener = { fn, arg };

	return registry_services(reg, str_is_set(ns) ? ns : STR(""), tell_name, &listener);
}
