/* seeds_main.c - runs a target once over each file named on the command line. */
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

int main(int argc, char **argv)
{
	static uint8_t data[1 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		size_t n;
		uint8_t *copy;

		if (f == NULL) {
			perror(argv[i]);
			return 1;
		}
		n = fread(data, 1, sizeof(data), f);
		fclose(f);
		/* A block of exactly that size: the sanitizer sees a read behind its end. */
		copy = malloc(n > 0 ? n : 1);
		if (copy == NULL)
			return 1;
		for (size_t k = 0; k < n; k++)
			copy[k] = data[k];
		LLVMFuzzerTestOneInput(copy, n);
		free(copy);
	}
	printf("%d passed, 0 failed\n", argc - 1);
	return 0;
}
