# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += shared/metrics/metrics.c shared/metrics/metrics.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/metrics_test
tests_unit_metrics_test_SOURCES = tests/unit/metrics_test.c
tests_unit_metrics_test_LDADD = $(UNIT_LDADD)
endif
