/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/slice.h"

#include <inttypes.h>
#include <stdio.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"

void slice_begin(struct slice *s, const char *kind)
{
	uint64_t now_us = clock_mono_us();

	*s = (struct slice){ .kind = kind,
		             .end_us = now_us + SLICE_US,
		             .piece_us = now_us,
		             .shard = SLICE_NO_SHARD };
}

/* The next piece begins where this one ends, so that no time goes uncounted. */
bool slice_spent(struct slice *s, uint32_t shard, uint64_t service)
{
	uint64_t now_us = clock_mono_us(), us = now_us - s->piece_us;

	s->piece_us = now_us;
	/* An equal one counts too, so that a slice of very short pieces has a name as well. */
	if (us >= s->longest_us) {
		s->longest_us = us;
		s->shard = shard;
		s->service = service;
	}
	return now_us >= s->end_us;
}

struct str slice_what(const struct slice *s, char out[SLICE_WHAT])
{
	int n = 0;

	if (s->shard != SLICE_NO_SHARD && s->service != 0)
		n = snprintf(out, SLICE_WHAT, "shard=%" PRIu32 " service=%#" PRIx64, s->shard,
		             s->service);
	else if (s->shard != SLICE_NO_SHARD)
		n = snprintf(out, SLICE_WHAT, "shard=%" PRIu32, s->shard);
	ROSTER_ASSERT(n >= 0 && n < (int)SLICE_WHAT);
	return str_make(out, (size_t)n);
}
