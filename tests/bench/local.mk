# SPDX-License-Identifier: Apache-2.0
noinst_PROGRAMS += tests/bench/floor tests/bench/fleet tests/bench/jvms tests/bench/datagrams tests/bench/shards tests/bench/snapshot \
	tests/bench/heads
tests_bench_floor_SOURCES = tests/bench/floor.c
tests_bench_fleet_SOURCES = tests/bench/fleet.c
tests_bench_fleet_LDADD =
tests_bench_jvms_SOURCES = tests/bench/jvms.c
tests_bench_jvms_LDADD =
tests_bench_datagrams_SOURCES = tests/bench/datagrams.c
tests_bench_datagrams_LDADD =
tests_bench_shards_SOURCES = tests/bench/shards.c
tests_bench_shards_LDADD = libroster.a $(ROSTER_LIBS)
tests_bench_snapshot_SOURCES = tests/bench/snapshot.c
tests_bench_snapshot_LDADD = libroster.a $(ROSTER_LIBS)
tests_bench_heads_SOURCES = tests/bench/heads.c
tests_bench_heads_LDADD = libroster.a $(ROSTER_LIBS)
EXTRA_DIST += tests/bench/bench.py tests/bench/servers.py tests/bench/works.py tests/bench/scale.py tests/bench/report.py \
	tests/bench/goals.py tests/bench/anatomy.py tests/bench/goals tests/bench/audience.py tests/bench/bench.lua
