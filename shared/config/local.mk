# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += shared/config/config.c shared/config/config.h shared/config/config_key.h \
	shared/config/config_table.c shared/config/config_value.c shared/config/config_yaml.c shared/config/config_print.c \
	shared/config/config_fixed.c

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/config_test
tests_unit_config_test_SOURCES = tests/unit/config_test.c
tests_unit_config_test_LDADD = $(UNIT_LDADD)
endif
