# The targets over their seeds, in every build; as libFuzzer programs with --enable-fuzz (clang).
EXTRA_DIST += tests/fuzz/fuzz.h tests/fuzz/run.py tests/fuzz/seeds
FUZZ_LDADD = libroster.a $(ROSTER_LIBS)
if FUZZ
FUZZ_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
FUZZ_MAIN =
else
FUZZ_CFLAGS = $(AM_CFLAGS)
FUZZ_MAIN = tests/fuzz/seeds_main.c
endif
noinst_PROGRAMS += tests/fuzz/http tests/fuzz/params tests/fuzz/beat tests/fuzz/metadata tests/fuzz/ack tests/fuzz/config
tests_fuzz_http_SOURCES = tests/fuzz/http.c $(FUZZ_MAIN)
tests_fuzz_http_CFLAGS = $(FUZZ_CFLAGS)
tests_fuzz_http_LDADD = $(FUZZ_LDADD)
tests_fuzz_params_SOURCES = tests/fuzz/params.c $(FUZZ_MAIN)
tests_fuzz_params_CFLAGS = $(FUZZ_CFLAGS)
tests_fuzz_params_LDADD = $(FUZZ_LDADD)
tests_fuzz_beat_SOURCES = tests/fuzz/beat.c $(FUZZ_MAIN)
tests_fuzz_beat_CFLAGS = $(FUZZ_CFLAGS)
tests_fuzz_beat_LDADD = $(FUZZ_LDADD)
tests_fuzz_metadata_SOURCES = tests/fuzz/metadata.c $(FUZZ_MAIN)
tests_fuzz_metadata_CFLAGS = $(FUZZ_CFLAGS)
tests_fuzz_metadata_LDADD = $(FUZZ_LDADD)
tests_fuzz_ack_SOURCES = tests/fuzz/ack.c $(FUZZ_MAIN)
tests_fuzz_ack_CFLAGS = $(FUZZ_CFLAGS)
tests_fuzz_ack_LDADD = $(FUZZ_LDADD)
tests_fuzz_config_SOURCES = tests/fuzz/config.c $(FUZZ_MAIN)
tests_fuzz_config_CFLAGS = $(FUZZ_CFLAGS)
tests_fuzz_config_LDADD = $(FUZZ_LDADD)
