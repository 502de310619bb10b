# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	worker/metrics/nacos_monitor.c worker/metrics/nacos_monitor.h \
	worker/metrics/prometheus.c worker/metrics/prometheus.h \
	worker/metrics/route_stats.c worker/metrics/route_stats.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/route_stats_test
tests_unit_route_stats_test_SOURCES = tests/unit/route_stats_test.c tests/unit/http_fixture.h
tests_unit_route_stats_test_LDADD = $(UNIT_LDADD)
endif
