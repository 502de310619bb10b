# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += keeper/main.c keeper/expiry.c keeper/expiry.h keeper/cleanup.c keeper/cleanup.h \
	keeper/audit.c keeper/audit.h keeper/pulse.c keeper/pulse.h keeper/slice.c keeper/slice.h keeper/brake.c keeper/brake.h keeper/census.c keeper/census.h \
	keeper/gone.c keeper/gone.h keeper/exodus.c keeper/exodus.h \
	keeper/keeper.h keeper/work.c keeper/work.h \
	keeper/checks.c keeper/checks.h keeper/check_rule.c keeper/check_rule.h \
	keeper/check_table.c keeper/check_table.h keeper/due.c keeper/due.h \
	keeper/probe.c keeper/probe.h keeper/probe_kind.h keeper/probe_tcp.c keeper/probe_http.c keeper/probe_mysql.c

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/keeper_expiry_test tests/unit/keeper_cleanup_test tests/unit/keeper_pulse_test \
	tests/unit/keeper_main_test tests/unit/check_rule_test tests/unit/checks_test tests/unit/probe_test \
	tests/unit/brake_test tests/unit/departures_test tests/unit/keeper_turns_test \
	tests/unit/slice_test
tests_unit_keeper_expiry_test_SOURCES = tests/unit/keeper_expiry_test.c
tests_unit_keeper_expiry_test_LDADD = $(UNIT_LDADD)
tests_unit_keeper_cleanup_test_SOURCES = tests/unit/keeper_cleanup_test.c
tests_unit_keeper_cleanup_test_LDADD = $(UNIT_LDADD)
tests_unit_keeper_pulse_test_SOURCES = tests/unit/keeper_pulse_test.c
tests_unit_keeper_pulse_test_LDADD = $(UNIT_LDADD)
tests_unit_keeper_main_test_SOURCES = tests/unit/keeper_main_test.c
tests_unit_keeper_main_test_LDADD = $(UNIT_LDADD)
tests_unit_keeper_turns_test_SOURCES = tests/unit/keeper_turns_test.c
tests_unit_keeper_turns_test_LDADD = $(UNIT_LDADD)
tests_unit_slice_test_SOURCES = tests/unit/slice_test.c
tests_unit_slice_test_LDADD = $(UNIT_LDADD)
tests_unit_check_rule_test_SOURCES = tests/unit/check_rule_test.c
tests_unit_check_rule_test_LDADD = $(UNIT_LDADD)
tests_unit_checks_test_SOURCES = tests/unit/checks_test.c tests/unit/registry_fixture.h
tests_unit_checks_test_LDADD = $(UNIT_LDADD)
tests_unit_probe_test_SOURCES = tests/unit/probe_test.c tests/unit/probe_fixture.h
tests_unit_probe_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/due_test
tests_unit_due_test_SOURCES = tests/unit/due_test.c
tests_unit_due_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/probe_mysql_test
tests_unit_probe_mysql_test_SOURCES = tests/unit/probe_mysql_test.c tests/unit/probe_fixture.h
tests_unit_probe_mysql_test_LDADD = $(UNIT_LDADD)
tests_unit_brake_test_SOURCES = tests/unit/brake_test.c tests/unit/child_fixture.h
tests_unit_brake_test_LDADD = $(UNIT_LDADD)
tests_unit_departures_test_SOURCES = tests/unit/departures_test.c
tests_unit_departures_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/keeper_invariants_test
tests_unit_keeper_invariants_test_SOURCES = tests/unit/keeper_invariants_test.c tests/unit/death_fixture.h
tests_unit_keeper_invariants_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/keeper_work_test
tests_unit_keeper_work_test_SOURCES = tests/unit/keeper_work_test.c tests/unit/registry_fixture.h
tests_unit_keeper_work_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/audit_test
tests_unit_audit_test_SOURCES = tests/unit/audit_test.c tests/unit/registry_fixture.h
tests_unit_audit_test_LDADD = $(UNIT_LDADD)
endif
