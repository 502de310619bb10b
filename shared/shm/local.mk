# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	shared/shm/brake_state.h shared/shm/departures.c shared/shm/departures.h \
	shared/shm/blob.c shared/shm/blob.h \
	shared/shm/fault.c shared/shm/fault.h \
	shared/shm/health.c shared/shm/health.h \
	shared/shm/holders.c shared/shm/holders.h \
	shared/shm/lock.c shared/shm/lock.h \
	shared/shm/queue.c shared/shm/queue.h \
	shared/shm/ring.c shared/shm/ring.h \
	shared/shm/segment.c shared/shm/segment.h shared/shm/segment_internal.h \
	shared/shm/segment_limit.c shared/shm/segment_open.c shared/shm/segment_replace.c \
	shared/shm/shard.h \
	shared/shm/slab.c shared/shm/slab_audit.c shared/shm/slab_internal.h shared/shm/slab.h \
	shared/shm/slot.h \
	shared/shm/table.c shared/shm/table.h \
	shared/shm/undo.c shared/shm/undo.h shared/shm/undo_internal.h shared/shm/undo_restore.c

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/blob_test
check_PROGRAMS += tests/unit/health_test
check_PROGRAMS += tests/unit/invariants_test
check_PROGRAMS += tests/unit/lock_test
check_PROGRAMS += tests/unit/queue_test
check_PROGRAMS += tests/unit/ring_test
check_PROGRAMS += tests/unit/segment_test
check_PROGRAMS += tests/unit/segment_replace_test
check_PROGRAMS += tests/unit/slab_test
check_PROGRAMS += tests/unit/table_test
check_PROGRAMS += tests/unit/undo_test
tests_unit_blob_test_SOURCES = tests/unit/blob_test.c tests/unit/shm_common.h
tests_unit_blob_test_LDADD = $(UNIT_LDADD)
tests_unit_health_test_SOURCES = tests/unit/health_test.c tests/unit/shm_common.h
tests_unit_health_test_LDADD = $(UNIT_LDADD)
tests_unit_invariants_test_SOURCES = tests/unit/invariants_test.c tests/unit/shm_common.h tests/unit/death_fixture.h
tests_unit_invariants_test_LDADD = $(UNIT_LDADD)
tests_unit_lock_test_SOURCES = tests/unit/lock_test.c tests/unit/shm_common.h
tests_unit_lock_test_LDADD = $(UNIT_LDADD)
tests_unit_queue_test_SOURCES = tests/unit/queue_test.c tests/unit/shm_common.h
tests_unit_queue_test_LDADD = $(UNIT_LDADD)
tests_unit_ring_test_SOURCES = tests/unit/ring_test.c tests/unit/shm_common.h tests/unit/death_fixture.h
tests_unit_ring_test_LDADD = $(UNIT_LDADD)
tests_unit_segment_test_SOURCES = tests/unit/segment_test.c tests/unit/segment_place.h tests/unit/shm_common.h
tests_unit_segment_test_LDADD = $(UNIT_LDADD)
tests_unit_segment_replace_test_SOURCES = tests/unit/segment_replace_test.c tests/unit/segment_place.h tests/unit/shm_common.h
tests_unit_segment_replace_test_LDADD = $(UNIT_LDADD)
tests_unit_slab_test_SOURCES = tests/unit/slab_test.c tests/unit/shm_common.h
tests_unit_slab_test_LDADD = $(UNIT_LDADD)
tests_unit_table_test_SOURCES = tests/unit/table_test.c tests/unit/shm_common.h
tests_unit_table_test_LDADD = $(UNIT_LDADD)
tests_unit_undo_test_SOURCES = tests/unit/undo_test.c tests/unit/shm_common.h
tests_unit_undo_test_LDADD = $(UNIT_LDADD)
endif
