/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/metrics/prometheus.h"

#include <inttypes.h>

#include "shared/base/arena.h"
#include "shared/base/assert.h"
#include "shared/base/buf.h"
#include "shared/base/clock.h"
#include "shared/base/word.h"
#include "shared/process/document.h"
#include "shared/process/process.h"
#include "shared/registry/registry.h"
#include "shared/shm/brake_state.h"
#include "shared/shm/slab.h"
#include "worker/metrics/nacos_monitor.h"
#include "worker/metrics/route_stats.h"

enum family_type { COUNTER, GAUGE, HISTOGRAM, SUMMARY };

static const char *const type_names[] = { "counter", "gauge", "histogram", "summary" };

/* One answer in the making. */
struct page {
	struct buf *b;
	const struct prometheus_input *in;
	const struct segment *seg;
	struct slot_route routes[SLOT_ROUTES]; /* of all workers */
};

struct family {
	const char *name;
	enum family_type type;
	const char *labels; /* for people */
	const char *help;
	void (*put)(struct page *page, const struct family *family);
	size_t at; /* where put() finds its word, or which value it shows */
};

/* ---- values ---------------------------------------------------------------------------------- */

static void put_family(struct buf *b, const char *name, enum family_type type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type_names[type]);
}

static void put_u64(struct buf *b, const char *name, uint64_t value)
{
	buf_printf(b, "%s %" PRIu64 "\n", name, value);
}

/* The word that lies `at` bytes behind the begin of a struct. */
static const uint64_t *word_at(const void *base, size_t at)
{
	return (const uint64_t *)(const void *)((const char *)base + at);
}

/* A word of the page's statistics. */
static void put_stat(struct page *page, const struct family *family)
{
	ROSTER_ASSERT(family->at <= sizeof(*page->in->stats) - sizeof(uint64_t));
	put_u64(page->b, family->name, *word_at(page->in->stats, family->at));
}

/* A word of the segment's header. */
static void put_header(struct page *page, const struct family *family)
{
	ROSTER_ASSERT(family->at <= sizeof(*page->seg->header) - sizeof(uint64_t));
	put_u64(page->b, family->name, word_load(word_at(page->seg->header, family->at)));
}

static void put_build(struct page *page, const struct family *family)
{
	buf_printf(page->b, "%s{version=\"%s\",layout=\"%s\"} 1\n", family->name, PACKAGE_VERSION,
	           segment_fingerprint_text());
}

static void put_instances(struct page *page, const struct family *family)
{
	uint64_t all = page->in->stats->instances, ephemeral = page->in->stats->ephemeral;

	buf_printf(page->b,
	           "%s{kind=\"ephemeral\"} %" PRIu64 "\n%s{kind=\"persistent\"} %" PRIu64 "\n",
	           family->name, ephemeral, family->name, all > ephemeral ? all - ephemeral : 0);
}

/* ---- the segment ----------------------------------------------------------------------------- */

static void put_kinds(struct page *page, const struct family *family, bool bytes)
{
	uint64_t objects, pages;

	for (unsigned kind = SLAB_NONE + 1; kind < SLAB_KINDS; kind++) {
		slab_usage(page->seg, (enum slab_kind)kind, &objects, &pages);
		buf_printf(page->b, "%s{kind=\"%s\"} %" PRIu64 "\n", family->name,
		           slab_kind_name((enum slab_kind)kind),
		           bytes ? pages * SEGMENT_PAGE : objects);
	}
}

static void put_kind_objects(struct page *page, const struct family *family)
{
	put_kinds(page, family, false);
}

static void put_kind_bytes(struct page *page, const struct family *family)
{
	put_kinds(page, family, true);
}

static void put_pages(struct page *page, const struct family *family)
{
	put_u64(page->b, family->name, page->seg->pages);
}

static void put_condemned(struct page *page, const struct family *family)
{
	put_u64(page->b, family->name, word_load(&page->seg->header->damaged_ms) != 0);
}

/* The hint is counted without a lock, so it may be below zero for a moment. */
static void put_free_pages(struct page *page, const struct family *family)
{
	int64_t free_pages = (int64_t)word_load(&page->seg->header->free_hint);

	put_u64(page->b, family->name, free_pages > 0 ? (uint64_t)free_pages : 0);
}

/* ---- the brake ------------------------------------------------------------------------------- */

/* A word of the brake's state. */
static void put_brake_word(struct page *page, const struct family *family)
{
	ROSTER_ASSERT(family->at <= sizeof(*page->seg->brake) - sizeof(uint64_t));
	put_u64(page->b, family->name, word_load(word_at(page->seg->brake, family->at)));
}

static void put_brake_active(struct page *page, const struct family *family)
{
	put_u64(page->b, family->name,
	        brake_state_phase(word_load(&page->seg->brake->state)) == BRAKE_HOLDING);
}

static void put_brake_released(struct page *page, const struct family *family)
{
	static const struct {
		const char *cause;
		enum metric id;
	} rows[] = { { "command", METRIC_BRAKE_RELEASED_COMMAND },
		     { "beats", METRIC_BRAKE_RELEASED_BEATS },
		     { "time", METRIC_BRAKE_RELEASED_TIME },
		     { "setting", METRIC_BRAKE_RELEASED_SETTING } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		buf_printf(page->b, "%s{cause=\"%s\"} %" PRIu64 "\n", family->name, rows[i].cause,
		           metric_sum(page->seg, rows[i].id));
}

static void put_subscribe_refused(struct page *page, const struct family *family)
{
	for (unsigned i = 0; i < page->in->unpushed_count; i++)
		buf_printf(page->b, "%s{reason=\"%s\"} %" PRIu64 "\n", family->name,
		           page->in->unpushed[i].text,
		           metric_sum(page->seg, page->in->unpushed[i].metric));
}

static void put_deregister_sources(struct page *page, const struct family *family)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < DEPARTURES; i++)
		count += word_load(&page->seg->brake->departures.sources[i].alarm) != 0;
	put_u64(page->b, family->name, count);
}

/* ---- processes ------------------------------------------------------------------------------- */

enum process_value {
	PROCESS_READY,
	PROCESS_STARTS,
	PROCESS_CONNECTIONS,
	PROCESS_TURNS,
	PROCESS_BUSY,
	PROCESS_BUSY_MAX
};

static void put_us(struct buf *b, uint64_t us)
{
	buf_printf(b, "%" PRIu64 ".%06" PRIu64 "\n", us / 1000000, us % 1000000);
}

static void put_process_value(struct buf *b, const struct slot *slot, enum process_value value)
{
	uint32_t ready = __atomic_load_n(&slot->state, __ATOMIC_RELAXED) == SLOT_READY;

	switch (value) {
	case PROCESS_READY:
		buf_printf(b, "%u\n",
		           (unsigned)(ready &&
		                      __atomic_load_n(&slot->stopped, __ATOMIC_RELAXED) == 0));
		break;
	case PROCESS_STARTS:
		buf_printf(b, "%" PRIu32 "\n",
		           __atomic_load_n(&slot->generation, __ATOMIC_RELAXED));
		break;
	case PROCESS_CONNECTIONS:
		buf_printf(b, "%" PRIu64 "\n", word_load(&slot->connections));
		break;
	case PROCESS_TURNS:
		buf_printf(b, "%" PRIu64 "\n", word_load(&slot->turns));
		break;
	case PROCESS_BUSY:
		put_us(b, word_load(&slot->busy_us));
		break;
	case PROCESS_BUSY_MAX:
		put_us(b, word_load(&slot->busy_us_max));
		break;
	}
}

/* There is one line a worker: in an upgrade the old one and its successor count as one. */
static struct slot both_places(const struct segment *seg, unsigned i)
{
	const struct slot *other = i < WORKERS_MAX ? &seg->slots[SLOT_SECOND + i] : NULL;
	struct slot sum = seg->slots[i];

	if (other == NULL || other->generation == 0)
		return sum;
	if (__atomic_load_n(&other->state, __ATOMIC_RELAXED) == SLOT_READY) {
		sum.state = SLOT_READY;
		sum.stopped = other->stopped;
	}
	sum.role = other->role;
	sum.index = other->index;
	sum.generation += other->generation;
	sum.connections += word_load(&other->connections);
	sum.turns += word_load(&other->turns);
	sum.busy_us += word_load(&other->busy_us);
	if (word_load(&other->busy_us_max) > sum.busy_us_max)
		sum.busy_us_max = word_load(&other->busy_us_max);
	return sum;
}

/* family->at: enum process_value. */
static void put_processes(struct page *page, const struct family *family)
{
	for (unsigned i = 0; i < SLOT_SECOND; i++) {
		const struct slot both = both_places(page->seg, i), *slot = &both;

		if (slot->generation == 0 || slot->role >= ROLES ||
		    (family->at == PROCESS_CONNECTIONS && slot->role != ROLE_WORKER))
			continue;
		buf_printf(page->b, "%s{process=\"%s", family->name, role_name(slot->role));
		if (slot->role == ROLE_WORKER)
			buf_printf(page->b, "/%" PRIu32, slot->index);
		buf_printf(page->b, "\"} ");
		put_process_value(page->b, slot, (enum process_value)family->at);
	}
}

/* ---- routes ---------------------------------------------------------------------------------- */

/* Returns NULL for a route that was never asked for. */
static const struct slot_route *asked(const struct page *page, unsigned route)
{
	bool known = route < page->in->route_count || route == ROUTE_STATS_OTHER;

	return known && route_stats_requests(&page->routes[route]) > 0 ? &page->routes[route]
	                                                               : NULL;
}

static void put_route(struct page *page, const char *name, const char *suffix,
                      const char *path_label, unsigned route)
{
	static const struct prometheus_route none = { "any", "none" };
	const struct prometheus_route *row =
	        route == ROUTE_STATS_OTHER ? &none : &page->in->routes[route];

	ROSTER_ASSERT(route == ROUTE_STATS_OTHER || route < page->in->route_count);
	buf_printf(page->b, "%s%s{method=\"%s\",%s=\"%s\"", name, suffix, row->method, path_label,
	           row->path);
}

static void put_route_latency(struct page *page, const struct family *family)
{
	const struct slot_route *row;
	uint64_t below;

	for (unsigned i = 0; i < SLOT_ROUTES; i++) {
		if ((row = asked(page, i)) == NULL)
			continue;
		below = 0;
		for (unsigned n = 0; n < SLOT_ROUTE_BUCKETS; n++) {
			below += row->buckets[n];
			put_route(page, family->name, "_bucket", "route", i);
			buf_printf(page->b, ",le=\"%s\"} %" PRIu64 "\n", route_stats_bounds[n],
			           below);
		}
		put_route(page, family->name, "_sum", "route", i);
		BUF_LIT(page->b, "} ");
		put_us(page->b, row->us);
		put_route(page, family->name, "_count", "route", i);
		buf_printf(page->b, "} %" PRIu64 "\n", below);
	}
}

static void put_route_errors(struct page *page, const struct family *family)
{
	const struct slot_route *row;

	for (unsigned i = 0; i < SLOT_ROUTES; i++) {
		if ((row = asked(page, i)) == NULL)
			continue;
		put_route(page, family->name, "", "route", i);
		buf_printf(page->b, "} %" PRIu64 "\n", row->errors);
	}
}

static void put_route_cpu(struct page *page, const struct family *family)
{
	const struct slot_route *row;

	for (unsigned i = 0; i < SLOT_ROUTES; i++) {
		if ((row = asked(page, i)) == NULL)
			continue;
		put_route(page, family->name, "", "route", i);
		BUF_LIT(page->b, "} ");
		put_us(page->b, row->cpu_ns / 1000);
	}
}

/* ---- names of other servers ------------------------------------------------------------------ */

/* The same times under the name that dashboards for the real server ask for. */
static void put_spring_requests(struct page *page, const struct family *family)
{
	const struct slot_route *row;

	for (unsigned i = 0; i < SLOT_ROUTES; i++) {
		if ((row = asked(page, i)) == NULL)
			continue;
		put_route(page, family->name, "_count", "uri", i);
		buf_printf(page->b, "} %" PRIu64 "\n", route_stats_requests(row));
		put_route(page, family->name, "_sum", "uri", i);
		BUF_LIT(page->b, "} ");
		put_us(page->b, row->us);
	}
}

static void put_cpu(struct page *page, const struct family *family)
{
	buf_printf(page->b, "%s %.6f\n", family->name, (double)page->in->cpu);
}

static void put_load(struct page *page, const struct family *family)
{
	buf_printf(page->b, "%s %.6f\n", family->name, (double)page->in->load);
}

static void put_uptime(struct page *page, const struct family *family)
{
	uint64_t ms = clock_mono_ms() - word_load(&page->seg->board->started_ms);

	buf_printf(page->b, "%s %" PRIu64 ".%03" PRIu64 "\n", family->name, ms / 1000, ms % 1000);
}

static void put_upgrades(struct page *page, const struct family *family)
{
	const struct board *board = page->seg->board;

	buf_printf(page->b, "%s{result=\"done\"} %" PRIu64 "\n", family->name,
	           word_load(&board->upgrades_done));
	buf_printf(page->b, "%s{result=\"refused\"} %" PRIu64 "\n", family->name,
	           word_load(&board->upgrades_refused));
	buf_printf(page->b, "%s{result=\"went-back\"} %" PRIu64 "\n", family->name,
	           word_load(&board->upgrades_back));
}

static void put_nacos(struct page *page, const struct family *family)
{
	nacos_monitor_put(page->b, family->name, page->seg, page->in->stats);
}

/* ---- the table ------------------------------------------------------------------------------- */

#define STAT(field) offsetof(struct registry_stats, field)
#define HEADER(field) offsetof(struct segment_header, field)

static const struct family families[] = {
	{ "roster_build_info", GAUGE, "version, layout", "Always 1; which binary serves.",
	  put_build, 0 },
	{ "roster_services", GAUGE, "", "Services.", put_stat, STAT(services) },
	{ "roster_instances", GAUGE, "kind", "Instances.", put_instances, 0 },
	{ "roster_healthy_instances", GAUGE, "",
	  "Instances whose beats or checks say that they live.", put_stat, STAT(healthy) },
	{ "roster_subscribers", GAUGE, "",
	  "Subscribers, those of services that do not exist yet included.", put_stat,
	  STAT(subscribers) },
	{ "roster_subscribe_refused_total", COUNTER, "reason",
	  "Polls that asked for pushes and get none: the address or port claimed, or a limit.",
	  put_subscribe_refused, 0 },
	{ "roster_waiting_names", GAUGE, "", "Names that are subscribed to and have no service.",
	  put_stat, STAT(waiting) },
	{ "roster_draining_services", GAUGE, "",
	  "Removed services whose instances are still being freed.", put_stat, STAT(draining) },
	{ "roster_push_queue_services", GAUGE, "",
	  "Changed services that wait for the pusher, the merge delay included.", put_stat,
	  STAT(queued) },
	{ "roster_registry_bytes", GAUGE, "",
	  "Bytes of all services with their clusters and instances.", put_stat, STAT(bytes) },
	{ "roster_subscriber_bytes", GAUGE, "",
	  "Bytes of all subscribers with their texts and the names they wait for.", put_stat,
	  STAT(subscriber_bytes) },
	{ "roster_segment_bytes", GAUGE, "", "Reserve of the segment: segment.limit.", put_header,
	  HEADER(bytes) },
	{ "roster_segment_pages", GAUGE, "", "Pages of 4 KiB in the reserve.", put_pages, 0 },
	{ "roster_segment_backed_pages", GAUGE, "", "Pages that have memory.", put_header,
	  HEADER(backed) },
	{ "roster_segment_free_pages", GAUGE, "", "Pages that have memory and no owner.",
	  put_free_pages, 0 },
	{ "roster_slab_objects", GAUGE, "kind", "Objects in the segment.", put_kind_objects, 0 },
	{ "roster_slab_bytes", GAUGE, "kind", "Bytes of the pages that hold them.", put_kind_bytes,
	  0 },
	{ "roster_lock_rollbacks_total", COUNTER, "",
	  "Locks whose owner died: its change was rolled back or finished.", put_header,
	  HEADER(rollbacks) },
	{ "roster_lock_waits_total", COUNTER, "",
	  "Locks of shards that another process held when they were asked for.", put_header,
	  HEADER(lock_waits) },
	{ "roster_lock_swept_pages_total", COUNTER, "",
	  "Pages that those deaths left without use, given back.", put_header, HEADER(sweeps) },
	{ "roster_corrupt_references_total", COUNTER, "",
	  "References in the segment found impossible. Anything but 0 is an alarm.", put_header,
	  HEADER(corrupt) },
	{ "roster_segment_attaches_total", COUNTER, "",
	  "Starts that took over the registry of an earlier one.", put_header,
	  HEADER(attach_count) },
	{ "roster_brake_active", GAUGE, "", "1: the node brake holds removals.", put_brake_active,
	  0 },
	{ "roster_brake_resting", GAUGE, "",
	  "1: beats come from too few sources, or for too few instances, for the node brake ever to hold (brake.minimum_sources, "
	  "brake.minimum).",
	  put_brake_word, offsetof(struct brake_state, resting) },
	{ "roster_brake_sources", GAUGE, "",
	  "Where beats come from: IPv4 addresses, and /64 of IPv6 addresses.", put_brake_word,
	  offsetof(struct brake_state, sources) },
	{ "roster_brake_silent_sources", GAUGE, "",
	  "Those of them that none of their instances is heard from.", put_brake_word,
	  offsetof(struct brake_state, silent) },
	{ "roster_brake_beating_instances", GAUGE, "",
	  "Ephemeral instances that have beaten since they were registered.", put_brake_word,
	  offsetof(struct brake_state, beating) },
	{ "roster_brake_lost_instances", GAUGE, "",
	  "Those of them without beats now that are due to be removed soon.", put_brake_word,
	  offsetof(struct brake_state, lost) },
	{ "roster_brake_held_instances", GAUGE, "",
	  "Instances that the brake holds: they would be removed by now.", put_brake_word,
	  offsetof(struct brake_state, held) },
	{ "roster_brake_released_total", COUNTER, "cause", "How often the node brake let go.",
	  put_brake_released, 0 },
	{ "roster_deregister_alarm_sources", GAUGE, "",
	  "Sources that deregister too many instances just now.", put_deregister_sources, 0 },
	{ "roster_segment_check_passes_total", COUNTER, "",
	  "Checks of the whole registry that came to their end.", put_header,
	  HEADER(audit_passes) },
	{ "roster_segment_check_parts", GAUGE, "",
	  "Parts done of the check in work or the last one; 66 is all.", put_header,
	  HEADER(audit_shard) },
	{ "roster_segment_corrupt_rules_total", COUNTER, "",
	  "Rules those checks found broken. Anything but 0 is an alarm: the node restarts with an empty registry.",
	  put_header, HEADER(audit_broken) },
	{ "roster_segment_condemned", GAUGE, "", "1: damaged, will be set aside.", put_condemned,
	  0 },
	{ "roster_process_ready", GAUGE, "process", "1: serves.", put_processes, PROCESS_READY },
	{ "roster_process_starts_total", COUNTER, "process",
	  "How often the process was started: a death, an upgrade and one worker more (SIGTTIN) each raise it.",
	  put_processes, PROCESS_STARTS },
	{ "roster_process_connections", GAUGE, "process", "Client connections open.", put_processes,
	  PROCESS_CONNECTIONS },
	{ "roster_process_turns_total", COUNTER, "process",
	  "Passes of the loop: from a look at the sockets to the next, with all that was ready.",
	  put_processes, PROCESS_TURNS },
	{ "roster_process_busy_seconds_total", COUNTER, "process", "Time spent in them.",
	  put_processes, PROCESS_BUSY },
	{ "roster_process_turn_max_seconds", GAUGE, "process",
	  "The longest of them since the process was started, the time included in which a busy machine did not let it run.",
	  put_processes, PROCESS_BUSY_MAX },
	{ "roster_route_seconds", HISTOGRAM, "method, route, le",
	  "From the head of a request to its answer. Routes never asked for are left out; route none: no such route.",
	  put_route_latency, 0 },
	{ "roster_route_errors_total", COUNTER, "method, route",
	  "Answers with a status of 400 or more.", put_route_errors, 0 },
	{ "roster_route_cpu_seconds_total", COUNTER, "method, route",
	  "CPU time of the handlers, from one request in 64: a few hundred are needed for a good estimate.",
	  put_route_cpu, 0 },
	{ "http_server_requests_seconds", SUMMARY, "method, uri",
	  "The same latency under the name of the real server.", put_spring_requests, 0 },
	{ "process_uptime_seconds", GAUGE, "", "Time since rosterd was started.", put_uptime, 0 },
	{ "roster_upgrades_total", COUNTER, "result",
	  "Upgrades asked for by SIGUSR2: done; refused before anything changed; the old binary took over again.",
	  put_upgrades, 0 },
	{ "system_cpu_usage", GAUGE, "", "Busy share of the machine's CPUs, 0 to 1.", put_cpu, 0 },
	{ "system_load_average_1m", GAUGE, "", "Load of the machine over one minute.", put_load,
	  0 },
	{ "nacos_monitor", GAUGE, "module, name", "What dashboards of the real server show.",
	  put_nacos, 0 },
};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

static void put_counter(struct page *page, enum metric id)
{
	const struct metric_row *row = &metric_rows[id];

	ROSTER_ASSERT(id < METRICS);
	if (row->name == NULL)
		return;
	put_family(page->b, row->name, COUNTER, row->help);
	put_u64(page->b, row->name, metric_sum(page->seg, id));
}

static void put_histogram(struct page *page, const struct metric_histogram *histogram)
{
	uint64_t below = 0;

	put_family(page->b, histogram->name, HISTOGRAM, histogram->help);
	for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
		below += metric_sum(page->seg, (enum metric)(histogram->first + i));
		buf_printf(page->b, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", histogram->name,
		           histogram->bounds[i], below);
	}
	buf_printf(page->b, "%s_sum ", histogram->name);
	put_us(page->b, metric_sum(page->seg, histogram->sum));
	buf_printf(page->b, "%s_count %" PRIu64 "\n", histogram->name, below);
}

static void put_page(struct page *page)
{
	for (unsigned id = 0; id < METRICS; id++)
		put_counter(page, (enum metric)id);
	for (unsigned i = 0; i < METRIC_TIMES; i++)
		put_histogram(page, &metric_histograms[i]);
	for (size_t i = 0; i < FAMILIES; i++) {
		put_family(page->b, families[i].name, families[i].type, families[i].help);
		families[i].put(page, &families[i]);
	}
}

bool prometheus_put(struct buf *b, struct arena *arena, const struct prometheus_input *input)
{
	struct page *page = arena_alloc(arena, sizeof(*page));

	ROSTER_ASSERT(input->route_count <= ROUTE_STATS_OTHER);
	if (page == NULL)
		return false;
	*page = (struct page){ .b = b, .in = input, .seg = input->seg };
	for (unsigned i = 0; i < SLOT_ROUTES; i++)
		route_stats_sum(page->seg, i, &page->routes[i]);
	put_page(page);
	return !buf_failed(b);
}

/* ---- doc/metrics.md -------------------------------------------------------------------------- */

static void print_row(FILE *out, const char *name, enum family_type type, const char *labels,
                      const char *help)
{
	fprintf(out, "| `%s` | %s | %s | %s |\n", name, type_names[type], labels, help);
}

static void print_head(FILE *out)
{
	fputs("# Metrics\n\n"
	      "Printed by `rosterd --print-metrics` from the tables of metrics.\n\n"
	      "`GET /nacos/actuator/prometheus` answers in the text format 0.0.4 of Prometheus. It is open to everybody who reaches\n"
	      "the port, as all of the API is without authentication (the real server leaves it off until it is configured);\n"
	      "names of services and addresses of instances are not in it. Any worker answers for the whole node, without taking a\n"
	      "lock. Counters begin at zero when rosterd starts and at an upgrade to another layout of the segment, and go on when one\n"
	      "of its processes dies; those of locks, references, attaches and checks are as old as the segment.\n\n"
	      "`GET /nacos/actuator/health` answers `{\"status\":\"UP\"}`.\n\n"
	      "| Name | Type | Labels | Meaning |\n"
	      "|---|---|---|---|\n",
	      out);
}

static void print_turns(FILE *out)
{
	fputs("\n## Long turns\n\n"
	      "A process does one thing at a time: a request or a slice of a long one (worker), a slice of a round (pusher), a slice of\n"
	      "expiry or check (keeper). Such a *turn* is meant to be over within 10 ms, because all others wait meanwhile. One that used\n"
	      "the processor for longer is counted in `roster_long_turns_total` and logged, one line a second and process:\n\n"
	      "    warning worker/0[812]: op=long-turn kind=request what=\"/v1/ns/catalog/services\" ms=58 cpu_ms=21 skipped=0\n\n"
	      "| field | meaning |\n"
	      "|---|---|\n"
	      "| `kind`, `what` | worker: `request` and the route, without `context.path`. Pusher: `round` and the service, else what it did |\n"
	      "| | for all of them (`changed`, `acks`, `due`, `tour`, `recover`). Keeper: `expiry`, `brake`, `audit`, `drain`, `compact`, |\n"
	      "| | `drop-stale`, `check`, `probe`, with the shard and the number of the service that took longest |\n"
	      "| `ms`, `cpu_ms` | the time that passed, and how long the processor worked on it |\n"
	      "| `skipped` | long turns since the last line that were not logged |\n\n"
	      "A line now and then is harmless: somebody waited for `ms`. Many of them for one route or service are a bug that we want to\n"
	      "hear of, with the line and with what was stored and asked; until then `limits.page`, `limits.instances_per_service` and\n"
	      "`limits.per_source` bound who can cause them. A process that does not come back to its sockets for seconds is killed\n"
	      "and replaced (`op=child-busy`, then `op=kill ... why=busy`).\n\n"
	      "`roster_turn_seconds` and `roster_process_turn_max_seconds` are about the time that passed. On a machine that is busy with other\n"
	      "programs they show values above 10 ms without any long turn: then look at `system_load_average_1m`, not at Roster.\n",
	      out);
}

static void print_nacos(FILE *out)
{
	fputs("\n## nacos_monitor\n\n"
	      "With `module=\"naming\"`. Read at the moment of the question (the real server: every 15 s); the counts go on at\n"
	      "midnight (there: back to 0).\n\n"
	      "| name | meaning |\n"
	      "|---|---|\n"
	      "| `mysqlhealthCheck`, `httpHealthCheck`, `tcpHealthCheck` | active checks begun |\n"
	      "| `serviceCount`, `ipCount` | services, instances |\n"
	      "| `maxPushCost`, `avgPushCost` | longest and mean time to the ACK, in ms, of the last full 15 s; -1: there was none |\n"
	      "| `totalPush`, `failedPush` | pushes; those of them without an ACK, the ones that still wait included |\n"
	      "| `leaderStatus` | 1 |\n",
	      out);
}

void document_metrics(FILE *out)
{
	print_head(out);
	for (unsigned id = 0; id < METRICS; id++)
		if (metric_rows[id].name != NULL)
			print_row(out, metric_rows[id].name, COUNTER, "", metric_rows[id].help);
	for (unsigned i = 0; i < METRIC_TIMES; i++)
		print_row(out, metric_histograms[i].name, HISTOGRAM, "le",
		          metric_histograms[i].help);
	for (size_t i = 0; i < FAMILIES; i++)
		print_row(out, families[i].name, families[i].type, families[i].labels,
		          families[i].help);
	print_turns(out);
	print_nacos(out);
}
