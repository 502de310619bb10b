/* SPDX-License-Identifier: Apache-2.0 */
/* census.h - which sources send beats, and which of them fell silent: what the brake (brake.h)
 * weighs.
 *
 * Each source (registry.h: an IPv4 address, or the /64 of an IPv6 address, as a hash) has a row in
 * private memory. It counts the instances that the source beats for, by what a visit found. The
 * census grows with the sources to CENSUS_SOURCES of them, 24 MiB. Sources beyond that are left out
 * with their instances, and so are new ones when memory is refused. Then shares are those of the
 * sources that came first, which is as good as a draw.
 *
 * The rows are in CENSUS_PARTS tables that grow, are emptied and are given back one by one, each
 * when its turn comes. So no call touches more than the 96 KiB of one table, except census_clear(),
 * which gives up to CENSUS_GIVE_BACK of them back. */
#ifndef KEEPER_CENSUS_H
#define KEEPER_CENSUS_H

#include <stdint.h>

#include "shared/registry/registry_keeper.h"

#define CENSUS_SOURCES 1048576U
#define CENSUS_PARTS 256U
#define CENSUS_GIVE_BACK 16U

/* A source is silent when none of its instances is heard and at least one is lost. */
struct census_count {
	uint64_t sources, silent;
	uint64_t instances, carried; /* of all sources, and the lost ones of silent sources */
};

struct census_row {
	uint32_t source; /* 0: free */
	uint32_t heard, lost;
};

struct census_part {
	struct census_row *rows; /* owned; a power of two of them, at most half taken */
	uint32_t cap, sources;
	uint32_t round; /* of the census, when it was written to: rows of another one are over */
};

struct census {
	uint64_t seed;  /* where a source stands: a secret, kept by census_free() */
	uint32_t round; /* raised by census_clear() */
	struct census_count count;
	struct census_part parts[CENSUS_PARTS];
};

void census_free(struct census *c);
/* Begins another count. */
void census_clear(struct census *c);
/* Counts an instance of the source. The state is that of an instance which stays, so never
 * EXPIRE_REMOVED. */
void census_add(struct census *c, uint32_t source, enum expire_state state);
/* The row of the source; NULL when no instance of it was counted. */
const struct census_row *census_find(const struct census *c, uint32_t source);

#endif
