/* SPDX-License-Identifier: Apache-2.0 */
/* check_rule.h - the rules of active checks (specification 8.3) as pure functions: how often, when
 * health flips, and which addresses may be connected to. */
#ifndef KEEPER_CHECK_RULE_H
#define KEEPER_CHECK_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/config/config.h"
#include "shared/registry/switches.h"

/* ---- how often ------------------------------------------------------------------------------- */

/* Response times of a cluster in ms; the time between two runs is `normalized`. */
struct check_rt {
	uint64_t last, best, worst, normalized;
};

/* Begins with 2000 + rand(0, rand(0, max of TCP)), which is also the delay of the first run.
 * random1 and random2 are any numbers. */
void check_rt_init(struct check_rt *rt, const struct switches *switches, uint64_t random1,
                   uint64_t random2);
void check_rt_update(struct check_rt *rt, const struct health_params *params, uint64_t ms);

/* ---- when health flips ----------------------------------------------------------------------- */

enum check_verdict {
	CHECK_PASSED,
	CHECK_FAILED,  /* soft: counts */
	CHECK_REFUSED, /* hard: at once */
	CHECK_UNMADE,  /* this system could not make it, which says nothing about the peer */
};

struct check_counts {
	uint32_t passed, failed;
};

enum check_flip { CHECK_STAY, CHECK_UP, CHECK_DOWN };

/* Says whether the health of an instance flips. healthy and confirmed are those of the instance
 * now; times is the switch healthCheckTimes. */
enum check_flip check_judge(struct check_counts *counts, enum check_verdict verdict, bool healthy,
                            bool confirmed, uint64_t times);

/* ---- where to -------------------------------------------------------------------------------- */

/* May that address and port be connected to? Not if checks.refuse names the address in whatever
 * notation (IPv4 inside IPv6 too), or if nobody can be there. */
bool check_may_connect(const struct config *config, const uint8_t address[16], int64_t port);

#endif
