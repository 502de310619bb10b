/* SPDX-License-Identifier: Apache-2.0 */
/* sort.h - sorting that stands still now and then (fiber.h), however many rows there are.
 *
 * qsort() would pause if its comparison does, but it moves the rows of a large array at its end
 * without a pause. */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <stddef.h>

#include "shared/base/err.h"

typedef int sort_compare_fn(const void *a, const void *b);

/* Sorts by merging: equal rows stay in their order. It takes memory for as many rows again. After
 * ERR_GONE the rows are in no order, and some may be there twice; after ERR_NOMEM they are as they
 * were. */
int sort_rows(void *rows, size_t count, size_t row_bytes, sort_compare_fn *compare) MUST_CHECK;

#endif
