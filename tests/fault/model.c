/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/registry/layout.h"

static void full(const char *what)
{
	fprintf(stderr, "the model has no room for %s\n", what);
	exit(2);
}

static uint64_t hash(const char *bytes, size_t n)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)bytes[i]) * 0x100000001b3ULL;
	return h;
}

static uint64_t hash_text(const char *text)
{
	return text == NULL ? 0 : hash(text, strlen(text));
}

static uint64_t hash_metadata(const struct values_row *v)
{
	return v->metadata == NULL ? 0 : hash(v->metadata, v->metadata_bytes);
}

static void copy_text(char *out, size_t size, const char *text)
{
	memset(out, 0, size);
	snprintf(out, size, "%s", text);
}

/* ---- finding --------------------------------------------------------------------------------- */

static struct model_cluster *cluster_find(struct model_service *s, const char *name)
{
	for (uint32_t n = 0; n < s->clusters; n++) {
		if (strcmp(s->cluster[n].name, name) == 0)
			return &s->cluster[n];
	}
	return NULL;
}

static struct model_cluster *cluster_need(struct model_service *s, const char *name)
{
	struct model_cluster *c = cluster_find(s, name);

	if (c != NULL)
		return c;
	if (s->clusters == MODEL_CLUSTERS)
		full("a cluster");
	c = &s->cluster[s->clusters++];
	memset(c, 0, sizeof(*c));
	copy_text(c->name, sizeof(c->name), name);
	c->fields[SAVED_CLUSTER_NAME] = MODEL_ANY;
	c->fields[SAVED_CLUSTER_PORT] = 80;
	return c;
}

static bool is_ephemeral(const struct model_instance *i)
{
	return (i->flags & INSTANCE_EPHEMERAL) != 0;
}

static struct model_instance *instance_find(struct model_service *s, const struct act *act,
                                            bool any_cluster)
{
	const struct key_row *k = act_key_row(act->key);

	for (uint32_t n = 0; n < s->instances; n++) {
		struct model_instance *i = &s->instance[n];

		if (i->port == act->number && strcmp(i->ip, k->ip) == 0 &&
		    is_ephemeral(i) == k->ephemeral &&
		    (any_cluster || strcmp(i->cluster, k->cluster) == 0))
			return i;
	}
	return NULL;
}

static void instance_drop(struct model_service *s, struct model_instance *i)
{
	size_t behind = (size_t)(&s->instance[s->instances] - (i + 1));

	memmove(i, i + 1, behind * sizeof(*i));
	s->instances--;
}

/* ---- instances ------------------------------------------------------------------------------- */

static void set_metadata(struct model_instance *i, const struct values_row *v)
{
	const struct overrides *o = &v->overrides;

	i->fields[SAVED_INSTANCE_METADATA] = hash_metadata(v);
	i->fields[SAVED_INSTANCE_INTERVAL] =
	        o->has && o->has_interval ? o->interval_ms : UINT64_MAX;
	i->fields[SAVED_INSTANCE_TIMEOUT] = o->has ? o->timeout_ms : UINT64_MAX;
	i->fields[SAVED_INSTANCE_DELETE] = o->has ? o->delete_ms : BEAT_DELETE_MS;
}

static uint64_t timeout_ms(const struct model_instance *i)
{
	return i->fields[SAVED_INSTANCE_TIMEOUT] == UINT64_MAX ? BEAT_TIMEOUT_MS
	                                                       : i->fields[SAVED_INSTANCE_TIMEOUT];
}

static void set_values(struct model *m, struct model_instance *i, const struct values_row *v)
{
	memcpy(&i->fields[SAVED_INSTANCE_WEIGHT], &v->weight, sizeof(v->weight));
	i->flags = (i->flags & ~(uint32_t)INSTANCE_ENABLED) |
	           (v->enabled ? (uint32_t)INSTANCE_ENABLED : 0);
	i->fields[SAVED_INSTANCE_APP] = hash_text(v->app);
	i->beat_ms = m->now_ms;
	set_metadata(i, v);
}

static struct model_instance *instance_add(struct model_service *s, const struct act *act)
{
	/* Key, flags and beat are compared elsewhere; the model knows no numbers of snowflake
	 * ids. */
	static const uint8_t elsewhere[] = { SAVED_INSTANCE_IP, SAVED_INSTANCE_PORT,
		                             SAVED_INSTANCE_FLAGS, SAVED_INSTANCE_BEAT,
		                             SAVED_INSTANCE_IDENT };
	const struct key_row *k = act_key_row(act->key);
	struct model_instance *i = &s->instance[s->instances];

	if (s->instances == MODEL_INSTANCES)
		full("an instance");
	cluster_need(s, k->cluster);
	s->instances++;
	memset(i, 0, sizeof(*i));
	copy_text(i->ip, sizeof(i->ip), k->ip);
	copy_text(i->cluster, sizeof(i->cluster), k->cluster);
	i->port = act->number;
	i->flags = (k->ephemeral ? (uint32_t)INSTANCE_EPHEMERAL : 0) | INSTANCE_HEALTHY;
	for (size_t n = 0; n < sizeof(elsewhere); n++)
		i->fields[elsewhere[n]] = MODEL_ANY;
	return i;
}

static void service_need(struct model_service *s)
{
	/* It was found by its name. Whether there is a checksum is compared elsewhere. */
	static const uint8_t elsewhere[] = { SAVED_SERVICE_NS, SAVED_SERVICE_NAME,
		                             SAVED_SERVICE_STAMP, SAVED_SERVICE_CHECKSUM_0,
		                             SAVED_SERVICE_CHECKSUM_1 };

	if (s->exists)
		return;
	s->exists = true;
	s->on_purpose = s->checksum = false;
	memset(s->fields, 0, sizeof(s->fields));
	for (size_t n = 0; n < sizeof(elsewhere); n++)
		s->fields[elsewhere[n]] = MODEL_ANY;
	s->clusters = s->instances = 0;
}

static int put(struct model *m, struct model_service *s, const struct act *act)
{
	const struct key_row *k = act_key_row(act->key);
	struct model_instance *i;

	if (act->verb == ACT_UPDATE && !s->exists)
		return ERR_NOT_FOUND;
	if (act->verb == ACT_UPDATE && instance_find(s, act, true) == NULL)
		return ERR_NO_INSTANCE;
	service_need(s);
	if (!k->valid)
		return ERR_CLUSTER_NAME;
	if (!k->ephemeral)
		s->on_purpose = true;
	if ((i = instance_find(s, act, false)) == NULL)
		i = instance_add(s, act);
	set_values(m, i, act_values_row(act->values));
	s->checksum = false;
	return 0;
}

static int deregister(struct model_service *s, const struct act *act)
{
	const struct key_row *k = act_key_row(act->key);
	struct model_instance *i = instance_find(s, act, false);

	if (!s->exists)
		return 0;
	if (!k->valid)
		return ERR_CLUSTER_NAME;
	if (i != NULL)
		instance_drop(s, i);
	else
		cluster_need(s, k->cluster);
	s->checksum = false;
	return 0;
}

static void set_healthy(struct model_instance *i, bool healthy)
{
	i->flags = (i->flags & ~(uint32_t)INSTANCE_HEALTHY) |
	           (healthy ? (uint32_t)INSTANCE_HEALTHY : 0);
}

static int edit(struct model *m, struct model_service *s, const struct act *act)
{
	struct model_instance *i = s->exists ? instance_find(s, act, false) : NULL;

	if (i == NULL)
		return act->verb == ACT_BEAT ? ERR_NOT_FOUND : ERR_NO_INSTANCE;
	switch (act->verb) {
	case ACT_PATCH:
		set_values(m, i, act_values_row(act->values));
		set_healthy(i, false);
		s->checksum = false;
		break;
	case ACT_METADATA:
		set_metadata(i, act_values_row(act->values));
		s->checksum = false;
		break;
	case ACT_BEAT:
		if (is_ephemeral(i)) {
			i->beat_ms = m->now_ms;
			set_healthy(i, true);
		}
		break;
	case ACT_CHECKED_WELL:
	case ACT_CHECKED_SICK:
		set_healthy(i, act->verb == ACT_CHECKED_WELL);
		i->flags = (i->flags & ~(uint32_t)INSTANCE_CONFIRMED) |
		           (act->verb == ACT_CHECKED_WELL ? (uint32_t)INSTANCE_CONFIRMED : 0);
		break;
	default:
		set_healthy(i, act->verb == ACT_WELL);
	}
	return 0;
}

/* ---- services -------------------------------------------------------------------------------- */

static int settings(struct model_service *s, const struct act *act)
{
	const struct values_row *v = act_values_row(act->values);

	if (act->verb == ACT_CREATE_SERVICE && s->exists)
		return ERR_EXISTS;
	if (act->verb == ACT_UPDATE_SERVICE && !s->exists)
		return ERR_NOT_FOUND;
	service_need(s);
	s->fields[SAVED_SERVICE_METADATA] = hash_metadata(v);
	s->fields[SAVED_SERVICE_SELECTOR] = hash_text(v->selector);
	memcpy(&s->fields[SAVED_SERVICE_THRESHOLD], &v->threshold, sizeof(v->threshold));
	s->on_purpose = true;
	s->checksum = false;
	return 0;
}

static int cluster_settings(struct model_service *s, const struct act *act)
{
	const struct values_row *v = act_values_row(act->values);
	struct model_cluster *c;

	if (!s->exists)
		return ERR_NOT_FOUND;
	c = cluster_need(s, act_key_row(act->key)->cluster);
	c->fields[SAVED_CLUSTER_METADATA] = hash_metadata(v);
	c->fields[SAVED_CLUSTER_CHECKER] = hash_text(v->checker);
	c->fields[SAVED_CLUSTER_PORT] = (uint64_t)(int64_t)v->check_port;
	c->fields[SAVED_CLUSTER_OWN_PORT] = !v->use_instance_port;
	s->on_purpose = true;
	s->checksum = false;
	return 0;
}

static int remove_service(struct model *m, struct model_service *s, const struct act *act)
{
	if (!s->exists)
		return ERR_NOT_FOUND;
	if (act->verb == ACT_REMOVE_EMPTY && s->instances > 0)
		return ERR_AGAIN;
	m->drain += s->instances + s->clusters + 1;
	s->exists = false;
	return 0;
}

static int drain(struct model *m, const struct act *act, uint32_t steps)
{
	uint32_t most = (uint32_t)act->number < m->drain ? (uint32_t)act->number : m->drain;

	m->drain -= steps < most ? steps : most;
	return 0;
}

/* Each instance that goes or turns is a step of its own; those that stay are none. */
static int age_service(struct model *m, struct model_service *s, const struct act *act,
                       uint32_t *steps)
{
	for (uint32_t c = 0; s->exists && c < s->clusters; c++) {
		for (uint32_t n = 0; n<s->instances && * steps> 0; n++) {
			struct model_instance *i = &s->instance[n];
			uint64_t age = m->now_ms - i->beat_ms;
			bool stale = act->verb == ACT_STALE
			                     ? i->beat_ms <= m->began_ms
			                     : age > i->fields[SAVED_INSTANCE_DELETE];
			bool lost = act->verb == ACT_EXPIRE && age > timeout_ms(i) &&
			            (i->flags & INSTANCE_HEALTHY) != 0;

			if (strcmp(i->cluster, s->cluster[c].name) != 0 || !is_ephemeral(i) ||
			    (!stale && !lost))
				continue;
			(*steps)--;
			if (stale) {
				instance_drop(s, i);
				n--;
				s->checksum = false;
			} else {
				set_healthy(i, false);
			}
		}
	}
	return 0;
}

static int age(struct model *m, const struct act *act, uint32_t steps)
{
	if (act->verb == ACT_EXPIRE)
		return age_service(m, &m->service[act->service], act, &steps);
	for (unsigned n = 0; n < SVC_COUNT; n++)
		age_service(m, &m->service[n], act, &steps);
	return 0;
}

/* ---- subscribers ----------------------------------------------------------------------------- */

static int subscribe(struct model_service *s, const struct act *act)
{
	bool push = act->values != VALUES_NONE;

	for (uint32_t n = 0; n < s->subscribers; n++) {
		if (s->subscriber[n].port == act->number) {
			s->subscriber[n].push |= push;
			return 0;
		}
	}
	if (s->subscribers == MODEL_SUBSCRIBERS)
		full("a subscriber");
	s->subscriber[s->subscribers++] =
	        (struct model_subscriber){ .port = (uint16_t)act->number, .push = push };
	return 0;
}

static int unsubscribe(struct model_service *s, const struct act *act, uint32_t steps)
{
	uint32_t gone =
	        (uint32_t)act->number < s->subscribers ? (uint32_t)act->number : s->subscribers;

	gone = steps < gone ? steps : gone;
	s->subscribers -= gone;
	memmove(s->subscriber, s->subscriber + gone, s->subscribers * sizeof(s->subscriber[0]));
	return 0;
}

static int deliver(struct model_service *s, const struct act *act)
{
	for (uint32_t n = 0; n < s->subscribers; n++) {
		s->subscriber[n].sent |= act->verb == ACT_SENT;
		s->subscriber[n].acked |= act->verb == ACT_ACKED;
	}
	return 0;
}

/* ---- the office ------------------------------------------------------------------------------ */

static int switches(struct model *m, const struct act *act)
{
	const struct values_row *v = act_values_row(act->values);
	unsigned word = (unsigned)act->number % SWITCH_WORDS;

	m->switches[word] = (uint64_t)act->number;
	if (word == 0) {
		m->ephemeral = v->use_instance_port;
		m->masters = hash_text(v->masters);
		m->limited = hash_text(v->limited);
	}
	return 0;
}

static int namespace(struct model *m, const struct act *act)
{
	const struct values_row *v = act_values_row(act->values);
	struct model_namespace *row = &m->namespace[act->number];

	if (row->exists == (act->verb == ACT_CREATE_NAMESPACE))
		return row->exists ? ERR_EXISTS : ERR_NOT_FOUND;
	memset(row, 0, sizeof(*row));
	if (act->verb == ACT_REMOVE_NAMESPACE)
		return 0;
	row->exists = true;
	row->name = hash_text(v->app);
	row->about = hash_text(v->selector);
	return 0;
}

int model_apply(struct model *m, const struct act *act, uint32_t steps)
{
	struct model_service *s = &m->service[act->service];

	if (steps == 0)
		return 0;
	switch (act->verb) {
	case ACT_REGISTER:
	case ACT_UPDATE:
		return put(m, s, act);
	case ACT_DEREGISTER:
		return deregister(s, act);
	case ACT_PATCH:
	case ACT_METADATA:
	case ACT_BEAT:
	case ACT_SICK:
	case ACT_WELL:
	case ACT_CHECKED_WELL:
	case ACT_CHECKED_SICK:
		return edit(m, s, act);
	case ACT_CREATE_SERVICE:
	case ACT_UPDATE_SERVICE:
		return settings(s, act);
	case ACT_UPDATE_CLUSTER:
		return cluster_settings(s, act);
	case ACT_REMOVE_SERVICE:
	case ACT_REMOVE_EMPTY:
		return remove_service(m, s, act);
	case ACT_DRAIN:
		return drain(m, act, steps);
	case ACT_EXPIRE:
	case ACT_STALE:
		return age(m, act, steps);
	case ACT_SUBSCRIBE:
		return subscribe(s, act);
	case ACT_UNSUBSCRIBE:
		return unsubscribe(s, act, steps);
	case ACT_SENT:
	case ACT_ACKED:
		return deliver(s, act);
	case ACT_CHECKSUM:
		s->checksum = s->exists;
		return s->exists ? 0 : ERR_NOT_FOUND;
	case ACT_COMPACT:
		return 0;
	case ACT_SWITCHES:
		return switches(m, act);
	case ACT_CREATE_NAMESPACE:
	case ACT_UPDATE_NAMESPACE:
	case ACT_REMOVE_NAMESPACE:
		return namespace(m, act);
	case ACT_LATER:
		m->now_ms += (uint64_t)act->number;
		return 0;
	case ACT_ATTACH:
		m->began_ms = m->now_ms;
		return 0;
	default:
		return 0; /* the queue and hints are no part of the model */
	}
}
