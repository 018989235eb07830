# What everything stands on.

noinst_LTLIBRARIES += libbase.la
libbase_la_SOURCES = \
	src/base/buf.c \
	src/base/buf.h \
	src/base/digest.c \
	src/base/digest.h \
	src/base/err.c \
	src/base/err.h \
	src/base/escape.c \
	src/base/escape.h \
	src/base/fd.c \
	src/base/fd.h \
	src/base/pace.c \
	src/base/pace.h \
	src/base/path.c \
	src/base/path.h \
	src/base/remote.c \
	src/base/remote.h \
	src/base/units.c \
	src/base/units.h
