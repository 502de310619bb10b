noinst_PROGRAMS += tests/bench/floor
tests_bench_floor_SOURCES = tests/bench/floor.c
EXTRA_DIST += tests/bench/bench.py tests/bench/audience.py tests/bench/bench.lua
