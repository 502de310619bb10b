/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h - one target a source, built twice: with libFuzzer (--enable-fuzz), and in every build
 * with seeds_main.c, which feeds it the files of seeds/TARGET.
 *
 * A target calls the code and checks what its header promises; a broken promise aborts. Reads and
 * writes out of bounds, leaks and undefined behaviour are the sanitizers' business. A target keeps
 * nothing between two inputs. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* The text before the first `mark` and the one behind it (empty when there is none): targets with
 * two inputs. */
static inline struct str fuzz_split(const uint8_t *data, size_t size, struct str mark,
                                    struct str *second_r)
{
	const char *p = (const char *)data, *at = size > 0 ? memmem(p, size, mark.p, mark.n) : NULL;
	size_t n = at != NULL ? (size_t)(at - p) : size, skip = at != NULL ? n + mark.n : n;

	*second_r = size > skip ? str_make(p + skip, size - skip) : str_make("", 0);
	return size > 0 ? str_make(p, n) : str_make("", 0);
}

#endif
