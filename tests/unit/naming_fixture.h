/* SPDX-License-Identifier: Apache-2.0 */
/* naming_fixture.h - the rules of shared/naming on a real segment, with callers of no protocol. */
#ifndef TESTS_NAMING_FIXTURE_H
#define TESTS_NAMING_FIXTURE_H

#include "tests/unit/registry_fixture.h"

#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/naming/naming.h"
#include "shared/net/address.h"
#include "shared/net/agent.h"
#include "shared/shm/ring.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CALLERS 8U

struct bed {
	struct fixture f;
	struct slot slot;
	struct config config;
	struct naming naming;
	struct agent agent;           /* of all callers */
	uint8_t sources[CALLERS][16]; /* of the callers made so far */
	unsigned callers;
	uint64_t events; /* read so far */
};

static inline int bed_setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	if (bed == NULL)
		return -1;
	fixture_open(&bed->f, FIXTURE_BYTES);
	metrics_use(&bed->slot);
	config_defaults(&bed->config);
	bed->agent = agent_parse(STR("Nacos-Java-Client:v1.4.2"), STR(""));
	naming_init(&bed->naming, &bed->f.reg, &bed->config);
	*state = bed;
	return 0;
}

static inline int bed_teardown(void **state)
{
	struct bed *bed = *state;

	assert_clean(&bed->f);
	fixture_close(&bed->f);
	free(bed);
	return 0;
}

/* "": a unix socket. */
static inline struct naming_caller caller_from_at(struct spot spot, struct bed *bed,
                                                  const char *source, enum naming_right right)
{
	uint8_t *address = bed->sources[bed->callers++ % CALLERS];

	memset(address, 0, 16);
	if (source[0] != '\0')
		assert_int_equal_at(spot, address_parse(str_of(source), address), 0);
	return (struct naming_caller){
		.source = address,
		.agent = &bed->agent,
		.right = right,
	};
}
#define caller_from(...) caller_from_at(SPOT, __VA_ARGS__)

static inline struct naming_caller operator_from_at(struct spot spot, struct bed *bed,
                                                    const char *source, enum naming_right right)
{
	struct naming_caller caller = caller_from_at(spot, bed, source, right);

	caller.is_operator = true;
	return caller;
}
#define operator_from(...) operator_from_at(SPOT, __VA_ARGS__)

static inline uint64_t counted(const struct bed *bed, enum metric metric)
{
	return bed->slot.counters[metric];
}

/* The time of everything but the health clock. */
static inline void pass_ms(uint64_t ms)
{
	uint64_t now_us = clock_mono_ms() * 1000 + ms * 1000;

	clock_set_for_test(now_us, FIXTURE_WALL_US + now_us - FIXTURE_MONO_US);
}

/* The cause of the next event in the ring. */
static inline enum cause next_cause_at(struct spot spot, struct bed *bed)
{
	struct ring_event event;
	uint64_t missed = 0;

	assert_true_at(spot,
	               ring_next(bed->f.seg->events, &bed->events, &event, NULL, NULL, &missed));
	return event.cause;
}
#define next_cause(...) next_cause_at(SPOT, __VA_ARGS__)

#define BED_TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

#endif
