/* SPDX-License-Identifier: Apache-2.0 */
/* renew.h - exec of ourselves: same pid, same arguments, new memory.
 *
 * It also knows the command line of every image of this process: the first argument may say in
 * which way the image was called (-f, --handover=N), and the rest are the operator's. */
#ifndef MASTER_RENEW_H
#define MASTER_RENEW_H

struct master;

/* Returns where the operator's arguments begin in args. */
unsigned renew_first_arg(char *const *args);
/* Returns only when it failed, and the master then ends with an error. */
void renew_exec(struct master *m);

#endif
