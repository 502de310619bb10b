# SPDX-License-Identifier: Apache-2.0
# Each target twice: TARGET_seeds goes over its seeds in every build (make check, ./dev test);
# TARGET is the libFuzzer program of --enable-fuzz (clang, ./dev fuzz).
EXTRA_DIST += tests/fuzz/run.py tests/fuzz/seeds
FUZZ_LDADD = libroster.a $(ROSTER_LIBS)
FUZZ_SEEDS = tests/fuzz/seeds_main.c tests/fuzz/fuzz.h
FUZZ_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

check_PROGRAMS += tests/fuzz/http_seeds tests/fuzz/params_seeds tests/fuzz/beat_seeds tests/fuzz/metadata_seeds \
	tests/fuzz/ack_seeds tests/fuzz/config_seeds tests/fuzz/address_seeds
tests_fuzz_http_seeds_SOURCES = tests/fuzz/http.c $(FUZZ_SEEDS)
tests_fuzz_http_seeds_LDADD = $(FUZZ_LDADD)
tests_fuzz_params_seeds_SOURCES = tests/fuzz/params.c $(FUZZ_SEEDS)
tests_fuzz_params_seeds_LDADD = $(FUZZ_LDADD)
tests_fuzz_beat_seeds_SOURCES = tests/fuzz/beat.c tests/fuzz/pairs.h $(FUZZ_SEEDS)
tests_fuzz_beat_seeds_LDADD = $(FUZZ_LDADD)
tests_fuzz_metadata_seeds_SOURCES = tests/fuzz/metadata.c tests/fuzz/pairs.h $(FUZZ_SEEDS)
tests_fuzz_metadata_seeds_LDADD = $(FUZZ_LDADD)
tests_fuzz_ack_seeds_SOURCES = tests/fuzz/ack.c $(FUZZ_SEEDS)
tests_fuzz_ack_seeds_LDADD = $(FUZZ_LDADD)
tests_fuzz_config_seeds_SOURCES = tests/fuzz/config.c $(FUZZ_SEEDS)
tests_fuzz_config_seeds_LDADD = $(FUZZ_LDADD)
tests_fuzz_address_seeds_SOURCES = tests/fuzz/address.c $(FUZZ_SEEDS)
tests_fuzz_address_seeds_LDADD = $(FUZZ_LDADD)
check_PROGRAMS += tests/fuzz/snapshot_seeds
tests_fuzz_snapshot_seeds_SOURCES = tests/fuzz/snapshot.c $(FUZZ_SEEDS)
tests_fuzz_snapshot_seeds_LDADD = $(FUZZ_LDADD)

if FUZZ
noinst_PROGRAMS += tests/fuzz/snapshot
tests_fuzz_snapshot_SOURCES = tests/fuzz/snapshot.c
tests_fuzz_snapshot_LDADD = $(FUZZ_LDADD)
tests_fuzz_snapshot_LDFLAGS = $(FUZZ_LDFLAGS)
noinst_PROGRAMS += tests/fuzz/http tests/fuzz/params tests/fuzz/beat tests/fuzz/metadata tests/fuzz/ack tests/fuzz/config \
	tests/fuzz/address
tests_fuzz_http_SOURCES = tests/fuzz/http.c
tests_fuzz_http_LDADD = $(FUZZ_LDADD)
tests_fuzz_http_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_params_SOURCES = tests/fuzz/params.c
tests_fuzz_params_LDADD = $(FUZZ_LDADD)
tests_fuzz_params_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_beat_SOURCES = tests/fuzz/beat.c
tests_fuzz_beat_LDADD = $(FUZZ_LDADD)
tests_fuzz_beat_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_metadata_SOURCES = tests/fuzz/metadata.c
tests_fuzz_metadata_LDADD = $(FUZZ_LDADD)
tests_fuzz_metadata_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_ack_SOURCES = tests/fuzz/ack.c
tests_fuzz_ack_LDADD = $(FUZZ_LDADD)
tests_fuzz_ack_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_config_SOURCES = tests/fuzz/config.c
tests_fuzz_config_LDADD = $(FUZZ_LDADD)
tests_fuzz_config_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_address_SOURCES = tests/fuzz/address.c
tests_fuzz_address_LDADD = $(FUZZ_LDADD)
tests_fuzz_address_LDFLAGS = $(FUZZ_LDFLAGS)
endif
