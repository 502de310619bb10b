# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	worker/http/accept.c worker/http/accept.h \
	worker/http/answer.c worker/http/answer.h \
	worker/http/chunked.c worker/http/chunked.h \
	worker/http/connection.c worker/http/connection.h \
	worker/http/connection_state.c worker/http/connection_state.h \
	worker/http/cors.c worker/http/cors.h \
	worker/http/exchange.c worker/http/exchange.h \
	worker/http/head.c worker/http/head.h \
	worker/http/head_scan.c worker/http/head_scan.h \
	worker/http/input.c worker/http/input.h \
	worker/http/keep_alive.c worker/http/keep_alive.h \
	worker/http/long.c worker/http/long.h \
	worker/http/memory.c worker/http/memory.h \
	worker/http/migrate.c worker/http/migrate.h \
	worker/http/output.c worker/http/output.h \
	worker/http/park.c worker/http/park.h \
	worker/http/parser_library.h \
	worker/http/protocol.h \
	worker/http/request.c worker/http/request.h \
	worker/http/sender.c worker/http/sender.h \
	worker/http/source_limit.c worker/http/source_limit.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/accept_test tests/unit/chunked_test tests/unit/connection_state_test \
	tests/unit/connection_test \
	tests/unit/head_scan_test tests/unit/input_test tests/unit/keep_alive_test tests/unit/long_test \
	tests/unit/migrate_test tests/unit/protocol_test tests/unit/sender_test
tests_unit_accept_test_SOURCES = tests/unit/accept_test.c tests/unit/http_fixture.h
tests_unit_accept_test_LDADD = $(UNIT_LDADD)
tests_unit_chunked_test_SOURCES = tests/unit/chunked_test.c tests/unit/http_fixture.h
tests_unit_chunked_test_LDADD = $(UNIT_LDADD)
tests_unit_connection_state_test_SOURCES = tests/unit/connection_state_test.c tests/unit/http_fixture.h
tests_unit_connection_state_test_LDADD = $(UNIT_LDADD)
tests_unit_connection_test_SOURCES = tests/unit/connection_test.c tests/unit/http_fixture.h
tests_unit_connection_test_LDADD = $(UNIT_LDADD)
tests_unit_head_scan_test_SOURCES = tests/unit/head_scan_test.c tests/unit/http_fixture.h
tests_unit_head_scan_test_LDADD = $(UNIT_LDADD)
tests_unit_input_test_SOURCES = tests/unit/input_test.c
tests_unit_input_test_LDADD = $(UNIT_LDADD)
tests_unit_keep_alive_test_SOURCES = tests/unit/keep_alive_test.c tests/unit/http_fixture.h
tests_unit_keep_alive_test_LDADD = $(UNIT_LDADD)
tests_unit_long_test_SOURCES = tests/unit/long_test.c tests/unit/http_fixture.h
tests_unit_long_test_LDADD = $(UNIT_LDADD)
tests_unit_migrate_test_SOURCES = tests/unit/migrate_test.c tests/unit/http_fixture.h
tests_unit_migrate_test_LDADD = $(UNIT_LDADD)
tests_unit_protocol_test_SOURCES = tests/unit/protocol_test.c tests/unit/death_fixture.h tests/unit/http_fixture.h
tests_unit_protocol_test_LDADD = $(UNIT_LDADD)
tests_unit_sender_test_SOURCES = tests/unit/sender_test.c
tests_unit_sender_test_LDADD = $(UNIT_LDADD)
endif
