/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/naming/unpushed.h"

#include <inttypes.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/naming/naming.h"
#include "shared/net/address.h"
#include "shared/net/destination.h"
#include "shared/registry/layout.h"

static const struct {
	const char *word;
	enum metric metric;
} rows[UNPUSHED_REASONS] = {
	[UNPUSHED_UNTRUSTED] = { "untrusted", METRIC_SUBSCRIBE_UNTRUSTED },
	[UNPUSHED_BROADCAST] = { "broadcast", METRIC_SUBSCRIBE_BROADCAST },
	[UNPUSHED_MULTICAST] = { "multicast", METRIC_SUBSCRIBE_MULTICAST },
	[UNPUSHED_UNSPECIFIED] = { "unspecified", METRIC_SUBSCRIBE_UNSPECIFIED },
	[UNPUSHED_UNSENDABLE] = { "unsendable", METRIC_SUBSCRIBE_UNSENDABLE },
	[UNPUSHED_LOW_PORT] = { "low_port", METRIC_SUBSCRIBE_LOW_PORT },
	[UNPUSHED_BAD_PORT] = { "bad_port", METRIC_SUBSCRIBE_BAD_PORT },
	[UNPUSHED_UNRESOLVABLE] = { "unresolvable", METRIC_SUBSCRIBE_UNRESOLVABLE },
	[UNPUSHED_SOURCE_LIMIT] = { "source_limit", METRIC_SUBSCRIBE_SOURCE_LIMIT },
	[UNPUSHED_SERVICE_LIMIT] = { "service_limit", METRIC_SUBSCRIBE_SERVICE_LIMIT },
	[UNPUSHED_NODE_LIMIT] = { "node_limit", METRIC_SUBSCRIBE_NODE_LIMIT },
	[UNPUSHED_SOURCE_BYTES] = { "source_bytes", METRIC_SUBSCRIBE_SOURCE_BYTES },
	[UNPUSHED_NODE_BYTES] = { "node_bytes", METRIC_SUBSCRIBE_NODE_BYTES },
	[UNPUSHED_NAME_LIMIT] = { "name_limit", METRIC_SUBSCRIBE_NAME_LIMIT },
	[UNPUSHED_FULL] = { "full", METRIC_SUBSCRIBE_FULL },
};

const char *unpushed_word(enum unpushed reason)
{
	ROSTER_ASSERT(reason < UNPUSHED_REASONS);
	return rows[reason].word;
}

enum metric unpushed_metric(enum unpushed reason)
{
	ROSTER_ASSERT(reason < UNPUSHED_REASONS);
	return rows[reason].metric;
}

enum unpushed unpushed_of_claim(const uint8_t address[16], uint16_t port)
{
	static const uint8_t broadcast[16] = { [10] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t zero[16] = { [10] = 0xff, 0xff },
	                     multicast[16] = { [10] = 0xff, 0xff, 0xe0 };

	/* The first reason that holds is the one that is told. */
	if (port < DESTINATION_PORT_MIN)
		return UNPUSHED_LOW_PORT;
	if (!address_is_unsendable(address))
		return UNPUSHED_UNTRUSTED;
	if (memcmp(address, broadcast, 16) == 0)
		return UNPUSHED_BROADCAST;
	if (address[0] == 0xff || address_in_range(address, multicast, 96 + 4))
		return UNPUSHED_MULTICAST;
	if (address_is_zero(address) || address_in_range(address, zero, 96 + 8))
		return UNPUSHED_UNSPECIFIED;
	return UNPUSHED_UNSENDABLE;
}

enum unpushed unpushed_of_error(int err, enum registry_limit which)
{
	ROSTER_ASSERT(err == ERR_FULL || err == ERR_LIMIT);
	if (err == ERR_FULL)
		return UNPUSHED_FULL;
	switch (which) {
	case REGISTRY_LIMIT_SUBSCRIBERS_PER_SERVICE:
		return UNPUSHED_SERVICE_LIMIT;
	case REGISTRY_LIMIT_SUBSCRIBERS:
		return UNPUSHED_NODE_LIMIT;
	case REGISTRY_LIMIT_SUBSCRIBERS_PER_SOURCE:
		return UNPUSHED_SOURCE_LIMIT;
	case REGISTRY_LIMIT_SUBSCRIBER_BYTES:
		return UNPUSHED_NODE_BYTES;
	case REGISTRY_LIMIT_SUBSCRIBER_BYTES_PER_SOURCE:
		return UNPUSHED_SOURCE_BYTES;
	default:
		ROSTER_ASSERT(which == REGISTRY_LIMIT_NAME); /* no other limit is one of a poll */
		return UNPUSHED_NAME_LIMIT;
	}
}

const char *unpushed_reason(struct naming *naming, const struct subscriber_view *sub)
{
	if ((sub->flags & SUBSCRIBER_PUSH) == 0)
		return destination_allowed(&naming->destinations, sub->address, sub->port,
		                           sub->source)
		               ? "next_poll"
		               : unpushed_word(unpushed_of_claim(sub->address, sub->port));
	if (sub->tries == REGISTRY_TRIES_VIEWS)
		return "views";
	return sub->tries == REGISTRY_TRIES_OVERSIZE ? "oversize" : NULL;
}

void unpushed_note(struct naming *naming, const struct naming_caller *caller, enum unpushed reason,
                   struct str service, struct str address, int32_t port)
{
	char name[200], claimed[100], source[ADDRESS_TEXT];
	uint64_t skipped;

	ROSTER_ASSERT(reason < UNPUSHED_REASONS);
	metric_add(rows[reason].metric, 1);
	if (!log_may(&naming->unpushed[reason], clock_mono_ms(), &skipped))
		return;
	log_debug(
	        "op=subscribe result=refused reason=%s source=%s claimed=%s port=%d service=%s skipped=%" PRIu64,
	        rows[reason].word, address_text(caller->source, source),
	        log_quote(address, claimed, sizeof(claimed)), port,
	        log_quote(service, name, sizeof(name)), skipped);
}
