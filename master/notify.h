/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h - what the service manager is told; without one, nothing happens.
 *
 * The master does not wait for the manager: a message that its socket does not take at once is
 * lost, and not sent again. The first of several in a row is told to the log. */
#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

#include <stdint.h>

void notify_ready(unsigned workers, unsigned port);
void notify_reloading(void);
/* Ends what notify_reloading() began, whatever came of it. */
void notify_reloaded(const char *status);
void notify_stopping(void);
void notify_alive(void);
/* Returns how often notify_alive() has to be called: half of what the manager asks, and 0 for
 * never. */
uint64_t notify_period_ms(void);

#endif
