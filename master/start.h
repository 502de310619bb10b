/* start.h - the way from a configuration to a serving master. */
#ifndef MASTER_START_H
#define MASTER_START_H

#include <stdbool.h>

struct config;
struct master;
struct segment_config;

/* Points into config. */
struct segment_config start_segment_config(const struct config *config, bool forget);
/* After each change among the children: is everybody ready now? */
void start_advance(struct master *m);

#endif
