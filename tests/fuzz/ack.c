/* Datagrams that claim to be ACKs. */
#include "pusher/ack.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t key;

	if (ack_parse(str_make((const char *)data, size), &key) < 0)
		return 0;
	FUZZ_CHECK(size > 0);
	return 0;
}
