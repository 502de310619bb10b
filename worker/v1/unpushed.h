/* SPDX-License-Identifier: Apache-2.0 */
/* unpushed.h - why a client that asked for pushes gets none: its list says so only by the short poll interval.
 *
 * Each is counted under its reason (roster_subscribe_refused_total), named in a debug line (one a second and reason in each
 * worker) and, where the claim is stored, shown by service/subscribers?detail=true. */
#ifndef WORKER_V1_UNPUSHED_H
#define WORKER_V1_UNPUSHED_H

#include <stdint.h>

#include "shared/base/str.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry.h"

struct request;

enum unpushed {
	/* of the address or port claimed */
	UNPUSHED_UNTRUSTED,
	UNPUSHED_BROADCAST,
	UNPUSHED_MULTICAST,
	UNPUSHED_UNSPECIFIED,
	UNPUSHED_UNSENDABLE,
	UNPUSHED_LOW_PORT,
	UNPUSHED_BAD_PORT,
	UNPUSHED_UNRESOLVABLE,
	/* of one subscriber more */
	UNPUSHED_SOURCE_LIMIT,
	UNPUSHED_SERVICE_LIMIT,
	UNPUSHED_NODE_LIMIT,
	UNPUSHED_SOURCE_BYTES,
	UNPUSHED_NODE_BYTES,
	UNPUSHED_NAME_LIMIT,
	UNPUSHED_FULL,
	UNPUSHED_REASONS
};

const char *unpushed_word(enum unpushed reason);
enum metric unpushed_metric(enum unpushed reason);
/* Of a claim that destination_allowed() does not allow. */
enum unpushed unpushed_of_claim(const uint8_t address[16], uint16_t port);
/* Of what registry_poll() returned: ERR_LIMIT (kept_out: by which) or ERR_FULL. */
enum unpushed unpushed_of_error(int err, enum subscriber_limit kept_out);
/* Counts and logs it. service, address and port: as the client gave them. */
void unpushed_note(struct request *rq, enum unpushed reason, struct str service, struct str address, int32_t port);

#endif
