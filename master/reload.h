/* SPDX-License-Identifier: Apache-2.0 */
/* reload.h - what may change while the server serves: the configuration (SIGHUP, the whole new one
 * or none of it), the number of workers, and the file behind the log. */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include "shared/base/err.h"

struct config;
struct master;

/* Makes the page that the children copy the configuration from, before the first fork. */
int reload_init(struct master *m) MUST_CHECK;
void reload_config(struct master *m);
/* SIGTTIN and SIGTTOU. The number stays within 1..WORKERS_MAX. A worker that is too many leaves
 * once it has no more to do. */
void reload_more_workers(struct master *m);
void reload_fewer_workers(struct master *m);
/* SIGUSR1: every process opens the log anew. */
void reload_log(struct master *m);
/* Returns what the key `workers` means on this machine. */
unsigned reload_worker_count(const struct config *config);

#endif
