/* SPDX-License-Identifier: Apache-2.0 */
/* spawn.h - forking children: which of them, when, and what the child does before it enters its
 * role. */
#ifndef MASTER_SPAWN_H
#define MASTER_SPAWN_H

#include <stdbool.h>

struct child;
struct master;

/* Makes the table of children, and prepares what roles want, once before the first fork. */
void spawn_init(struct master *m);
/* Says whether such a child should run now, whether it does or not. */
bool spawn_is_wanted(const struct master *m, const struct child *child);
/* Forks whatever is wanted, not running, not waiting for its time and blocked by no plan. */
void spawn_wanted(struct master *m);

#endif
