# Fuzz targets. make check replays the corpus through each; --enable-fuzz builds the fuzzers too:
#     tests/fuzz/fuzz_wire tests/fuzz/corpus/wire

fuzz_replays = \
	tests/fuzz/replay_wire

check_PROGRAMS += $(fuzz_replays)
TESTS += $(fuzz_replays)
EXTRA_DIST += tests/fuzz/corpus

tests_fuzz_replay_wire_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_wire.c
tests_fuzz_replay_wire_LDADD = libwire.la libbase.la $(room_libs)

if ENABLE_FUZZ
noinst_PROGRAMS = tests/fuzz/fuzz_wire
tests_fuzz_fuzz_wire_SOURCES = tests/fuzz/fuzz_wire.c
tests_fuzz_fuzz_wire_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_wire_LDADD = libwire.la libbase.la $(room_libs)
endif
