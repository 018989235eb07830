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
	src/session/copy.c \
	src/session/copy.h \
	src/session/dest.c \
	src/session/dest.h \
	src/session/expand.c \
	src/session/expand.h \
	src/session/filter.c \
	src/session/filter.h \
	src/session/get.c \
	src/session/get_worker.c \
	src/session/get_worker.h \
	src/session/job.c \
	src/session/job.h \
	src/session/landings.c \
	src/session/landings.h \
	src/session/list.c \
	src/session/op_get.c \
	src/session/op_list.c \
	src/session/op_mkdir.c \
	src/session/op_put.c \
	src/session/op_sum.c \
	src/session/patience.c \
	src/session/patience.h \
	src/session/peer.c \
	src/session/peer.h \
	src/session/put.c \
	src/session/put_query.c \
	src/session/put_query.h \
	src/session/put_worker.c \
	src/session/put_worker.h \
	src/session/query.c \
	src/session/query.h \
	src/session/seen.c \
	src/session/seen.h \
	src/session/server.c \
	src/session/server.h \
	src/session/source.c \
	src/session/source.h \
	src/session/stop.c \
	src/session/stop.h \
	src/session/tally.c \
	src/session/tally.h \
	src/session/turnaway.c \
	src/session/turnaway.h
