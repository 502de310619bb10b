# SPDX-License-Identifier: Apache-2.0
# The campaign needs crash points (--enable-faults). The mutants are built on demand: the same campaign, and functions that the
# linker puts between those of the library and their callers (mutants.c).
EXTRA_DIST += tests/fault/run.py
FAULT_LDADD = tests/fault/libcampaign.a libroster.a $(ROSTER_LIBS)
EXTRA_LIBRARIES = tests/fault/libcampaign.a
tests_fault_libcampaign_a_SOURCES = tests/fault/campaign.c tests/fault/acts.c tests/fault/acts.h tests/fault/ops.c tests/fault/ops.h \
	tests/fault/model.c tests/fault/model.h tests/fault/model_read.c tests/fault/crew.c tests/fault/crew.h \
	tests/fault/report.c tests/fault/report.h
EXTRA_PROGRAMS = tests/fault/campaign tests/fault/mutants
tests_fault_campaign_SOURCES =
tests_fault_campaign_LDADD = $(FAULT_LDADD)
tests_fault_mutants_SOURCES = tests/fault/mutants.c
tests_fault_mutants_LDADD = $(FAULT_LDADD)
tests_fault_mutants_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=slab_sweep,--wrap=slab_untake,--wrap=slab_free,--wrap=slab_release,--wrap=slab_give_back \
	-Wl,--wrap=undo_set64,--wrap=undo_restore,--wrap=queue_mark,--wrap=queue_announce,--wrap=queue_wake,--wrap=lock_take
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
