/* SPDX-License-Identifier: Apache-2.0 */
/* beat.h - a beat, and the registration that makes up for a lost memory.
 *
 * A full beat says all there is to say about its instance, a light one only names it. A server that
 * does not know the instance registers it from a full beat (specification 4.7 step 3): so a server
 * that lost its memory learns it again from the beats. After a light beat the client is told to
 * register, and does so itself.
 *
 * The caller has the right NAMING_INSTANCES. ERR_OWNER: the instance belongs to somebody else. */
#ifndef NAMING_BEAT_H
#define NAMING_BEAT_H

#include "shared/naming/naming.h"

struct naming_beat {
	struct service_key service;
	struct instance_key key;
	bool light;
	/* Of a full beat. */
	/* any: where it registers, the registry brings it to INSTANCE_WEIGHT_MAX at most */
	double weight;
	struct instance_metadata metadata; /* its timings are brought within their limits */
};

enum naming_beat_outcome {
	NAMING_BEAT_RENEWED,    /* the instance is known; it is healthy again if it had been lost */
	NAMING_BEAT_REGISTERED, /* it was unknown and is registered now */
	NAMING_BEAT_UNKNOWN, /* it is unknown, and the beat was a light one: the client is to register */
};

struct naming_beat_result {
	enum naming_beat_outcome outcome;
	uint64_t interval_ms; /* until the client's next beat */
};

/* The codes are those of registry_beat() and registry_register(), except that an unknown instance
 * is an outcome. ERR_RANGE: it would have been registered, but has no address, so nobody could find
 * it. */
int naming_beat(const struct naming *naming, const struct naming_caller *caller,
                const struct naming_beat *beat, struct naming_beat_result *result_r) MUST_CHECK;

#endif
