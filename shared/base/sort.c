/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/sort.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/breath.h"

#define COMPARE_WEIGHT 64U /* two rows that are not in the cache */

struct sorter {
	sort_compare_fn *compare;
	size_t bytes; /* of a row */
	struct breath breath;
};

/* Merges the rows of [left, right) and [right, end), each in order, into `to`. */
static int merge(struct sorter *s, const char *left, const char *right, const char *end, char *to)
{
	const char *a = left, *b = right;
	int ret = 0;

	ROSTER_ASSERT(left <= right && right <= end);
	while ((a < right || b < end) && ret == 0) {
		const char **from = b == end || (a < right && s->compare(a, b) <= 0) ? &a : &b;

		memcpy(to, *from, s->bytes);
		*from += s->bytes;
		to += s->bytes;
		ret = breathe(&s->breath, s->bytes + COMPARE_WEIGHT);
	}
	return ret;
}

/* Merges pairs of runs of that many bytes into runs of twice as many. */
static int merge_runs(struct sorter *s, const char *from, char *to, size_t all, size_t run)
{
	int ret = 0;

	for (size_t at = 0; at < all && ret == 0; at += 2 * run) {
		size_t middle = all - at > run ? at + run : all,
		       end = all - at > 2 * run ? at + 2 * run : all;

		ret = merge(s, from + at, from + middle, from + end, to + at);
	}
	return ret;
}

int sort_rows(void *rows, size_t count, size_t row_bytes, sort_compare_fn *compare)
{
	struct sorter s = { .compare = compare, .bytes = row_bytes };
	char *from = rows, *to, *other;
	int ret = 0;

	ROSTER_ASSERT(row_bytes > 0); /* or the runs never grow */
	if (count < 2)
		return 0;
	if ((to = other = reallocarray(NULL, count, row_bytes)) == NULL)
		return ERR_NOMEM;
	for (size_t run = row_bytes, all = count * row_bytes; run < all && ret == 0; run *= 2) {
		char *done = to;

		ret = merge_runs(&s, from, to, all, run);
		to = from;
		from = done;
	}
	ROSTER_ASSERT(from == rows || from == other);
	if (ret == 0 && from == other)
		ret = fiber_copy(rows, other, count * row_bytes, BREATH_WEIGHT);
	free(other);
	return ret;
}
