/* SPDX-License-Identifier: Apache-2.0 */
/* reload.h - SIGHUP: the whole new configuration or none of it; and the number of workers. */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include "shared/base/err.h"

struct config;
struct master;

/* The page the children copy from; before the first fork. */
int reload_init(struct master *m) MUST_CHECK;
void reload_config(struct master *m);
/* One more (1) or one less (-1); refuses to leave 1..WORKERS_MAX. */
void reload_workers_by(struct master *m, int step);
/* What `workers` means on this machine. */
unsigned reload_worker_count(const struct config *config);

#endif
