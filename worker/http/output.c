/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/output.h"

#include "shared/base/assert.h"

void output_borrow(struct output *output, struct str s)
{
	if (s.n == 0)
		return;
	ROSTER_ASSERT(output->piece_count < OUTPUT_PIECES && output->body.len == 0);
	output->pieces[output->piece_count++] = (struct iovec){ (void *)s.p, s.n };
}

void output_own(struct output *output, struct buf *body)
{
	ROSTER_ASSERT(output_is_plain(output));
	output->body = *body;
	buf_init(body);
}

void output_drop(struct output *output)
{
	output->piece_count = 0;
	buf_free(&output->body);
}
