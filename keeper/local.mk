libroster_a_SOURCES += keeper/main.c keeper/expiry.c keeper/expiry.h keeper/cleanup.c keeper/cleanup.h \
	keeper/pulse.c keeper/pulse.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/keeper_expiry_test tests/unit/keeper_cleanup_test tests/unit/keeper_pulse_test \
	tests/unit/keeper_main_test
tests_unit_keeper_expiry_test_SOURCES = tests/unit/keeper_expiry_test.c
tests_unit_keeper_expiry_test_LDADD = $(UNIT_LDADD)
tests_unit_keeper_cleanup_test_SOURCES = tests/unit/keeper_cleanup_test.c
tests_unit_keeper_cleanup_test_LDADD = $(UNIT_LDADD)
tests_unit_keeper_pulse_test_SOURCES = tests/unit/keeper_pulse_test.c
tests_unit_keeper_pulse_test_LDADD = $(UNIT_LDADD)
tests_unit_keeper_main_test_SOURCES = tests/unit/keeper_main_test.c
tests_unit_keeper_main_test_LDADD = $(UNIT_LDADD)
endif
