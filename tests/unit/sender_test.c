/* SPDX-License-Identifier: Apache-2.0 */
/* Answers on their way to a socket that takes all of them, some of them, or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/http/output.h"
#include "worker/http/sender.h"

#define BIG (512U * 1024U)

static int ends[2]; /* [0]: the client */
static struct buf shared;
static struct sender sender;
static struct output output;
static char big[BIG], got[4U * BIG];
static size_t got_n;

static int set_up(void **state)
{
	int small = 4096;

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	buf_init(&shared);
	sender_init(&sender, &shared);
	output = (struct output){ .bytes = sender.answers };
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)('a' + i % 26);
	got_n = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	output_drop(&output);
	sender_free(&sender);
	buf_free(&shared);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static void take(void)
{
	ssize_t n;

	while ((n = recv(ends[0], got + got_n, sizeof(got) - got_n, 0)) > 0)
		got_n += (size_t)n;
}

/* Until everything is with the client. */
static void flush_and_take(void)
{
	do {
		assert_true(sender_flush(&sender, ends[1]));
		take();
	} while (sender_is_pending(&sender));
}

/* The socket takes nothing more. */
static size_t fill(void)
{
	char junk[4096];
	size_t filled = 0;

	memset(junk, 'x', sizeof(junk));
	for (ssize_t n;
	     (n = send(ends[1], junk, filled < 100000 ? sizeof(junk) : 1, MSG_NOSIGNAL)) > 0;)
		filled += (size_t)n;
	return filled;
}

static struct buf body_of(size_t n)
{
	struct buf b;

	buf_init(&b);
	buf_put(&b, big, n);
	return b;
}

static void assert_got(const char *head, size_t body, const char *tail)
{
	size_t head_n = strlen(head), tail_n = strlen(tail);

	assert_int_equal(got_n, head_n + body + tail_n);
	assert_memory_equal(got, head, head_n);
	assert_memory_equal(got + head_n, big, body);
	assert_memory_equal(got + head_n + body, tail, tail_n);
}

static void what_fits_is_sent_at_once(void **state)
{
	(void)state;
	BUF_LIT(output.bytes, "first");
	BUF_LIT(output.bytes, "head");
	output_borrow(&output, str_make(big, 100));
	output_borrow(&output, STR("tail"));
	assert_false(output_is_plain(&output));
	sender_take(&sender, ends[1], &output);
	assert_true(output_is_plain(&output));
	take();
	assert_got("firsthead", 100, "tail");
	assert_int_equal(sender.sent, got_n);
	assert_true(sender_flush(&sender, ends[1]));
	assert_int_equal(shared.len, 0);
	assert_false(sender_is_pending(&sender));
}

/* Its owner may do with it what it likes once it was taken. */
static void what_was_borrowed_is_kept_when_it_does_not_fit(void **state)
{
	char *lent = malloc(BIG);

	(void)state;
	memcpy(lent, big, BIG);
	BUF_LIT(output.bytes, "head");
	output_borrow(&output, str_make(lent, BIG));
	output_borrow(&output, STR("tail"));
	sender_take(&sender, ends[1], &output);
	memset(lent, '!', BIG);
	free(lent);
	flush_and_take();
	assert_got("head", BIG, "tail");
	assert_int_equal(shared.len, 0);
}

static void what_was_given_is_not_copied(void **state)
{
	struct buf body = body_of(BIG);
	const char *data = body.data;

	(void)state;
	BUF_LIT(output.bytes, "head");
	output_own(&output, &body);
	assert_null(body.data);
	sender_take(&sender, ends[1], &output);
	assert_true(sender_is_pending(&sender));
	assert_ptr_equal(sender.out.data, data);
	flush_and_take();
	assert_got("head", BIG, "");
}

/* Not even the head fits: the body waits behind it, and takes its place. */
static void what_was_given_waits_behind_its_head(void **state)
{
	size_t filled = fill();
	struct buf body = body_of(BIG);
	const char *data = body.data;

	(void)state;
	BUF_LIT(output.bytes, "head");
	output_own(&output, &body);
	sender_take(&sender, ends[1], &output);
	assert_ptr_equal(sender.body.data, data);
	assert_true(sender_flush(&sender, ends[1]));
	assert_int_equal(sender.out.len, 4);
	assert_memory_equal(sender.out.data, "head", 4);
	take();
	assert_int_equal(got_n, filled);
	got_n = 0;
	flush_and_take();
	assert_got("head", BIG, "");
	assert_int_equal(sender.body.len, 0);
}

static void the_next_answer_goes_behind_what_waits(void **state)
{
	(void)state;
	BUF_LIT(output.bytes, "head");
	output_borrow(&output, str_make(big, BIG));
	sender_take(&sender, ends[1], &output);
	assert_true(sender_flush(&sender, ends[1]));
	assert_true(sender_is_pending(&sender));
	assert_ptr_equal(sender.answers, &sender.out);
	output.bytes = sender.answers;
	BUF_LIT(output.bytes, "next");
	flush_and_take();
	assert_got("head", BIG, "next");
	assert_ptr_equal(sender.answers, &shared);
}

static void a_broken_socket_is_noticed_once_and_for_all(void **state)
{
	struct buf body = body_of(BIG);

	(void)state;
	shutdown(ends[1], SHUT_WR);
	BUF_LIT(output.bytes, "head");
	output_own(&output, &body);
	sender_take(&sender, ends[1], &output);
	assert_true(sender.broken);
	assert_true(output_is_plain(&output));
	assert_false(sender_flush(&sender, ends[1]));
	sender_release(&sender);
	buf_reset(&shared);
	assert_false(sender_flush(&sender, ends[1]));
}

static void nothing_is_sent_after_memory_was_refused(void **state)
{
	(void)state;
	BUF_LIT(output.bytes, "head");
	output.bytes->failed = true;
	output_borrow(&output, STR("body"));
	sender_take(&sender, ends[1], &output);
	assert_true(sender.broken);
	take();
	assert_int_equal(got_n, 0);
}

/* Another worker's answers are sent before those made here. */
static void what_another_worker_left_is_sent_first(void **state)
{
	struct buf rest = body_of(10);

	(void)state;
	sender_adopt(&sender, &rest);
	assert_true(sender_is_pending(&sender));
	BUF_LIT(sender.answers, "next");
	flush_and_take();
	assert_got("", 10, "next");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_fits_is_sent_at_once),
		TEST(what_was_borrowed_is_kept_when_it_does_not_fit),
		TEST(what_was_given_is_not_copied),
		TEST(what_was_given_waits_behind_its_head),
		TEST(the_next_answer_goes_behind_what_waits),
		TEST(a_broken_socket_is_noticed_once_and_for_all),
		TEST(nothing_is_sent_after_memory_was_refused),
		TEST(what_another_worker_left_is_sent_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
