/* SPDX-License-Identifier: Apache-2.0 */
/* pulse.h - one beat of the node's own clock.
 *
 * The health clock moves on only while a client's beat could be heard: otherwise a node whose
 * workers hang or are stopped would declare every instance lost as soon as they run again. */
#ifndef KEEPER_PULSE_H
#define KEEPER_PULSE_H

#include <stdint.h>

#include "shared/shm/segment.h"

#define PULSE_STUCK_MS 1000U

/* Once every HEALTH_TICK_MS. A beat can be heard while some worker is ready, not stopped, and not
 * busy with one turn for longer than PULSE_STUCK_MS. */
void pulse_tick(struct segment *seg);

#endif
