# Files, below one directory.

noinst_LTLIBRARIES += libstore.la
libstore_la_SOURCES = \
	src/store/store.h \
	src/store/store.c \
	src/store/read.c \
	src/store/list.c \
	src/store/write.c \
	src/store/remember.c
