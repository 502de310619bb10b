/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/net/destination.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/net/address.h"

#define REFRESH_MS 10000U

static void add_local(struct destination_policy *policy, const struct sockaddr *sa)
{
	struct sockaddr_storage storage = { .ss_family = AF_UNSPEC };
	uint8_t address[16];
	uint16_t port;

	ROSTER_ASSERT(policy->local_count <= sizeof(policy->local) / sizeof(policy->local[0]));
	if (policy->local_count == sizeof(policy->local) / sizeof(policy->local[0]))
		return;
	if (sa->sa_family == AF_INET)
		memcpy(&storage, sa, sizeof(struct sockaddr_in));
	else if (sa->sa_family == AF_INET6)
		memcpy(&storage, sa, sizeof(struct sockaddr_in6));
	else
		return;
	address_of_sockaddr(&storage, address, &port);
	if (!address_is_loopback(address)) /* always local, needs no row */
		memcpy(policy->local[policy->local_count++], address, 16);
}

/* The old list stays when the kernel does not answer. */
static void read_interfaces(struct destination_policy *policy)
{
	struct ifaddrs *list;

	policy->refreshed_ms = clock_mono_ms();
	if (getifaddrs(&list) < 0)
		return;
	policy->local_count = 0;
	for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr != NULL)
			add_local(policy, i->ifa_addr);
	}
	freeifaddrs(list);
}

static void refresh_when_due(struct destination_policy *policy)
{
	if (clock_mono_ms() - policy->refreshed_ms >= REFRESH_MS)
		read_interfaces(policy);
}

void destination_init(struct destination_policy *policy, const struct address_claim *trusted,
                      unsigned count)
{
	ROSTER_ASSERT(count <= ADDRESS_CLAIMS_MAX);
	memset(policy, 0, sizeof(*policy));
	policy->trusted_count = count;
	memcpy(policy->trusted, trusted, count * sizeof(policy->trusted[0]));
	read_interfaces(policy);
}

static bool is_local(const struct destination_policy *policy, const uint8_t address[16])
{
	if (address_is_loopback(address))
		return true;
	for (unsigned i = 0; i < policy->local_count; i++) {
		if (memcmp(policy->local[i], address, 16) == 0)
			return true;
	}
	return false;
}

static bool is_trusted(const struct destination_policy *policy, const uint8_t claimed[16],
                       const uint8_t source[16])
{
	for (unsigned i = 0; i < policy->trusted_count; i++) {
		const struct address_claim *row = &policy->trusted[i];

		if (address_in_range(source, row->source, row->source_bits) &&
		    address_in_range(claimed, row->claimed, row->claimed_bits))
			return true;
	}
	return false;
}

bool destination_claimed(struct destination_policy *policy, struct str text,
                         const uint8_t source[16], uint8_t claimed_r[16])
{
	if (address_parse_client(text.n > 0 ? text : STR("127.0.0.1"), claimed_r) < 0)
		return false;
	/* A zero source is a local socket: its client is on this host. */
	if (!address_is_loopback(claimed_r) || address_is_zero(source))
		return true;
	refresh_when_due(policy);
	if (!is_local(policy, source) && !is_trusted(policy, claimed_r, source))
		memcpy(claimed_r, source, 16);
	return true;
}

bool destination_allowed(struct destination_policy *policy, const uint8_t claimed[16],
                         uint16_t port, const uint8_t source[16])
{
	if (port < DESTINATION_PORT_MIN || address_is_unsendable(claimed))
		return false;
	if (memcmp(claimed, source, 16) == 0)
		return true;
	refresh_when_due(policy);
	if (is_local(policy, claimed) && is_local(policy, source))
		return true;
	return is_trusted(policy, claimed, source);
}
