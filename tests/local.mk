# How tests run: each is a program that speaks TAP, started by tests/run-test for automake's driver.
# `make check TESTS=tests/unit/test_err` runs one.

TEST_EXTENSIONS = .py .sh
tap_driver = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
run_test = $(SHELL) $(top_srcdir)/tests/run-test
LOG_DRIVER = $(tap_driver)
LOG_COMPILER = $(run_test)
PY_LOG_DRIVER = $(tap_driver)
PY_LOG_COMPILER = $(run_test) $(PYTHON3)
SH_LOG_DRIVER = $(tap_driver)
SH_LOG_COMPILER = $(run_test) $(SHELL)

AM_TESTS_ENVIRONMENT = \
	XFER='$(abs_top_builddir)/xfer$(EXEEXT)'; export XFER; \
	srcdir='$(abs_top_srcdir)'; export srcdir; \
	builddir='$(abs_top_builddir)'; export builddir; \
	CC='$(CC)'; export CC; \
	CFLAGS='$(CFLAGS)'; export CFLAGS; \
	NM='$(NM)'; export NM; \
	READELF='$(READELF)'; export READELF; \
	XFER_SANITIZE='$(enable_sanitize)'; export XFER_SANITIZE; \
	XFER_COVERAGE='$(CODE_COVERAGE_ENABLED)'; export XFER_COVERAGE; \
	PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE;

# In the order in which they begin: the longest campaigns first.
include tests/fault/local.mk
include tests/unit/local.mk
include tests/fuzz/local.mk
include tests/sim/local.mk
include tests/link/local.mk
include tests/race/local.mk
include tests/rules/local.mk
include tests/e2e/local.mk
include tests/interop/local.mk
include tests/bench/local.mk

TESTS += tests/apparmor.sh
EXTRA_DIST += tests/apparmor.sh tests/run-test tests/demo

# One log a line: what `bootstrap check` expects to find results of.
list-test-logs:
	@for log in $(TEST_LOGS); do echo "$$log"; done
.PHONY: list-test-logs

# A program built against what was installed, by its xfer.pc; the installed command, and its profile.
installcheck-local:
	$(SHELL) $(srcdir)/tests/installed.sh '$(CC) $(CFLAGS) $(LDFLAGS)' '$(DESTDIR)' \
		'$(libdir)' '$(bindir)' '$(PACKAGE_VERSION)' '$(apparmordir)' $(apparmor_how)
EXTRA_DIST += tests/installed.sh
