/* SPDX-License-Identifier: Apache-2.0 */
/* orphans.h - listening sockets that need a sitter.
 *
 * A listening socket without a ready, running and moving worker is an orphan: its bit on the board
 * is set and every worker gets a notice, so siblings accept from it until the successor is ready.
 * The socket of a worker that was taken away stays an orphan until there is one more again. While
 * the server stops there are none. */
#ifndef MASTER_ORPHANS_H
#define MASTER_ORPHANS_H

struct master;

/* Looks at all workers of both images, and wakes them when something changed. */
void orphans_update(struct master *m);

#endif
