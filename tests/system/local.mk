# SPDX-License-Identifier: Apache-2.0
noinst_PROGRAMS += tests/system/hammer
tests_system_hammer_SOURCES = tests/system/hammer.c
noinst_PROGRAMS += tests/system/overload
tests_system_overload_SOURCES = tests/system/overload.c
noinst_PROGRAMS += tests/system/yardstick
tests_system_yardstick_SOURCES = tests/system/yardstick.c
noinst_PROGRAMS += tests/system/registry_file
tests_system_registry_file_SOURCES = tests/system/registry_file.c
tests_system_registry_file_LDADD = libroster.a $(ROSTER_LIBS)
