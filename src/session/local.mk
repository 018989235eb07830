# Where protocol, files and sockets meet.

noinst_LTLIBRARIES += libsession.la
libsession_la_SOURCES = \
	src/session/server.c
