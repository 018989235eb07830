# Where protocol, files and sockets meet.

noinst_LTLIBRARIES += libsession.la
libsession_la_SOURCES = \
	src/session/body.c \
	src/session/body.h \
	src/session/chan.c \
	src/session/chan.h \
	src/session/stop.c \
	src/session/stop.h
