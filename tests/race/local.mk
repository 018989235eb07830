# Plain mains that print TAP: Criterion does not start under ThreadSanitizer. make check runs them,
# and `make check-race` alone in a tree configured with --enable-sanitize=thread.

race_tests =

check_PROGRAMS += $(race_tests)
TESTS += $(race_tests)

check-race: $(race_tests)
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(race_tests)'
.PHONY: check-race
