/* SPDX-License-Identifier: Apache-2.0 */
/* decimal.h - whole numbers as text, without the machinery of formats: answers are full of them. */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include <stdint.h>
#include <string.h>

#define DECIMAL_TEXT 20U /* of the largest number */

/* Returns where the text ends; no zero byte follows. There is room for DECIMAL_TEXT bytes. */
static inline char *decimal_put(char *at, uint64_t value)
{
	char digits[DECIMAL_TEXT];
	unsigned first = sizeof(digits);

	do {
		digits[--first] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	memcpy(at, digits + first, sizeof(digits) - first);
	return at + sizeof(digits) - first;
}

#endif
