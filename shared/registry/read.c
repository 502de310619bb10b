/* SPDX-License-Identifier: Apache-2.0 */
/* read.c - short reads: stamps, health, checksums, names of services. Copies of whole services
 * are made in view.c. */
#include "shared/registry/scan.h"

#include <stdlib.h>

#include "shared/base/fiber.h"
#include "shared/shm/blob.h"
#include "shared/shm/shard.h"

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
	stamp_r->bytes = s->bytes;
	stamp_r->clusters = s->clusters;
	stamp_r->instances = s->instances;
	stamp_r->healthy = s->healthy;
	memcpy(&stamp_r->threshold, &s->threshold, sizeof(stamp_r->threshold));
}

/* ---- health ---------------------------------------------------------------------------------- */

struct health {
	const struct service_key *service;
	uint64_t id, content;
	uint32_t count, n; /* wanted, found */
	uint64_t *healthy;
	struct scan scan;
};

static int health_begin(struct health *h, struct op *op, struct place place, struct service **s_r)
{
	uint32_t soff = service_find(op, h->service, place.hash, s_r);

	ROSTER_ASSERT(h->n == 0 && h->count <= REGISTRY_HEALTH_MOST);
	/* The caller has the list of that content, and bits of another one would be of other
	 * instances. */
	if (soff == 0 || (*s_r)->id != h->id || (*s_r)->content != h->content ||
	    (*s_r)->instances != h->count)
		return op->tx.err != 0 ? op->tx.err : ERR_AGAIN;
	memset(h->healthy, 0, (h->count + 63) / 64 * sizeof(h->healthy[0]));
	scan_begin(&h->scan, op, h->service, soff, *s_r, WALK_ALL, 0);
	return 0;
}

static int health_piece(struct health *h, struct op *op, bool first, struct service_stamp *stamp_r)
{
	const struct instance *i;
	struct service *s;
	int ret = first ? health_begin(h, op, key_place(op->reg, h->service), &s)
	                : scan_return(&h->scan, op, &s);

	if (ret < 0 || h->scan.moved)
		return ret == ERR_CORRUPT ? ret : ERR_AGAIN;
	while (h->n <= h->count && (i = scan_next(&h->scan, op)) != NULL) {
		if (h->n < h->count && (i->flags & INSTANCE_HEALTHY) != 0)
			h->healthy[h->n / 64] |= 1ULL << h->n % 64;
		h->n++;
	}
	/* The service counts more or fewer instances than its lists have. */
	if (op->tx.err == 0 && (h->n > h->count || (h->scan.end && h->n != h->count)))
		undo_fail(&op->tx, ERR_CORRUPT);
	service_stamp_of(op, s, stamp_r);
	return op->tx.err;
}

int registry_health(struct registry *reg, const struct service_key *service, uint64_t id,
                    uint64_t content, uint32_t count, uint64_t *healthy,
                    struct service_stamp *stamp_r)
{
	struct health h = {
		.service = service, .id = id, .content = content, .count = count, .healthy = healthy
	};
	uint32_t shard = registry_shard_of(reg, service);
	struct op op;
	int ret = count > REGISTRY_HEALTH_MOST ? ERR_AGAIN : 0;

	for (bool first = true; ret == 0 && !h.scan.end; first = false) {
		if ((ret = op_begin(&op, reg, shard, reader)) < 0)
			return ret;
		ret = health_piece(&h, &op, first, stamp_r);
		op_end(&op);
	}
	return ret;
}

/* ---- checksum -------------------------------------------------------------------------------- */

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
	/* The list has changed since it was read. */
	if (s->id != p->id || s->content != p->stored.content)
		return ERR_AGAIN;
	/* Another checksum for the same list (PUT /service/checksum after a flip) is a change of
	 * the content: nobody may go on with the old one. */
	if (service_checksum(op, s, known) && memcmp(known, stored.md5, sizeof(known)) != 0) {
		stored.content = undo_next_revision(&op->tx);
		undo_set64(&op->tx, &s->revision, stored.content);
		undo_set64(&op->tx, &s->content, stored.content);
	}
	service_account(op, s,
	                field_set(op, &s->checksum,
	                          str_make((const char *)&stored, sizeof(stored))));
	return 0;
}

int registry_renew_checksum(struct registry *reg, struct origin origin,
                            const struct service_key *service, uint64_t id, uint64_t content,
                            const uint8_t checksum[16])
{
	struct checksum p = { .service = service,
		              .place = key_place(reg, service),
		              .id = id,
		              .stored = { .content = content } };

	memcpy(p.stored.md5, checksum, sizeof(p.stored.md5));
	return op_run(reg, p.place.shard, origin, checksum_op, &p);
}

int registry_store_checksum(struct registry *reg, const struct service_key *service, uint64_t id,
                            uint64_t content, const uint8_t checksum[16])
{
	return registry_renew_checksum(reg, reader, service, id, content, checksum);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Stands in front of each service in struct names: this, the namespace, the name. It is not aligned
 * there. */
struct name_head {
	uint32_t instances;
	uint16_t ns_len, name_len;
};

/* Holds the names that were copied in one hold. */
struct names {
	char bytes[NAMES_BYTES];
	uint32_t len;
	struct registry_cursor at; /* the last service looked at */
	bool end;
};

/* Copies one service, if it is of the namespace. Returns false when there is no room for it, or it
 * is damaged. */
static bool names_add(struct op *op, const struct service *s, struct str ns, struct names *names)
{
	struct name_head head = { s->instances, s->ns_len, s->name_len };
	struct str text;

	ROSTER_ASSERT(names->len <= sizeof(names->bytes));
	/* The length is in the object; the text of most others need not be looked at. */
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

static void names_fill(struct op *op, uint32_t off, struct str ns, struct names *names)
{
	const struct service *s;

	for (uint32_t n = 0; off != 0 && n < NAMES_PIECE && op->tx.err == 0; n++) {
		if ((s = service_at(op, off)) == NULL)
			break;
		if (s->id <= names->at.id) { /* a list that runs in a circle has no end */
			undo_fail(&op->tx, ERR_CORRUPT);
			break;
		}
		if (!names_add(op, s, ns, names))
			break;
		names->at = (struct registry_cursor){ .shard = op->tx.shard->index,
			                              .off = off,
			                              .id = s->id };
		off = s->next;
	}
	names->end = off == 0;
}

static int names_copy(struct registry *reg, uint32_t shard, struct str ns, struct names *names)
{
	struct op op;
	uint32_t off;
	int ret = op_begin(&op, reg, shard, reader);

	if (ret < 0)
		return ret;
	names->len = 0;
	if (service_seek(&op, &names->at, &off))
		names_fill(&op, off, ns, names);
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
		row = (struct service_row){ str_make(at, head.ns_len),
			                    str_make(at + head.ns_len, head.name_len),
			                    head.instances };
		at += head.ns_len + head.name_len;
		fn(&row, arg);
	}
	ROSTER_ASSERT(at == end);
}

int registry_services(struct registry *reg, struct str ns, registry_service_fn *fn, void *arg)
{
	struct names *names = malloc(sizeof(*names));
	int ret = names == NULL ? ERR_NOMEM : 0;

	for (uint32_t shard = 0; shard < SHARDS && ret == 0; shard++) {
		const struct registry_root *root =
		        (const struct registry_root *)reg->seg->shards[shard].root;

		names->at = (struct registry_cursor){ .shard = shard };
		/* An empty shard is known without its lock. */
		names->end = __atomic_load_n(&root->service_count, __ATOMIC_RELAXED) == 0;
		while (!names->end && (ret = names_copy(reg, shard, ns, names)) == 0) {
			names_tell(names, fn, arg);
			if ((ret = fiber_pause()) < 0)
				break;
		}
	}
	free(names);
	return ret;
}
