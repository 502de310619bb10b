noinst_PROGRAMS += tests/system/hammer
tests_system_hammer_SOURCES = tests/system/hammer.c
