# The built program from end to end.

e2e_tests =

if HAVE_PYTHON3
TESTS += $(e2e_tests)
endif
EXTRA_DIST += $(e2e_tests)
