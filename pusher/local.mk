# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	pusher/ack.c pusher/ack.h \
	pusher/costs.c pusher/costs.h \
	pusher/datagram.c pusher/datagram.h \
	pusher/deliver.c pusher/deliver.h \
	pusher/drain.c pusher/drain.h \
	pusher/encode.c pusher/encode.h \
	pusher/inflight.c pusher/inflight.h \
	pusher/main.c \
	pusher/pace.c pusher/pace.h \
	pusher/recent.c pusher/recent.h \
	pusher/round.c pusher/round.h \
	pusher/rounds.c pusher/rounds.h \
	pusher/schedule.c pusher/schedule.h \
	pusher/tour.c pusher/tour.h \
	pusher/udp.c pusher/udp.h \
	pusher/views.c pusher/views.h \
	pusher/waiting.c pusher/waiting.h \
	pusher/zombies.c pusher/zombies.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/ack_test tests/unit/costs_test tests/unit/datagram_test tests/unit/deliver_test \
	tests/unit/drain_test tests/unit/encode_test tests/unit/inflight_test tests/unit/pace_test tests/unit/pusher_test \
	tests/unit/pusher_process_test tests/unit/recent_test tests/unit/rounds_test tests/unit/views_test \
	tests/unit/waiting_test tests/unit/pusher_invariants_test
tests_unit_ack_test_SOURCES = tests/unit/ack_test.c
tests_unit_ack_test_LDADD = $(UNIT_LDADD)
tests_unit_costs_test_SOURCES = tests/unit/costs_test.c
tests_unit_costs_test_LDADD = $(UNIT_LDADD)
tests_unit_datagram_test_SOURCES = tests/unit/datagram_test.c
tests_unit_datagram_test_LDADD = $(UNIT_LDADD)
tests_unit_waiting_test_SOURCES = tests/unit/waiting_test.c
tests_unit_waiting_test_LDADD = $(UNIT_LDADD)
tests_unit_pusher_invariants_test_SOURCES = tests/unit/pusher_invariants_test.c tests/unit/death_fixture.h
tests_unit_pusher_invariants_test_LDADD = $(UNIT_LDADD)
tests_unit_deliver_test_SOURCES = tests/unit/deliver_test.c tests/unit/push_fixture.h tests/unit/registry_fixture.h
tests_unit_deliver_test_LDADD = $(UNIT_LDADD)
tests_unit_drain_test_SOURCES = tests/unit/drain_test.c tests/unit/registry_fixture.h
tests_unit_drain_test_LDADD = $(UNIT_LDADD)
tests_unit_recent_test_SOURCES = tests/unit/recent_test.c
tests_unit_recent_test_LDADD = $(UNIT_LDADD)
tests_unit_pace_test_SOURCES = tests/unit/pace_test.c
tests_unit_pace_test_LDADD = $(UNIT_LDADD)
tests_unit_inflight_test_SOURCES = tests/unit/inflight_test.c
tests_unit_inflight_test_LDADD = $(UNIT_LDADD)
tests_unit_encode_test_SOURCES = tests/unit/encode_test.c
tests_unit_encode_test_LDADD = $(UNIT_LDADD)
tests_unit_rounds_test_SOURCES = tests/unit/rounds_test.c tests/unit/push_fixture.h tests/unit/registry_fixture.h
tests_unit_rounds_test_LDADD = $(UNIT_LDADD)
tests_unit_views_test_SOURCES = tests/unit/views_test.c
tests_unit_views_test_LDADD = $(UNIT_LDADD)
tests_unit_pusher_test_SOURCES = tests/unit/pusher_test.c tests/unit/push_fixture.h tests/unit/registry_fixture.h
tests_unit_pusher_test_LDADD = $(UNIT_LDADD)
tests_unit_pusher_process_test_SOURCES = tests/unit/pusher_process_test.c tests/unit/push_fixture.h tests/unit/registry_fixture.h
tests_unit_pusher_process_test_LDADD = $(UNIT_LDADD)
endif
