# The built program from end to end.

e2e_tests = \
	tests/e2e/test_basics.py \
	tests/e2e/test_compare.py \
	tests/e2e/test_compare_capture.py \
	tests/e2e/test_compare_ends.py \
	tests/e2e/test_compare_keys.py \
	tests/e2e/test_compare_link.py \
	tests/e2e/test_compare_remote.py \
	tests/e2e/test_discard.py \
	tests/e2e/test_files.py \
	tests/e2e/test_lessons.py \
	tests/e2e/test_limits.py \
	tests/e2e/test_names.py \
	tests/e2e/test_output.py \
	tests/e2e/test_protocol.py \
	tests/e2e/test_serve.py \
	tests/e2e/test_sources.py \
	tests/e2e/test_status.py \
	tests/e2e/test_trees.py \
	tests/e2e/test_udp_client.py \
	tests/e2e/test_udp_options.py \
	tests/e2e/test_udp_requests.py \
	tests/e2e/test_udp_serve.py \
	tests/e2e/test_udp_transfer.py

# With a peer or a network that means harm.
e2e_tests += \
	tests/e2e/test_corruption.py \
	tests/e2e/test_crowd.py \
	tests/e2e/test_disk.py \
	tests/e2e/test_hostile_requests.py \
	tests/e2e/test_hostile_server.py \
	tests/e2e/test_kill.py \
	tests/e2e/test_ranges.py \
	tests/e2e/test_resume.py \
	tests/e2e/test_writers.py

# What no command does: copies by the library.
check_PROGRAMS += tests/e2e/discard
tests_e2e_discard_SOURCES = tests/e2e/discard.c
tests_e2e_discard_LDADD = $(rooms) $(room_libs)

# In a browser, which only `./bootstrap check --full` installs.
e2e_full_tests = tests/e2e/test_compare_browser.py

if HAVE_PYTHON3
TESTS += $(e2e_tests) $(XFER_TEST_FULL:1=$(e2e_full_tests))
endif
EXTRA_DIST += $(e2e_tests) $(e2e_full_tests) tests/e2e/harness.py tests/e2e/fake.py tests/e2e/tftp.py tests/e2e/relay.py
