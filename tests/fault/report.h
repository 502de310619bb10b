/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - counts of the campaign and the table they end in. */
#ifndef TESTS_FAULT_REPORT_H
#define TESTS_FAULT_REPORT_H

#include <stdint.h>

/* Of one operation. */
struct tally {
	uint64_t points; /* it passes without a death */
	uint64_t alone;  /* kills with nobody else at work */
	uint64_t attach; /* the same, and then all are dead */
	uint64_t beside; /* kills while others worked */
	/* kills of those who repaired, or who began again after the death of all */
	uint64_t rollbacks;
	uint64_t others;   /* kills of a second writer */
	uint64_t acts;     /* answered acts of the others */
	uint64_t repaired; /* roll-backs finished */
	unsigned differences;
};

/* A death of operation number `operation` at the crash point of that name. */
void report_kill(const char *point, unsigned operation);
/* A death of a repairer. */
void report_rollback(const char *point);
/* A line as soon as an operation is done. */
void report_operation(const char *name, const struct tally *tally);
/* Crash points x operations, then the sums. */
void report_table(const char *const *names, const struct tally *tallies, unsigned operations);

#endif
