# What happens when a system call or an allocation fails. A selection in make check; all of it with
# XFER_TEST_FULL=1.

fault_tests = \
	tests/fault/compare.py \
	tests/fault/memory.py \
	tests/fault/shortage.py \
	tests/fault/syscalls.py

check_LTLIBRARIES += tests/fault/preload.la
tests_fault_preload_la_SOURCES = tests/fault/preload.c
tests_fault_preload_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere

if HAVE_PYTHON3
TESTS += $(fault_tests)
endif
EXTRA_DIST += $(fault_tests) tests/fault/faults.py
