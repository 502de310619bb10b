/* SPDX-License-Identifier: Apache-2.0 */
/* view.c - copies of services: whole, settings only, a page of a cluster, one instance. */
#include "shared/registry/scan.h"

#include <stdlib.h>

#include "shared/base/discard.h"
#include "shared/base/fiber.h"
#include "shared/shm/blob.h"
#include "shared/shm/health.h"

#define VIEW_STEP 2U           /* steps of a hold (scan.h) that an object costs which is copied */
#define VIEW_BYTES 131072U     /* of text copied in one hold, and what the last object has beyond */
#define VIEW_BYTES_LEAST 4096U /* of a view's memory for texts */
#define TOUCH_BYTES 4096U
#define VIEW_TRIES 2U /* for a copy of one revision; the next one takes what it meets */

static const struct origin reader = { 0 };

/* ---- memory of a view ------------------------------------------------------------------------ */

void service_view_init(struct service_view *view)
{
	*view = (struct service_view){ .text = NULL };
}

void service_view_free(struct service_view *view)
{
	discard(view->text, view->text_cap);
	discard(view->clusters, view->cluster_cap * sizeof(view->clusters[0]));
	discard(view->instances, view->instance_cap * sizeof(view->instances[0]));
	service_view_init(view);
}

/* The memory that the next hold needs. `text` counts what is copied already and what did not fit
 * behind it. */
struct need {
	uint64_t text, clusters, instances;
};

static bool view_has_room(const struct service_view *view, const struct need *need)
{
	return view->text_cap >= need->text && view->cluster_cap >= need->clusters &&
	       view->instance_cap >= need->instances;
}

static int grow_array(void **at, uint32_t *cap, uint64_t need, size_t size)
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

/* The text memory has moved. Texts that point into the old memory point to the same bytes in the
 * new one; others, which are constants, stay. */
struct move {
	uintptr_t from; /* nothing is there any more */
	const char *to;
	size_t bytes;
};

static void follow_text(const struct move *move, struct str *text)
{
	if (text->p != NULL && (uintptr_t)text->p - move->from <= move->bytes)
		text->p = move->to + ((uintptr_t)text->p - move->from);
}

static void follow_all(const struct move *move, struct service_view *view)
{
	follow_text(move, &view->ns);
	follow_text(move, &view->name);
	follow_text(move, &view->metadata);
	follow_text(move, &view->selector);
	for (uint32_t n = 0; n < view->cluster_count; n++) {
		follow_text(move, &view->clusters[n].name);
		follow_text(move, &view->clusters[n].metadata);
		follow_text(move, &view->clusters[n].checker);
	}
	for (uint32_t n = 0; n < view->instance_count; n++) {
		follow_text(move, &view->instances[n].ip);
		follow_text(move, &view->instances[n].metadata);
		follow_text(move, &view->instances[n].app);
	}
}

/* Grows by realloc(): the pages of a large block are moved, not copied, which would take
 * milliseconds. */
static int grow_text(struct service_view *view, uint64_t need)
{
	uintptr_t old; /* a number: behind realloc() it is no pointer any more */
	uint64_t want = need + need / 8 + 16, twice = 2 * (uint64_t)view->text_cap;
	char *new;

	if (view->text_cap >= need)
		return 0;
	memcpy(&old, &view->text, sizeof(old));
	want = want < VIEW_BYTES_LEAST ? VIEW_BYTES_LEAST : want;
	want = want < twice && view->text_len > 0 ? twice : want;
	if (want > UINT32_MAX || (new = realloc(view->text, want)) == NULL)
		return ERR_NOMEM;
	if (view->text_len > 0)
		follow_all(&(struct move){ old, new, view->text_len }, view);
	view->text = new;
	view->text_cap = (uint32_t)want;
	return 0;
}

/* Takes memory; outside the lock. */
static int view_make_room(struct service_view *view, const struct need *need)
{
	int ret = grow_text(view, need->text);

	if (ret == 0)
		ret = grow_array((void **)&view->clusters, &view->cluster_cap, need->clusters,
		                 sizeof(view->clusters[0]));
	if (ret == 0)
		ret = grow_array((void **)&view->instances, &view->instance_cap, need->instances,
		                 sizeof(view->instances[0]));
	return ret;
}

static void touch_pages(char *from, size_t bytes, const char *end)
{
	for (; bytes > 0 && from < end;
	     from += TOUCH_BYTES, bytes -= bytes < TOUCH_BYTES ? bytes : TOUCH_BYTES)
		*(volatile char *)from = 0;
}

/* Makes sure that what the next hold may write to is there before the lock is taken: the kernel
 * clears memory that is used for the first time, two megabytes at once where pages are large. */
static void touch_room(struct service_view *view)
{
	char *instances = (char *)view->instances;

	if (view->text != NULL)
		touch_pages(view->text + view->text_len, VIEW_BYTES + BLOB_MAX_BYTES,
		            view->text + view->text_cap);
	if (instances != NULL)
		touch_pages(instances + view->instance_count * sizeof(view->instances[0]),
		            SCAN_STEPS * sizeof(view->instances[0]),
		            instances + view->instance_cap * sizeof(view->instances[0]));
}

static void view_forget(struct service_view *view)
{
	view->text_len = 0;
	view->cluster_count = view->instance_count = 0;
	view->has_checksum = view->loose = false;
}

/* ---- one object ------------------------------------------------------------------------------ */

/* Where something is copied to. When there is too little room, need->text says so, and nothing of
 * that object counts. */
struct out {
	struct op *op;
	struct service_view *view;
	struct need *need;
};

static bool out_is_short(const struct out *out)
{
	return out->need->text > out->view->text_cap;
}

/* Returns a place for n bytes, or NULL. */
static char *out_place(struct out *out, uint64_t n)
{
	struct service_view *view = out->view;
	uint64_t end = (out_is_short(out) ? out->need->text : view->text_len) + n;

	ROSTER_ASSERT(view->text_len <= view->text_cap);
	if (end > view->text_cap) {
		out->need->text = end;
		return NULL;
	}
	view->text_len += (uint32_t)n;
	return view->text + end - n;
}

static struct str out_put(struct out *out, struct str text)
{
	char *at;

	if (!str_is_set(text) || (at = out_place(out, text.n)) == NULL)
		return (struct str){ NULL, 0 };
	if (text.n > 0)
		memcpy(at, text.p, text.n);
	return str_make(at, text.n);
}

static struct str out_put_blob(struct out *out, uint32_t off)
{
	struct service_view *view = out->view;
	uint32_t room = out_is_short(out) ? 0 : view->text_cap - view->text_len, n;
	char *at;

	if (off == 0)
		return (struct str){ NULL, 0 };
	n = blob_copy(&out->op->tx, off, view->text + view->text_len, room);
	at = out_place(out, n);
	return at == NULL ? (struct str){ NULL, 0 } : str_make(at, n);
}

/* Returns false when there is no room. */
static bool view_copy_cluster(struct out *out, const struct cluster *c)
{
	struct service_view *view = out->view;
	struct cluster_view *at = &view->clusters[view->cluster_count];
	const struct tx *tx = &out->op->tx;
	uint32_t text_len = view->text_len;
	struct check_settings check;

	ROSTER_ASSERT(view->cluster_count < view->cluster_cap);
	cluster_check(tx, c, &check);
	*at = (struct cluster_view){
		.name = out_put(out, cluster_name(tx, c)),
		.metadata = out_put_blob(out, c->metadata),
		.checker = out_put(out, check.checker),
		.check_port = check.port,
		.use_instance_port = check.use_instance_port,
		.instances = (uint64_t)c->count[0] + c->count[1],
	};
	if (out_is_short(out)) {
		view->text_len = text_len;
		return false;
	}
	view->cluster_count++;
	return true;
}

static bool view_copy_instance(struct out *out, const struct instance *i, uint32_t cluster)
{
	struct service_view *view = out->view;
	struct instance_view *at = &view->instances[view->instance_count];
	uint32_t text_len = view->text_len;

	ROSTER_ASSERT(view->instance_count < view->instance_cap);
	*at = (struct instance_view){
		.id = i->id,
		.revision = i->revision,
		.beat_ms = beat_ms(i->beat),
		.ip = out_put(out, instance_ip(&out->op->tx, i)),
		.port = i->port,
		.flags = i->flags,
		.metadata = out_put_blob(out, i->metadata),
		.app = i->flags & INSTANCE_APP_DEFAULT ? DEFAULT_APP : out_put_blob(out, i->app),
		.ident = (int64_t)i->ident - 1,
		.cluster = cluster,
	};
	memcpy(&at->weight, &i->weight, sizeof(at->weight));
	if (out_is_short(out)) {
		view->text_len = text_len;
		return false;
	}
	view->instance_count++;
	return true;
}

bool service_checksum(struct op *op, const struct service *s, uint8_t md5[16])
{
	struct stored_checksum stored = { 0 };

	if (s->checksum == 0 ||
	    blob_copy(&op->tx, s->checksum, (char *)&stored, sizeof(stored)) != sizeof(stored))
		return false;
	memcpy(md5, stored.md5, sizeof(stored.md5));
	return stored.content == s->content;
}

/* Copies what is set for the service itself, the first thing of every copy. */
static bool copy_settings(struct out *out, const struct service *s)
{
	struct service_view *view = out->view;
	struct str name;

	view_forget(view);
	service_stamp_of(out->op, s, &view->stamp);
	view->changed = s->changed;
	view->content = s->content;
	view->has_checksum = service_checksum(out->op, s, view->checksum);
	memcpy(&view->threshold, &s->threshold, sizeof(view->threshold));
	name = out_put_blob(out, s->name);
	view->metadata = out_put_blob(out, s->metadata);
	view->selector = out_put_blob(out, s->selector);
	if (out_is_short(out)) {
		view->text_len = 0;
		return false;
	}
	if (name.n != (size_t)s->ns_len + 1 + s->name_len) {
		undo_fail(&out->op->tx, ERR_CORRUPT);
		return true;
	}
	view->ns = str_make(name.p, s->ns_len);
	view->name = str_make(name.p + s->ns_len + 1, s->name_len);
	return true;
}

/* ---- a service ------------------------------------------------------------------------------- */

enum part { PART_ALL, PART_SETTINGS, PART_PAGE };

/* What a hold, or its beginning, returns when there is no error. */
enum step {
	OVER, /* there is nothing more to copy */
	MORE, /* in another hold, perhaps with more memory */
	WORK, /* copy->s is to be copied from */
};

struct copy {
	struct registry *reg;
	const struct service_key *key;
	struct service_view *view;
	struct need need;
	enum part part;
	bool one_revision; /* or none: ERR_AGAIN */
	bool begun;
	bool unused;           /* some of the memory was never written to */
	uint32_t clusters;     /* still to be copied */
	uint32_t last;         /* the last cluster that was copied, 0: none */
	struct str cluster;    /* of a page */
	uint64_t from, to, at; /* of its instances, and the number of the next one */
	struct scan scan;
	/* in a hold */
	struct op op;
	struct service *s;
	uint64_t most; /* length of the texts at which it ends */
};

static struct out out_of(struct copy *copy)
{
	return (struct out){ &copy->op, copy->view, &copy->need };
}

static int copy_unknown(struct copy *copy)
{
	view_forget(copy->view);
	service_stamp_of(&copy->op, NULL, &copy->view->stamp);
	return OVER;
}

/* Says how much memory a copy takes. Texts are blobs, at most as long as what they cost, or an
 * address in the row, or "DEFAULT". Memory is taken for what is stored, not for what a damaged
 * count says; what turns out to be too little grows in work. */
static int size_up(struct copy *copy)
{
	const struct service *s = copy->s;
	uint64_t rows =
	        slab_object_bytes(SLAB_SERVICE) +
	        (uint64_t)s->clusters * (slab_object_bytes(SLAB_CLUSTER) - DEFAULT_CLUSTER.n) +
	        (uint64_t)s->instances *
	                (slab_object_bytes(SLAB_INSTANCE) - sizeof(((struct instance *)0)->ip));
	bool all = copy->part == PART_ALL;

	if (s->bytes > copy->reg->seg->bytes ||
	    s->clusters != op_most(&copy->op, SLAB_CLUSTER, s->clusters) ||
	    s->instances != op_most(&copy->op, SLAB_INSTANCE, s->instances))
		return ERR_CORRUPT;
	copy->need = (struct need){
		.text = all && s->bytes > rows ? s->bytes - rows : 1,
		.clusters = copy->part == PART_PAGE ? 1 : s->clusters,
		.instances = all ? s->instances : 0,
	};
	return view_has_room(copy->view, &copy->need) ? WORK : MORE;
}

/* Begins with the one cluster of a page, and with how many of its instances are wanted. */
static int begin_page(struct copy *copy, uint32_t soff)
{
	struct out out = out_of(copy);
	struct cluster *c;
	uint32_t coff = cluster_find(&copy->op, copy->s, copy->cluster, &c);
	uint64_t count, to;

	if (coff == 0)
		return OVER;
	count = (uint64_t)c->count[0] + c->count[1];
	to = copy->to < count ? copy->to : count;
	copy->need.instances = copy->from < to ? to - copy->from : 0;
	if (!view_has_room(copy->view, &copy->need) || !view_copy_cluster(&out, c))
		return MORE;
	copy->to = to;
	if (copy->need.instances == 0)
		return OVER;
	scan_begin(&copy->scan, &copy->op, copy->key, soff, copy->s, WALK_ALL, coff);
	return WORK;
}

static int copy_begin(struct copy *copy)
{
	struct out out = out_of(copy);
	uint32_t soff =
	        service_find(&copy->op, copy->key, key_place(copy->reg, copy->key).hash, &copy->s);
	int ret;

	ROSTER_ASSERT(!copy->begun);
	if (soff == 0)
		return copy_unknown(copy);
	if ((ret = size_up(copy)) != WORK)
		return ret;
	if (!copy_settings(&out, copy->s))
		return MORE;
	if (copy->part == PART_PAGE) {
		ret = begin_page(copy, soff);
	} else {
		scan_begin(&copy->scan, &copy->op, copy->key, soff, copy->s, WALK_ALL, 0);
		copy->clusters = copy->s->clusters;
	}
	copy->begun = ret == WORK;
	return ret;
}

/* Goes on with a copy, in the state that the service is in now. */
static int copy_go_on(struct copy *copy)
{
	int ret = scan_return(&copy->scan, &copy->op, &copy->s);

	if (ret == ERR_NOT_FOUND && !copy->one_revision)
		return copy_unknown(copy); /* there was a moment without it */
	if (ret == ERR_NOT_FOUND || (ret == 0 && copy->scan.moved && copy->one_revision))
		return ERR_AGAIN;
	if (copy->scan.moved) {
		/* A copy of several states is nothing that a checksum could stand for. */
		copy->view->loose = true;
		copy->view->has_checksum = false;
	}
	return ret < 0 ? ret : WORK;
}

/* Copies clusters, which stay where they are as long as their service; new ones come last. */
static void copy_clusters(struct copy *copy)
{
	struct out out = out_of(copy);
	const struct cluster *c = copy->last == 0 ? NULL : cluster_at(&copy->op, copy->last);
	uint32_t off = c == NULL ? copy->s->first_cluster : c->next;

	while (copy->clusters > 0 && copy->scan.steps >= VIEW_STEP &&
	       copy->view->text_len < copy->most) {
		c = cluster_at(&copy->op, off);
		if (c == NULL || copy->view->cluster_count >= copy->view->cluster_cap) {
			undo_fail(&copy->op.tx, ERR_CORRUPT);
			return;
		}
		if (!view_copy_cluster(&out, c))
			return;
		copy->scan.steps -= VIEW_STEP;
		copy->clusters--;
		copy->last = off;
		off = c->next;
	}
}

static bool is_wanted(const struct copy *copy)
{
	return copy->part == PART_ALL || copy->at >= copy->from;
}

static void copy_instances(struct copy *copy)
{
	struct out out = out_of(copy);
	struct service_view *view = copy->view;
	struct scan *scan = &copy->scan;
	struct instance *i;

	while (copy->at < copy->to && view->text_len < copy->most &&
	       (i = scan_next(scan, &copy->op)) != NULL) {
		/* Memory was taken for as many as the service said it had: a list with more is
		 * damaged. */
		if (is_wanted(copy) && view->instance_count >= view->instance_cap) {
			undo_fail(&copy->op.tx, ERR_CORRUPT);
			return;
		}
		if (is_wanted(copy) &&
		    !view_copy_instance(&out, i,
		                        copy->part == PART_PAGE ? 0 : scan->cluster_index)) {
			scan_step_back(scan);
			return;
		}
		if (is_wanted(copy))
			scan->steps -= scan->steps < VIEW_STEP - 1 ? scan->steps : VIEW_STEP - 1;
		copy->at++;
	}
}

static bool is_over(const struct copy *copy)
{
	return copy->clusters == 0 &&
	       (copy->part == PART_SETTINGS || copy->at >= copy->to || copy->scan.end);
}

static int copy_hold(struct copy *copy)
{
	int ret;

	if (copy->unused)
		touch_room(copy->view);
	if ((ret = op_begin(&copy->op, copy->reg, key_place(copy->reg, copy->key).shard, reader)) <
	    0)
		return ret;
	/* A hold is bounded in bytes as well as in steps. */
	copy->most = (uint64_t)copy->view->text_len + VIEW_BYTES;
	ret = copy->begun ? copy_go_on(copy) : copy_begin(copy);
	if (ret == WORK && copy->op.tx.err == 0) {
		copy_clusters(copy);
		if (copy->clusters == 0 && copy->part != PART_SETTINGS)
			copy_instances(copy);
		ret = is_over(copy) ? OVER : MORE;
	}
	if (copy->op.tx.err != 0)
		ret = copy->op.tx.err;
	ROSTER_ASSERT(ret != WORK); /* it was done, or comes in another hold */
	op_end(&copy->op);
	return ret;
}

static int copy_pass(struct copy *copy)
{
	int ret;

	view_forget(copy->view);
	copy->begun = false;
	copy->last = copy->clusters = 0;
	copy->at = 0;
	while ((ret = copy_hold(copy)) == MORE) {
		ROSTER_ASSERT(copy->reg->seg->held == NULL);
		copy->unused |= !view_has_room(copy->view, &copy->need);
		if ((ret = view_make_room(copy->view, &copy->need)) < 0 ||
		    (copy->begun && (ret = fiber_pause()) < 0))
			break;
	}
	return ret;
}

static int copy_run(struct copy *copy)
{
	uint64_t to = copy->to;
	int ret = ERR_AGAIN;

	for (unsigned tries = 0; ret == ERR_AGAIN && tries <= VIEW_TRIES; tries++) {
		copy->to = to;
		/* The last try takes what it meets, so a service that never stands still is copied,
		 * too. */
		copy->one_revision = tries < VIEW_TRIES;
		ret = copy_pass(copy);
	}
	if (ret < 0)
		copy->view->stamp.found = false;
	return ret;
}

int registry_view(struct registry *reg, const struct service_key *service,
                  struct service_view *view)
{
	struct copy copy = {
		.reg = reg, .key = service, .view = view, .part = PART_ALL, .to = UINT64_MAX
	};

	return copy_run(&copy);
}

int registry_settings(struct registry *reg, const struct service_key *service,
                      struct service_view *view)
{
	struct copy copy = { .reg = reg, .key = service, .view = view, .part = PART_SETTINGS };

	return copy_run(&copy);
}

int registry_page(struct registry *reg, const struct service_key *service, struct str cluster,
                  uint64_t from, uint64_t to, struct service_view *view)
{
	struct copy copy = { .reg = reg,
		             .key = service,
		             .view = view,
		             .part = PART_PAGE,
		             .cluster = cluster,
		             .from = from,
		             .to = to };

	return copy_run(&copy);
}

/* ---- one instance ---------------------------------------------------------------------------- */

/* only_kind: 0 persistent, 1 ephemeral, below 0 both, and then the persistent one comes first. */
static int get_find(struct op *op, uint32_t soff, const struct service *s,
                    const struct instance_key *key, int only_kind, struct instance **i_r)
{
	struct instance_key kind = *key;

	for (int k = 0; k < 2 && op->tx.err == 0; k++) {
		kind.ephemeral = k == 1;
		if ((only_kind < 0 || only_kind == k) &&
		    instance_find_exact(op, soff, s, &kind, i_r) != 0)
			return 0;
	}
	return op->tx.err != 0 ? op->tx.err : ERR_NO_INSTANCE;
}

static int get_copy(struct op *op, const struct service *s, const struct instance *i,
                    struct service_view *view, struct need *need)
{
	struct out out = { op, view, need };
	const struct cluster *c = cluster_at(op, i->cluster);

	if (c == NULL)
		return op->tx.err;
	if (!view_has_room(view, need) || !copy_settings(&out, s) || !view_copy_cluster(&out, c) ||
	    !view_copy_instance(&out, i, 0))
		return op->tx.err != 0 ? op->tx.err : MORE;
	return op->tx.err;
}

static int get_once(struct registry *reg, const struct service_key *service,
                    const struct instance_key *key, int only_kind, struct service_view *view,
                    bool *cluster_known_r, struct need *need)
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
		ret = get_copy(&op, s, i, view, need);
	} else if (cluster_find(&op, s, key->cluster, &c) != 0) {
		*cluster_known_r = c->count[0] + c->count[1] > 0;
	}
	op_end(&op);
	return ret;
}

int registry_get(struct registry *reg, const struct service_key *service,
                 const struct instance_key *key, int only_kind, struct service_view *view,
                 bool *cluster_known_r)
{
	struct need need = { 1, 1, 1 };
	int ret;

	*cluster_known_r = false;
	while ((ret = get_once(reg, service, key, only_kind, view, cluster_known_r, &need)) ==
	       MORE) {
		if ((ret = view_make_room(view, &need)) < 0)
			break;
	}
	if (ret < 0)
		view->stamp.found = false;
	return ret;
}
