# The simulator: the TFTP machine against itself and others, on a virtual clock.
#     tests/sim/run --seed N replays one transfer, --seeds N runs a campaign

check_PROGRAMS += tests/sim/run
TESTS += tests/sim/run
EXTRA_DIST += tests/sim/golden

tests_sim_run_SOURCES = \
	tests/sim/check.c \
	tests/sim/crude.c \
	tests/sim/golden.c \
	tests/sim/node.c \
	tests/sim/prng.c \
	tests/sim/prng.h \
	tests/sim/run.c \
	tests/sim/scenario.c \
	tests/sim/sim.h \
	tests/sim/trace.c \
	tests/sim/world.c
tests_sim_run_LDADD = libtftp.la liblinkq.la libbase.la $(room_libs)
