# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += shared/process/process.c shared/process/process.h shared/process/document.h \
	shared/process/child.c shared/process/child.h \
	shared/process/freeze.c shared/process/freeze.h \
	shared/process/sandbox.c shared/process/sandbox.h shared/process/sandbox_table.c shared/process/sandbox_table.h \
	shared/process/sources.c shared/process/sources.h shared/process/turn.c shared/process/turn.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/sources_test
tests_unit_sources_test_SOURCES = tests/unit/sources_test.c
tests_unit_sources_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/turn_test
tests_unit_turn_test_SOURCES = tests/unit/turn_test.c
tests_unit_turn_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/process_test
tests_unit_process_test_SOURCES = tests/unit/process_test.c tests/unit/death_fixture.h
tests_unit_process_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/child_test
tests_unit_child_test_SOURCES = tests/unit/child_test.c
tests_unit_child_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/sandbox_test
tests_unit_sandbox_test_SOURCES = tests/unit/sandbox_test.c tests/unit/death_fixture.h
tests_unit_sandbox_test_LDADD = $(UNIT_LDADD)
endif
