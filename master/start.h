/* SPDX-License-Identifier: Apache-2.0 */
/* start.h - the way from a configuration to a serving master. */
#ifndef MASTER_START_H
#define MASTER_START_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

struct config;
struct master;
struct segment_config;

/* Points into config. */
struct segment_config start_segment_config(const struct config *config, bool forget);
/* An upgrade over another layout: makes the segment of the snapshot beside the old one (convert.h), with everybody standing
 * still in it. */
int start_converted(struct master *m, char *why, size_t why_size) MUST_CHECK;
/* After each change among the children: is everybody ready now? */
void start_advance(struct master *m);

#endif
