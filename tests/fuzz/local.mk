# Fuzz targets. make check replays the corpus through each; --enable-fuzz builds the fuzzers too:
#     tests/fuzz/fuzz_wire tests/fuzz/corpus/wire

fuzz_replays = \
	tests/fuzz/replay_tftp_pkt \
	tests/fuzz/replay_tftp_sm \
	tests/fuzz/replay_wire

check_PROGRAMS += $(fuzz_replays)
TESTS += $(fuzz_replays)
EXTRA_DIST += tests/fuzz/corpus

fuzz_tftp_libs = libtftp.la libbase.la $(room_libs)
fuzz_wire_libs = libwire.la libbase.la $(room_libs)

tests_fuzz_replay_tftp_pkt_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_tftp_pkt.c
tests_fuzz_replay_tftp_pkt_LDADD = $(fuzz_tftp_libs)
tests_fuzz_replay_tftp_sm_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_tftp_sm.c
tests_fuzz_replay_tftp_sm_LDADD = $(fuzz_tftp_libs)
tests_fuzz_replay_wire_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_wire.c
tests_fuzz_replay_wire_LDADD = $(fuzz_wire_libs)

if ENABLE_FUZZ
fuzzer_flags = $(AM_LDFLAGS) -fsanitize=fuzzer
noinst_PROGRAMS = \
	tests/fuzz/fuzz_tftp_pkt \
	tests/fuzz/fuzz_tftp_sm \
	tests/fuzz/fuzz_wire
tests_fuzz_fuzz_tftp_pkt_SOURCES = tests/fuzz/fuzz_tftp_pkt.c
tests_fuzz_fuzz_tftp_pkt_LDFLAGS = $(fuzzer_flags)
tests_fuzz_fuzz_tftp_pkt_LDADD = $(fuzz_tftp_libs)
tests_fuzz_fuzz_tftp_sm_SOURCES = tests/fuzz/fuzz_tftp_sm.c
tests_fuzz_fuzz_tftp_sm_LDFLAGS = $(fuzzer_flags)
tests_fuzz_fuzz_tftp_sm_LDADD = $(fuzz_tftp_libs)
tests_fuzz_fuzz_wire_SOURCES = tests/fuzz/fuzz_wire.c
tests_fuzz_fuzz_wire_LDFLAGS = $(fuzzer_flags)
tests_fuzz_fuzz_wire_LDADD = $(fuzz_wire_libs)
endif
