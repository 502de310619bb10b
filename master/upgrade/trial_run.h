/* SPDX-License-Identifier: Apache-2.0 */
/* trial_run.h - what the new binary does as a trial (rosterd --trial=N, called by a running master
 * only; trial.h).
 *
 * Reads the configuration, compares the keys that need a restart with those of the running server,
 * looks at the inherited sockets and, read-only, at the segment, runs a loop for a second and says
 * TRIAL_PASSED. It writes nothing anywhere but to its standard output, and accepts nothing. */
#ifndef MASTER_UPGRADE_TRIAL_RUN_H
#define MASTER_UPGRADE_TRIAL_RUN_H

struct options;

/* Returns the exit code: 0, TRIAL_EXIT_LAYOUT when it passed but the layout differs, 2 when there
 * is no page, else 1. The output says why. */
int trial_run(const struct options *options);

#endif
