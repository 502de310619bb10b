/* SPDX-License-Identifier: Apache-2.0 */
/* What the log says of a child that died is one line, whatever the child left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/master.h"
#include "master/reap.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/sources.h"
#include "shared/shm/queue.h"
#include "shared/shm/slot.h"

static struct master master;
static struct options options;

static void prepare(struct master *m)
{
	*m = (struct master){ .options = &options, .state = MASTER_SERVING, .workers = 0 }; /* nobody is started again */
	config_defaults(&m->config);
	convert_init(&m->convert);
	assert_int_equal(segment_open_anonymous(64 << 20, &m->seg), 0);
	assert_int_equal(sources_new(&m->sources), 0);
	for (unsigned i = 0; i < QUEUE_CONSUMERS; i++)
		m->seg->wake_fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		m->children[i] = (struct child){ .role = &role_rows[0] };
}

/* Forks a child that leaves at once, and reaps it. */
static void lose(struct master *m, const char *words)
{
	struct child *child = &m->children[0];
	struct slot *slot = &m->seg->slots[child->slot];

	snprintf(child->name, sizeof(child->name), "worker/0");
	snprintf(slot->last_words, SLOT_LAST_WORDS, "%s", words);
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (child->pid == 0)
		_exit(3);
	while (child->pid != 0)
		reap_children(m);
	assert_int_equal(slot->last_words[0], 0);
}

static void last_words_are_quoted(void **state)
{
	char path[] = "/tmp/roster-reap-XXXXXX", text[4096] = "";
	int fd = mkstemp(path);
	ssize_t n;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(log_open(path, LOG_LEVEL_INFO), 0);
	prepare(&master);
	lose(&master, "assert \"a\\b\" failed\nop=upgrade result=ok\x1b[2J");
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	assert_non_null(strstr(text, "last_words=\"assert \\x22a\\x5cb\\x22 failed\\x0aop=upgrade result=ok\\x1b[2J\"\n"));
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
	assert_int_equal(log_open("", LOG_LEVEL_INFO), 0);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(last_words_are_quoted) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
