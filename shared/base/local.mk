# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += shared/base/arena.c shared/base/arena.h shared/base/assert.c shared/base/assert.h shared/base/buf.c shared/base/buf.h shared/base/breath.h \
	shared/base/clock.c shared/base/clock.h shared/base/cursor.h shared/base/decimal.h shared/base/discard.c shared/base/discard.h \
	shared/base/err.c shared/base/err.h shared/base/fiber.c shared/base/fiber.h \
	shared/base/hash.c shared/base/hash.h shared/base/log.c shared/base/log.h \
	shared/base/name.h shared/base/sanitized.h \
	shared/base/sort.c shared/base/sort.h shared/base/source.h shared/base/split.h shared/base/str.h \
	shared/base/utf8.c shared/base/utf8.h shared/base/word.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/assert_test tests/unit/base_test tests/unit/fiber_test tests/unit/sort_test tests/unit/utf8_test
tests_unit_assert_test_SOURCES = tests/unit/assert_test.c
tests_unit_assert_test_LDADD = $(UNIT_LDADD)
tests_unit_base_test_SOURCES = tests/unit/base_test.c tests/unit/death_fixture.h
tests_unit_base_test_LDADD = $(UNIT_LDADD)
tests_unit_fiber_test_SOURCES = tests/unit/fiber_test.c
tests_unit_fiber_test_LDADD = $(UNIT_LDADD)
tests_unit_sort_test_SOURCES = tests/unit/sort_test.c
tests_unit_sort_test_LDADD = $(UNIT_LDADD)
tests_unit_utf8_test_SOURCES = tests/unit/utf8_test.c
tests_unit_utf8_test_LDADD = $(UNIT_LDADD)
endif
