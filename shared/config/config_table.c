/* SPDX-License-Identifier: Apache-2.0 */
/* config_table.c - every configuration key is a row here; reading, checking, printing and
 * reloading follow from it. */
#include "shared/base/name.h"
#include "shared/config/config_key.h"

#define FIELD(member) offsetof(struct config, member), sizeof(((struct config *)NULL)->member)
#define LENGTH(member) sizeof(((struct config *)NULL)->member) - 1
#define KIB 1024ULL
#define MIB (1024ULL * KIB)
#define GIB (1024ULL * MIB)
#define SECOND 1000ULL
#define MINUTE (60U * SECOND)
#define HOUR (60U * MINUTE)
#define DAY (24U * HOUR)
/* REGISTRY_CLUSTERS_MOST of shared/registry/registry.h (the test compares). */
#define CLUSTERS_MOST 4096U
/* The longest chain one transaction can free: BLOB_MAX_BYTES of shared/shm/blob.h (the test
 * compares). */
#define METADATA_MAX_BYTES (60U * 4088U)

/* In the order of enum log_level. */
static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };

/* In the order of enum instances_owner. */
static const char *const instance_owners[] = { "none", "source", NULL };

/* Keys of one section stand together: the sample file is printed in this order. */
/* clang-format off */
const struct config_key config_keys[] = {
	/* name, type, field and its size, least, most, default, unit, changed by SIGHUP,
	 * what it is for, choices */
	{ "runtime_dir", CONFIG_PATH, FIELD(runtime_dir), 1, LENGTH(runtime_dir), "/run/roster", "", false,
	  "Folder for the pid and port files; `user` has to be able to write into one that is "
	  "there. The segment goes here too when it is a memory file system and segment.dir is "
	  "empty.", NULL },
	{ "user", CONFIG_TEXT, FIELD(user), 0, LENGTH(user), "", "", false,
	  "Account the children change to when started by root. Empty: stay.", NULL },
	{ "workers", CONFIG_INT, FIELD(workers), 0, 64, "0", "processes", true,
	  "Processes that serve HTTP. 0: one a core.", NULL },

	{ "sandbox.seccomp", CONFIG_BOOL, FIELD(sandbox_seccomp), 0, 1, "true", "", false,
	  "The children may only make the calls of the system that they need "
	  "(shared/process/sandbox_table.c): others fail, are counted and logged. A kernel "
	  "without filters refuses the start then.", NULL },

	{ "log.file", CONFIG_PATH, FIELD(log_file), 0, LENGTH(log_file), "", "", true,
	  "Where log lines are appended; opened again on SIGUSR1. A regular file with a single "
	  "name, opened as `user`. Empty, or /dev/stderr: standard error, which is never waited "
	  "for.", NULL },
	{ "log.level", CONFIG_CHOICE, FIELD(log_level), 0, 3, "info", "", true,
	  "Lines less important than this are left out.", log_levels },

	{ "listen.address", CONFIG_ADDRESS, FIELD(listen_address), 1, LENGTH(listen_address), "0.0.0.0", "", false,
	  "Address to listen on, for HTTP and for push. \"::\" takes IPv4 and IPv6.", NULL },
	{ "listen.port", CONFIG_INT, FIELD(listen_port), 0, 65535, "8848", "", false,
	  "HTTP port. 0: any free one; the port taken is in the ready line of the log and in "
	  "runtime_dir/port.", NULL },
	{ "listen.backlog", CONFIG_INT, FIELD(listen_backlog), 1, 65535, "4096", "connections", false,
	  "Connections the kernel keeps waiting for each worker. It cuts this to "
	  "net.core.somaxconn.", NULL },

	{ "node.address", CONFIG_TEXT, FIELD(node_address), 1, LENGTH(node_address), "127.0.0.1", "", true,
	  "Address under which this node is shown to clients, for instance by operator/servers.",
	  NULL },

	{ "context.path", CONFIG_CONTEXT, FIELD(context_path), 1, LENGTH(context_path), "/nacos", "", false,
	  "What stands before every path: the API, the pages and the metrics move with it, as "
	  "with server.servlet.contextPath of the original. Clients must be told the same. "
	  "Letters, digits and -._~ between single slashes; \"/\": nothing.", NULL },

	{ "segment.dir", CONFIG_PATH, FIELD(segment_dir), 0, LENGTH(segment_dir), "", "", false,
	  "Folder of the file that holds the registry, on a memory file system; others may not "
	  "write there. Empty: runtime_dir when it is one, else a folder in /dev/shm, one for "
	  "all servers of an account: a second server on the machine needs its own.", NULL },
	{ "segment.limit", CONFIG_SIZE, FIELD(segment_limit), 0, 64 * GIB, "0", "", false,
	  "The most the registry may take; at least 8MiB. 0: 1GiB, or half of what is free when "
	  "that is less.", NULL },
	{ "segment.max_age", CONFIG_DURATION, FIELD(segment_max_age_ms), SECOND, 30 * DAY, "10m", "", false,
	  "Nobody served for longer than this: ephemeral instances of the segment are dropped at "
	  "the start.", NULL },
	{ "segment.check_period", CONFIG_DURATION, FIELD(segment_check_ms), 0, 30 * DAY, "10m", "", true,
	  "How often the keeper checks the whole registry, in slices. It does so after each "
	  "start and after a crash in any case; 0: only then. Damage: the file is set aside and "
	  "the node starts with an empty one.", NULL },

	{ "http.head", CONFIG_SIZE, FIELD(http_head_bytes), KIB, MIB, "64KiB", "", true,
	  "Longest request line and headers together. Longer: 431 or 414.", NULL },
	{ "http.line", CONFIG_SIZE, FIELD(http_line_bytes), KIB, MIB, "64KiB", "", true,
	  "Longest request line. Not more than http.head.", NULL },
	{ "http.headers", CONFIG_INT, FIELD(http_headers), 8, 1000, "100", "lines", true,
	  "Most header lines of one request.", NULL },
	{ "http.body", CONFIG_SIZE, FIELD(http_body_bytes), KIB, GIB, "2MiB", "", true,
	  "Longest request body. Longer: 413.", NULL },
	{ "http.head_timeout", CONFIG_DURATION, FIELD(http_head_timeout_ms), 100, HOUR, "10s", "", true,
	  "From the first byte of a request to the end of its headers.", NULL },
	{ "http.body_timeout", CONFIG_DURATION, FIELD(http_body_timeout_ms), 100, HOUR, "30s", "", true,
	  "From the end of the headers to the end of the body.", NULL },
	{ "http.idle_timeout", CONFIG_DURATION, FIELD(http_idle_timeout_ms), 100, DAY, "75s", "", true,
	  "A connection without a request is closed after this. Clients that ask to keep it are "
	  "told four fifths of it, in whole seconds (Keep-Alive: timeout=60).", NULL },
	{ "http.write_timeout", CONFIG_DURATION, FIELD(http_write_timeout_ms), 100, HOUR, "30s", "", true,
	  "A client that takes no byte of its answer for this long is cut off.", NULL },
	{ "http.requests", CONFIG_INT, FIELD(http_requests), 0, 1000000000, "0", "requests", true,
	  "Requests after which a connection is closed. 0: no limit.", NULL },
	{ "http.pipeline", CONFIG_INT, FIELD(http_pipeline), 1, 1024, "32", "answers", true,
	  "Answers of one connection that may be pending before reading from it stops; after so "
	  "many the other connections have their turn.", NULL },
	{ "http.long_requests", CONFIG_INT, FIELD(http_long_requests), 1, 1024, "8", "requests", true,
	  "Requests that take longer than a turn (long lists, batches, pages of the catalog) and "
	  "that one worker works on at the same time, in slices between all others; half of them "
	  "(rounded up) for one source address. Further ones wait. While what they hold is more "
	  "than http.memory (counted apart from the connections), only the oldest goes on.", NULL },
	{ "http.long_wait", CONFIG_DURATION, FIELD(http_long_wait_ms), 100, HOUR, "30s", "", true,
	  "A long request that has waited this long for its turn (http.long_requests) is "
	  "answered 503.", NULL },
	{ "http.connections", CONFIG_INT, FIELD(http_connections), 1, 1000000, "20000", "connections", true,
	  "Connections of one worker. Not more than its file descriptors allow.", NULL },
	{ "http.memory", CONFIG_SIZE, FIELD(http_memory_bytes), 0, 64 * GIB, "256MiB", "", true,
	  "Memory of one worker for requests that are not whole yet and answers that clients "
	  "have not taken, all together. When it is reached, the connection is cut off that has "
	  "held most for longest while its client takes or sends next to nothing, with 503 if no "
	  "answer has begun. An answer that is longer by itself is refused with 503. 0: no "
	  "limit.", NULL },
	{ "http.list_cache", CONFIG_SIZE, FIELD(http_cache_bytes), 0, 4 * GIB, "16MiB", "", true,
	  "Memory of one worker for list answers that have not changed. 0: no cache.", NULL },
	{ "http.cors", CONFIG_ORIGINS, FIELD(http_cors), 1, LENGTH(http_cors), "echo", "", true,
	  "Which pages of other origins browsers let read the answers. echo: all, as the real "
	  "server, but no preflight is granted. off: none. Else origins with blanks between, as "
	  "in \"https://a.example http://b.example:8080\"; their preflights are granted.", NULL },

	{ "push.port", CONFIG_INT, FIELD(push_port), 0, 65535, "0", "", false,
	  "UDP port from which pushes are sent and to which ACKs come. 0: the number of the HTTP "
	  "port.", NULL },
	{ "push.delay", CONFIG_DURATION, FIELD(push_delay_ms), 0, MINUTE, "1s", "", true,
	  "Changes of a service within this time become one push.", NULL },
	{ "push.ack_wait", CONFIG_DURATION, FIELD(push_ack_wait_ms), 10, 10 * MINUTE, "10s", "", true,
	  "Wait for an ACK before the push is repeated once, and again before it is given up.",
	  NULL },
	{ "push.rate", CONFIG_INT, FIELD(push_rate), 1, 10000000, "2000", "datagrams/s", true,
	  "Most datagrams to one subscriber's socket.", NULL },
	{ "push.rate_address", CONFIG_INT, FIELD(push_rate_address), 1, 10000000, "200000", "datagrams/s", true,
	  "Most datagrams to one address.", NULL },
	{ "push.views", CONFIG_INT, FIELD(push_views), 1, 4096, "256", "lists", true,
	  "Most different lists of one service that a change is pushed as: choices of clusters, "
	  "by the parameter clusters. As many texts may differ in what is not shown (unknown and "
	  "doubled names) for one choice, four times as many for all. Who asked for one more "
	  "gets no push and is told to poll at the short interval. The empty text and the name "
	  "of one cluster are always pushed for and not counted.", NULL },
	{ "push.views_per_source", CONFIG_INT, FIELD(push_views_source), 1, 4096, "32", "texts", true,
	  "Most of what push.views counts for texts that one source address was the first to ask "
	  "for (IPv6: one /64).", NULL },
	{ "push.receive_buffer", CONFIG_SIZE, FIELD(push_receive_buffer), 64 * KIB, GIB, "8MiB", "", false,
	  "Receive buffer of the UDP socket: thousands of ACKs come at once. Without "
	  "CAP_NET_ADMIN it is cut to net.core.rmem_max, unless roster.socket opens it.", NULL },
	{ "push.subscriber_life", CONFIG_DURATION, FIELD(push_subscriber_life_ms), 10, DAY, "10s", "", true,
	  "A subscriber that neither polled nor acknowledged for this long gets no new push.",
	  NULL },
	{ "push.trusted", CONFIG_TRUSTED, FIELD(push_trusted), 0, ADDRESS_CLAIMS_MAX, "", "entries", true,
	  "Sources that may ask for pushes to other addresses than their own, and to which: "
	  "\"SOURCE[/BITS] CLAIMED[/BITS]\", for instance \"10.0.0.1 10.0.0.0/8\".", NULL },

	{ "operator.allow", CONFIG_RANGES, FIELD(operator_allow), 0, CONFIG_RANGES_MAX, "127.0.0.0/8,::1", "entries", true,
	  "Sources that may change switches and log levels (PUT under operator) and namespaces "
	  "(POST, PUT, DELETE): \"ADDRESS[/BITS]\". Others get 403. instances.owner does not "
	  "bind them.", NULL },

	{ "checks.concurrency", CONFIG_INT, FIELD(checks_concurrency), 1, 10000, "512", "checks", true,
	  "Active checks of persistent instances under way at once. Not more than the file "
	  "descriptors of the keeper allow.", NULL },
	{ "checks.refuse", CONFIG_RANGES, FIELD(checks_refuse), 0, CONFIG_RANGES_MAX, "169.254.0.0/16,fe80::/10,fd00:ec2::254,100.100.100.200", "entries", true,
	  "Addresses that active checks never connect to, whoever registers them: "
	  "\"ADDRESS[/BITS]\". Such a check fails. The default: link-local addresses and the "
	  "metadata services of clouds.", NULL },

	{ "brake.enabled", CONFIG_BOOL, FIELD(brake_enabled), 0, 1, "true", "", true,
	  "Hold the removal of instances without beats when many sources fall silent at once "
	  "(doc/brake.md), and raise an alarm when one source deregisters as much. They are "
	  "shown unhealthy all the same.", NULL },
	{ "brake.minimum", CONFIG_INT, FIELD(brake_minimum), 1, 1000000000, "100", "instances", true,
	  "With fewer ephemeral instances on the node that have beaten the brake never holds.",
	  NULL },
	{ "brake.minimum_sources", CONFIG_INT, FIELD(brake_minimum_sources), 1, 1000000000, "10", "sources", true,
	  "With beats from fewer sources (an address, or the /64 of an IPv6 address) the brake "
	  "never holds, as behind one NAT address: few sources that die together are an everyday "
	  "case.", NULL },
	{ "brake.share", CONFIG_INT, FIELD(brake_share), 1, 100, "50", "%", true,
	  "More than this share of the sources of beats, silent within brake.period and with "
	  "more than this share of the instances that have beaten, is too many. It lets go when "
	  "not more than half of it is silent. 100: never.", NULL },
	{ "brake.period", CONFIG_DURATION, FIELD(brake_period_ms), SECOND, HOUR, "1m", "", true,
	  "Time over which removals, and deregistrations by one source, are counted.", NULL },
	{ "brake.hold", CONFIG_DURATION, FIELD(brake_hold_ms), SECOND, 7 * DAY, "5m", "", true,
	  "The longest time that the brake holds.", NULL },
	{ "brake.deregister", CONFIG_INT, FIELD(brake_deregister), 0, 1000000000, "0", "instances", true,
	  "Most instances that one source (an address, or the /64 of an IPv6 address) may "
	  "deregister within brake.period; then 429. 0: no limit.", NULL },
	{ "instances.owner", CONFIG_CHOICE, FIELD(instances_owner), 0, OWNER_SOURCE, "none", "", true,
	  "Who may change, beat and deregister an instance: everybody (none), or only the "
	  "address that registered it and those of operator.allow (source; others get 403). A "
	  "service, and the settings of it and its clusters, may then be changed and removed by "
	  "those of operator.allow and by who owns all instances in it; an empty one is free. "
	  "What was registered before the key was set, or came by an import or an upgrade to "
	  "another layout, is nobody's until it is registered again; a beat does not do. Not "
	  "behind a proxy.", instance_owners },
	{ "instances.timeout_min", CONFIG_DURATION, FIELD(instances_timeout_min_ms), 100, 5 * SECOND, "1s", "", true,
	  "Shortest beat interval and timeout that metadata may set "
	  "(preserved.heart.beat.interval, preserved.heart.beat.timeout, "
	  "preserved.ip.delete.timeout). Shorter ones count as this.", NULL },
	{ "instances.timeout_max", CONFIG_DURATION, FIELD(instances_timeout_max_ms), 30 * SECOND, 365 * DAY, "24h", "", true,
	  "Longest of them. Longer ones count as this.", NULL },

	{ "empty_service.clean", CONFIG_BOOL, FIELD(empty_clean), 0, 1, "true", "", true,
	  "Remove services without instances, at the fifth run in a row that finds them empty.",
	  NULL },
	{ "empty_service.delay", CONFIG_DURATION, FIELD(empty_delay_ms), 0, DAY, "50s", "", true,
	  "From the start to the first run.", NULL },
	{ "empty_service.period", CONFIG_DURATION, FIELD(empty_period_ms), 10, DAY, "30s", "", true,
	  "From run to run. Runs begin on a grid of one second.", NULL },

	{ "limits.instances", CONFIG_INT, FIELD(limit_instances), 0, 1000000000, "2000000", "instances", true,
	  "Most instances of this node. 0: no limit.", NULL },
	{ "limits.instances_per_service", CONFIG_INT, FIELD(limit_instances_per_service), 0, 1000000000, "200000", "instances", true,
	  "Most instances of one service. 0: no limit.", NULL },
	{ "limits.services", CONFIG_INT, FIELD(limit_services), 0, 1000000000, "1000000", "services", true,
	  "Most services of this node. 0: no limit.", NULL },
	{ "limits.clusters_per_service", CONFIG_INT, FIELD(limit_clusters_per_service), 1, CLUSTERS_MOST, "1024", "clusters", true,
	  "Most clusters of one service.", NULL },
	{ "limits.service_bytes", CONFIG_SIZE, FIELD(limit_service_bytes), 0, 64 * GIB, "0", "", true,
	  "Most memory of all services with their clusters, instances and metadata "
	  "(roster_registry_bytes). 0: no limit but segment.limit. There is no such limit by "
	  "source: one address registers whole fleets (a proxy, a synchronisation, a console).",
	  NULL },
	{ "limits.subscribers", CONFIG_INT, FIELD(limit_subscribers), 0, 1000000000, "1000000", "subscribers", true,
	  "Most subscribers of this node. 0: no limit.", NULL },
	{ "limits.subscribers_per_service", CONFIG_INT, FIELD(limit_subscribers_per_service), 0, 1000000000, "200000", "subscribers", true,
	  "Most subscribers of one service. 0: no limit.", NULL },
	{ "limits.subscribers_per_source", CONFIG_INT, FIELD(limit_subscribers_per_source), 0, 1000000000, "100000", "subscribers", true,
	  "Most subscribers that one source address asked for (IPv6: one /64). Further ones get "
	  "their lists and no push. 0: no limit.", NULL },
	{ "limits.subscriber_bytes", CONFIG_SIZE, FIELD(limit_subscriber_bytes), 0, 64 * GIB, "0", "", true,
	  "Most memory of all subscribers with their texts and the names they wait for "
	  "(roster_subscriber_bytes). 0: half of the segment, so that the other half is left for "
	  "instances.", NULL },
	{ "limits.subscriber_bytes_per_source", CONFIG_SIZE, FIELD(limit_subscriber_bytes_per_source), 0, 64 * GIB, "0", "", true,
	  "Most memory of the subscribers of one source address (IPv6: one /64): about 450 bytes "
	  "each as clients in the field subscribe, the name it waits for included, even if "
	  "others wait for it too. Further ones get their lists and no push. 0: 64MiB, or a "
	  "quarter of the segment when that is less.", NULL },
	{ "limits.per_source", CONFIG_INT, FIELD(limit_per_source), 0, 100000, "0", "requests/s", true,
	  "Requests of one source address (IPv6: one /64), over all its connections and all "
	  "workers. More: 429 with Retry-After. The address is that of the connection: behind a "
	  "proxy all clients are one source. 0: no limit.", NULL },
	{ "limits.per_source_burst", CONFIG_INT, FIELD(limit_per_source_burst), 0, 1000000, "0", "requests", true,
	  "Requests a source may make at once after a pause, before limits.per_source counts. 0: "
	  "as many as limits.per_source.", NULL },
	{ "limits.connections_per_source", CONFIG_INT, FIELD(limit_connections_per_source), 0, 1000000, "0", "connections", true,
	  "Open connections of one source address (IPv6: one /64), over all workers. More: 429 "
	  "with Retry-After, and the connection is closed. 0: no limit.", NULL },
	{ "limits.namespaces", CONFIG_INT, FIELD(limit_namespaces), 0, 100000, "10000", "namespaces", true,
	  "Most namespaces stored by the console. 0: no limit. Any other name may be used by "
	  "services all the same.", NULL },
	{ "limits.page", CONFIG_INT, FIELD(limit_page), 1, 1000000000, "100000", "rows", true,
	  "Most rows of one page, however large a pageSize was asked for; an instance shown "
	  "within its service is a row too. A page that would have more is refused with 400. "
	  "Some clients ask for all services of a namespace at once: raise it when there are "
	  "more.", NULL },
	{ "limits.metadata", CONFIG_SIZE, FIELD(limit_metadata_bytes), 1, METADATA_MAX_BYTES, "64KiB", "", true,
	  "Longest metadata of one object, packed. Clients in the field use up to 8KiB.", NULL },
	{ "limits.name", CONFIG_SIZE, FIELD(limit_name_bytes), 1, NAME_MAX_BYTES, "1023", "", true,
	  "Longest name: namespace, service, cluster, ip, app, agent, list of clusters. Clients "
	  "in the field use up to 400.", NULL },

	{ "upgrade.trial_limit", CONFIG_DURATION, FIELD(upgrade_trial_limit_ms), 2 * SECOND, 10 * MINUTE, "10s", "", true,
	  "SIGUSR2: the trial of the new binary is killed when it takes longer, and the upgrade "
	  "refused.", NULL },
	{ "upgrade.limit", CONFIG_DURATION, FIELD(upgrade_limit_ms), 3 * SECOND, 10 * MINUTE, "15s", "", true,
	  "From the exec of the new binary until all of its processes serve. Later, the old "
	  "binary takes over again.", NULL },
	{ "upgrade.drain", CONFIG_DURATION, FIELD(upgrade_drain_ms), 0, HOUR, "75s", "", true,
	  "How long a worker of the old binary waits for the next request of each connection, to "
	  "end it with the answer. Then what is idle is closed; with less than http.idle_timeout "
	  "before the time its client was told.", NULL },
};
/* clang-format on */

#define COUNT_BEFORE(list) \
	_Static_assert(offsetof(struct config, list) == \
	                       offsetof(struct config, list##_count) + sizeof(uint32_t), \
	               "the count of a list stands right before it")

COUNT_BEFORE(push_trusted);
COUNT_BEFORE(operator_allow);
COUNT_BEFORE(checks_refuse);

const unsigned config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) <= CONFIG_KEYS_MAX,
               "more keys than the reader can mark as seen");

const struct config_key *config_key_find(struct str name)
{
	for (unsigned i = 0; i < config_key_count; i++) {
		if (str_eq(str_of(config_keys[i].name), name))
			return &config_keys[i];
	}
	return NULL;
}

bool config_key_is_section(struct str name)
{
	for (unsigned i = 0; i < config_key_count; i++) {
		struct str key = str_of(config_keys[i].name);

		if (str_starts(key, name) && key.n > name.n && key.p[name.n] == '.')
			return true;
	}
	return false;
}
