# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	shared/naming/beat.c shared/naming/beat.h \
	shared/naming/guard.c shared/naming/guard.h \
	shared/naming/instance.c shared/naming/instance.h \
	shared/naming/naming.c shared/naming/naming.h \
	shared/naming/service.c shared/naming/service.h \
	shared/naming/subscription.c shared/naming/subscription.h \
	shared/naming/unpushed.c shared/naming/unpushed.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/naming_beat_test tests/unit/naming_guard_test tests/unit/naming_instance_test \
	tests/unit/naming_service_test tests/unit/naming_subscription_test tests/unit/naming_test tests/unit/unpushed_test
tests_unit_naming_test_SOURCES = tests/unit/naming_test.c tests/unit/naming_fixture.h tests/unit/registry_fixture.h
tests_unit_naming_test_LDADD = $(UNIT_LDADD)
tests_unit_naming_beat_test_SOURCES = tests/unit/naming_beat_test.c tests/unit/naming_fixture.h tests/unit/registry_fixture.h
tests_unit_naming_beat_test_LDADD = $(UNIT_LDADD)
tests_unit_naming_guard_test_SOURCES = tests/unit/naming_guard_test.c tests/unit/naming_fixture.h tests/unit/registry_fixture.h
tests_unit_naming_guard_test_LDADD = $(UNIT_LDADD)
tests_unit_naming_instance_test_SOURCES = tests/unit/naming_instance_test.c tests/unit/naming_fixture.h tests/unit/registry_fixture.h
tests_unit_naming_instance_test_LDADD = $(UNIT_LDADD)
tests_unit_naming_service_test_SOURCES = tests/unit/naming_service_test.c tests/unit/naming_fixture.h tests/unit/registry_fixture.h
tests_unit_naming_service_test_LDADD = $(UNIT_LDADD)
tests_unit_naming_subscription_test_SOURCES = tests/unit/naming_subscription_test.c tests/unit/naming_fixture.h tests/unit/registry_fixture.h
tests_unit_naming_subscription_test_LDADD = $(UNIT_LDADD)
tests_unit_unpushed_test_SOURCES = tests/unit/unpushed_test.c tests/unit/naming_fixture.h tests/unit/registry_fixture.h
tests_unit_unpushed_test_LDADD = $(UNIT_LDADD)
endif
