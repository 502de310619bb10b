/* SPDX-License-Identifier: Apache-2.0 */
/* switches.h - the switches of specification 10, in the office.
 *
 * Set to the defaults in a new segment and kept across restarts. Read without a lock: each is one
 * aligned word. Written under the lock of the office, all of a change or none; the generation moves
 * last, so who keeps something made from the switches compares one word.
 *
 * Masters, limited URLs and the status are texts: to read them takes the lock (switches_read). */
#ifndef REGISTRY_SWITCHES_H
#define REGISTRY_SWITCHES_H

#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/shm/segment.h"

struct registry;

struct health_params {
	uint64_t max_ms, min_ms;
	uint64_t factor; /* float bits */
};

struct switches {
	uint64_t generation;       /* raised by each change */
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
	uint64_t push_go, push_java, push_python, push_c,
	        push_csharp; /* major << 20 | minor << 10 | patch */
	uint64_t authentication;
	uint64_t ephemeral; /* defaultInstanceEphemeral */
	uint64_t spare[16];
};

#define SWITCHES_TEXT_MAX 4000U

struct switches_texts {
	struct str masters; /* "a,b"; unset: null */
	struct str limited; /* limitedUrlMap: "url:status,url:status"; unset: none */
	struct str status;  /* overriddenServerStatus; unset: null */
};

/* A copy of all switches at one moment; the texts point into it. */
struct switches_copy {
	struct switches words;
	struct switches_texts texts;
	char room[3][SWITCHES_TEXT_MAX];
};

const struct switches *switches_of(const struct segment *seg);
static inline uint64_t switches_generation(const struct switches *switches)
{
	return __atomic_load_n(&switches->generation, __ATOMIC_ACQUIRE);
}

void switches_defaults(struct switches *switches_r);
int switches_read(struct registry *reg, struct switches_copy *copy_r) MUST_CHECK;
/* Replaces all switches if the generation is still words->generation, else ERR_AGAIN. ERR_TOO_BIG:
 * one of the texts is; and the errors common to the writes of registry.h. */
int switches_write(struct registry *reg, const struct switches *words,
                   const struct switches_texts *texts) MUST_CHECK;

#endif
