# The emulated link in namespaces of its own: skipped, with the reason, where there can be none.

check_PROGRAMS += tests/link/link tests/link/fidelity tests/link/between
TESTS += tests/link/link

tests_link_link_SOURCES = tests/link/link.c tests/link/ground.c tests/link/ground.h
tests_link_link_LDADD = liblink.la libbase.la $(room_libs)
tests_link_fidelity_SOURCES = tests/link/fidelity.c
tests_link_fidelity_LDADD = liblink.la libbase.la $(room_libs)
tests_link_between_SOURCES = tests/link/between.c
tests_link_between_LDADD = libcompare.a liblink.la libxfer.la libbase.la $(room_libs) $(JANSSON_LIBS) -lm

if HAVE_PYTHON3
TESTS += tests/link/refused.py tests/link/killed.py
endif
EXTRA_DIST += tests/link/refused.py tests/link/killed.py
