/* SPDX-License-Identifier: Apache-2.0 */
/* busy.h - how long one wake-up of a child's loop has been going on.
 *
 * Times are CLOCK_MONOTONIC in ms. */
#ifndef MASTER_BUSY_H
#define MASTER_BUSY_H

#include <stdint.h>

/* Returns 0 for a child that is idle. Parts that somebody else is to blame for (the child was
 * stopped, or the master stood still) do not count. */
uint64_t busy_ms(uint64_t busy_since_ms, uint64_t child_resumed_ms, uint64_t master_resumed_ms,
                 uint64_t now_ms);

#endif
