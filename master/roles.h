/* SPDX-License-Identifier: Apache-2.0 */
/* roles.h - the table of roles: what the master starts, and how many of each.
 *
 * No role needs rights of its own: every socket was opened before the rights were dropped. */
#ifndef MASTER_ROLES_H
#define MASTER_ROLES_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/process/process.h"

struct role_row {
	enum role role;
	int (*entrance)(struct process *proc);
	/* NULL, or what needs rights that the children give up. The master does it once, before the
	 * first fork, so that they share the memory of it. */
	void (*prepare)(void);
	/* NULL, or a function that loads code which few servers ever need and no filter lets in. It
	 * is called in a child of the role, before its filter, once one has left with
	 * EXIT_MODULES. */
	void (*load_modules)(void);
	unsigned first_slot;   /* of bank 0; also the first place in the table of children */
	unsigned most;         /* slots reserved; more than one: as many as `workers` says */
	bool listens;          /* keeps the listening sockets */
	bool pushes;           /* keeps the UDP socket */
	uint32_t busy_kill_ms; /* killed when one turn of its loop takes longer */
	unsigned stop_order;   /* told to stop when all with a lower number have left */
};

#define ROLE_ROWS ((unsigned)ROLES - 1U)        /* all but the master */
#define CHILDREN (WORKERS_MAX + ROLE_ROWS - 1U) /* one of each but the workers */
#define CHILDREN_ALL (2U * CHILDREN)
_Static_assert(CHILDREN <= SLOT_SECOND, "more children than slots");

extern const struct role_row role_rows[ROLE_ROWS];

/* Returns the row that a place in the table of children belongs to, or NULL if there is no such
 * place. */
const struct role_row *role_of_place(unsigned place);
/* A role of many has a slot in each bank. Who is alone in its role has one for good, because in an
 * upgrade the old one leaves before the new one is forked. */
unsigned role_slot(unsigned place, unsigned bank);

#endif
