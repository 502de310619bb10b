/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/check_table.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/base/fiber.h"
#include "shared/base/log.h"
#include "shared/base/split.h"
#include "shared/net/address.h"
#include "shared/registry/layout.h"

#define BUCKETS_SMALLEST 64U
#define TARGETS_SMALLEST 4U
#define CHECKER_ARENA 65536U
#define TARGET_WEIGHT 64U

/* ---- runs ------------------------------------------------------------------------------------ */

/* A cluster that has had a turn goes to the end, behind all others that wait. */
static void run_append(struct check_table *table, struct check_cluster *cluster)
{
	ROSTER_ASSERT(!cluster->running && cluster->turn < cluster->count);
	cluster->run_next = NULL;
	cluster->run_prev = table->run_last;
	if (table->run_last != NULL)
		table->run_last->run_next = cluster;
	else
		table->run_first = cluster;
	table->run_last = cluster;
	cluster->running = true;
}

static void run_remove(struct check_table *table, struct check_cluster *cluster)
{
	if (!cluster->running)
		return;
	ROSTER_ASSERT((cluster->run_prev == NULL) == (table->run_first == cluster));
	ROSTER_ASSERT((cluster->run_next == NULL) == (table->run_last == cluster));
	if (cluster->run_prev != NULL)
		cluster->run_prev->run_next = cluster->run_next;
	else
		table->run_first = cluster->run_next;
	if (cluster->run_next != NULL)
		cluster->run_next->run_prev = cluster->run_prev;
	else
		table->run_last = cluster->run_prev;
	cluster->running = false;
}

void check_table_run(struct check_table *table, struct check_cluster *cluster)
{
	if (cluster->running || cluster->count == 0)
		return;
	cluster->turn = 0;
	run_append(table, cluster);
}

/* A turn is one target, so that a large cluster does not make the others wait for all of it. */
struct check_target *check_table_next(struct check_table *table)
{
	struct check_cluster *cluster = table->run_first;
	struct check_target *target;

	if (cluster == NULL)
		return NULL;
	ROSTER_ASSERT(cluster->running && cluster->turn < cluster->count);
	target = cluster->targets[cluster->turn++];
	run_remove(table, cluster);
	if (cluster->turn < cluster->count)
		run_append(table, cluster);
	return target;
}

/* ---- targets --------------------------------------------------------------------------------- */

static void target_free(struct check_table *table, struct check_target *target)
{
	if (target->probe != NULL) {
		ROSTER_ASSERT(table->probes > 0);
		table->stop(&target->probe);
		table->probes--;
	}
	free(target);
}

/* Returns where the id stands, or would stand. */
static uint32_t target_place(const struct check_cluster *cluster, uint64_t id)
{
	uint32_t low = 0, high = cluster->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (cluster->targets[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct check_target *target_insert(struct check_cluster *cluster, uint32_t at, uint64_t id)
{
	uint32_t cap = cluster->cap == 0 ? TARGETS_SMALLEST : cluster->cap * 2;
	struct check_target *target, **targets = cluster->targets;

	if (cluster->count == cluster->cap) {
		if ((targets = realloc(targets, cap * sizeof(targets[0]))) == NULL)
			return NULL;
		cluster->targets = targets;
		cluster->cap = cap;
	}
	if ((target = calloc(1, sizeof(*target))) == NULL)
		return NULL;
	ROSTER_ASSERT(at <= cluster->count && cluster->count < cluster->cap);
	memmove(targets + at + 1, targets + at, (cluster->count - at) * sizeof(targets[0]));
	targets[at] = target;
	cluster->count++;
	/* A run goes on with the target that it would have come to. */
	if (at < cluster->turn)
		cluster->turn++;
	target->id = id;
	target->cluster = cluster;
	return target;
}

/* Makes the target, or brings it up to date, and gives it the number of this look. Those that keep
 * an older number were not seen and are to be freed. */
static int target_sync(struct check_cluster *cluster, const struct persistent_row *row)
{
	uint32_t at = target_place(cluster, row->id);
	struct check_target *target = at < cluster->count ? cluster->targets[at] : NULL;

	if ((target == NULL || target->id != row->id) &&
	    (target = target_insert(cluster, at, row->id)) == NULL)
		return ERR_NOMEM;
	/* A target that comes twice in a look counts once. */
	cluster->seen_targets += target->seen != cluster->seen;
	target->seen = cluster->seen;
	target->off = row->off;
	target->port = row->port;
	/* A text that is too long for the row was left out of it, and is no address. */
	target->literal =
	        row->ip_len <= PERSISTENT_IP &&
	        address_parse_client(str_make(row->ip, row->ip_len), target->address) == 0;
	target->healthy = (row->flags & INSTANCE_HEALTHY) != 0;
	target->confirmed = (row->flags & INSTANCE_CONFIRMED) != 0;
	return 0;
}

/* Frees the targets that were not seen and moves the others together. In a pause the array has a
 * gap between those that are kept and those that are still to be looked at, so the cluster is in no
 * run meanwhile. */
static void targets_keep(struct check_table *table, struct check_cluster *cluster)
{
	uint32_t kept = 0, before_turn = 0;
	bool running = cluster->running;
	struct breath breath = { 0 };

	if (cluster->seen_targets == cluster->count)
		return;
	run_remove(table, cluster);
	for (uint32_t i = 0; i < cluster->count; i++) {
		struct check_target *target = cluster->targets[i];

		if (target->seen == cluster->seen) {
			/* The run has come past this one already. */
			before_turn += i < cluster->turn;
			cluster->targets[kept++] = target;
		} else {
			target_free(table, target);
		}
		/* What is half taken apart cannot be left, whatever the pause says. */
		(void)!breathe(&breath, TARGET_WEIGHT);
	}
	ROSTER_ASSERT(kept == cluster->seen_targets);
	cluster->count = kept;
	cluster->turn = before_turn;
	if (running && cluster->turn < cluster->count)
		run_append(table, cluster);
}

/* ---- clusters -------------------------------------------------------------------------------- */

static void cluster_free(struct check_table *table, struct check_cluster *cluster)
{
	struct breath breath = { 0 };

	/* It leaves the list of runs first, so that no run comes to it in a pause. */
	run_remove(table, cluster);
	for (uint32_t i = 0; i < cluster->count; i++) {
		target_free(table, cluster->targets[i]);
		(void)!breathe(&breath, TARGET_WEIGHT);
	}
	arena_free(&cluster->arena);
	free(cluster->targets);
	free(cluster->checker_text);
	free(cluster->name);
	free(cluster);
}

static struct check_cluster *cluster_new(struct check_service *service, struct str name)
{
	struct check_cluster *cluster = calloc(1, sizeof(*cluster));

	if (cluster == NULL || (cluster->name = malloc(name.n + 1)) == NULL) {
		free(cluster);
		return NULL;
	}
	memcpy(cluster->name, name.p, name.n);
	cluster->name_len = (uint32_t)name.n;
	arena_init(&cluster->arena, CHECKER_ARENA);
	cluster->checker.type = CHECKER_NONE;
	cluster->service = service;
	cluster->fresh = true;
	cluster->registered_ms = UINT64_MAX; /* the least of its instances follows */
	cluster->next = service->clusters;
	service->clusters = cluster;
	return cluster;
}

static struct check_cluster *cluster_find(struct check_service *service, struct str name)
{
	for (struct check_cluster *cluster = service->clusters; cluster != NULL;
	     cluster = cluster->next) {
		if (str_eq(str_make(cluster->name, cluster->name_len), name))
			return cluster;
	}
	return NULL;
}

/* Takes over another text of the checker. By a text that cannot be read nothing is checked. */
static int checker_set(struct check_cluster *cluster, struct str text)
{
	char why[128] = "", quoted[160], *copy = NULL;
	int ret;

	/* The checker may point into the text, so the cluster keeps a copy. */
	if (text.n > 0) {
		if ((copy = malloc(text.n)) == NULL)
			return ERR_NOMEM;
		memcpy(copy, text.p, text.n);
	}
	free(cluster->checker_text);
	cluster->checker_text = copy;
	cluster->checker_len = (uint32_t)text.n;
	arena_reset(&cluster->arena);
	ret = checker_parse(&cluster->arena, str_make(copy, text.n), &cluster->checker, why,
	                    sizeof(why));
	if (ret < 0) {
		cluster->checker = (struct checker){ .type = CHECKER_NONE };
		log_warning("op=check-cluster cluster=%.*s result=not-checked err=\"%s\" why=%s",
		            (int)cluster->name_len, cluster->name, err_str(ret),
		            log_quote(str_of(why), quoted, sizeof(quoted)));
	}
	return 0;
}

static int cluster_sync(struct check_service *service, const struct persistent_look *look)
{
	struct str name = str_make(look->name, look->name_len),
	           text = str_make(look->checker, look->checker_len);
	struct check_cluster *cluster = cluster_find(service, name);
	bool new = cluster == NULL;
	int ret = 0;

	ROSTER_ASSERT(look->name_len <= sizeof(look->name) &&
	              look->checker_len <= sizeof(look->checker));
	ROSTER_ASSERT(look->rows <= PERSISTENT_ROWS);
	if (new && (cluster = cluster_new(service, name)) == NULL)
		return ERR_NOMEM;
	/* A look comes to a large cluster in several pieces. The count begins with the first. */
	if (cluster->seen != service->look)
		cluster->seen_targets = 0;
	cluster->seen = service->look;
	cluster->check_port = look->check_port;
	cluster->use_instance_port = look->use_instance_port;
	if (new || !str_eq(str_make(cluster->checker_text, cluster->checker_len), text))
		ret = checker_set(cluster, text);
	for (uint32_t i = 0; i < look->rows && ret == 0; i++) {
		const struct persistent_row *row = &look->row[i];

		/* A marked instance is left out of all handling of health (specification 2.6). */
		if (row->flags & INSTANCE_MARKED)
			continue;
		if (row->beat_ms < cluster->registered_ms)
			cluster->registered_ms = row->beat_ms;
		ret = target_sync(cluster, row);
	}
	return ret;
}

/* Frees the clusters that this look has not seen, and of the others the targets. */
static void clusters_keep(struct check_table *table, struct check_service *service)
{
	struct check_cluster **link = &service->clusters, *cluster;

	while ((cluster = *link) != NULL) {
		if (cluster->seen == service->look) {
			targets_keep(table, cluster);
			link = &cluster->next;
		} else {
			*link = cluster->next;
			cluster_free(table, cluster);
		}
	}
}

int check_table_sync(struct check_table *table, struct registry *reg, struct check_service *service)
{
	struct persistent_look *look = &table->look;
	uint64_t seen = 0;
	int ret;

	/* The members from the name on are written by each piece, and too large to be cleared for
	 * nothing. */
	memset(look, 0, offsetof(struct persistent_look, name));
	/* A target that was never seen has the number 0, so no look has it. */
	service->look += service->look == UINT32_MAX ? 2 : 1;
	look->service = (struct keeper_entry){ service->id, service->off };
	look->revision = service->revision;
	do {
		bool first = look->cluster_off == 0;

		if ((ret = registry_look_persistent(reg, service->shard, look)) < 0 ||
		    look->unchanged)
			return ret;
		/* Changes between two pieces may be seen or not. The revision is that of before all
		 * of them, so the next look finds them. */
		if (first)
			seen = look->seen;
		if (look->name_len > 0 && (ret = cluster_sync(service, look)) < 0)
			return ret;
		if ((ret = fiber_pause()) < 0)
			return ret;
	} while (!look->done);
	/* Some instances were missed, so those not seen may be there all the same. The known
	 * revision stays, and with it the next look copies everything again. */
	if (look->cut)
		return 0;
	clusters_keep(table, service);
	service->revision = seen;
	return 0;
}

/* ---- services -------------------------------------------------------------------------------- */

static uint32_t service_bucket(const struct check_table *table, uint32_t shard, uint64_t id)
{
	return split_place((uint32_t)((id * 64 + shard) * 0x9e3779b97f4a7c15ULL >> 32),
	                   table->bucket_count);
}

static int room_for_bucket(struct check_table *table)
{
	uint32_t cap = table->bucket_cap == 0 ? BUCKETS_SMALLEST : table->bucket_cap * 2;
	struct check_service **buckets = table->buckets;

	if (table->bucket_count < table->bucket_cap)
		return 0;
	if ((buckets = realloc(buckets, cap * sizeof(buckets[0]))) == NULL)
		return ERR_NOMEM;
	table->buckets = buckets;
	table->bucket_cap = cap;
	return 0;
}

/* Divides the bucket whose turn it is: its services that belong to the new one move there. */
static void split_service_bucket(struct check_table *table)
{
	uint32_t from = table->bucket_count == 0 ? 0 : split_next(table->bucket_count),
	         new = table->bucket_count++;
	struct check_service **link, *service;

	ROSTER_ASSERT(new < table->bucket_cap);
	table->buckets[new] = NULL;
	for (link = &table->buckets[from]; (service = *link) != NULL;) {
		if (service_bucket(table, service->shard, service->id) != new) {
			link = &service->next;
			continue;
		}
		*link = service->next;
		service->next = table->buckets[new];
		table->buckets[new] = service;
	}
}

struct check_service *check_table_learn(struct check_table *table, uint32_t shard,
                                        struct keeper_entry entry, bool *new_r)
{
	struct check_service *service = NULL;
	uint32_t bucket;

	ROSTER_ASSERT(shard < SHARDS);
	*new_r = false;
	/* Without memory for more buckets the chains get longer. */
	if (table->count >= table->bucket_count && room_for_bucket(table) == 0)
		split_service_bucket(table);
	if (table->bucket_count == 0)
		return NULL;
	bucket = service_bucket(table, shard, entry.id);
	for (service = table->buckets[bucket]; service != NULL; service = service->next) {
		if (service->id == entry.id && service->shard == shard)
			return service;
	}
	if ((service = calloc(1, sizeof(*service))) == NULL)
		return NULL;
	/* Its revision is 0, which says that none is known: the first look copies everything. */
	service->id = entry.id;
	service->shard = shard;
	service->off = entry.off;
	service->next = table->buckets[bucket];
	table->buckets[bucket] = service;
	table->count++;
	*new_r = true;
	return service;
}

static void service_free(struct check_table *table, struct check_service *service)
{
	struct check_cluster *cluster;

	while ((cluster = service->clusters) != NULL) {
		service->clusters = cluster->next;
		cluster_free(table, cluster);
	}
	free(service);
}

void check_table_forget(struct check_table *table, struct check_service *service)
{
	struct check_service **link =
	        &table->buckets[service_bucket(table, service->shard, service->id)];

	ROSTER_ASSERT(service->due.place == 0 && table->count > 0);
	while (*link != service) {
		ROSTER_ASSERT(*link != NULL); /* it stands in the bucket of its id */
		link = &(*link)->next;
	}
	*link = service->next;
	table->count--;
	service_free(table, service);
}

void check_table_init(struct check_table *table)
{
	memset(table, 0, sizeof(*table));
	table->stop = probe_stop;
}

void check_table_free(struct check_table *table)
{
	struct check_service *service;

	for (uint32_t i = 0; i < table->bucket_count; i++) {
		while ((service = table->buckets[i]) != NULL) {
			table->buckets[i] = service->next;
			service_free(table, service);
		}
	}
	ROSTER_ASSERT(table->probes == 0 && table->run_first == NULL);
	free(table->buckets);
	table->buckets = NULL;
	table->bucket_count = table->bucket_cap = table->count = 0;
}
