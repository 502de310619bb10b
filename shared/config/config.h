/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - configuration: one struct, one table of keys, one YAML file.
 *
 * struct config is plain data without pointers: it is copied by fork and, at a reload, through a
 * shared page (config_shared). The table in config_table.c has one row for each key: name, type,
 * field, range, default, unit, reloadable, description. The parser, `-o`, `-t`, etc/roster.yaml and
 * doc/configuration.md come from the rows (tests compare them).
 *
 * The YAML file has nested maps; the path through them, joined by dots, is the key ("listen: {port:
 * 8848}"). Unknown keys, wrong types, values out of range and double keys are errors with file,
 * line and key. Nothing is applied from a file with an error. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/base/err.h"
#include "shared/net/address.h"

#define CONFIG_RANGES_MAX 32

/* An item of a list of "ADDRESS[/BITS]". */
struct config_range {
	uint8_t address[16]; /* IPv6 or IPv4 mapped */
	uint8_t bits;        /* of 128 */
};

/* instances.owner, in the order of its words. */
enum instances_owner { OWNER_NONE, OWNER_SOURCE };

/* The count of a list stands right before its items (config_value.c). */
struct config {
	/* process */
	char runtime_dir[200]; /* runtime_dir: pid, port and control files */
	char user[64];         /* user: "" = stay */
	uint32_t workers;      /* workers: 0 = cores */
	char log_file[256];    /* log.file: "" = standard error */
	uint32_t log_level;    /* log.level: error warning info debug */

	bool sandbox_seccomp; /* sandbox.seccomp: true */

	/* listen */
	char listen_address[64]; /* listen.address: 0.0.0.0 */
	uint32_t listen_port;    /* listen.port: 8848; 0 = any */
	uint32_t listen_backlog; /* listen.backlog */
	char node_address[64];   /* node.address: shown to clients */
	char context_path[200];  /* context.path: before every path of the API; "/": nothing */

	/* segment */
	char segment_dir[200];       /* segment.dir */
	uint64_t segment_limit;      /* segment.limit, bytes; 0 = choose */
	uint64_t segment_max_age_ms; /* segment.max_age */
	/* segment.check_period; 0: only after a start and on suspicion */
	uint64_t segment_check_ms;

	/* http */
	uint32_t http_head_bytes; /* http.head: 64 KiB */
	uint32_t http_line_bytes; /* http.line */
	uint32_t http_headers;    /* http.headers: count */
	uint64_t http_body_bytes; /* http.body */
	uint64_t http_head_timeout_ms, http_body_timeout_ms, http_idle_timeout_ms,
	        http_write_timeout_ms;
	uint32_t http_requests; /* http.requests: per connection, 0 = no limit */
	uint32_t http_long_requests;
	uint64_t http_long_wait_ms;
	uint32_t http_pipeline;     /* http.pipeline: answers pending before reading stops */
	uint32_t http_connections;  /* http.connections: per worker */
	uint64_t http_memory_bytes; /* http.memory: per worker, 256 MiB */
	uint64_t http_cache_bytes;  /* http.list_cache: per worker, 16 MiB */
	char http_cors[1024];       /* http.cors: "echo", "off", or origins with blanks between */

	/* push */
	uint32_t push_port;           /* push.port: 0 = the HTTP port */
	uint64_t push_delay_ms;       /* push.delay: 1 s */
	uint64_t push_ack_wait_ms;    /* push.ack_wait: 10 s */
	uint64_t push_rate;           /* push.rate: datagrams/s to one socket */
	uint64_t push_rate_address;   /* push.rate_address: to one address; 200,000 */
	uint64_t push_views;          /* push.views: rendered of one service in one round, 256 */
	uint64_t push_views_source;   /* push.views_per_source: of them, for one source; 32 */
	uint64_t push_receive_buffer; /* push.receive_buffer: bytes, 8 MiB */
	uint64_t push_subscriber_life_ms; /* push.subscriber_life: 10 s */
	uint32_t push_trusted_count;
	struct address_claim push_trusted[ADDRESS_CLAIMS_MAX]; /* "SOURCE[/BITS] CLAIMED[/BITS]" */

	/* operator.allow: who may change switches, log levels and namespaces */
	uint32_t operator_allow_count;
	struct config_range operator_allow[CONFIG_RANGES_MAX];

	/* active checks (specification 8.3) */
	uint32_t checks_concurrency;  /* checks.concurrency: 512 */
	uint32_t checks_refuse_count; /* checks.refuse: never connected to */
	struct config_range checks_refuse[CONFIG_RANGES_MAX];

	/* node brake (keeper/brake.h) */
	bool brake_enabled;             /* brake.enabled: true */
	uint32_t brake_minimum;         /* brake.minimum: 100 */
	uint32_t brake_minimum_sources; /* brake.minimum_sources: 10 */
	uint32_t brake_share;           /* brake.share: percent, 50 */
	uint64_t brake_period_ms;       /* brake.period: 1 m */
	uint64_t brake_hold_ms;         /* brake.hold: 5 m */
	uint64_t brake_deregister; /* brake.deregister: of one source in a period; 0 = no limit */

	/* what clients may do to instances (shared/naming/guard.h) */
	uint32_t instances_owner; /* instances.owner: enum instances_owner */
	uint64_t instances_timeout_min_ms, instances_timeout_max_ms; /* 1 s, 24 h */

	/* empty services (specification 8.4) */
	bool empty_clean;                         /* empty_service.clean: true */
	uint64_t empty_delay_ms, empty_period_ms; /* 50 s, 30 s */

	/* limits */
	uint64_t limit_instances, limit_instances_per_service, limit_services,
	        limit_clusters_per_service;
	uint64_t limit_subscribers, limit_subscribers_per_service;
	uint64_t limit_namespaces, limit_page;
	uint64_t limit_service_bytes, limit_subscriber_bytes,
	        limit_subscriber_bytes_per_source; /* 0: see config_table.c */
	/* by source address (shared/base/source.h) */
	uint64_t limit_per_source, limit_per_source_burst, limit_connections_per_source,
	        limit_subscribers_per_source;
	uint64_t limit_metadata_bytes, limit_name_bytes;

	/* upgrade: SIGUSR2 */
	uint64_t upgrade_trial_limit_ms, upgrade_limit_ms, upgrade_drain_ms; /* 10 s, 15 s, 75 s */
};

/* One page shared by all processes: the master writes the half that nobody reads, then the
 * generation. */
struct config_shared {
	uint64_t generation; /* halves[generation & 1] is current */
	struct config halves[2];
};

struct config_error {
	char text[512]; /* "file:line: key: what is wrong" */
};

void config_defaults(struct config *config);
/* Reads a file over the defaults; with path NULL or "" there are only these. On an error *config_r
 * is not touched. */
int config_load(const char *path, struct config *config_r, struct config_error *error_r) MUST_CHECK;
/* Applies "key=value" (-o). It comes after the file. */
int config_override(struct config *config, const char *assignment,
                    struct config_error *error_r) MUST_CHECK;
/* Checks the rules between keys, after everything was read. ERR_RANGE. */
int config_check(const struct config *config, struct config_error *error_r) MUST_CHECK;
/* Returns the first key that differs and is not reloadable, NULL when there is none. */
const char *config_fixed_difference(const struct config *old, const struct config *new_config);
/* The same between two binaries, whose structs may differ. config_fixed_text() writes the keys that
 * are not reloadable as lines "key=value" (ERR_TOO_BIG: out is too small); config_fixed_change()
 * compares them. It ignores keys that it does not know, and one that is not in the text had its
 * default. */
int config_fixed_text(const struct config *config, char *out, size_t size) MUST_CHECK;
const char *config_fixed_change(const char *text, const struct config *fresh);
/* Returns how many keys differ. */
unsigned config_differences(const struct config *old, const struct config *new_config);
/* rosterd --print-config sample|doc: etc/roster.yaml and doc/configuration.md. */
void config_print_sample(FILE *out);
void config_print_doc(FILE *out);

#endif
