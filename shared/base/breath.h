/* SPDX-License-Identifier: Apache-2.0 */
/* breath.h - loops over what others stored stand still now and then (fiber.h).
 *
 * A look at the clock for each row would cost more than most rows. So rows are weighed, in bytes
 * copied or what takes about as long, and the clock is looked at once every BREATH_WEIGHT only.
 * That is some 10 us of work, 100 us with cold memory. */
#ifndef BASE_BREATH_H
#define BASE_BREATH_H

#include <stddef.h>

#include "shared/base/fiber.h"

#define BREATH_WEIGHT 16384U

struct breath {
	size_t weight; /* since the last pause */
};

/* Adds the weight of a row, and pauses when there is enough. Returns 0, or ERR_GONE of the
 * pause. */
MUST_CHECK static inline int breathe(struct breath *breath, size_t weight)
{
	breath->weight += weight;
	if (breath->weight < BREATH_WEIGHT)
		return 0;
	breath->weight = 0;
	return fiber_pause();
}

#endif
