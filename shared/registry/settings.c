/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/settings.h"

#include "shared/registry/registry_internal.h"

/* What one of the operations below is given; the others leave members unset. */
struct setting {
	const struct service_key *service;
	struct place place;
	const struct service_settings *settings;
	struct str cluster;
	const struct cluster_settings *of_cluster;
};

/* The log knows whole words, so a float is stored by its bits. */
static uint32_t threshold_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* An empty map or text is stored as none. */
static struct str or_none(struct str text)
{
	return text.n > 0 ? text : (struct str){ NULL, 0 };
}

static void settings_apply(struct op *op, struct service *s,
                           const struct service_settings *settings)
{
	int64_t delta = field_set(op, &s->metadata, or_none(settings->metadata));

	ROSTER_ASSERT(settings->selector.n <= TEXT_MAX_BYTES);
	delta += field_set(op, &s->selector, or_none(settings->selector));
	service_account(op, s, delta);
	undo_set32(&op->tx, &s->threshold, threshold_bits(settings->threshold));
	/* The service is there on purpose now, and not only because an instance came. */
	undo_set32(&op->tx, &s->flags, s->flags | SERVICE_EXPLICIT);
}

/* The settings of a new service need no check for the owner: nobody owns anything in it. */
static int settings_create_op(struct op *op, void *arg)
{
	const struct setting *p = arg;
	struct service *s;
	uint32_t soff = service_find(op, p->service, p->place.hash, &s);

	if (soff != 0)
		return ERR_EXISTS;
	if (op->tx.err == 0)
		soff = service_create(op, p->service, p->place, &s);
	if (soff == 0 || op->tx.err != 0)
		return op->tx.err;
	settings_apply(op, s, p->settings);
	/* Readers see another revision, and nothing is pushed. */
	service_mark(op, soff, s, CHANGE_SETTINGS);
	return 0;
}

static int settings_update_op(struct op *op, void *arg)
{
	const struct setting *p = arg;
	struct service *s;
	uint32_t soff = service_find(op, p->service, p->place.hash, &s);

	if (soff == 0)
		return ERR_NOT_FOUND;
	if (service_is_foreign(op, s))
		return ERR_OWNER;
	settings_apply(op, s, p->settings);
	service_mark(op, soff, s, CHANGE_SETTINGS);
	return 0;
}

static int settings_cluster_op(struct op *op, void *arg)
{
	const struct setting *p = arg;
	const struct cluster_settings *settings = p->of_cluster;
	const struct check_settings check = { settings->check_port, settings->use_instance_port,
		                              or_none(settings->checker) };
	struct service *s;
	struct cluster *c;
	uint32_t soff = service_find(op, p->service, p->place.hash, &s);

	ROSTER_ASSERT(p->cluster.n <= TEXT_MAX_BYTES);
	if (soff == 0)
		return ERR_NOT_FOUND;
	if (service_is_foreign(op, s))
		return ERR_OWNER;
	if (cluster_find(op, s, p->cluster, &c) == 0 && op->tx.err == 0) {
		/* Only the name of a new cluster has to be a valid one. */
		if (!key_cluster_name_valid(p->cluster))
			return ERR_CLUSTER_NAME;
		if (cluster_create(op, soff, s, p->cluster, &c) == 0)
			return op->tx.err;
	}
	if (op->tx.err != 0)
		return op->tx.err;
	cluster_set_check(op, s, c, &check);
	if (settings->set_metadata)
		service_account(op, s, field_set(op, &c->metadata, or_none(settings->metadata)));
	undo_set32(&op->tx, &s->flags, s->flags | SERVICE_EXPLICIT);
	service_mark(op, soff, s, CHANGE_SETTINGS);
	return 0;
}

/* All that can be refused for its length is refused before the lock is taken. */
static int settings_check(struct registry *reg, const struct service_key *service,
                          struct str metadata, struct str text)
{
	struct instance_metadata packed = { .packed = metadata };
	int ret = key_check_service(reg, service);

	if (ret == 0)
		ret = key_check_metadata(reg, &packed);
	return ret == 0 ? key_check_text(reg, text) : ret;
}

int registry_create_service(struct registry *reg, struct origin origin,
                            const struct service_key *service,
                            const struct service_settings *settings)
{
	struct setting p = { .service = service,
		             .place = key_place(reg, service),
		             .settings = settings };
	int ret = settings_check(reg, service, settings->metadata, settings->selector);

	if (ret == 0 && !key_service_name_valid(service->name))
		ret = ERR_SERVICE_NAME;
	return ret < 0 ? ret : op_run(reg, p.place.shard, origin, settings_create_op, &p);
}

/* Unlike for a new one, the name need not be valid: there is such a service or there is none. */
int registry_update_service(struct registry *reg, struct origin origin,
                            const struct service_key *service,
                            const struct service_settings *settings)
{
	struct setting p = { .service = service,
		             .place = key_place(reg, service),
		             .settings = settings };
	int ret = settings_check(reg, service, settings->metadata, settings->selector);

	return ret < 0 ? ret : op_run(reg, p.place.shard, origin, settings_update_op, &p);
}

int registry_update_cluster(struct registry *reg, struct origin origin,
                            const struct service_key *service, struct str cluster,
                            const struct cluster_settings *settings)
{
	struct setting p = { .service = service,
		             .place = key_place(reg, service),
		             .cluster = cluster,
		             .of_cluster = settings };
	int ret = settings_check(reg, service, settings->metadata, settings->checker);

	if (ret == 0)
		ret = key_check_text(reg, cluster);
	return ret < 0 ? ret : op_run(reg, p.place.shard, origin, settings_cluster_op, &p);
}
