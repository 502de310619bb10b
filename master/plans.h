/* SPDX-License-Identifier: Apache-2.0 */
/* plans.h - the two tables at the top of the master: its plans (plan.h), and what each signal does
 * (signals.h).
 *
 * Here alone all plans are known by name. The order of the rows is the order of the calls. */
#ifndef MASTER_PLANS_H
#define MASTER_PLANS_H

#include "master/plan.h"
#include "master/signals.h"

extern const struct plan plans_rows[];          /* ended by a row without a name */
extern const struct signal_row plans_signals[]; /* ended by number 0 */

#endif
