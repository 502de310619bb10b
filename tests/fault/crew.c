/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/shm/fault.h"
#include "tests/fault/ops.h"

#define PORTS 4U /* slots of a writer in each service */
#define TAKER CREW_WRITERS
#define MEMBERS (CREW_WRITERS + 1U)
#define LIFE_LIMIT_S 120U

struct member {
	pid_t pid;
	int command, answers; /* ends of the parent */
	uint64_t turn;        /* of its next act */
};

/* An answered act of a writer; what a taker took; or the end of a round. */
struct record {
	uint64_t turn_or_id, changed;
	int32_t answer; /* of a taker: the service */
	uint32_t at_rest;
};

struct crew {
	struct bed *bed;
	const struct operation *operation;
	struct member member[MEMBERS];
	uint32_t *halt; /* shared */
	struct record first;
};

/* ---- what they do ---------------------------------------------------------------------------- */

static uint64_t scatter(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static const uint8_t on_instances[] = { ACT_REGISTER,   ACT_REGISTER, ACT_REGISTER, ACT_DEREGISTER,
	                                ACT_DEREGISTER, ACT_PATCH,    ACT_METADATA, ACT_BEAT,
	                                ACT_SICK,       ACT_WELL };
static const uint8_t on_services[] = { ACT_CREATE_SERVICE, ACT_UPDATE_SERVICE, ACT_UPDATE_CLUSTER,
	                               ACT_REMOVE_SERVICE, ACT_SUBSCRIBE,      ACT_UNSUBSCRIBE };
static const uint8_t on_office[] = { ACT_CREATE_NAMESPACE, ACT_UPDATE_NAMESPACE,
	                             ACT_REMOVE_NAMESPACE, ACT_SWITCHES };

static struct act office_act(unsigned writer, uint64_t r)
{
	struct act act = { .verb = on_office[r % sizeof(on_office)],
		           .values = (uint8_t)((r >> 8) % VALUES_COUNT) };

	act.number = (int32_t)(MEMBERS * 32U + writer * PORTS + (r >> 16) % PORTS);
	if (act.verb == ACT_SWITCHES)
		act.number = (int32_t)(SWITCH_WORDS * (1 + (r >> 16) % 100) + 1 + writer);
	return act;
}

struct act crew_act(const struct operation *operation, unsigned writer, uint64_t turn)
{
	uint64_t r = scatter(turn * CREW_WRITERS + writer);
	unsigned own = SVC_CREW + 2 * writer + (r >> 24) % 2;
	struct act act = { .service = (uint8_t)own, .values = (uint8_t)((r >> 8) % VALUES_COUNT) };

	if ((operation->flags & OP_OFFICE))
		return office_act(writer, r);
	act.key = (r >> 32) % 4 == 0 ? KEY_CREW_LASTING : KEY_CREW;
	if ((r >> 40) % 6 == 0) {
		act.verb = on_services[(r >> 48) % sizeof(on_services)];
		act.number = (int32_t)(7000 + (r >> 16) % PORTS);
		if (act.verb == ACT_UNSUBSCRIBE)
			act.number = 1;
		return act;
	}
	if ((operation->flags & OP_ALONE) == 0 && (r >> 40) % 2 == 0)
		act.service = SVC_MAIN;
	act.verb = on_instances[(r >> 48) % sizeof(on_instances)];
	act.number = (int32_t)(1000 * (writer + 1) + (r >> 16) % PORTS);
	return act;
}

static void answer(int fd, const struct record *record)
{
	if (write(fd, record, sizeof(*record)) != sizeof(*record))
		_exit(3);
}

static void tell_taken(unsigned service, uint64_t id, uint64_t changed, void *arg)
{
	answer(*(int *)arg, &(struct record){ .turn_or_id = id,
	                                      .changed = changed,
	                                      .answer = (int32_t)service });
}

static bool is_over(const struct crew *crew)
{
	return __atomic_load_n(crew->halt, __ATOMIC_ACQUIRE) != 0;
}

static void write_on(struct crew *crew, unsigned self, uint64_t *turn, int fd)
{
	for (bool last = false; !last; (*turn)++) {
		struct act act = crew_act(crew->operation, self, *turn);

		/* One more: whatever the dead have left in the way, somebody goes through it. */
		last = is_over(crew);
		answer(fd,
		       &(struct record){ .turn_or_id = *turn, .answer = act_run(crew->bed, &act) });
	}
}

static void take_on(struct crew *crew, int fd)
{
	const struct act take = { .verb = ACT_TAKE };

	for (bool last = false; !last;) {
		struct timespec nap = { 0, 50000 };

		last = is_over(crew);
		if (act_run(crew->bed, &take) < 0)
			_exit(4);
		if (!last)
			nanosleep(&nap, NULL);
	}
	(void)fd;
}

static void live(struct crew *crew, unsigned self, uint64_t turn, int commands, int answers)
{
	uint64_t fatal_point;

	alarm(LIFE_LIMIT_S);
	crew->bed->taken = tell_taken;
	crew->bed->taken_arg = &answers;
	while (read(commands, &fatal_point, sizeof(fatal_point)) == sizeof(fatal_point)) {
		if (self == CREW_WRITERS - 1)
			fault_arm(fatal_point);
		if (self == TAKER)
			take_on(crew, answers);
		else
			write_on(crew, self, &turn, answers);
		fault_arm(0);
		answer(answers, &(struct record){ .at_rest = 1 });
		alarm(LIFE_LIMIT_S);
	}
	_exit(0);
}

/* ---- the parent's side ----------------------------------------------------------------------- */

static void hire(struct crew *crew, unsigned self)
{
	struct member *m = &crew->member[self];
	int commands[2], answers[2];

	if (pipe(commands) < 0 || pipe(answers) < 0 || (m->pid = fork()) < 0) {
		perror("crew");
		exit(2);
	}
	if (m->pid == 0) {
		/* Else a member would keep the commands of another open when the parent is gone. */
		for (unsigned n = 0; n < MEMBERS; n++) {
			if (n != self && crew->member[n].pid != 0)
				close(crew->member[n].command);
		}
		close(commands[1]);
		close(answers[0]);
		live(crew, self, m->turn, commands[0], answers[1]);
	}
	close(commands[0]);
	close(answers[1]);
	m->command = commands[1];
	m->answers = answers[0];
}

static void part(struct member *m, int *status)
{
	close(m->command);
	close(m->answers);
	while (waitpid(m->pid, status, 0) < 0 && errno == EINTR)
		;
	m->pid = 0;
}

struct crew *crew_new(struct bed *bed, const struct operation *operation)
{
	struct crew *crew = calloc(1, sizeof(*crew));

	if (crew == NULL)
		exit(2);
	crew->bed = bed;
	crew->operation = operation;
	crew->halt = mmap(NULL, sizeof(*crew->halt), PROT_READ | PROT_WRITE,
	                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (crew->halt == MAP_FAILED)
		exit(2);
	for (unsigned n = 0; n < MEMBERS; n++)
		hire(crew, n);
	return crew;
}

void crew_free(struct crew **crew_p)
{
	struct crew *crew = *crew_p;
	int status;

	if (crew == NULL)
		return;
	for (unsigned n = 0; n < MEMBERS; n++)
		part(&crew->member[n], &status);
	munmap(crew->halt, sizeof(*crew->halt));
	free(crew);
	*crew_p = NULL;
}

static bool hear(struct member *m, struct record *record)
{
	ssize_t n;

	do
		n = read(m->answers, record, sizeof(*record));
	while (n < 0 && errno == EINTR);
	return n == sizeof(*record);
}

void crew_go(struct crew *crew, uint64_t fatal_point)
{
	__atomic_store_n(crew->halt, 0, __ATOMIC_RELEASE);
	for (unsigned n = 0; n < MEMBERS; n++) {
		if (write(crew->member[n].command, &fatal_point, sizeof(fatal_point)) !=
		    sizeof(fatal_point))
			exit(2);
	}
	if (!hear(&crew->member[0], &crew->first))
		crew->first = (struct record){ .at_rest = 1 };
}

static void pass_on(struct crew *crew, unsigned n, const struct record *record,
                    struct crew_report *report)
{
	struct act act;

	if (n == TAKER) {
		report->taken((unsigned)record->answer, record->turn_or_id, record->changed,
		              report->arg);
		return;
	}
	act = crew_act(crew->operation, n, record->turn_or_id);
	crew->member[n].turn = record->turn_or_id + 1;
	report->acts++;
	report->acted(&act, record->answer, report->arg);
}

/* False: it is dead. */
static bool listen_to(struct crew *crew, unsigned n, struct crew_report *report)
{
	struct record record = crew->first;

	if (n == 0 && record.at_rest == 0)
		pass_on(crew, n, &record, report);
	while (hear(&crew->member[n], &record)) {
		if (record.at_rest != 0)
			return true;
		pass_on(crew, n, &record, report);
	}
	return false;
}

bool crew_halt(struct crew *crew, struct crew_report *report)
{
	const unsigned mortal = CREW_WRITERS - 1;
	int status;

	report->died = false;
	report->acts = 0;
	__atomic_store_n(crew->halt, 1, __ATOMIC_RELEASE);
	for (unsigned n = 0; n < MEMBERS; n++) {
		if (listen_to(crew, n, report))
			continue;
		part(&crew->member[n], &status);
		report->died = true;
		report->open = crew_act(crew->operation, n, crew->member[n].turn);
		crew->member[n].turn++;
		hire(crew, n);
		if (n != mortal || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			return false;
	}
	return true;
}
