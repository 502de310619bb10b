# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += shared/net/address.c shared/net/address.h
libroster_a_SOURCES += shared/net/agent.c shared/net/agent.h
libroster_a_SOURCES += shared/net/destination.c shared/net/destination.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/address_test tests/unit/agent_test tests/unit/destination_test
tests_unit_address_test_SOURCES = tests/unit/address_test.c
tests_unit_address_test_LDADD = $(UNIT_LDADD)
tests_unit_agent_test_SOURCES = tests/unit/agent_test.c
tests_unit_agent_test_LDADD = $(UNIT_LDADD)
tests_unit_destination_test_SOURCES = tests/unit/destination_test.c
tests_unit_destination_test_LDADD = $(UNIT_LDADD)
endif
