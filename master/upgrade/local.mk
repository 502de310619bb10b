# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	master/upgrade/arrival.c master/upgrade/arrival.h \
	master/upgrade/convert.c master/upgrade/convert.h \
	master/upgrade/fallback.c master/upgrade/fallback.h \
	master/upgrade/freeze.c master/upgrade/freeze.h \
	master/upgrade/handover.c master/upgrade/handover.h \
	master/upgrade/transfer.c master/upgrade/transfer.h \
	master/upgrade/trial.c master/upgrade/trial.h \
	master/upgrade/trial_run.c master/upgrade/trial_run.h \
	master/upgrade/upgrade.c master/upgrade/upgrade.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/arrival_test tests/unit/convert_test tests/unit/fallback_test \
	tests/unit/freeze_test tests/unit/handover_test tests/unit/transfer_test tests/unit/trial_test \
	tests/unit/trial_run_test tests/unit/upgrade_test
tests_unit_arrival_test_SOURCES = tests/unit/arrival_test.c tests/unit/master_fixture.h
tests_unit_arrival_test_LDADD = $(UNIT_LDADD)
tests_unit_convert_test_SOURCES = tests/unit/convert_test.c
tests_unit_convert_test_LDADD = $(UNIT_LDADD)
tests_unit_fallback_test_SOURCES = tests/unit/fallback_test.c tests/unit/child_fixture.h tests/unit/handover_fixture.h
tests_unit_fallback_test_LDADD = $(UNIT_LDADD)
tests_unit_freeze_test_SOURCES = tests/unit/freeze_test.c tests/unit/master_fixture.h
tests_unit_freeze_test_LDADD = $(UNIT_LDADD)
tests_unit_handover_test_SOURCES = tests/unit/handover_test.c
tests_unit_handover_test_LDADD = $(UNIT_LDADD)
tests_unit_transfer_test_SOURCES = tests/unit/transfer_test.c tests/unit/child_fixture.h tests/unit/folder_fixture.h tests/unit/registry_fixture.h tests/unit/stopped_fixture.h
tests_unit_transfer_test_LDADD = $(UNIT_LDADD)
tests_unit_trial_test_SOURCES = tests/unit/trial_test.c tests/unit/child_fixture.h tests/unit/folder_fixture.h tests/unit/handover_fixture.h
tests_unit_trial_test_LDADD = $(UNIT_LDADD)
tests_unit_trial_run_test_SOURCES = tests/unit/trial_run_test.c tests/unit/child_fixture.h tests/unit/folder_fixture.h tests/unit/handover_fixture.h
tests_unit_trial_run_test_LDADD = $(UNIT_LDADD)
tests_unit_upgrade_test_SOURCES = tests/unit/upgrade_test.c tests/unit/master_fixture.h
tests_unit_upgrade_test_LDADD = $(UNIT_LDADD)
endif
