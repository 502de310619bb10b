/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#include "shared/base/log.h"

/* An assert knows no context. */
static char *words;
static size_t words_size;

void assert_leave_words(char *place, size_t size)
{
	words = place;
	words_size = size;
}

void assert_failed(const char *what, const char *file, int line)
{
	if (words != NULL)
		snprintf(words, words_size, ASSERT_WORDS "%s at %s:%d", what, file, line);
	else
		log_error(ASSERT_WORDS "%s at %s:%d", what, file, line);
	abort();
}
