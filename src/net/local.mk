# Addresses, clock, sockets.

noinst_LTLIBRARIES += libnet.la
libnet_la_SOURCES = \
	src/net/addr.c \
	src/net/addr.h \
	src/net/clock.c \
	src/net/clock.h \
	src/net/stream.c \
	src/net/stream.h \
	src/net/udp.c \
	src/net/udp.h
