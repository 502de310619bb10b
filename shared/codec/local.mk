# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += shared/codec/base64.c shared/codec/base64.h
libroster_a_SOURCES += shared/codec/charset.c shared/codec/charset.h
libroster_a_SOURCES += shared/codec/gzip.c shared/codec/gzip.h
libroster_a_SOURCES += shared/codec/java.c shared/codec/java.h
libroster_a_SOURCES += shared/codec/json_read.c shared/codec/json_read.h
libroster_a_SOURCES += shared/codec/json_write.c shared/codec/json_write.h
libroster_a_SOURCES += shared/codec/url.c shared/codec/url.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/base64_test tests/unit/charset_test tests/unit/gzip_test tests/unit/java_test tests/unit/json_read_test tests/unit/json_write_test
check_PROGRAMS += tests/unit/url_test
tests_unit_base64_test_SOURCES = tests/unit/base64_test.c
tests_unit_base64_test_LDADD = $(UNIT_LDADD)
tests_unit_charset_test_SOURCES = tests/unit/charset_test.c
tests_unit_charset_test_LDADD = $(UNIT_LDADD)
tests_unit_gzip_test_SOURCES = tests/unit/gzip_test.c
tests_unit_gzip_test_LDADD = $(UNIT_LDADD)
tests_unit_java_test_SOURCES = tests/unit/java_test.c
tests_unit_java_test_LDADD = $(UNIT_LDADD)
tests_unit_json_read_test_SOURCES = tests/unit/json_read_test.c
tests_unit_json_read_test_LDADD = $(UNIT_LDADD)
tests_unit_json_write_test_SOURCES = tests/unit/json_write_test.c
tests_unit_json_write_test_LDADD = $(UNIT_LDADD)
tests_unit_url_test_SOURCES = tests/unit/url_test.c
tests_unit_url_test_LDADD = $(UNIT_LDADD)
endif
