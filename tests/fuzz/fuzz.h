/* fuzz.h - one target a program: with libFuzzer (--enable-fuzz), or fed from the seed files (seeds_main.c).
 *
 * A target aborts (assert) when a property does not hold; crashes are the sanitizers' business. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

#endif
