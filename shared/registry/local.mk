# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	shared/registry/attach.c \
	shared/registry/audience.c \
	shared/registry/beat.c \
	shared/registry/change.c \
	shared/registry/audit.c \
	shared/registry/audit_lower.c \
	shared/registry/audit_walk.c \
	shared/registry/audit_walk.h \
	shared/registry/cluster.c shared/registry/compact.c \
	shared/registry/fields.c \
	shared/registry/fields.h \
	shared/registry/instance.c \
	shared/registry/keeper.c \
	shared/registry/key.c \
	shared/registry/layout.h \
	shared/registry/lookup.c \
	shared/registry/lookup.h \
	shared/registry/namespaces.c \
	shared/registry/namespaces.h \
	shared/registry/office.h \
	shared/registry/op.c \
	shared/registry/persistent.c \
	shared/registry/persistent.h \
	shared/registry/read.c \
	shared/registry/registry.c \
	shared/registry/registry.h \
	shared/registry/registry_audit.h \
	shared/registry/registry_internal.h \
	shared/registry/registry_keeper.h \
	shared/registry/registry_pusher.h \
	shared/registry/scan.c \
	shared/registry/scan.h \
	shared/registry/service.c \
	shared/registry/settings.c \
	shared/registry/settings.h \
	shared/registry/snapshot.h \
	shared/registry/snapshot_fill.c \
	shared/registry/snapshot_fill.h \
	shared/registry/snapshot_internal.h \
	shared/registry/snapshot_load.c \
	shared/registry/snapshot_pack.h \
	shared/registry/snapshot_read.c \
	shared/registry/snapshot_save.c \
	shared/registry/snapshot_value.c \
	shared/registry/snapshot_value.h \
	shared/registry/subscriber.c \
	shared/registry/subscriber_source.c \
	shared/registry/subscribers.h \
	shared/registry/switches.c \
	shared/registry/switches.h \
	shared/registry/view.c \
	shared/registry/write.c

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/registry_test tests/unit/registry_read_test tests/unit/registry_keeper_test \
	tests/unit/registry_audience_test tests/unit/registry_fault_test tests/unit/settings_test
tests_unit_registry_test_SOURCES = tests/unit/registry_test.c tests/unit/registry_fixture.h
tests_unit_registry_test_LDADD = $(UNIT_LDADD)
tests_unit_registry_read_test_SOURCES = tests/unit/registry_read_test.c tests/unit/registry_fixture.h
tests_unit_registry_read_test_LDADD = $(UNIT_LDADD)
tests_unit_registry_keeper_test_SOURCES = tests/unit/registry_keeper_test.c tests/unit/registry_fixture.h
tests_unit_registry_keeper_test_LDADD = $(UNIT_LDADD)
tests_unit_registry_audience_test_SOURCES = tests/unit/registry_audience_test.c tests/unit/registry_fixture.h
tests_unit_registry_audience_test_LDADD = $(UNIT_LDADD)
tests_unit_registry_fault_test_SOURCES = tests/unit/registry_fault_test.c tests/unit/registry_fixture.h
tests_unit_registry_fault_test_LDADD = $(UNIT_LDADD)
tests_unit_settings_test_SOURCES = tests/unit/settings_test.c tests/unit/registry_fixture.h
tests_unit_settings_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/office_test tests/unit/namespaces_test tests/unit/switches_test
tests_unit_office_test_SOURCES = tests/unit/office_test.c tests/unit/registry_fixture.h
tests_unit_office_test_LDADD = $(UNIT_LDADD)
tests_unit_namespaces_test_SOURCES = tests/unit/namespaces_test.c tests/unit/registry_fixture.h
tests_unit_namespaces_test_LDADD = $(UNIT_LDADD)
tests_unit_switches_test_SOURCES = tests/unit/switches_test.c tests/unit/registry_fixture.h
tests_unit_switches_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/persistent_test tests/unit/compact_test tests/unit/registry_owner_test tests/unit/snapshot_test \
	tests/unit/view_test tests/unit/hold_test tests/unit/lookup_test tests/unit/fields_test tests/unit/registry_invariants_test \
	tests/unit/snapshot_read_test tests/unit/snapshot_fill_test tests/unit/attach_test tests/unit/scan_test \
	tests/unit/registry_audit_test tests/unit/references_test
tests_unit_registry_invariants_test_SOURCES = tests/unit/registry_invariants_test.c tests/unit/registry_fixture.h tests/unit/death_fixture.h
tests_unit_registry_invariants_test_LDADD = $(UNIT_LDADD)
tests_unit_fields_test_SOURCES = tests/unit/fields_test.c tests/unit/registry_fixture.h
tests_unit_fields_test_LDADD = $(UNIT_LDADD)
tests_unit_lookup_test_SOURCES = tests/unit/lookup_test.c tests/unit/registry_fixture.h
tests_unit_lookup_test_LDADD = $(UNIT_LDADD)
tests_unit_hold_test_SOURCES = tests/unit/hold_test.c tests/unit/registry_fixture.h
tests_unit_hold_test_LDADD = $(UNIT_LDADD)
tests_unit_view_test_SOURCES = tests/unit/view_test.c tests/unit/registry_fixture.h
tests_unit_view_test_LDADD = $(UNIT_LDADD)
tests_unit_compact_test_SOURCES = tests/unit/compact_test.c tests/unit/registry_fixture.h
tests_unit_compact_test_LDADD = $(UNIT_LDADD)
tests_unit_registry_owner_test_SOURCES = tests/unit/registry_owner_test.c tests/unit/registry_fixture.h
tests_unit_registry_owner_test_LDADD = $(UNIT_LDADD)
tests_unit_snapshot_test_SOURCES = tests/unit/snapshot_test.c tests/unit/registry_fixture.h
tests_unit_snapshot_test_LDADD = $(UNIT_LDADD)
tests_unit_snapshot_read_test_SOURCES = tests/unit/snapshot_read_test.c
tests_unit_snapshot_read_test_LDADD = $(UNIT_LDADD)
tests_unit_snapshot_fill_test_SOURCES = tests/unit/snapshot_fill_test.c tests/unit/registry_fixture.h
tests_unit_snapshot_fill_test_LDADD = $(UNIT_LDADD)
tests_unit_attach_test_SOURCES = tests/unit/attach_test.c tests/unit/registry_fixture.h
tests_unit_attach_test_LDADD = $(UNIT_LDADD)
tests_unit_scan_test_SOURCES = tests/unit/scan_test.c tests/unit/registry_fixture.h
tests_unit_scan_test_LDADD = $(UNIT_LDADD)
tests_unit_registry_audit_test_SOURCES = tests/unit/registry_audit_test.c tests/unit/registry_fixture.h
tests_unit_registry_audit_test_LDADD = $(UNIT_LDADD)
tests_unit_references_test_SOURCES = tests/unit/references_test.c tests/unit/registry_fixture.h
tests_unit_references_test_LDADD = $(UNIT_LDADD)
tests_unit_persistent_test_SOURCES = tests/unit/persistent_test.c tests/unit/registry_fixture.h
tests_unit_persistent_test_LDADD = $(UNIT_LDADD)
endif
