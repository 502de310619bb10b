/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/check_rule.h"

#include <string.h>

#include "shared/base/assert.h"
#include "shared/net/address.h"

#define FIRST_MS 2000U

/* ---- how often ------------------------------------------------------------------------------- */

void check_rt_init(struct check_rt *rt, const struct switches *switches, uint64_t random1,
                   uint64_t random2)
{
	/* A limit of 0 leaves as little to draw from as 1 does. */
	uint64_t most = switches->tcp.max_ms == 0 ? 1 : switches->tcp.max_ms;
	uint64_t below = random1 % most;

	*rt = (struct check_rt){ .best = INT64_MAX,
		                 .normalized = FIRST_MS + (below == 0 ? 0 : random2 % below) };
}

void check_rt_update(struct check_rt *rt, const struct health_params *params, uint64_t ms)
{
	uint32_t bits = (uint32_t)params->factor; /* of a float */
	float factor;
	double mean;

	memcpy(&factor, &bits, sizeof(factor));
	rt->last = ms;
	if (ms > rt->worst)
		rt->worst = ms;
	if (ms < rt->best)
		rt->best = ms;
	mean = (double)factor * (double)rt->normalized + (1 - (double)factor) * (double)ms;
	rt->normalized = mean > 0 ? (uint64_t)mean : 0;
	if (rt->normalized > params->max_ms)
		rt->normalized = params->max_ms;
	if (rt->normalized < params->min_ms)
		rt->normalized = params->min_ms;
}

/* ---- when health flips ----------------------------------------------------------------------- */

/* Checks that pass are counted only while they could change something, so not for an instance that
 * is healthy and confirmed already. */
static enum check_flip count_passed(struct check_counts *counts, bool good, uint64_t times)
{
	counts->failed = 0;
	if (good)
		return CHECK_STAY;
	counts->passed++;
	return counts->passed >= times ? CHECK_UP : CHECK_STAY;
}

/* Likewise for checks that fail, and an instance that is neither healthy nor confirmed. */
static enum check_flip count_failed(struct check_counts *counts, bool good, uint64_t times)
{
	counts->passed = 0;
	if (!good)
		return CHECK_STAY;
	counts->failed++;
	return counts->failed >= times ? CHECK_DOWN : CHECK_STAY;
}

enum check_flip check_judge(struct check_counts *counts, enum check_verdict verdict, bool healthy,
                            bool confirmed, uint64_t times)
{
	ROSTER_ASSERT(counts->passed == 0 || counts->failed == 0); /* each ends the other's row */
	switch (verdict) {
	case CHECK_PASSED:
		return count_passed(counts, healthy && confirmed, times);
	case CHECK_FAILED:
		return count_failed(counts, healthy || confirmed, times);
	case CHECK_REFUSED:
		/* A hard failure is enough by itself. */
		counts->passed = 0;
		return healthy || confirmed ? CHECK_DOWN : CHECK_STAY;
	/* A check that could not be made says nothing, so both rows go on. */
	default:
		return CHECK_STAY;
	}
}

/* ---- where to -------------------------------------------------------------------------------- */

/* Finds the IPv4 address that a translator or a tunnel would send to: 64:ff9b::/96 (NAT64),
 * 2002::/16 (6to4) and ::/96 (IPv4 compatible) hold one. Returns false for all others. */
static bool embedded_ipv4(const uint8_t address[16], uint8_t out[16])
{
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b }, compatible[12] = { 0 };
	const uint8_t *ipv4;

	if (memcmp(address, nat64, sizeof(nat64)) == 0 ||
	    memcmp(address, compatible, sizeof(compatible)) == 0)
		ipv4 = address + 12;
	else if (address[0] == 0x20 && address[1] == 0x02)
		ipv4 = address + 2;
	else
		return false;
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, ipv4, 4);
	return true;
}

static bool is_refused(const struct config *config, const uint8_t address[16])
{
	for (uint32_t i = 0; i < config->checks_refuse_count; i++) {
		if (address_in_range(address, config->checks_refuse[i].address,
		                     config->checks_refuse[i].bits))
			return true;
	}
	return address_is_unsendable(address);
}

bool check_may_connect(const struct config *config, const uint8_t address[16], int64_t port)
{
	uint8_t inner[16];

	if (port < 1 || port > UINT16_MAX || is_refused(config, address))
		return false;
	/* The loopback address ::1 has the form of an embedded 0.0.0.1, but is none. */
	return address_is_loopback(address) || !embedded_ipv4(address, inner) ||
	       !is_refused(config, inner);
}
