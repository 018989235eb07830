# Foreign TFTP programs, as tests/interop/fetch unpacks them below builddir/interop (XFER_INTEROP names
# another place). Without them it is skipped.

interop_tests = tests/interop/matrix.py

if HAVE_PYTHON3
TESTS += $(interop_tests)
endif
EXTRA_DIST += $(interop_tests) tests/interop/peers.py tests/interop/fetch tests/interop/matrix.md
