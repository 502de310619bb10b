# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	worker/v1/api_doc.c \
	worker/v1/bound.c worker/v1/bound.h \
	worker/v1/caller.c worker/v1/caller.h \
	worker/v1/form.c worker/v1/form.h \
	worker/v1/gate.c worker/v1/gate.h \
	worker/v1/handler_actuator.c \
	worker/v1/handler_auth.c \
	worker/v1/handler_beat.c \
	worker/v1/handler_brake.c \
	worker/v1/handler_catalog.c \
	worker/v1/handler_catalog_services.c \
	worker/v1/handler_cluster.c \
	worker/v1/handler_console.c \
	worker/v1/handler_instance.c \
	worker/v1/handler_legacy.c \
	worker/v1/handler_list.c \
	worker/v1/handler_metadata.c \
	worker/v1/handler_names.c \
	worker/v1/handler_namespaces.c \
	worker/v1/handler_node.c \
	worker/v1/handler_operator.c \
	worker/v1/handler_pages.c \
	worker/v1/handler_service.c \
	worker/v1/handler_service_edit.c \
	worker/v1/handler_shared.c \
	worker/v1/handler_subscribers.c \
	worker/v1/handler_switches.c \
	worker/v1/handlers.h \
	worker/v1/later.c worker/v1/later.h \
	worker/v1/list_cache.c worker/v1/list_cache.h \
	worker/v1/media.c worker/v1/media.h \
	worker/v1/params.c worker/v1/params.h \
	worker/v1/path.c worker/v1/path.h \
	worker/v1/pattern.c worker/v1/pattern.h \
	worker/v1/reply.c worker/v1/reply.h \
	worker/v1/router.c worker/v1/router.h \
	worker/v1/routes.c worker/v1/routes.h \
	worker/v1/service_names.c worker/v1/service_names.h \
	worker/v1/switch_batch.c \
	worker/v1/switch_rows.h \
	worker/v1/switch_table.c worker/v1/switch_table.h \
	worker/v1/v1.c worker/v1/v1.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/bound_test tests/unit/caller_test tests/unit/gate_test tests/unit/list_cache_test \
	tests/unit/media_test tests/unit/params_test tests/unit/path_test tests/unit/pattern_test tests/unit/reply_test tests/unit/router_test \
	tests/unit/switch_table_test
tests_unit_bound_test_SOURCES = tests/unit/bound_test.c tests/unit/http_fixture.h
tests_unit_bound_test_LDADD = $(UNIT_LDADD)
tests_unit_caller_test_SOURCES = tests/unit/caller_test.c tests/unit/http_fixture.h
tests_unit_caller_test_LDADD = $(UNIT_LDADD)
tests_unit_gate_test_SOURCES = tests/unit/gate_test.c tests/unit/http_fixture.h
tests_unit_gate_test_LDADD = $(UNIT_LDADD)
tests_unit_list_cache_test_SOURCES = tests/unit/list_cache_test.c tests/unit/death_fixture.h
tests_unit_list_cache_test_LDADD = $(UNIT_LDADD)
tests_unit_media_test_SOURCES = tests/unit/media_test.c
tests_unit_media_test_LDADD = $(UNIT_LDADD)
tests_unit_params_test_SOURCES = tests/unit/params_test.c tests/unit/http_fixture.h
tests_unit_params_test_LDADD = $(UNIT_LDADD)
tests_unit_path_test_SOURCES = tests/unit/path_test.c
tests_unit_path_test_LDADD = $(UNIT_LDADD)
tests_unit_pattern_test_SOURCES = tests/unit/pattern_test.c
tests_unit_pattern_test_LDADD = $(UNIT_LDADD)
tests_unit_reply_test_SOURCES = tests/unit/reply_test.c tests/unit/http_fixture.h
tests_unit_reply_test_LDADD = $(UNIT_LDADD)
tests_unit_router_test_SOURCES = tests/unit/router_test.c tests/unit/death_fixture.h tests/unit/http_fixture.h
tests_unit_router_test_LDADD = $(UNIT_LDADD)
tests_unit_switch_table_test_SOURCES = tests/unit/switch_table_test.c
tests_unit_switch_table_test_LDADD = $(UNIT_LDADD)
endif
