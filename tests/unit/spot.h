/* SPDX-License-Identifier: Apache-2.0 */
/* spot.h - the line of a test, for helpers that assert on its behalf.
 *
 * cmocka names the line on which an assertion stands. Inside a helper that is always the same line,
 * and nobody learns which of a dozen calls was wrong. So a helper that a test calls is a macro over
 * a function, as cmocka's own assertions are: the macro notes the spot of the call, and what fails
 * in the function prints its expression and values there.
 *
 *     #define add(...) add_at(SPOT, __VA_ARGS__)
 *
 * Functions that only set up or tear down keep cmocka's assertions: no test calls them. */
#ifndef TESTS_SPOT_H
#define TESTS_SPOT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct spot {
	const char *file;
	int line;
};

#define SPOT ((struct spot){ __FILE__, __LINE__ })

/* As fail_msg(): the format is a literal. */
#define fail_at(spot, ...) \
	do { \
		print_error("ERROR: " __VA_ARGS__); \
		print_error("\n"); \
		_fail((spot).file, (spot).line); \
		abort(); /* for the compiler: _fail() does not come back */ \
	} while (0)

#define assert_true_at(spot, condition) \
	do { \
		if (!(condition)) \
			fail_at(spot, "not so: %s", #condition); \
	} while (0)

#define assert_int_equal_at(spot, got, want) \
	do { \
		const long long got_ = (long long)(got), want_ = (long long)(want); \
		if (got_ != want_) \
			fail_at(spot, "%s is %lld, not %lld (%s)", #got, got_, want_, #want); \
	} while (0)

#endif
