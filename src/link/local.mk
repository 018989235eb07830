# The emulated link. Its queue is pure, and stands apart for the simulator.

noinst_LTLIBRARIES += liblinkq.la
liblinkq_la_SOURCES = \
	src/link/linkq.c \
	src/link/linkq.h

noinst_LTLIBRARIES += liblink.la
liblink_la_SOURCES = \
	src/link/damage.c \
	src/link/damage.h \
	src/link/pcapng.c \
	src/link/pcapng.h
