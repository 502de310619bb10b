/* SPDX-License-Identifier: Apache-2.0 */
/* write.c - operations of clients that change instances and remove services; each is one
 * transaction. */
#include "shared/registry/lookup.h"

#include <stdlib.h>

#include "shared/shm/shard.h"

/* Looks outside of the hold that writes, before a registration gives up with ERR_AGAIN. */
#define LOOKS_MOST 8U

/* ---- register, update ------------------------------------------------------------------------ */

struct registration {
	const struct service_key *service;
	const struct instance_spec *spec;
	struct place place;
	bool must_exist;   /* PUT of Java >= 1.0 */
	bool service_only; /* the cluster name is bad: only the service comes to be */
	/* What was found outside of the hold that writes; `look` is what it asked for with
	 * ERR_AGAIN. */
	enum { LOOK_EQUAL, LOOK_IDENTS } look;
	struct keeper_entry equal;
	struct idents idents;
};

static int register_in_service(struct op *op, uint32_t soff, struct service *s,
                               struct registration *r)
{
	const struct instance_spec *spec = r->spec;
	struct instance *i;
	bool edited;

	ROSTER_ASSERT(!r->service_only);
	/* Whoever registers a persistent instance wants the service to stay. */
	if (!spec->key.ephemeral)
		undo_set32(&op->tx, &s->flags, s->flags | SERVICE_EXPLICIT);
	/* From here on only snowflake numbers may have to be looked for. */
	r->look = LOOK_IDENTS;
	if (instance_find(op, soff, s, &spec->key, &i) == 0)
		return op->tx.err != 0 ? op->tx.err
		                       : instance_create(op, soff, s, spec, &r->idents);
	if (instance_is_foreign(op, i))
		return ERR_OWNER;
	edited = instance_replace(op, s, i, spec);
	instance_stamp(op, i, service_mark(op, soff, s, CHANGE_CONTENT));
	if (edited)
		op_note(op, EVENT_EDITED, s, i);
	return 0;
}

static int register_op(struct op *op, void *arg)
{
	struct registration *r = arg;
	struct service *s;
	uint32_t soff = service_find(op, r->service, r->place.hash, &s);
	int ret = 0;

	r->look = LOOK_EQUAL;
	if (r->must_exist)
		ret = soff == 0 ? ERR_NOT_FOUND : equal_here(op, soff, s, &r->spec->key, &r->equal);
	if (ret < 0)
		return ret;
	/* As the Java server does, a registration with a bad cluster name leaves a new service
	 * behind. */
	if (r->service_only && soff != 0)
		return ERR_CLUSTER_NAME;
	if (soff == 0 && op->tx.err == 0)
		soff = service_create(op, r->service, r->place, &s);
	if (soff == 0 || op->tx.err != 0)
		return op->tx.err;
	if (!r->service_only)
		return register_in_service(op, soff, s, r);
	if (!r->spec->key.ephemeral)
		undo_set32(&op->tx, &s->flags, s->flags | SERVICE_EXPLICIT);
	return 0;
}

/* The lengths are looked at before the lock is taken. Whether names are valid is asked later. */
static int check_key(struct registry *reg, const struct service_key *service,
                     const struct instance_key *key)
{
	int ret = key_check_service(reg, service);

	if (ret == 0)
		ret = key_check_text(reg, key->cluster);
	if (ret == 0)
		ret = key_check_text(reg, key->ip);
	return ret;
}

static int check_instance_spec(struct registry *reg, const struct service_key *service,
                               const struct instance_spec *spec)
{
	int ret = check_key(reg, service, &spec->key);

	if (ret == 0)
		ret = key_check_text(reg, spec->app);
	if (ret == 0)
		ret = key_check_metadata(reg, &spec->metadata);
	return ret;
}

/* Registers, and looks outside of the hold for what the registration asks for. The service may
 * become another one between a look and the hold after it, and so again. */
static int register_and_look(struct registry *reg, struct origin origin, struct registration *r)
{
	int ret = op_run(reg, r->place.shard, origin, register_op, r);

	for (unsigned looks = 0; ret == ERR_AGAIN && looks < LOOKS_MOST; looks++) {
		if (r->look == LOOK_EQUAL)
			ret = equal_find(reg, r->service, &r->spec->key, &r->equal);
		else
			ret = idents_read(reg, r->service, r->spec->key.ephemeral, &r->idents);
		/* Without the service there is nothing to look for: the hold makes a new one, or
		 * says that there has to be one. */
		if (ret == 0 || ret == ERR_NOT_FOUND)
			ret = op_run(reg, r->place.shard, origin, register_op, r);
	}
	free(r->idents.taken);
	return ret;
}

static int register_run(struct registry *reg, struct origin origin, struct registration *r)
{
	int ret = check_instance_spec(reg, r->service, r->spec);

	if (ret < 0)
		return ret;
	r->place = key_place(reg, r->service);
	r->service_only = !key_cluster_name_valid(r->spec->key.cluster);
	ret = register_and_look(reg, origin, r);
	return ret == 0 && r->service_only ? ERR_CLUSTER_NAME : ret;
}

int registry_register(struct registry *reg, struct origin origin, const struct service_key *service,
                      const struct instance_spec *spec)
{
	struct registration r = { .service = service, .spec = spec };

	/* An update names a service that is there, so only a registration looks at this. */
	if (!key_service_name_valid(service->name))
		return ERR_SERVICE_NAME;
	return register_run(reg, origin, &r);
}

int registry_update(struct registry *reg, struct origin origin, const struct service_key *service,
                    const struct instance_spec *spec)
{
	struct registration r = { .service = service, .spec = spec, .must_exist = true };

	return register_run(reg, origin, &r);
}

/* ---- deregister ------------------------------------------------------------------------------ */

struct removal {
	const struct service_key *service;
	const struct instance_key *key;
	struct place place;
	bool create_cluster; /* an unknown one, if there is room (specification 2.3) */
	uint32_t taken;      /* instances that are gone, once the operation has happened */
};

/* What was rolled back has taken nothing. */
static void tell_taken(const struct removal *r, int ret, uint32_t *taken_r)
{
	ROSTER_ASSERT(ret <= 0);
	if (taken_r != NULL)
		*taken_r = ret == 0 ? r->taken : 0;
}

static int deregister_op(struct op *op, void *arg)
{
	struct removal *r = arg;
	struct service *s;
	struct instance *i;
	struct cluster *c;
	uint32_t soff = service_find(op, r->service, r->place.hash, &s), ioff;

	ROSTER_ASSERT(r->key != NULL);
	/* The operation may run twice: op_run() tries again when pages are short. */
	r->taken = 0;
	if (soff == 0)
		return 0;
	if (!key_cluster_name_valid(r->key->cluster))
		return ERR_CLUSTER_NAME;
	ioff = instance_find(op, soff, s, r->key, &i);
	if (ioff != 0 && instance_is_foreign(op, i))
		return ERR_OWNER;
	if (ioff != 0) {
		registry_remove(op, soff, s, ioff, i);
		r->taken = 1;
		return 0;
	}
	/* To deregister what is not there is no error and marks the service as changed, which a
	 * stranger may not do. */
	if (service_is_foreign(op, s))
		return 0;
	if (r->create_cluster && op->tx.err == 0 && cluster_find(op, s, r->key->cluster, &c) == 0 &&
	    op->tx.err == 0)
		cluster_create(op, soff, s, r->key->cluster, &c);
	service_mark(op, soff, s, CHANGE_CONTENT);
	return 0;
}

static int deregister_run(struct registry *reg, struct origin origin, struct removal *r)
{
	int ret = op_run(reg, r->place.shard, origin, deregister_op, r);

	/* The cluster that it would make is not worth a refusal: the operation runs again without
	 * it. */
	if (ret != ERR_FULL && ret != ERR_LIMIT)
		return ret;
	r->create_cluster = false;
	return op_run(reg, r->place.shard, origin, deregister_op, r);
}

int registry_deregister(struct registry *reg, struct origin origin,
                        const struct service_key *service, const struct instance_key *key,
                        uint32_t *taken_r)
{
	struct removal r = { .service = service,
		             .key = key,
		             .place = key_place(reg, service),
		             .create_cluster = true };
	int ret = check_key(reg, service, key);

	if (ret == 0)
		ret = deregister_run(reg, origin, &r);
	tell_taken(&r, ret, taken_r);
	return ret;
}

/* ---- edits of one instance ------------------------------------------------------------------- */

struct edit {
	const struct service_key *service;
	const struct instance_key *key;
	struct place place;
	const struct instance_patch *patch;
	bool healthy;
	/* registry_set_metadata() */
	uint64_t id, revision;
	const struct instance_metadata *metadata;
};

/* Finds the instance of either kind, persistent before ephemeral. */
static uint32_t either_kind(struct op *op, uint32_t soff, const struct service *s,
                            const struct instance_key *key, struct instance **i_r)
{
	struct instance_key kind = *key;
	uint32_t off;

	kind.ephemeral = false;
	off = instance_find_exact(op, soff, s, &kind, i_r);
	if (off != 0 || op->tx.err != 0)
		return off;
	kind.ephemeral = true;
	return instance_find_exact(op, soff, s, &kind, i_r);
}

static uint32_t edit_find(struct op *op, const struct edit *e, struct service **s_r,
                          struct instance **i_r)
{
	uint32_t soff = service_find(op, e->service, e->place.hash, s_r);

	return soff != 0 && either_kind(op, soff, *s_r, e->key, i_r) != 0 ? soff : 0;
}

static int patch_op(struct op *op, void *arg)
{
	const struct edit *e = arg;
	const struct instance_patch *p = e->patch;
	struct service *s;
	struct instance *i;
	uint32_t soff = edit_find(op, e, &s, &i);
	double weight;

	ROSTER_ASSERT(p != NULL && e->metadata == NULL);
	if (soff == 0)
		return ERR_NO_INSTANCE;
	if (instance_is_foreign(op, i))
		return ERR_OWNER;
	instance_touch(op, i);
	if (p->set_healthy)
		registry_flip(op, soff, s, i, p->healthy);
	if (p->set_weight) {
		weight = instance_weight_clamp(p->weight);
		undo_set_bytes(&op->tx, &i->weight, &weight, sizeof(weight));
	}
	if (p->set_enabled)
		undo_set32(&op->tx, &i->flags,
		           (i->flags & ~(uint32_t)INSTANCE_ENABLED) |
		                   (p->enabled ? INSTANCE_ENABLED : 0));
	if (p->set_app)
		instance_set_app(op, s, i, p->app);
	if (p->set_metadata)
		instance_set_metadata(op, s, i, &p->metadata);
	instance_stamp(op, i, service_mark(op, soff, s, CHANGE_CONTENT));
	op_note(op, EVENT_EDITED, s, i);
	return 0;
}

int registry_patch(struct registry *reg, struct origin origin, const struct service_key *service,
                   const struct instance_key *key, const struct instance_patch *patch)
{
	struct edit e = {
		.service = service, .key = key, .place = key_place(reg, service), .patch = patch
	};
	int ret = check_key(reg, service, key);

	if (ret == 0 && patch->set_app)
		ret = key_check_text(reg, patch->app);
	if (ret == 0 && patch->set_metadata)
		ret = key_check_metadata(reg, &patch->metadata);
	return ret < 0 ? ret : op_run(reg, e.place.shard, origin, patch_op, &e);
}

static int health_op(struct op *op, void *arg)
{
	const struct edit *e = arg;
	struct service *s;
	struct instance *i;
	uint32_t soff = edit_find(op, e, &s, &i);

	if (soff == 0)
		return ERR_NO_INSTANCE;
	if (instance_is_foreign(op, i))
		return ERR_OWNER;
	registry_flip(op, soff, s, i, e->healthy);
	return 0;
}

int registry_set_health(struct registry *reg, struct origin origin,
                        const struct service_key *service, const struct instance_key *key,
                        bool healthy)
{
	struct edit e = {
		.service = service, .key = key, .place = key_place(reg, service), .healthy = healthy
	};

	return op_run(reg, e.place.shard, origin, health_op, &e);
}

static int metadata_op(struct op *op, void *arg)
{
	const struct edit *e = arg;
	struct service *s;
	struct instance *i;
	uint32_t soff = service_find(op, e->service, e->place.hash, &s);

	ROSTER_ASSERT(e->patch == NULL && e->metadata != NULL);
	if (soff == 0 || instance_find_exact(op, soff, s, e->key, &i) == 0 || i->id != e->id)
		return ERR_NO_INSTANCE;
	/* What the caller has merged with is not the present any more: he reads it again. */
	if (i->revision != e->revision)
		return ERR_AGAIN;
	if (instance_is_foreign(op, i))
		return ERR_OWNER;
	instance_set_metadata(op, s, i, e->metadata);
	instance_stamp(op, i, service_mark(op, soff, s, CHANGE_CONTENT));
	op_note(op, EVENT_EDITED, s, i);
	return 0;
}

int registry_set_metadata(struct registry *reg, struct origin origin,
                          const struct service_key *service, const struct instance_key *key,
                          uint64_t id, uint64_t revision, const struct instance_metadata *metadata)
{
	struct edit e = {
		.service = service,
		.key = key,
		.place = key_place(reg, service),
		.id = id,
		.revision = revision,
		.metadata = metadata,
	};
	int ret = key_check_metadata(reg, metadata);

	return ret < 0 ? ret : op_run(reg, e.place.shard, origin, metadata_op, &e);
}

/* ---- services -------------------------------------------------------------------------------- */

static int remove_service_op(struct op *op, void *arg)
{
	struct removal *r = arg;
	struct service *s;
	uint32_t soff = service_find(op, r->service, r->place.hash, &s);

	if (soff == 0)
		return ERR_NOT_FOUND;
	if (service_is_foreign(op, s))
		return ERR_OWNER;
	/* The instances are freed later, but nobody sees them from now on. */
	r->taken = s->instances;
	service_remove(op, soff, s);
	return 0;
}

int registry_remove_service(struct registry *reg, struct origin origin,
                            const struct service_key *service, uint32_t *taken_r)
{
	struct removal r = { .service = service, .place = key_place(reg, service) };
	int ret = op_run(reg, r.place.shard, origin, remove_service_op, &r);

	tell_taken(&r, ret, taken_r);
	return ret;
}
