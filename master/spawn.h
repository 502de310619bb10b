/* SPDX-License-Identifier: Apache-2.0 */
/* spawn.h - forking children and the table of them. */
#ifndef MASTER_SPAWN_H
#define MASTER_SPAWN_H

#include <stdbool.h>
#include <stdint.h>

struct child;
struct master;

/* Rows of all slots, and what roles want prepared; before the first fork. */
void spawn_init(struct master *m);
/* Should there be one now? */
bool spawn_is_wanted(const struct child *child);
/* Forks whatever is wanted, not running and not waiting for its time. */
void spawn_wanted(struct master *m);
/* The same for one child after a delay; 0: at once. */
void spawn_after(struct child *child, uint32_t delay_ms);
/* Only ever to a pid of the table. */
void spawn_signal(struct child *child, int signal_number);
void spawn_signal_all(struct master *m, int signal_number);
unsigned spawn_count_running(const struct master *m);

#endif
