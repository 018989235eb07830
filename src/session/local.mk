# Where protocol, files and sockets meet.

noinst_LTLIBRARIES += libsession.la
libsession_la_SOURCES = \
	src/session/batch.c \
	src/session/batch.h \
	src/session/body.c \
	src/session/body.h \
	src/session/chan.c \
	src/session/chan.h \
	src/session/claim.c \
	src/session/claim.h \
	src/session/conn.c \
	src/session/conn.h \
	src/session/op_get.c \
	src/session/op_list.c \
	src/session/op_mkdir.c \
	src/session/op_put.c \
	src/session/op_sum.c \
	src/session/server.c \
	src/session/server.h \
	src/session/stop.c \
	src/session/stop.h \
	src/session/turnaway.c \
	src/session/turnaway.h
