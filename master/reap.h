/* SPDX-License-Identifier: Apache-2.0 */
/* reap.h - what SIGCHLD says: who left, who was stopped, who goes on. */
#ifndef MASTER_REAP_H
#define MASTER_REAP_H

struct master;

#define REAP_START_TRIES 6U /* deaths before ready in a row that end a start */

/* Asks for each child of the table alone; nobody else's status is taken. */
void reap_children(struct master *m);

#endif
