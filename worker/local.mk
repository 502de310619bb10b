# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	worker/accept.c worker/accept.h \
	worker/bound.c worker/bound.h \
	worker/chunked.c worker/chunked.h \
	worker/cors.c worker/cors.h \
	worker/connection.c worker/connection_memory.c worker/connection.h worker/connection_state.h \
	worker/exchange.c \
	worker/form.c worker/form.h worker/gate.c worker/gate.h worker/instance_guard.c worker/instance_guard.h \
	worker/handler_auth.c worker/handler_beat.c worker/handler_brake.c worker/handler_catalog.c worker/handler_catalog_services.c worker/handler_cluster.c \
	worker/handler_console.c worker/handler_instance.c worker/handler_list.c worker/handler_metadata.c \
	worker/handler_legacy.c worker/handler_names.c worker/handler_namespaces.c worker/handler_node.c worker/handler_pages.c worker/handler_operator.c worker/handler_service.c worker/handler_service_edit.c \
	worker/handler_subscribers.c worker/handler_switches.c worker/handlers.h \
	worker/media.c worker/media.h \
	worker/migrate.c worker/migrate.h \
	worker/head_check.c worker/head_check.h \
	worker/http_head.c worker/http_head.h \
	worker/keep_alive.c worker/keep_alive.h \
	worker/later.c worker/later.h \
	worker/list_cache.c worker/list_cache.h \
	worker/long.c worker/long.h \
	worker/main.c worker/worker.h \
	worker/params.c worker/request.h \
	worker/park.c worker/park.h \
	worker/parser_library.h \
	worker/path.c worker/path.h \
	worker/pattern.c worker/pattern.h \
	worker/prometheus.c worker/handler_actuator.c \
	worker/reply.c worker/reply.h \
	worker/route_stats.c worker/route_stats.h worker/api_doc.c \
	worker/router.c worker/router.h \
	worker/routes.c worker/routes.h \
	worker/service_names.c worker/service_names.h \
	worker/source_limit.c worker/source_limit.h \
	worker/switch_batch.c worker/switch_rows.h worker/switch_table.c worker/switch_table.h \
	worker/unpushed.c worker/unpushed.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/media_test tests/unit/accept_test tests/unit/chunked_test tests/unit/connection_test \
	tests/unit/bound_test tests/unit/head_check_test tests/unit/keep_alive_test tests/unit/long_test tests/unit/params_test tests/unit/pattern_test \
	tests/unit/reply_test tests/unit/router_test tests/unit/unpushed_test
tests_unit_accept_test_SOURCES = tests/unit/accept_test.c tests/unit/http_fixture.h
tests_unit_accept_test_LDADD = $(UNIT_LDADD)
tests_unit_media_test_SOURCES = tests/unit/media_test.c
tests_unit_media_test_LDADD = $(UNIT_LDADD)
tests_unit_bound_test_SOURCES = tests/unit/bound_test.c tests/unit/http_fixture.h
tests_unit_bound_test_LDADD = $(UNIT_LDADD)
tests_unit_pattern_test_SOURCES = tests/unit/pattern_test.c
tests_unit_pattern_test_LDADD = $(UNIT_LDADD)
tests_unit_chunked_test_SOURCES = tests/unit/chunked_test.c tests/unit/http_fixture.h
tests_unit_chunked_test_LDADD = $(UNIT_LDADD)
tests_unit_connection_test_SOURCES = tests/unit/connection_test.c tests/unit/http_fixture.h
tests_unit_connection_test_LDADD = $(UNIT_LDADD)
tests_unit_head_check_test_SOURCES = tests/unit/head_check_test.c tests/unit/http_fixture.h
tests_unit_head_check_test_LDADD = $(UNIT_LDADD)
tests_unit_long_test_SOURCES = tests/unit/long_test.c tests/unit/http_fixture.h
tests_unit_long_test_LDADD = $(UNIT_LDADD)
tests_unit_keep_alive_test_SOURCES = tests/unit/keep_alive_test.c tests/unit/http_fixture.h
tests_unit_keep_alive_test_LDADD = $(UNIT_LDADD)
tests_unit_params_test_SOURCES = tests/unit/params_test.c tests/unit/http_fixture.h
tests_unit_params_test_LDADD = $(UNIT_LDADD)
tests_unit_reply_test_SOURCES = tests/unit/reply_test.c tests/unit/http_fixture.h
tests_unit_reply_test_LDADD = $(UNIT_LDADD)
tests_unit_router_test_SOURCES = tests/unit/router_test.c tests/unit/http_fixture.h
tests_unit_router_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/path_test
tests_unit_path_test_SOURCES = tests/unit/path_test.c
tests_unit_path_test_LDADD = $(UNIT_LDADD)
tests_unit_unpushed_test_SOURCES = tests/unit/unpushed_test.c tests/unit/http_fixture.h
tests_unit_unpushed_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/route_stats_test
tests_unit_route_stats_test_SOURCES = tests/unit/route_stats_test.c tests/unit/http_fixture.h
tests_unit_route_stats_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/gate_test tests/unit/switch_table_test
tests_unit_gate_test_SOURCES = tests/unit/gate_test.c tests/unit/http_fixture.h
tests_unit_gate_test_LDADD = $(UNIT_LDADD)
tests_unit_switch_table_test_SOURCES = tests/unit/switch_table_test.c
tests_unit_switch_table_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/instance_guard_test tests/unit/migrate_test
tests_unit_instance_guard_test_SOURCES = tests/unit/instance_guard_test.c
tests_unit_instance_guard_test_LDADD = $(UNIT_LDADD)
tests_unit_migrate_test_SOURCES = tests/unit/migrate_test.c tests/unit/http_fixture.h
tests_unit_migrate_test_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/list_cache_test
tests_unit_list_cache_test_SOURCES = tests/unit/list_cache_test.c
tests_unit_list_cache_test_LDADD = $(UNIT_LDADD)
endif
