/* SPDX-License-Identifier: Apache-2.0 */
/* sort.h - sorting that stands still now and then (fiber.h), however many rows there are.
 *
 * qsort() compares with pauses if the comparison makes them, but moves the rows of a large array without one at its end. */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <stddef.h>

#include "shared/base/err.h"

typedef int sort_compare_fn(const void *a, const void *b);

/* Merges, stable. Takes memory for as many rows again. 0; ERR_NOMEM, ERR_GONE: the rows are in no order, and some may be there
 * twice. */
int sort_rows(void *rows, size_t count, size_t row_bytes, sort_compare_fn *compare) MUST_CHECK;

#endif
