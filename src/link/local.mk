# The emulated link. Its queue is pure, and stands apart for the simulator.

noinst_LTLIBRARIES += liblinkq.la
liblinkq_la_SOURCES = \
	src/link/linkq.c \
	src/link/linkq.h

noinst_LTLIBRARIES += liblink.la
liblink_la_SOURCES = \
	src/link/capture.c \
	src/link/damage.c \
	src/link/damage.h \
	src/link/forward.c \
	src/link/forward.h \
	src/link/hist.c \
	src/link/hist.h \
	src/link/internal.h \
	src/link/link.c \
	src/link/link.h \
	src/link/measure.c \
	src/link/netns.c \
	src/link/netns.h \
	src/link/pcapng.c \
	src/link/pcapng.h \
	src/link/port.c \
	src/link/port.h \
	src/link/process.c \
	src/link/refusal.c \
	src/link/refusal.h \
	src/link/settings.c \
	src/link/veth.c \
	src/link/veth.h
liblink_la_LIBADD = liblinkq.la $(MNL_LIBS)
