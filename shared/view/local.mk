# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += shared/view/list.c shared/view/list.h \
	shared/view/pick.c shared/view/pick.h \
	shared/view/metadata.c shared/view/metadata.h \
	shared/view/beat_json.c shared/view/beat_json.h \
	shared/view/instance_json.c shared/view/instance_json.h \
	shared/view/checker.c shared/view/checker.h shared/view/selector.c shared/view/selector.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/pick_test tests/unit/checker_test tests/unit/selector_test tests/unit/list_test tests/unit/instance_json_test tests/unit/metadata_test tests/unit/beat_json_test \
	tests/unit/long_texts_test
tests_unit_pick_test_SOURCES = tests/unit/pick_test.c
tests_unit_pick_test_LDADD = $(UNIT_LDADD)
tests_unit_selector_test_SOURCES = tests/unit/selector_test.c
tests_unit_selector_test_LDADD = $(UNIT_LDADD)
tests_unit_checker_test_SOURCES = tests/unit/checker_test.c
tests_unit_checker_test_LDADD = $(UNIT_LDADD)
tests_unit_instance_json_test_SOURCES = tests/unit/instance_json_test.c
tests_unit_instance_json_test_LDADD = $(UNIT_LDADD)
tests_unit_list_test_SOURCES = tests/unit/list_test.c
tests_unit_list_test_LDADD = $(UNIT_LDADD)
tests_unit_metadata_test_SOURCES = tests/unit/metadata_test.c
tests_unit_metadata_test_LDADD = $(UNIT_LDADD)
tests_unit_long_texts_test_SOURCES = tests/unit/long_texts_test.c
tests_unit_long_texts_test_LDADD = $(UNIT_LDADD)
tests_unit_beat_json_test_SOURCES = tests/unit/beat_json_test.c
tests_unit_beat_json_test_LDADD = $(UNIT_LDADD)
endif
