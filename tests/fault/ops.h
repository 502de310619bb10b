/* SPDX-License-Identifier: Apache-2.0 */
/* ops.h - the table of what is killed: each operation of the registry, in the states in which it
 * does something different. */
#ifndef TESTS_FAULT_OPS_H
#define TESTS_FAULT_OPS_H

#include "tests/fault/acts.h"

#define OPERATION_ACTS 10U

/* A step of preparation; repeat: so many times with rising numbers. */
struct preparation {
	struct act act;
	uint32_t repeat;
};

enum operation_flag {
	OP_ALONE = 1,  /* changes the whole of SVC_MAIN: others work on services beside it */
	OP_OFFICE = 2, /* others work in the office */
	OP_TAKES =
	        4, /* may take from the change queue and die with it: its successor asks the subscribers */
	OP_SILENT = 8, /* changes nothing that the model knows */
	OP_TIGHT = 16, /* the hint of free pages says none each time: it backs more */
};

struct operation {
	const char *name;
	struct preparation prepare[OPERATION_ACTS]; /* up to the first without a verb */
	struct act act;
	/* transactions that a reader can tell apart; a death may lie between any two */
	uint32_t steps;
	uint32_t least_points; /* fewer crash points: it did not do what its name says */
	uint32_t flags;        /* enum operation_flag */
};

extern const struct operation operations[];
extern const unsigned operation_count;

#endif
