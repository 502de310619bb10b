# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	master/activation.c master/activation.h \
	master/backoff.c master/backoff.h \
	master/busy.c master/busy.h \
	master/children.c master/children.h \
	master/daemon.c master/daemon.h \
	master/damage.c master/damage.h \
	master/failure.c master/failure.h \
	master/files.c master/files.h \
	master/inherited.c master/inherited.h \
	master/inspect.c master/inspect.h \
	master/master.c master/master.h \
	master/newfile.c master/newfile.h \
	master/notify.c master/notify.h \
	master/options.c master/options.h \
	master/orphans.c master/orphans.h \
	master/plan.c master/plan.h \
	master/plans.c master/plans.h \
	master/privileges.c master/privileges.h \
	master/reap.c master/reap.h \
	master/reload.c master/reload.h \
	master/renew.c master/renew.h \
	master/roles.c master/roles.h \
	master/signals.c master/signals.h \
	master/sockets.c master/sockets.h \
	master/spawn.c master/spawn.h \
	master/start.c master/start.h \
	master/stop.c master/stop.h \
	master/storage.c master/storage.h \
	master/title.c master/title.h \
	master/watch.c master/watch.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/activation_test tests/unit/backoff_test tests/unit/busy_test \
	tests/unit/children_test tests/unit/daemon_test tests/unit/damage_test tests/unit/failure_test \
	tests/unit/files_test tests/unit/inherited_test tests/unit/inspect_test tests/unit/newfile_test \
	tests/unit/notify_test tests/unit/options_test tests/unit/orphans_test tests/unit/plan_test tests/unit/plans_test \
	tests/unit/privileges_test tests/unit/reap_test tests/unit/reload_test tests/unit/renew_test \
	tests/unit/roles_test tests/unit/signals_test tests/unit/sockets_test tests/unit/spawn_test \
	tests/unit/start_test tests/unit/stop_test tests/unit/storage_test tests/unit/title_test tests/unit/watch_test
tests_unit_activation_test_SOURCES = tests/unit/activation_test.c
tests_unit_activation_test_LDADD = $(UNIT_LDADD)
tests_unit_backoff_test_SOURCES = tests/unit/backoff_test.c
tests_unit_backoff_test_LDADD = $(UNIT_LDADD)
tests_unit_busy_test_SOURCES = tests/unit/busy_test.c
tests_unit_busy_test_LDADD = $(UNIT_LDADD)
tests_unit_children_test_SOURCES = tests/unit/children_test.c tests/unit/account_fixture.h tests/unit/child_fixture.h tests/unit/death_fixture.h
tests_unit_children_test_LDADD = $(UNIT_LDADD)
tests_unit_daemon_test_SOURCES = tests/unit/daemon_test.c tests/unit/account_fixture.h tests/unit/child_fixture.h
tests_unit_daemon_test_LDADD = $(UNIT_LDADD)
tests_unit_damage_test_SOURCES = tests/unit/damage_test.c tests/unit/master_fixture.h
tests_unit_damage_test_LDADD = $(UNIT_LDADD)
tests_unit_failure_test_SOURCES = tests/unit/failure_test.c tests/unit/master_fixture.h
tests_unit_failure_test_LDADD = $(UNIT_LDADD)
tests_unit_files_test_SOURCES = tests/unit/files_test.c tests/unit/account_fixture.h tests/unit/child_fixture.h tests/unit/folder_fixture.h
tests_unit_files_test_LDADD = $(UNIT_LDADD)
tests_unit_inherited_test_SOURCES = tests/unit/inherited_test.c tests/unit/child_fixture.h
tests_unit_inherited_test_LDADD = $(UNIT_LDADD)
tests_unit_inspect_test_SOURCES = tests/unit/inspect_test.c tests/unit/child_fixture.h tests/unit/folder_fixture.h tests/unit/registry_fixture.h tests/unit/stopped_fixture.h
tests_unit_inspect_test_LDADD = $(UNIT_LDADD)
tests_unit_newfile_test_SOURCES = tests/unit/newfile_test.c
tests_unit_newfile_test_LDADD = $(UNIT_LDADD)
tests_unit_notify_test_SOURCES = tests/unit/notify_test.c tests/unit/folder_fixture.h
tests_unit_notify_test_LDADD = $(UNIT_LDADD)
tests_unit_options_test_SOURCES = tests/unit/options_test.c
tests_unit_options_test_LDADD = $(UNIT_LDADD)
tests_unit_orphans_test_SOURCES = tests/unit/orphans_test.c tests/unit/master_fixture.h
tests_unit_orphans_test_LDADD = $(UNIT_LDADD)
tests_unit_plan_test_SOURCES = tests/unit/plan_test.c
tests_unit_plan_test_LDADD = $(UNIT_LDADD)
tests_unit_plans_test_SOURCES = tests/unit/plans_test.c
tests_unit_plans_test_LDADD = $(UNIT_LDADD)
tests_unit_privileges_test_SOURCES = tests/unit/privileges_test.c tests/unit/account_fixture.h tests/unit/child_fixture.h tests/unit/folder_fixture.h
tests_unit_privileges_test_LDADD = $(UNIT_LDADD)
tests_unit_reap_test_SOURCES = tests/unit/reap_test.c tests/unit/master_fixture.h
tests_unit_reap_test_LDADD = $(UNIT_LDADD)
tests_unit_reload_test_SOURCES = tests/unit/reload_test.c tests/unit/master_fixture.h
tests_unit_reload_test_LDADD = $(UNIT_LDADD)
tests_unit_renew_test_SOURCES = tests/unit/renew_test.c tests/unit/child_fixture.h
tests_unit_renew_test_LDADD = $(UNIT_LDADD)
tests_unit_roles_test_SOURCES = tests/unit/roles_test.c
tests_unit_roles_test_LDADD = $(UNIT_LDADD)
tests_unit_signals_test_SOURCES = tests/unit/signals_test.c tests/unit/master_fixture.h
tests_unit_signals_test_LDADD = $(UNIT_LDADD)
tests_unit_sockets_test_SOURCES = tests/unit/sockets_test.c
tests_unit_sockets_test_LDADD = $(UNIT_LDADD)
tests_unit_spawn_test_SOURCES = tests/unit/spawn_test.c tests/unit/master_fixture.h
tests_unit_spawn_test_LDADD = $(UNIT_LDADD)
tests_unit_start_test_SOURCES = tests/unit/start_test.c tests/unit/master_fixture.h
tests_unit_start_test_LDADD = $(UNIT_LDADD)
tests_unit_stop_test_SOURCES = tests/unit/stop_test.c tests/unit/master_fixture.h
tests_unit_stop_test_LDADD = $(UNIT_LDADD)
tests_unit_storage_test_SOURCES = tests/unit/storage_test.c tests/unit/master_fixture.h
tests_unit_storage_test_LDADD = $(UNIT_LDADD)
tests_unit_title_test_SOURCES = tests/unit/title_test.c tests/unit/child_fixture.h
tests_unit_title_test_LDADD = $(UNIT_LDADD)
tests_unit_watch_test_SOURCES = tests/unit/watch_test.c tests/unit/master_fixture.h
tests_unit_watch_test_LDADD = $(UNIT_LDADD)
endif
