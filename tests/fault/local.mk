# SPDX-License-Identifier: Apache-2.0
# The campaign needs crash points (--enable-faults). Mutants are built on demand: the same campaign, and one rule of the undo log
# broken in objects of their own, which stand before the library.
EXTRA_DIST += tests/fault/run.py
FAULT_LDADD = tests/fault/libcampaign.a libroster.a $(ROSTER_LIBS)
FAULT_RULES = shared/shm/undo.c shared/shm/slab.c shared/shm/lock.c shared/shm/queue.c
EXTRA_LIBRARIES = tests/fault/libcampaign.a
tests_fault_libcampaign_a_SOURCES = tests/fault/campaign.c tests/fault/acts.c tests/fault/acts.h tests/fault/ops.c tests/fault/ops.h \
	tests/fault/model.c tests/fault/model.h tests/fault/model_read.c tests/fault/crew.c tests/fault/crew.h \
	tests/fault/report.c tests/fault/report.h
EXTRA_PROGRAMS = tests/fault/campaign tests/fault/mutant1 tests/fault/mutant2 tests/fault/mutant3 tests/fault/mutant4 \
	tests/fault/mutant5 tests/fault/mutant6 tests/fault/mutant7 tests/fault/mutant8 tests/fault/mutant9
tests_fault_campaign_SOURCES = $(FAULT_RULES)
tests_fault_campaign_LDADD = $(FAULT_LDADD)
tests_fault_mutant1_SOURCES = $(FAULT_RULES)
tests_fault_mutant1_CPPFLAGS = $(AM_CPPFLAGS) -DROSTER_MUTANT=1
tests_fault_mutant1_LDADD = $(FAULT_LDADD)
tests_fault_mutant2_SOURCES = $(FAULT_RULES)
tests_fault_mutant2_CPPFLAGS = $(AM_CPPFLAGS) -DROSTER_MUTANT=2
tests_fault_mutant2_LDADD = $(FAULT_LDADD)
tests_fault_mutant3_SOURCES = $(FAULT_RULES)
tests_fault_mutant3_CPPFLAGS = $(AM_CPPFLAGS) -DROSTER_MUTANT=3
tests_fault_mutant3_LDADD = $(FAULT_LDADD)
tests_fault_mutant4_SOURCES = $(FAULT_RULES)
tests_fault_mutant4_CPPFLAGS = $(AM_CPPFLAGS) -DROSTER_MUTANT=4
tests_fault_mutant4_LDADD = $(FAULT_LDADD)
tests_fault_mutant5_SOURCES = $(FAULT_RULES)
tests_fault_mutant5_CPPFLAGS = $(AM_CPPFLAGS) -DROSTER_MUTANT=5
tests_fault_mutant5_LDADD = $(FAULT_LDADD)
tests_fault_mutant6_SOURCES = $(FAULT_RULES)
tests_fault_mutant6_CPPFLAGS = $(AM_CPPFLAGS) -DROSTER_MUTANT=6
tests_fault_mutant6_LDADD = $(FAULT_LDADD)
tests_fault_mutant7_SOURCES = $(FAULT_RULES)
tests_fault_mutant7_CPPFLAGS = $(AM_CPPFLAGS) -DROSTER_MUTANT=7
tests_fault_mutant7_LDADD = $(FAULT_LDADD)
tests_fault_mutant8_SOURCES = $(FAULT_RULES)
tests_fault_mutant8_CPPFLAGS = $(AM_CPPFLAGS) -DROSTER_MUTANT=8
tests_fault_mutant8_LDADD = $(FAULT_LDADD)
tests_fault_mutant9_SOURCES = $(FAULT_RULES)
tests_fault_mutant9_CPPFLAGS = $(AM_CPPFLAGS) -DROSTER_MUTANT=9
tests_fault_mutant9_LDADD = $(FAULT_LDADD)
noinst_PROGRAMS += tests/fault/corrupt
tests_fault_corrupt_SOURCES = tests/fault/corrupt.c tests/fault/corrupt.h tests/fault/corrupt_content.c \
	tests/fault/corrupt_map.c tests/fault/corrupt_ops.c
tests_fault_corrupt_LDADD = libroster.a $(ROSTER_LIBS)
noinst_PROGRAMS += tests/fault/poke
tests_fault_poke_SOURCES = tests/fault/poke.c
tests_fault_poke_LDADD = libroster.a $(ROSTER_LIBS)
noinst_PROGRAMS += tests/fault/beater
tests_fault_beater_SOURCES = tests/fault/beater.c
# The same server with another layout of the segment.
noinst_PROGRAMS += tests/fault/other_layout
tests_fault_other_layout_SOURCES = master/main.c shared/shm/segment.c shared/shm/segment_open.c
tests_fault_other_layout_CPPFLAGS = $(AM_CPPFLAGS) -DSEGMENT_LAYOUT=1000U
tests_fault_other_layout_LDADD = libroster.a $(ROSTER_LIBS)
