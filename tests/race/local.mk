# Plain mains that print TAP: Criterion does not start under ThreadSanitizer. make check runs them,
# and `make check-race` alone in a tree configured with --enable-sanitize=thread.

race_tests = \
	tests/race/cancel \
	tests/race/clients \
	tests/race/ranges \
	tests/race/trees

check_PROGRAMS += $(race_tests)
TESTS += $(race_tests)

race_ground = tests/race/ground.c tests/race/ground.h
race_libs = $(rooms) $(room_libs)

tests_race_cancel_SOURCES = tests/race/cancel.c $(race_ground)
tests_race_cancel_LDADD = $(race_libs)
tests_race_clients_SOURCES = tests/race/clients.c $(race_ground)
tests_race_clients_LDADD = $(race_libs)
tests_race_ranges_SOURCES = tests/race/ranges.c $(race_ground)
tests_race_ranges_LDADD = $(race_libs)
tests_race_trees_SOURCES = tests/race/trees.c $(race_ground)
tests_race_trees_LDADD = $(race_libs)

check-race: $(race_tests)
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(race_tests)'
.PHONY: check-race
