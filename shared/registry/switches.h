/* switches.h - the switches of specification 10, in the office.
 *
 * Formatted with the defaults in a new segment and kept across restarts. Read without a
 * lock: each is one aligned word. Written under the lock of the office. */
#ifndef REGISTRY_SWITCHES_H
#define REGISTRY_SWITCHES_H

#include <stdint.h>

#include "shared/shm/segment.h"

struct health_params {
	uint64_t max_ms, min_ms;
	uint64_t factor; /* float bits */
};

struct switches {
	uint64_t push_cache_ms;    /* defaultPushCacheMillis 10000 */
	uint64_t beat_interval_ms; /* clientBeatInterval 5000 */
	uint64_t cache_ms;         /* defaultCacheMillis 3000 */
	uint64_t distro_threshold; /* float bits, 0.7 */
	uint64_t health_check, auto_change_health_check, distro, standalone, push;
	uint64_t check_times; /* 3 */
	struct health_params http, tcp, mysql;
	uint64_t server_status_ms, service_status_ms;
	uint64_t disable_add_ip, send_beat_only, light_beat;
	uint64_t distro_expired_ms;
	uint64_t push_go, push_java, push_python, push_c, push_csharp; /* major << 20 | minor << 10 | patch */
	uint64_t authentication;
	uint64_t ephemeral; /* defaultInstanceEphemeral */
	uint64_t spare[16];
};

const struct switches *switches_of(const struct segment *seg);
/* For registry_format(). */
void switches_format(struct segment *seg);

#endif
