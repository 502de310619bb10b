/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.h - what rosterd does instead of running: -t, --check, --export, --import, -v, -h,
 * --print-config. */
#ifndef MASTER_INSPECT_H
#define MASTER_INSPECT_H

struct options;

/* Returns the exit code. */
int inspect_run(const struct options *options);

#endif
