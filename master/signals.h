/* SPDX-License-Identifier: Apache-2.0 */
/* signals.h - the table of signals of the master.
 *
 * Read from a signalfd: handlers of libev would be inherited by the children. All of the
 * table stay blocked in a child until it takes its own with process_signal_fd(). */
#ifndef MASTER_SIGNALS_H
#define MASTER_SIGNALS_H

#include "shared/base/err.h"

struct master;

int signals_start(struct master *m) MUST_CHECK;

#endif
