/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/acts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/registry/layout.h"
#include "shared/registry/namespaces.h"
#include "shared/registry/persistent.h"
#include "shared/registry/registry_keeper.h"
#include "shared/registry/registry_pusher.h"
#include "shared/registry/settings.h"
#include "shared/registry/subscribers.h"
#include "shared/registry/switches.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

#define BED_BYTES (16U << 20)
#define BED_MONO_US 1000000000000ULL
#define BED_WALL_US 1700000000000000ULL
#define BED_SEED 20240229 /* the same shards in every run */
#define TRIES 1000U       /* of what somebody else may change meanwhile */

static const struct origin client = { .cause = CAUSE_CLIENT };
static const struct origin keeper = { .cause = CAUSE_EMPTY };
static const struct origin checks = { .cause = CAUSE_CHECK };

/* ---- rows ------------------------------------------------------------------------------------ */

static const struct key_row keys[KEY_COUNT] = {
	[KEY_PLAIN] = { "1.1.1.1", "DEFAULT", true, true },
	[KEY_OTHER] = { "1.1.1.1", "other", true, true },
	[KEY_LONG] = { "a.host.name.longer.than.sixteen", "cluster-2", true, true },
	[KEY_BAD] = { "1.1.1.1", "bad name", true, false },
	[KEY_LASTING] = { "1.1.1.9", "DEFAULT", false, true },
	[KEY_CREW] = { "7.7.7.7", "DEFAULT", true, true },
	[KEY_CREW_LASTING] = { "7.7.7.8", "crew", false, true },
};

static char long_text[6000];

static struct values_row values[VALUES_COUNT] = {
	[VALUES_NONE] = { .app = "DEFAULT",
	                  .weight = 1,
	                  .enabled = true,
	                  .check_port = 80,
	                  .use_instance_port = true },
	[VALUES_TINY] = { "tiny",
	                  4,
	                  "no",
	                  3,
	                  true,
	                  { .has = false },
	                  0.5F,
	                  "{}",
	                  "{}",
	                  7,
	                  true,
	                  "a,b",
	                  "/a:503" },
	[VALUES_SHORT] = { "metadata of some length that takes a blob of its own",
	                   52,
	                   "DEFAULT",
	                   1,
	                   true,
	                   { true, true, 1000, 15000, 30000 },
	                   0.25F,
	                   "{\"type\":\"none\"}",
	                   "{\"type\":\"NONE\"}",
	                   8,
	                   true,
	                   "c",
	                   NULL },
	[VALUES_RICH] = { long_text,
	                  sizeof(long_text),
	                  "shop",
	                  2,
	                  false,
	                  { true, true, 1000, 2000, 30000 },
	                  0.75F,
	                  "{\"type\":\"label\",\"expression\":\"a text that is longer than the one before\"}",
	                  "{\"type\":\"HTTP\"}",
	                  81,
	                  false,
	                  "one,two,three",
	                  "/b:404,/c:503" },
	/* Short timeouts: the keeper has to hear of them. */
	[VALUES_OFTEN] = { "often",
	                   5,
	                   "DEFAULT",
	                   1,
	                   true,
	                   { true, true, 1000, 2000, 3000 },
	                   0,
	                   NULL,
	                   NULL,
	                   80,
	                   true,
	                   NULL,
	                   NULL },
};

const struct key_row *act_key_row(unsigned key)
{
	return &keys[key];
}

const struct values_row *act_values_row(unsigned n)
{
	return &values[n];
}

void act_namespace_id(int32_t number, char out[16])
{
	snprintf(out, 16, "n%d", number);
}

static struct str text_or_none(const char *text)
{
	return text == NULL ? (struct str){ NULL, 0 } : str_of(text);
}

static struct instance_metadata metadata_of(const struct values_row *v)
{
	return (struct instance_metadata){
		.packed = v->metadata == NULL ? (struct str){ NULL, 0 }
		                              : str_make(v->metadata, v->metadata_bytes),
		.overrides = v->overrides,
		.snowflake = v->metadata == long_text,
	};
}

static struct instance_key instance_key_of(const struct act *act)
{
	const struct key_row *k = &keys[act->key];

	return (struct instance_key){ str_of(k->cluster), str_of(k->ip), act->number,
		                      k->ephemeral };
}

/* ---- bed ------------------------------------------------------------------------------------- */

/* The first name with that beginning that falls into the shard. */
static void name_in_shard(struct bed *bed, unsigned service, const char *begin)
{
	unsigned n = 0;

	do
		snprintf(bed->names[service], sizeof(bed->names[service]), "g@@%s-%u", begin, n++);
	while (service != SVC_MAIN &&
	       registry_shard_of(&bed->reg, &(struct service_key){ STR("public"),
	                                                           str_of(bed->names[service]) }) !=
	               bed->shard);
	if (service == SVC_MAIN)
		bed->shard =
		        registry_shard_of(&bed->reg,
		                          &(struct service_key){ STR("public"),
		                                                 str_of(bed->names[service]) });
}

void bed_open(struct bed *bed)
{
	static const char *const begins[SVC_COUNT] = { "main",   "new",   "empty", "crew0",
		                                       "crew0b", "crew1", "crew1b" };

	memset(long_text, 'm', sizeof(long_text));
	clock_set_for_test(BED_MONO_US, BED_WALL_US);
	*bed = (struct bed){ .seg = NULL };
	if (segment_open_anonymous(BED_BYTES, &bed->seg) < 0 || registry_format(bed->seg) < 0) {
		fprintf(stderr, "no memory for a segment\n");
		exit(2);
	}
	bed->seg->header->seed = BED_SEED;
	bed->seg->header->seal = segment_seal(bed->seg->header);
	bed->seg->header->health_ms = 1000000;
	bed->seg->header->health_mono_ms = BED_MONO_US / 1000;
	bed->seg->wake_fd[QUEUE_PUSHER] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	registry_init(&bed->reg, bed->seg);
	for (unsigned n = 0; n < SVC_COUNT; n++)
		name_in_shard(bed, n, begins[n]);
}

void bed_close(struct bed *bed)
{
	close(bed->seg->wake_fd[QUEUE_PUSHER]);
	segment_close_for_test(&bed->seg);
}

struct service_key bed_key(const struct bed *bed, unsigned service)
{
	return (struct service_key){ STR("public"), str_of(bed->names[service]) };
}

/* ---- instances ------------------------------------------------------------------------------- */

static int run_put(struct bed *bed, const struct act *act)
{
	const struct values_row *v = &values[act->values];
	struct service_key service = bed_key(bed, act->service);
	struct instance_spec spec = {
		.key = instance_key_of(act),
		.weight = v->weight,
		.enabled = v->enabled,
		.healthy = true,
		.app = str_of(v->app),
		.metadata = metadata_of(v),
	};

	return act->verb == ACT_UPDATE ? registry_update(&bed->reg, client, &service, &spec)
	                               : registry_register(&bed->reg, client, &service, &spec);
}

static int run_deregister(struct bed *bed, const struct act *act)
{
	struct service_key service = bed_key(bed, act->service);
	struct instance_key key = instance_key_of(act);

	return registry_deregister(&bed->reg, client, &service, &key, NULL);
}

static int run_patch(struct bed *bed, const struct act *act)
{
	const struct values_row *v = &values[act->values];
	struct service_key service = bed_key(bed, act->service);
	struct instance_key key = instance_key_of(act);
	struct instance_patch patch = {
		.set_metadata = true,
		.set_app = true,
		.set_weight = true,
		.set_healthy = true,
		.set_enabled = true,
		.metadata = metadata_of(v),
		.app = str_of(v->app),
		.weight = v->weight,
		.healthy = false,
		.enabled = v->enabled,
	};

	return registry_patch(&bed->reg, client, &service, &key, &patch);
}

static int set_metadata(struct bed *bed, const struct act *act, struct service_view *view)
{
	struct instance_metadata metadata = metadata_of(&values[act->values]);
	struct service_key service = bed_key(bed, act->service);
	struct instance_key key = instance_key_of(act);
	int ret = registry_view(&bed->reg, &service, view);

	for (uint32_t n = 0; ret == 0 && n < view->instance_count; n++) {
		const struct instance_view *i = &view->instances[n];

		if (i->port != act->number || !str_eq(i->ip, key.ip) ||
		    !str_eq(view->clusters[i->cluster].name, key.cluster))
			continue;
		key.ephemeral = (i->flags & INSTANCE_EPHEMERAL) != 0;
		return registry_set_metadata(&bed->reg, client, &service, &key, i->id, i->revision,
		                             &metadata);
	}
	return ret < 0 ? ret : ERR_NO_INSTANCE;
}

static int run_metadata(struct bed *bed, const struct act *act)
{
	struct service_view view;
	int ret;

	service_view_init(&view);
	ret = set_metadata(bed, act, &view);
	service_view_free(&view);
	return ret;
}

static int run_beat(struct bed *bed, const struct act *act)
{
	struct service_key service = bed_key(bed, act->service);
	struct instance_key key = instance_key_of(act);
	struct beat_result result;

	return registry_beat(&bed->reg, client, &service, &key, &result);
}

static int run_health(struct bed *bed, const struct act *act)
{
	struct service_key service = bed_key(bed, act->service);
	struct instance_key key = instance_key_of(act);

	return registry_set_health(&bed->reg, client, &service, &key, act->verb == ACT_WELL);
}

static struct keeper_entry entry_of(struct bed *bed, unsigned service)
{
	struct service_key key = bed_key(bed, service);
	struct keeper_entry entry = { 0, 0 };
	struct service_stamp stamp;

	if (registry_poll(&bed->reg, &key, NULL, &stamp) < 0 || !stamp.found ||
	    registry_services_after(&bed->reg, &bed->walks, bed->shard, stamp.id - 1, &entry, 1) !=
	            1)
		return (struct keeper_entry){ 0, 0 };
	return entry;
}

/* Like the keeper: looks at the persistent instances, then says what was found about one. */
static int run_checked(struct bed *bed, const struct act *act)
{
	struct persistent_look look = { .service = entry_of(bed, act->service) };
	struct str ip = str_of(keys[act->key].ip);

	for (unsigned tries = 0; tries < TRIES && !look.done; tries++) {
		int ret = registry_look_persistent(&bed->reg, bed->shard, &look);

		if (ret < 0)
			return ret;
		for (uint32_t n = 0; n < look.rows; n++) {
			const struct persistent_row *row = &look.row[n];

			if (row->port == act->number && str_eq(str_make(row->ip, row->ip_len), ip))
				return registry_set_checked(&bed->reg, checks, bed->shard,
				                            look.service,
				                            (struct keeper_entry){ row->id,
				                                                   row->off },
				                            act->verb == ACT_CHECKED_WELL);
		}
	}
	return ERR_NO_INSTANCE;
}

/* ---- services -------------------------------------------------------------------------------- */

static int run_service(struct bed *bed, const struct act *act)
{
	const struct values_row *v = &values[act->values];
	struct service_key service = bed_key(bed, act->service);
	struct service_settings settings = { v->threshold, metadata_of(v).packed,
		                             text_or_none(v->selector) };

	if (act->verb == ACT_CREATE_SERVICE)
		return registry_create_service(&bed->reg, client, &service, &settings);
	if (act->verb == ACT_UPDATE_SERVICE)
		return registry_update_service(&bed->reg, client, &service, &settings);
	return registry_remove_service(&bed->reg, client, &service, NULL);
}

static int run_cluster(struct bed *bed, const struct act *act)
{
	const struct values_row *v = &values[act->values];
	struct service_key service = bed_key(bed, act->service);
	struct cluster_settings settings = {
		.check_port = v->check_port,
		.use_instance_port = v->use_instance_port,
		.checker = text_or_none(v->checker),
		.set_metadata = true,
		.metadata = metadata_of(v).packed,
	};

	return registry_update_cluster(&bed->reg, client, &service, str_of(keys[act->key].cluster),
	                               &settings);
}

static int run_remove_empty(struct bed *bed, const struct act *act)
{
	return registry_remove_empty(&bed->reg, keeper, bed->shard, entry_of(bed, act->service));
}

static int run_drain(struct bed *bed, const struct act *act)
{
	int left = registry_drain(&bed->reg, bed->shard, (uint32_t)act->number);

	return left < 0 ? left : 0;
}

static int run_compact(struct bed *bed, const struct act *act)
{
	uint32_t moved;
	int left = registry_compact(&bed->reg, &bed->walks, bed->shard, 10000, &moved);

	(void)act;
	return left < 0 ? left : 0;
}

static int run_expire(struct bed *bed, const struct act *act)
{
	struct expire_visit visit = { .service = entry_of(bed, act->service),
		                      .now_ms = health_now(bed->seg),
		                      .budget = 1000,
		                      .due_ms = UINT64_MAX };

	return registry_expire(&bed->reg, bed->shard, &visit);
}

static int run_stale(struct bed *bed, const struct act *act)
{
	int left = registry_drop_stale(&bed->reg, &bed->walks, bed->shard, (uint32_t)act->number);

	return left < 0 ? left : 0;
}

static int run_checksum(struct bed *bed, const struct act *act)
{
	static const uint8_t md5[16] = { 0xfe, 0xdc };
	struct service_key service = bed_key(bed, act->service);
	struct service_view view;
	int ret;

	service_view_init(&view);
	ret = registry_view(&bed->reg, &service, &view);
	if (ret == 0)
		ret = registry_store_checksum(&bed->reg, &service, view.stamp.id, view.content,
		                              md5);
	service_view_free(&view);
	return ret;
}

/* ---- subscribers and the change queue -------------------------------------------------------- */

static int run_subscribe(struct bed *bed, const struct act *act)
{
	struct service_key service = bed_key(bed, act->service);
	struct subscriber_spec sub = {
		.agent = STR("Nacos-Java-Client:v1.4.8"),
		.push = act->values != VALUES_NONE,
		.clusters = STR("c1,c2"),
		.app = STR("app"),
		.address_text = STR("127.0.0.1"),
		.port = (uint16_t)act->number,
	};
	struct service_stamp stamp;

	return registry_poll(&bed->reg, &service, &sub, &stamp);
}

#define SUBSCRIBERS_MOST 8U

static int run_subscribers(struct bed *bed, const struct act *act)
{
	struct service_key service = bed_key(bed, act->service);
	static struct subscriber_view views[SUBSCRIBERS_MOST];
	struct audience_cursor cursor = { 0 };
	struct keeper_entry entries[SUBSCRIBERS_MOST];
	struct delivery deliveries[SUBSCRIBERS_MOST];
	int count = registry_subscribers(&bed->reg, &service, &cursor, views, SUBSCRIBERS_MOST);

	for (int n = 0; n < count; n++) {
		entries[n] = (struct keeper_entry){ views[n].id, views[n].off };
		deliveries[n] = (struct delivery){
			views[n].id, views[n].off, views[n].sent_revision + 1, LATE_KEY, 1, 1
		};
	}
	if (count < 0)
		return count;
	/* Nobody was sent what did not happen yet. */
	__atomic_fetch_add(&bed->seg->shards[bed->shard].revision, 1, __ATOMIC_RELAXED);
	if (act->verb == ACT_SENT)
		return registry_mark_sent(&bed->reg, bed->shard, deliveries, (uint32_t)count);
	if (act->verb == ACT_ACKED)
		return registry_mark_acked(&bed->reg, bed->shard, deliveries, (uint32_t)count);
	return registry_unsubscribe(&bed->reg, bed->shard, entries,
	                            (uint32_t)(count < act->number ? count : act->number));
}

static unsigned service_of(const struct bed *bed, const struct name_copy *name)
{
	struct service_key key = name_copy_key(name);
	unsigned n = 0;

	while (n < SVC_COUNT - 1 && !str_eq(key.name, str_of(bed->names[n])))
		n++;
	return n;
}

static int run_take(struct bed *bed, const struct act *act)
{
	static struct changed_service changed;
	uint64_t wait;
	int ret = 1;

	(void)act;
	queue_take_dirty(bed->seg, QUEUE_PUSHER);
	while (ret == 1) {
		ret = registry_take_changed(&bed->reg, bed->shard, QUEUE_PUSHER, UINT64_MAX, 0,
		                            &changed, &wait);
		if (ret == 1 && bed->taken != NULL)
			bed->taken(service_of(bed, &changed.name), changed.id, changed.changed,
			           bed->taken_arg);
	}
	return ret;
}

/* ---- the office ------------------------------------------------------------------------------ */

static int run_switches(struct bed *bed, const struct act *act)
{
	const struct values_row *v = &values[act->values];
	static struct switches_copy copy;
	int ret = ERR_AGAIN;

	for (unsigned tries = 0; tries < TRIES && ret == ERR_AGAIN; tries++) {
		uint64_t *const words[SWITCH_WORDS] = { &copy.words.cache_ms,
			                                &copy.words.check_times,
			                                &copy.words.mysql.max_ms,
			                                &copy.words.distro_expired_ms };

		if ((ret = switches_read(&bed->reg, &copy)) < 0)
			return ret;
		*words[(unsigned)act->number % SWITCH_WORDS] = (uint64_t)act->number;
		/* One owner has all the texts. */
		if ((unsigned)act->number % SWITCH_WORDS == 0) {
			copy.words.ephemeral = v->use_instance_port;
			copy.texts.masters = text_or_none(v->masters);
			copy.texts.limited = text_or_none(v->limited);
		}
		ret = switches_write(&bed->reg, &copy.words, &copy.texts);
	}
	return ret;
}

static int run_namespace(struct bed *bed, const struct act *act)
{
	const struct values_row *v = &values[act->values];
	struct namespace_row row = { .name = str_of(v->app), .about = text_or_none(v->selector) };
	char id[16];

	act_namespace_id(act->number, id);
	row.id = str_of(id);
	if (act->verb == ACT_CREATE_NAMESPACE)
		return namespaces_create(&bed->reg, &row);
	if (act->verb == ACT_UPDATE_NAMESPACE)
		return namespaces_update(&bed->reg, &row);
	return namespaces_remove(&bed->reg, row.id);
}

/* ---- what no client does --------------------------------------------------------------------- */

static int run_world(struct bed *bed, const struct act *act)
{
	if (act->verb == ACT_LATER)
		bed->seg->header->health_ms += (uint64_t)act->number;
	if (act->verb == ACT_ATTACH) {
		bed->seg->header->attach_count++;
		registry_init(&bed->reg, bed->seg);
	}
	return 0;
}

static const struct verb_row {
	const char *name;
	int (*run)(struct bed *bed, const struct act *act);
} verbs[ACT_VERBS] = {
	[ACT_NONE] = { "nothing", run_world },
	[ACT_REGISTER] = { "register", run_put },
	[ACT_UPDATE] = { "update", run_put },
	[ACT_DEREGISTER] = { "deregister", run_deregister },
	[ACT_PATCH] = { "patch", run_patch },
	[ACT_METADATA] = { "set metadata", run_metadata },
	[ACT_BEAT] = { "beat", run_beat },
	[ACT_SICK] = { "sick", run_health },
	[ACT_WELL] = { "well", run_health },
	[ACT_CHECKED_WELL] = { "checked well", run_checked },
	[ACT_CHECKED_SICK] = { "checked sick", run_checked },
	[ACT_CREATE_SERVICE] = { "create service", run_service },
	[ACT_UPDATE_SERVICE] = { "update service", run_service },
	[ACT_UPDATE_CLUSTER] = { "update cluster", run_cluster },
	[ACT_REMOVE_SERVICE] = { "remove service", run_service },
	[ACT_REMOVE_EMPTY] = { "remove empty", run_remove_empty },
	[ACT_DRAIN] = { "drain", run_drain },
	[ACT_EXPIRE] = { "expire", run_expire },
	[ACT_STALE] = { "drop stale", run_stale },
	[ACT_SUBSCRIBE] = { "subscribe", run_subscribe },
	[ACT_UNSUBSCRIBE] = { "unsubscribe", run_subscribers },
	[ACT_SENT] = { "mark sent", run_subscribers },
	[ACT_ACKED] = { "mark acked", run_subscribers },
	[ACT_COMPACT] = { "compact", run_compact },
	[ACT_TAKE] = { "take changed", run_take },
	[ACT_CHECKSUM] = { "store checksum", run_checksum },
	[ACT_SWITCHES] = { "switches", run_switches },
	[ACT_CREATE_NAMESPACE] = { "create namespace", run_namespace },
	[ACT_UPDATE_NAMESPACE] = { "update namespace", run_namespace },
	[ACT_REMOVE_NAMESPACE] = { "remove namespace", run_namespace },
	[ACT_LATER] = { "later", run_world },
	[ACT_ATTACH] = { "attach", run_world },
};

int act_run(struct bed *bed, const struct act *act)
{
	return verbs[act->verb].run(bed, act);
}

const char *act_name(const struct act *act)
{
	return verbs[act->verb].name;
}
