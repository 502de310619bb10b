/* SPDX-License-Identifier: Apache-2.0 */
/* campaign.c - every operation of the registry is killed at every numbered crash point, alone and
 * while others work.
 *
 *     campaign [--stride N] [--first] [OPERATION ...]
 *
 * Alone: the victim dies at point n; whoever repairs dies at point 1, the next at point 2, until
 * one gets through. Attach: the victim dies, and nobody is left; a master that attaches dies
 * playing the logs, the next one gets further. Beside others: the victim dies while two writers and
 * a taker of the change queue use the same lock and the same service; one of them repairs, and one
 * of the writers dies at a point of its own in the same round.
 *
 * Afterwards, at rest: registry_audit() finds nothing; the registry equals the model in which the
 * operation has happened wholly (or up to one of its steps) or not at all, wholly if it was
 * answered, and every answered act of the others has happened; a service whose list changed is in
 * the change queue or was taken since; the consumer was told; the ring of events reads on.
 * Everything else is a difference.
 *
 * --stride N: every Nth point only. --first: stop at the first difference. Status 1:
 * differences. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/registry/registry_audit.h"
#include "shared/shm/fault.h"
#include "shared/shm/lock.h"
#include "tests/fault/crew.h"
#include "tests/fault/model.h"
#include "tests/fault/ops.h"
#include "tests/fault/report.h"

#define OPERATIONS_MOST 64U
#define POINTS_MOST 20000U
#define ATTACH_STRIDE \
	11U /* an attach goes over every shard: each death tries every 11th point, the next one others */
#define DIFFERENCES_MOST 3U /* of one operation; then the next */
#define LIFE_LIMIT_S 60U
#define DRAIN_MOST 500U /* steps that removed services may pile up before a new bed is made */
#define FATAL_POINT_MOST 6000U

enum round { ROUND_ALONE, ROUND_ATTACH, ROUND_BESIDE };

static const char *const round_names[] = { "alone", "attach", "beside others" };

/* What became of a child. */
struct fate {
	bool killed;
	bool answered;
	int answer;
	const char *where;
};

struct campaign {
	const struct operation *operation;
	unsigned number;
	enum round round;
	struct tally *tally;
	struct bed bed;
	struct model model, found, wanted, trial;
	struct crew *crew; /* in rounds beside others */
	uint64_t taken[SVC_COUNT]
	              [2]; /* id of the latest service of that name, highest revision taken */
	uint64_t ring_cursor;
	uint64_t point;
	const char *where;
	unsigned stride;
	bool first_only;
	char why[256];
};

/* Where children leave the name of their last point. */
static const char *volatile *last_words;

/* ---- differences ----------------------------------------------------------------------------- */

static void differ(struct campaign *c, const char *what)
{
	c->tally->differences++;
	printf("difference: %s, %s, point %llu (%s): %s\n", c->operation->name,
	       round_names[c->round], (unsigned long long)c->point, c->where, what);
	fflush(stdout);
}

static void say(const char *text, void *arg)
{
	struct campaign *c = arg;

	if (c->why[0] == '\0')
		snprintf(c->why, sizeof(c->why), "%s", text);
}

static void remember(unsigned service, uint64_t id, uint64_t changed, void *arg)
{
	struct campaign *c = arg;
	uint64_t *at = c->taken[service];

	if (at[0] < id || (at[0] == id && at[1] < changed)) {
		at[0] = id;
		at[1] = changed;
	}
}

/* ---- beds ------------------------------------------------------------------------------------ */

static void close_bed(struct campaign *c)
{
	if (c->bed.seg == NULL)
		return;
	crew_free(&c->crew);
	bed_close(&c->bed);
	c->bed.seg = NULL;
}

/* Prepared, and with an empty change queue: what is found in it later comes from what was
 * killed. */
static void open_bed(struct campaign *c)
{
	const struct act take = { .verb = ACT_TAKE };
	struct model_queued queued[SVC_COUNT];

	close_bed(c);
	bed_open(&c->bed);
	memset(c->taken, 0, sizeof(c->taken));
	c->ring_cursor = 0;
	if (model_read(&c->bed, &c->model, queued) < 0)
		exit(2);
	for (const struct preparation *p = c->operation->prepare; p->act.verb != ACT_NONE; p++) {
		for (uint32_t n = 0; n < p->repeat; n++) {
			struct act act = p->act;

			act.number += (int32_t)n;
			if (act_run(&c->bed, &act) != model_apply(&c->model, &act, STEPS_ALL)) {
				fprintf(stderr, "%s cannot be prepared: %s\n", c->operation->name,
				        act_name(&act));
				exit(2);
			}
		}
	}
	c->bed.taken = remember;
	c->bed.taken_arg = c;
	if ((c->operation->flags & OP_TAKES) == 0 && act_run(&c->bed, &take) < 0)
		exit(2);
	c->bed.taken = NULL;
	if (c->round == ROUND_BESIDE)
		c->crew = crew_new(&c->bed, c->operation);
}

/* ---- children that die ----------------------------------------------------------------------- */

/* Takes each lock that may be left behind. */
static int repair(struct campaign *c)
{
	const uint32_t shards[] = { c->bed.shard, SHARD_OFFICE };
	struct tx tx;
	int ret = 0;

	for (unsigned n = 0; n < 2 && ret == 0; n++) {
		if ((ret = lock_take(c->bed.seg, shards[n], &tx)) == 0)
			lock_drop(&tx);
	}
	return ret;
}

/* The next master: nobody else maps the segment. */
static int attach(struct campaign *c)
{
	lock_recover_all(c->bed.seg);
	return 0;
}

static int operate(struct campaign *c)
{
	if (c->operation->flags & OP_TIGHT)
		__atomic_store_n(&c->bed.seg->header->free_hint, 0, __ATOMIC_RELAXED);
	return act_run(&c->bed, &c->operation->act);
}

static void await(struct campaign *c, pid_t child, int answers, struct fate *fate)
{
	int status;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	fate->answered = read(answers, &fate->answer, sizeof(fate->answer)) == sizeof(fate->answer);
	fate->killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	fate->where = *last_words == NULL ? "the end" : *last_words;
	if (!fate->killed && !fate->answered) {
		snprintf(c->why, sizeof(c->why), "ended by itself, status %#x", (unsigned)status);
		differ(c, c->why);
	}
}

/* Returns what became of a child that runs fn and dies at that point, if it comes so far. */
static struct fate die_at(struct campaign *c, uint64_t point, int (*fn)(struct campaign *c))
{
	struct fate fate = { .answer = 0 };
	int pipes[2], answer;
	pid_t child;

	*last_words = NULL;
	if (pipe(pipes) < 0 || (child = fork()) < 0) {
		perror("fork");
		exit(2);
	}
	if (child == 0) {
		alarm(LIFE_LIMIT_S);
		fault_tell(last_words);
		fault_arm(point);
		answer = fn(c);
		_exit(write(pipes[1], &answer, sizeof(answer)) == sizeof(answer) ? 0 : 3);
	}
	close(pipes[1]);
	await(c, child, pipes[0], &fate);
	close(pipes[0]);
	return fate;
}

/* One dies repairing at each point, until one is through. */
static void repair_all(struct campaign *c)
{
	unsigned stride = c->round == ROUND_ATTACH ? ATTACH_STRIDE : c->stride;

	for (uint64_t point = 1 + c->point % stride; point < POINTS_MOST; point += stride) {
		struct fate fate = die_at(c, point, c->round == ROUND_ATTACH ? attach : repair);

		if (!fate.killed) {
			if (fate.answered && fate.answer != 0)
				differ(c, err_str(fate.answer));
			c->tally->repaired++;
			return;
		}
		c->tally->rollbacks++;
		report_rollback(fate.where);
	}
	differ(c, "the repair has no end");
}

/* ---- at rest --------------------------------------------------------------------------------- */

static bool check_registry(struct campaign *c)
{
	c->why[0] = '\0';
	if (registry_audit(&c->bed.reg, say, c) != 0 || c->bed.seg->header->corrupt != 0) {
		differ(c, c->why[0] != '\0' ? c->why : "impossible references were met");
		return false;
	}
	return true;
}

static bool check_queue(struct campaign *c, const struct model_queued queued[SVC_COUNT])
{
	const struct queue_words *words =
	        (const struct queue_words *)(c->bed.seg->base + SEGMENT_QUEUE_AT);
	bool any = false, ok = true;

	for (unsigned n = 0; n < SVC_COUNT; n++) {
		const uint64_t *taken = c->taken[n];

		any |= queued[n].pending;
		if (queued[n].changed != 0 && !queued[n].pending &&
		    (taken[0] != queued[n].id || taken[1] < queued[n].changed)) {
			snprintf(c->why, sizeof(c->why),
			         "service %u changed, is not queued and was not taken", n);
			differ(c, c->why);
			ok = false;
		}
	}
	/* A consumer that is started looks at every list. */
	if (any && c->round != ROUND_ATTACH &&
	    (words->dirty[QUEUE_PUSHER] >> c->bed.shard & 1) == 0) {
		differ(c, "the change queue holds something and nobody was told");
		ok = false;
	}
	return ok;
}

/* Reads on to an event of its own: torn ones were left behind by the dead. Later than any writer,
 * or they might still write. */
static bool check_ring(struct campaign *c)
{
	struct ring_event mine = { .instance_id = UINT64_MAX, .kind = EVENT_EDITED },
	                  event = { .kind = EVENT_NONE };
	char name[RING_NAME_BYTES];
	uint64_t missed = 0;

	ring_append(c->bed.seg->events, &mine, (struct str){ NULL, 0 });
	clock_set_for_test(clock_mono_ms() * 1000 + 2000000, clock_wall_us());
	while (event.instance_id != UINT64_MAX &&
	       ring_next(c->bed.seg->events, &c->ring_cursor, &event, NULL, name, &missed)) {
		if (event.kind == EVENT_NONE || event.kind >= EVENT_KINDS) {
			differ(c, "the ring shows half an event");
			return false;
		}
	}
	clock_set_for_test(clock_mono_ms() * 1000 - 2000000, clock_wall_us());
	if (event.instance_id == UINT64_MAX)
		return true;
	differ(c, "the ring of events does not read on");
	return false;
}

/* True when the registry is as if so many steps, and the open act of another, had happened; that is
 * then the model. */
static bool is_state(struct campaign *c, uint32_t steps, const struct act *open)
{
	c->trial = c->model;
	model_apply(&c->trial, &c->operation->act, steps);
	if (open != NULL)
		model_apply(&c->trial, open, STEPS_ALL);
	if (!model_equal(&c->trial, &c->found, c->why, sizeof(c->why)))
		return false;
	c->model = c->trial;
	return true;
}

/* The number of steps that happened; negative: no state of the model fits. */
static int find_state(struct campaign *c, const struct fate *fate, const struct act *open)
{
	uint32_t most = c->operation->steps;
	char first_why[sizeof(c->why)] = "";

	for (uint32_t n = fate->answered ? most : 0; n <= most; n++) {
		if (is_state(c, n, NULL) || (open != NULL && is_state(c, n, open)))
			return (int)n;
		if (first_why[0] == '\0')
			memcpy(first_why, c->why, sizeof(first_why));
	}
	snprintf(c->why, sizeof(c->why), "neither before nor after%s: %.150s",
	         fate->answered ? " (it was answered)" : "", first_why);
	differ(c, c->why);
	return -1;
}

static void check_answer(struct campaign *c, const struct fate *fate)
{
	int wanted;

	if (!fate->answered)
		return;
	c->trial = c->model;
	wanted = model_apply(&c->trial, &c->operation->act, STEPS_ALL);
	if (fate->answer != wanted) {
		snprintf(c->why, sizeof(c->why), "answered %d, should be %d", fate->answer, wanted);
		differ(c, c->why);
	}
}

/* Returns how many steps of the operation happened; negative after a difference. */
static int compare(struct campaign *c, const struct fate *fate, const struct act *open)
{
	struct model_queued queued[SVC_COUNT];
	unsigned before = c->tally->differences;
	int steps, ret;

	check_answer(c, fate);
	if (!check_registry(c))
		return -1;
	if ((ret = model_read(&c->bed, &c->found, queued)) < 0) {
		differ(c, err_str(ret));
		return -1;
	}
	steps = find_state(c, fate, open);
	if ((c->operation->flags & OP_TAKES) == 0)
		check_queue(c, queued);
	check_ring(c);
	return c->tally->differences == before ? steps : -1;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static int round_alone(struct campaign *c, struct fate *fate)
{
	*fate = die_at(c, c->point, operate);
	c->where = fate->where;
	if (fate->killed) {
		c->tally->alone += c->round == ROUND_ALONE;
		c->tally->attach += c->round == ROUND_ATTACH;
		report_kill(fate->where, c->number);
		repair_all(c);
	}
	return compare(c, fate, NULL);
}

static void acted(const struct act *act, int answer, void *arg)
{
	struct campaign *c = arg;
	int wanted = model_apply(&c->model, act, STEPS_ALL);

	if (answer != wanted) {
		snprintf(c->why, sizeof(c->why), "another was answered %d to %s, should be %d",
		         answer, act_name(act), wanted);
		differ(c, c->why);
	}
}

static int round_beside(struct campaign *c, struct fate *fate)
{
	struct crew_report report = { .acted = acted, .taken = remember, .arg = c };
	uint64_t fatal = c->point * 2654435761U % FATAL_POINT_MOST;
	unsigned before = c->tally->differences;

	crew_go(c->crew, fatal);
	*fate = die_at(c, c->point, operate);
	c->where = fate->where;
	if (!crew_halt(c->crew, &report))
		differ(c, "another ended by itself");
	c->tally->acts += report.acts;
	c->tally->others += report.died;
	if (fate->killed) {
		c->tally->beside++;
		report_kill(fate->where, c->number);
	}
	return c->tally->differences != before
	               ? -1
	               : compare(c, fate, report.died ? &report.open : NULL);
}

/* All points of the operation, until it gets to its end. */
static void kill_everywhere(struct campaign *c, enum round round)
{
	struct fate fate = { .killed = true };

	c->round = round;
	open_bed(c);
	for (c->point = 1 + c->number % c->stride; fate.killed && c->point < POINTS_MOST;
	     c->point += c->stride) {
		int steps = round == ROUND_BESIDE ? round_beside(c, &fate) : round_alone(c, &fate);

		if (c->tally->differences >= (c->first_only ? 1 : DIFFERENCES_MOST))
			break;
		if (fate.killed && (steps != 0 || c->model.drain > DRAIN_MOST))
			open_bed(c);
	}
	if (round == ROUND_ALONE)
		c->tally->points = c->point > c->stride ? c->point - c->stride : 0;
	close_bed(c);
}

/* The table says what the operation changes; the model has to agree. */
static void check_row(struct campaign *c)
{
	bool same;

	c->point = 0;
	c->where = "none";
	c->round = ROUND_ALONE;
	open_bed(c);
	c->wanted = c->model;
	model_apply(&c->wanted, &c->operation->act, STEPS_ALL);
	same = model_equal(&c->wanted, &c->model, c->why, sizeof(c->why));
	if (same != ((c->operation->flags & OP_SILENT) != 0))
		differ(c,
		       same ? "the operation changes nothing" : "the operation changes something");
	close_bed(c);
}

static bool kill_operation(struct campaign *c)
{
	check_row(c);
	if (c->tally->differences == 0)
		kill_everywhere(c, ROUND_ALONE);
	if (c->tally->differences == 0 && c->tally->points < c->operation->least_points)
		differ(c, "too few crash points: it did not do its work");
	if (c->tally->differences == 0)
		kill_everywhere(c, ROUND_ATTACH);
	if (c->tally->differences == 0)
		kill_everywhere(c, ROUND_BESIDE);
	report_operation(c->operation->name, c->tally);
	return c->tally->differences == 0;
}

/* ---- main ------------------------------------------------------------------------------------ */

static bool is_chosen(const char *name, int argc, char **argv)
{
	bool any = false;

	for (int n = 1; n < argc; n++) {
		if (strcmp(argv[n], "--stride") == 0)
			n++;
		else if (argv[n][0] != '-') {
			any = true;
			if (strstr(name, argv[n]) != NULL)
				return true;
		}
	}
	return !any;
}

static void options(struct campaign *c, int argc, char **argv)
{
	c->stride = 1;
	for (int n = 1; n < argc; n++) {
		if (strcmp(argv[n], "--first") == 0)
			c->first_only = true;
		if (strcmp(argv[n], "--stride") == 0 && n + 1 < argc)
			c->stride = (unsigned)strtoul(argv[n + 1], NULL, 10);
	}
	if (c->stride == 0)
		c->stride = 1;
}

int main(int argc, char **argv)
{
	static struct campaign c;
	static struct tally tallies[OPERATIONS_MOST];
	const char *names[OPERATIONS_MOST];
	unsigned done = 0, passed = 0, failed = 0;

	options(&c, argc, argv);
	signal(SIGPIPE, SIG_IGN);
	last_words = mmap(NULL, sizeof(*last_words), PROT_READ | PROT_WRITE,
	                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (last_words == MAP_FAILED || operation_count > OPERATIONS_MOST)
		return 2;
	printf("%-32s %5s %7s %7s %7s %9s %7s %9s %6s\n", "operation", "points", "alone", "attach",
	       "beside", "rollbacks", "others", "acts", "differ");
	for (unsigned n = 0; n < operation_count && !(c.first_only && failed > 0); n++) {
		if (!is_chosen(operations[n].name, argc, argv))
			continue;
		c.operation = &operations[n];
		c.number = done;
		c.tally = &tallies[done];
		names[done++] = operations[n].name;
		if (kill_operation(&c))
			passed++;
		else
			failed++;
	}
	report_table(names, tallies, done);
	printf("%u passed, %u failed\n", passed, failed);
	return failed > 0 || passed == 0;
}
