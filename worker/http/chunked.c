/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/chunked.h"

#include <stdbool.h>
#include <string.h>

#include "shared/base/assert.h"
#include "worker/http/head_scan.h"

#define SIZE_DIGITS_MAX 8U

void chunked_begin(struct chunked *ch, size_t start)
{
	*ch = (struct chunked){ .start = start, .in = start, .out = start };
}

static enum chunked_verdict bad(struct chunked *ch, int status)
{
	ch->status = status;
	return CHUNKED_BAD;
}

/* Finds one line, without its CR LF. When it returns DONE, *line_n_r is valid and `in` stands
 * behind the line. */
static enum chunked_verdict take_line(struct chunked *ch, const char *data, size_t n,
                                      size_t *line_n_r)
{
	const char *line = data + ch->in;
	const char *lf = memchr(line, '\n', n - ch->in);

	if (lf == NULL)
		return n - ch->in > CHUNKED_LINE_MAX + 1 ? bad(ch, 400) : CHUNKED_MORE;
	if (lf == line || lf[-1] != '\r' || lf - line - 1 > (long)CHUNKED_LINE_MAX)
		return bad(ch, 400);
	*line_n_r = (size_t)(lf - line - 1);
	ch->in += *line_n_r + 2;
	for (size_t i = 0; i < *line_n_r; i++) {
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			return bad(ch, 400);
	}
	return CHUNKED_DONE;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool chunk_size(const char *line, size_t n, uint64_t *size_r)
{
	size_t digits = 0;

	*size_r = 0;
	while (digits < n && hex_digit(line[digits]) >= 0 && digits <= SIZE_DIGITS_MAX)
		*size_r = *size_r << 4 | (uint64_t)hex_digit(line[digits++]);
	return digits > 0 && digits <= SIZE_DIGITS_MAX && (digits == n || line[digits] == ';');
}

static enum chunked_verdict size_line(struct chunked *ch, const char *data, size_t n,
                                      uint64_t max_body)
{
	const char *line = data + ch->in;
	enum chunked_verdict verdict;
	size_t line_n;

	if ((verdict = take_line(ch, data, n, &line_n)) != CHUNKED_DONE)
		return verdict;
	if (!chunk_size(line, line_n, &ch->left))
		return bad(ch, 400);
	if (ch->left > max_body || ch->out - ch->start + ch->left > max_body)
		return bad(ch, 413);
	ch->state = ch->left == 0 ? CHUNKED_TRAILER : CHUNKED_DATA;
	return CHUNKED_DONE;
}

static enum chunked_verdict chunk_data(struct chunked *ch, char *data, size_t n)
{
	size_t have = n - ch->in;

	if (have > ch->left)
		have = (size_t)ch->left;
	memmove(data + ch->out, data + ch->in, have);
	ch->out += have;
	ch->in += have;
	ch->left -= have;
	if (ch->left > 0)
		return CHUNKED_MORE;
	ch->state = CHUNKED_DATA_END;
	return CHUNKED_DONE;
}

static enum chunked_verdict data_end(struct chunked *ch, const char *data, size_t n)
{
	if (n - ch->in < 2)
		return n - ch->in == 1 && data[ch->in] != '\r' ? bad(ch, 400) : CHUNKED_MORE;
	if (memcmp(data + ch->in, "\r\n", 2) != 0)
		return bad(ch, 400);
	ch->in += 2;
	ch->state = CHUNKED_SIZE;
	return CHUNKED_DONE;
}

/* Reads one line of the trailer over. The empty line, at which *end_r is set, ends the body. */
static enum chunked_verdict trailer(struct chunked *ch, const char *data, size_t n, bool *end_r)
{
	const char *line = data + ch->in;
	enum chunked_verdict verdict;
	size_t line_n;

	if ((verdict = take_line(ch, data, n, &line_n)) != CHUNKED_DONE)
		return verdict;
	*end_r = line_n == 0;
	if (line_n > 0 &&
	    (++ch->trailers > CHUNKED_TRAILERS_MAX || head_scan_colon(line, line_n) == NULL))
		return bad(ch, 400);
	return CHUNKED_DONE;
}

enum chunked_verdict chunked_feed(struct chunked *ch, char *data, size_t n, uint64_t max_body)
{
	enum chunked_verdict verdict = CHUNKED_DONE;
	bool end = false;

	while (verdict == CHUNKED_DONE && !end) {
		ROSTER_ASSERT(ch->start <= ch->out && ch->out <= ch->in && ch->in <= n);
		switch (ch->state) {
		case CHUNKED_SIZE:
			verdict = size_line(ch, data, n, max_body);
			break;
		case CHUNKED_DATA:
			verdict = chunk_data(ch, data, n);
			break;
		case CHUNKED_DATA_END:
			verdict = data_end(ch, data, n);
			break;
		case CHUNKED_TRAILER:
			verdict = trailer(ch, data, n, &end);
			break;
		}
	}
	return verdict;
}
