/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTS_MOST 128U
#define OPERATIONS_MOST 64U

static struct point {
	const char *name;
	uint32_t kills[OPERATIONS_MOST];
	uint32_t rollbacks;
} points[POINTS_MOST];
static unsigned count;

static struct point *point_of(const char *name)
{
	unsigned n = 0;

	while (n < count && strcmp(points[n].name, name) != 0)
		n++;
	if (n == POINTS_MOST) {
		fprintf(stderr, "no room for crash point %s\n", name);
		exit(2);
	}
	if (n == count)
		points[count++].name = name;
	return &points[n];
}

void report_kill(const char *point, unsigned operation)
{
	point_of(point)->kills[operation % OPERATIONS_MOST]++;
}

void report_rollback(const char *point)
{
	point_of(point)->rollbacks++;
}

void report_operation(const char *name, const struct tally *t)
{
	printf("%-32s %5llu %7llu %7llu %7llu %9llu %7llu %9llu %6u\n", name,
	       (unsigned long long)t->points, (unsigned long long)t->alone,
	       (unsigned long long)t->attach, (unsigned long long)t->beside,
	       (unsigned long long)t->rollbacks, (unsigned long long)t->others,
	       (unsigned long long)t->acts, t->differences);
	fflush(stdout);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct point *)a)->name, ((const struct point *)b)->name);
}

/* Columns are operations by their number; a blank is none. */
static void print_points(const char *const *names, unsigned operations)
{
	printf("\nkills at each crash point (rows) in each operation (columns, by number) and in roll-backs:\n");
	for (unsigned n = 0; n < operations; n++)
		printf("  %2u %s\n", n + 1, names[n]);
	printf("\n%-24s %9s", "", "rollbacks");
	for (unsigned n = 0; n < operations; n++)
		printf("%5u", n + 1);
	qsort(points, count, sizeof(points[0]), by_name);
	for (unsigned p = 0; p < count; p++) {
		printf("\n%-24s %9u", points[p].name, points[p].rollbacks);
		for (unsigned n = 0; n < operations; n++) {
			if (points[p].kills[n] > 0)
				printf("%5u", points[p].kills[n]);
			else
				printf("%5s", "");
		}
	}
	printf("\n");
}

void report_table(const char *const *names, const struct tally *tallies, unsigned operations)
{
	struct tally sum = { .points = 0 };
	unsigned names_seen = 0;

	print_points(names, operations);
	for (unsigned n = 0; n < operations; n++) {
		sum.alone += tallies[n].alone;
		sum.attach += tallies[n].attach;
		sum.beside += tallies[n].beside;
		sum.rollbacks += tallies[n].rollbacks;
		sum.others += tallies[n].others;
		sum.acts += tallies[n].acts;
		sum.repaired += tallies[n].repaired;
		sum.differences += tallies[n].differences;
	}
	for (unsigned p = 0; p < count; p++)
		names_seen += points[p].name != NULL;
	printf("\n%u operations, %u crash points: %llu kills in operations (%llu alone, %llu and then all, %llu while others worked), "
	       "%llu kills of others, %llu in roll-backs, %llu roll-backs finished, %llu acts answered to others, "
	       "%u differences\n",
	       operations, names_seen, (unsigned long long)(sum.alone + sum.attach + sum.beside),
	       (unsigned long long)sum.alone, (unsigned long long)sum.attach,
	       (unsigned long long)sum.beside, (unsigned long long)sum.others,
	       (unsigned long long)sum.rollbacks, (unsigned long long)sum.repaired,
	       (unsigned long long)sum.acts, sum.differences);
}
