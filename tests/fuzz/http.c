/* Head check, head parser and chunked decoder, fed in two pieces. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/chunked.h"
#include "worker/http_head.h"

static const struct head_limits limits = { .head_bytes = 8192, .line_bytes = 4096, .headers = 40 };

/* What was accepted ends every line with CR LF and has neither alone, and no zero byte. */
static void check_lines(const char *head, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(head[i] != '\0');
		FUZZ_CHECK(head[i] != '\n' || (i > 0 && head[i - 1] == '\r'));
		FUZZ_CHECK(head[i] != '\r' || (i + 1 < n && head[i + 1] == '\n'));
	}
}

static void check_body(const struct head_check *hc, char *data, size_t n)
{
	struct chunked ch;

	if (!hc->chunked)
		return;
	FUZZ_CHECK(!hc->has_length);
	chunked_begin(&ch, hc->length);
	if (chunked_feed(&ch, data, n, 4096) != CHUNKED_DONE)
		return;
	FUZZ_CHECK(ch.out >= ch.start && ch.out <= ch.in && ch.in <= n && ch.out - ch.start <= 4096);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct head_check whole, split;
	struct request rq;
	char *data = malloc(size + 1);
	enum head_verdict verdict;

	if (data == NULL)
		return 0;
	http_head_init();
	memcpy(data, input, size);
	head_check_reset(&whole);
	head_check_reset(&split);
	verdict = head_check_feed(&whole, data, size, &limits);
	if (head_check_feed(&split, data, size / 2, &limits) == HEAD_MORE)
		FUZZ_CHECK(head_check_feed(&split, data, size, &limits) == verdict);
	if (verdict == HEAD_BAD)
		FUZZ_CHECK(whole.status >= 400 && whole.status < 600);
	if (verdict == HEAD_DONE) {
		FUZZ_CHECK(whole.length <= size && whole.length <= limits.head_bytes && whole.headers <= limits.headers);
		check_lines(data, whole.length);
		memset(&rq, 0, sizeof(rq));
		if (http_head_parse(data, &whole, &rq) == 0)
			FUZZ_CHECK(rq.target.n > 0 && rq.target.n <= limits.line_bytes);
		check_body(&whole, data, size);
	}
	free(data);
	return 0;
}
