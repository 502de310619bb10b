/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/checks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/switches.h"
#include "shared/shm/health.h"

/* What differs by protocol. */
static const struct {
	enum metric made;
	size_t params; /* in struct switches */
} protocols[] = {
	[CHECKER_TCP] = { METRIC_CHECKS_TCP, offsetof(struct switches, tcp) },
	[CHECKER_HTTP] = { METRIC_CHECKS_HTTP, offsetof(struct switches, http) },
	[CHECKER_MYSQL] = { METRIC_CHECKS_MYSQL, offsetof(struct switches, mysql) },
};

static const struct switches *switches(const struct checks *c)
{
	return switches_of(c->reg->seg);
}

/* A generator (xorshift64*). It need not be secret, because it only spreads first runs. */
static uint64_t next_random(struct checks *c)
{
	c->random ^= c->random >> 12;
	c->random ^= c->random << 25;
	c->random ^= c->random >> 27;
	return (c->random * 0x2545f4914f6cdd1dULL) >> 16;
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* Takes a response time into the mean of the cluster, from which the time of its next run follows.
 * What was not measured goes in as twice the mean, or as the longest time (specification 8.3). */
static void reckon(struct checks *c, struct check_cluster *cluster, enum probe_rt rt,
                   uint64_t measured_ms)
{
	const struct health_params *params;
	uint64_t ms = measured_ms;

	ROSTER_ASSERT(cluster->checker.type < sizeof(protocols) / sizeof(protocols[0]));
	params = (const struct health_params *)((const char *)switches(c) +
	                                        protocols[cluster->checker.type].params);
	if (rt == PROBE_RT_TWICE)
		ms = cluster->rt.normalized * 2;
	else if (rt == PROBE_RT_MAX)
		ms = params->max_ms;
	check_rt_update(&cluster->rt, params, ms);
}

/* Stores what enough checks in a row have said. If that fails, the next check says it again. */
static void flip(struct checks *c, struct check_target *target, bool healthy,
                 const struct probe_result *result)
{
	const struct origin origin = { .writer = WRITER_CLIENT,
		                       .node = c->reg->node,
		                       .cause = CAUSE_CHECK };
	const struct check_service *service = target->cluster->service;
	const struct keeper_entry service_at = { service->id, service->off },
	                          target_at = { target->id, target->off };
	int ret = registry_set_checked(c->reg, origin, service->shard, service_at, target_at,
	                               healthy);

	if (ret == ERR_NO_INSTANCE)
		return;
	if (ret < 0) {
		log_warning("op=check-flip shard=%u instance=%#llx err=\"%s\"", service->shard,
		            (unsigned long long)target->id, err_str(ret));
		return;
	}
	metric_add(METRIC_CHECKS_FLIPS, target->healthy != healthy);
	log_debug("op=check-flip instance=%#llx healthy=%d why=\"%s\" detail=%d",
	          (unsigned long long)target->id, healthy, result->why, result->detail);
	target->healthy = target->confirmed = healthy;
}

static void conclude(struct checks *c, struct check_target *target,
                     const struct probe_result *result)
{
	uint64_t times = switches(c)->check_times;
	enum check_flip what = check_judge(&target->counts, result->verdict, target->healthy,
	                                   target->confirmed, times);

	if (result->verdict == CHECK_UNMADE) {
		metric_add(METRIC_CHECKS_UNMADE, 1);
		return;
	}
	metric_add(METRIC_CHECKS_FAILED, result->verdict != CHECK_PASSED);
	reckon(c, target->cluster, result->rt, result->rt_ms);
	if (what != CHECK_STAY)
		flip(c, target, what == CHECK_UP, result);
}

/* ---- probes ---------------------------------------------------------------------------------- */

static void arm(struct checks *c, uint64_t ms)
{
	ev_timer_stop(c->loop, &c->timer);
	if (ms == UINT64_MAX)
		return;
	ev_timer_set(&c->timer, (double)ms / 1000.0, 0.);
	ev_timer_start(c->loop, &c->timer);
}

static void on_done(void *arg, const struct probe_result *result)
{
	struct check_target *target = arg;
	struct checks *c = target->cluster->service->owner;

	ROSTER_ASSERT(target->probe != NULL && c->table.probes > 0);
	target->probe = NULL;
	c->table.probes--;
	/* A cluster whose checker has been taken away meanwhile is not judged by what was under
	 * way. */
	if (target->cluster->checker.type != CHECKER_NONE)
		conclude(c, target, result);
	/* Another target may have waited for a free place. */
	if (c->enabled && c->table.run_first != NULL)
		arm(c, 0);
}

static void begin_probe(struct checks *c, struct check_target *target, int64_t port)
{
	const struct check_cluster *cluster = target->cluster;
	struct probe_order order = { .checker = &cluster->checker,
		                     .port = (uint16_t)port,
		                     .pace = &c->pace };
	const struct probe_result unmade = { .verdict = CHECK_UNMADE };

	ROSTER_ASSERT(target->probe == NULL && c->table.probes < c->most);
	ROSTER_ASSERT(port > 0 && port <= UINT16_MAX);
	memcpy(order.address, target->address, sizeof(order.address));
	metric_add(protocols[cluster->checker.type].made, 1);
	if (c->start(c->loop, &order, on_done, target, &target->probe) < 0)
		conclude(c, target, &unmade);
	else
		c->table.probes++;
}

static void begin_check(struct checks *c, struct check_target *target)
{
	static const struct probe_result refused = { .verdict = CHECK_FAILED,
		                                     .rt = PROBE_RT_MAX,
		                                     .why = "address" };
	struct check_cluster *cluster = target->cluster;
	int64_t port = cluster->use_instance_port ? target->port : cluster->check_port;

	/* The checker was taken away while the run was in work. */
	if (cluster->checker.type == CHECKER_NONE)
		return;
	/* If the probe of the last run is still under way, the cluster is slow, and its runs become
	 * rarer. An address that may not be connected to fails without a packet. */
	if (target->probe != NULL) {
		reckon(c, cluster, PROBE_RT_TWICE, 0);
	} else if (!target->literal || !check_may_connect(c->config, target->address, port)) {
		metric_add(METRIC_CHECKS_REFUSED, 1);
		conclude(c, target, &refused);
	} else {
		begin_probe(c, target, port);
	}
}

/* ---- schedule -------------------------------------------------------------------------------- */

/* The first run is reckoned from the registration, which the visits of the expiry find up to a tick
 * later. */
static void first_due(struct checks *c, struct check_cluster *cluster, uint64_t now_ms)
{
	uint64_t health_ms = health_now(c->reg->seg), age = 0;
	uint64_t random1 = next_random(c), random2 = next_random(c);

	if (health_ms > cluster->registered_ms)
		age = health_ms - cluster->registered_ms;
	/* No more than a tick is made up for. A new keeper finds everything registered long ago,
	 * and must not check all of it at once. */
	if (age > HEALTH_TICK_MS)
		age = HEALTH_TICK_MS;
	check_rt_init(&cluster->rt, switches(c), random1, random2);
	cluster->due_ms = now_ms + cluster->rt.normalized - age;
	cluster->fresh = false;
}

static void consider_cluster(struct checks *c, struct check_cluster *cluster, uint64_t now_ms)
{
	if (cluster->fresh)
		first_due(c, cluster, now_ms);
	if (cluster->due_ms > now_ms || cluster->running)
		return;
	cluster->due_ms = now_ms + (cluster->rt.normalized > 0 ? cluster->rt.normalized : 1);
	if (cluster->checker.type != CHECKER_NONE)
		check_table_run(&c->table, cluster);
}

/* A service is in one of the two heaps, and leaves it before it enters the other. */
static void schedule_service(struct checks *c, struct check_service *service, uint64_t due_ms,
                             bool quiet)
{
	if (service->quiet != quiet)
		due_drop(service->quiet ? &c->quiet : &c->busy, &service->due);
	service->quiet = quiet;
	if (due_set(quiet ? &c->quiet : &c->busy, &service->due, due_ms) < 0) {
		log_warning("op=check-schedule err=\"%s\"", err_str(ERR_NOMEM));
		check_table_forget(&c->table, service); /* learned again by the next visit */
	}
}

static void forget_service(struct checks *c, struct check_service *service)
{
	due_drop(service->quiet ? &c->quiet : &c->busy, &service->due);
	check_table_forget(&c->table, service);
}

static void visit_service(struct checks *c, struct check_service *service)
{
	int ret = check_table_sync(&c->table, c->reg, service);
	uint64_t due_ms = UINT64_MAX, now_ms = clock_mono_ms();
	bool quiet = true;

	if (ret == ERR_GONE) /* the process ends */
		return;
	if (ret < 0 && ret != ERR_NOT_FOUND) {
		log_warning("op=check-look shard=%u service=%#llx err=\"%s\"", service->shard,
		            (unsigned long long)service->id, err_str(ret));
		schedule_service(c, service, now_ms + CHECKS_RETRY_MS, service->quiet);
		return;
	}
	/* There is nothing to check any more. Once there is, a visit of the expiry brings the
	 * service back. */
	if (ret < 0 || service->clusters == NULL) {
		forget_service(c, service);
		return;
	}
	for (struct check_cluster *cluster = service->clusters; cluster != NULL;
	     cluster = cluster->next) {
		consider_cluster(c, cluster, now_ms);
		quiet = quiet && cluster->checker.type == CHECKER_NONE;
		if (cluster->due_ms < due_ms)
			due_ms = cluster->due_ms;
	}
	/* If a run takes longer than its interval, the service is looked at again in a while. */
	schedule_service(c, service, due_ms > now_ms ? due_ms : now_ms + CHECKS_RETRY_MS, quiet);
}

static bool is_due(const struct due_heap *heap, uint64_t until_ms)
{
	const struct due *first = due_first(heap);

	return first != NULL && first->at_ms <= until_ms;
}

static bool visit_due(struct checks *c, struct due_heap *heap, uint64_t until_ms)
{
	/* The due is the first member of the service. */
	struct check_service *service = (struct check_service *)due_first(heap);
	uint32_t shard;
	uint64_t id;

	if (!is_due(heap, until_ms))
		return false;
	/* The visit may forget the service. */
	shard = service->shard;
	id = service->id;
	ROSTER_ASSERT(c->looking == NULL);
	c->looking = service;
	visit_service(c, service);
	c->looking = NULL;
	(void)slice_spent(&c->slice, shard, id);
	return true;
}

/* What the fiber does: it looks at services that are due, one after the other. */
static void look_at_due(void *arg)
{
	struct checks *c = arg;

	while (visit_due(c, &c->busy, clock_mono_ms()) || visit_due(c, &c->quiet, c->quiet_ms)) {
		if (fiber_pause() < 0)
			return;
	}
}

static void look_for_slice(struct checks *c, uint64_t now_ms)
{
	if (c->looks == NULL && !is_due(&c->busy, now_ms) && !is_due(&c->quiet, c->quiet_ms))
		return;
	if (c->looks == NULL && (c->looks = fiber_new(look_at_due, c)) == NULL) {
		/* Without memory for its stack there is one service a step, however large it is. */
		(void)(visit_due(c, &c->busy, now_ms) || visit_due(c, &c->quiet, c->quiet_ms));
		return;
	}
	if (fiber_run(c->looks, CHECKS_LOOK_US, false))
		c->looks = NULL;
	else if (c->looking != NULL)
		(void)slice_spent(&c->slice, c->looking->shard, c->looking->id);
}

static bool has_probe_room(const struct checks *c)
{
	return c->table.run_first != NULL && c->table.probes < c->most;
}

/* Returns the time until there is something to do; answers come by themselves. */
static uint64_t wait_ms(const struct checks *c, uint64_t now_ms)
{
	const struct due *first = due_first(&c->busy);

	if (c->enabled && (c->looks != NULL || has_probe_room(c) || is_due(&c->quiet, c->quiet_ms)))
		return 0;
	if (!c->enabled || first == NULL)
		return UINT64_MAX;
	return first->at_ms > now_ms ? first->at_ms - now_ms : 0;
}

uint64_t checks_step(struct checks *c)
{
	uint64_t now_ms = clock_mono_ms();
	bool over = !c->enabled;

	slice_begin(&c->slice, "check");
	if (c->enabled)
		look_for_slice(c, now_ms);
	while (!over && has_probe_room(c)) {
		struct check_target *target = check_table_next(&c->table);
		const struct check_service *service = target->cluster->service;

		ROSTER_ASSERT(service->owner == c);
		begin_check(c, target);
		over = slice_spent(&c->slice, service->shard, service->id);
	}
	return wait_ms(c, now_ms);
}

static void on_checks_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct checks *c = w->data;
	char what[SLICE_WHAT];

	(void)loop;
	(void)events;
	if (c->turn != NULL)
		turn_begin(c->turn, clock_mono_us());
	arm(c, checks_step(c));
	if (c->turn != NULL)
		(void)turn_end(c->turn, clock_mono_us(), c->slice.kind,
		               slice_what(&c->slice, what));
}

/* ---- outside --------------------------------------------------------------------------------- */

void checks_learn(struct checks *c, uint32_t shard, struct keeper_entry entry)
{
	bool new;
	struct check_service *service = check_table_learn(&c->table, shard, entry, &new);

	if (service == NULL) {
		log_warning("op=check-learn err=\"%s\"", err_str(ERR_NOMEM));
		return;
	}
	/* A known service may have changed, which the look before its next run finds. */
	if (!new)
		return;
	ROSTER_ASSERT(service->due.place == 0);
	service->owner = c;
	schedule_service(c, service, clock_mono_ms(), false);
	if (c->enabled)
		arm(c, 0);
}

void checks_tick(struct checks *c)
{
	uint64_t now_ms = clock_mono_ms();
	bool enabled = switches(c)->health_check != 0, moved = enabled != c->enabled;

	c->enabled = enabled;
	/* Services without a checker are looked at once a tick, since they may have got one. */
	c->quiet_ms = now_ms;
	if (moved || (enabled && is_due(&c->quiet, now_ms)))
		arm(c, wait_ms(c, now_ms));
}

void checks_measure(struct checks *c, struct turn *turn)
{
	c->turn = c->pace.turn = turn;
}

/* A probe takes a descriptor: with few of them fewer are under way than is configured. */
void checks_configure(struct checks *c)
{
	struct rlimit files;

	c->most = c->config->checks_concurrency;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
	    files.rlim_cur < c->most + CHECKS_OTHER_DESCRIPTORS)
		c->most = files.rlim_cur > 2 * CHECKS_OTHER_DESCRIPTORS
		                  ? (uint32_t)files.rlim_cur - CHECKS_OTHER_DESCRIPTORS
		                  : (uint32_t)files.rlim_cur / 2;
}

void checks_init(struct checks *c, struct registry *reg, const struct config *config,
                 struct ev_loop *loop)
{
	memset(c, 0, sizeof(*c));
	c->reg = reg;
	c->config = config;
	c->loop = loop;
	c->start = probe_start;
	c->enabled = switches(c)->health_check != 0;
	/* Early after the boot there may be no random bytes yet; nothing waits for them. */
	if (getrandom(&c->random, sizeof(c->random), GRND_NONBLOCK) != sizeof(c->random) ||
	    c->random == 0)
		c->random = clock_mono_us() | 1;
	check_table_init(&c->table);
	checks_configure(c);
	ev_init(&c->timer, on_checks_timer);
	ev_set_priority(&c->timer, PROBE_PRIORITY);
	c->timer.data = c;
}

void checks_free(struct checks *c)
{
	ev_timer_stop(c->loop, &c->timer);
	fiber_end(&c->looks);
	check_table_free(&c->table);
	due_free(&c->busy);
	due_free(&c->quiet);
}
