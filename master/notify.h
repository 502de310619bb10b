/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h - what the service manager is told; without one, nothing happens. */
#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

#include <stdint.h>

void notify_ready(unsigned workers, unsigned port);
void notify_reloading(void);
/* After a reload, whatever came of it. */
void notify_reloaded(const char *status);
void notify_stopping(void);
void notify_alive(void);
/* How often notify_alive() has to be called, 0: never. Half of what the manager asks. */
uint64_t notify_period_ms(void);

#endif
