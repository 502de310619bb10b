/* SPDX-License-Identifier: Apache-2.0 */
/* unpushed.h - why a client that asked for pushes gets none.
 *
 * Its list tells it only by the short poll interval. Each refusal is counted under its reason
 * (roster_subscribe_refused_total) and named in a debug line (one a second and reason in each
 * process); where the claim is stored, those who ask for the subscribers are told the reason. */
#ifndef NAMING_UNPUSHED_H
#define NAMING_UNPUSHED_H

#include <stdint.h>

#include "shared/base/str.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry.h"
#include "shared/registry/subscribers.h"

struct naming;
struct naming_caller;

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
/* Returns the reason for a claim that destination_allowed() does not allow. */
enum unpushed unpushed_of_claim(const uint8_t address[16], uint16_t port);
/* Returns the reason for what registry_poll() returned: ERR_LIMIT (which: of reg->refused) or
 * ERR_FULL. */
enum unpushed unpushed_of_error(int err, enum registry_limit which);
/* Says why a stored subscriber is not pushed to, as a word; NULL: it is. A claim is judged by the
 * configuration of now, as its next poll will be ("next_poll": that one will be pushed to). */
const char *unpushed_reason(struct naming *naming, const struct subscriber_view *sub);
/* Counts and logs a refusal. service, address and port are as the client gave them. */
void unpushed_note(struct naming *naming, const struct naming_caller *caller, enum unpushed reason,
                   struct str service, struct str address, int32_t port);

#endif
