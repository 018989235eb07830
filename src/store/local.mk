# Files, below one directory.

noinst_LTLIBRARIES += libstore.la
libstore_la_SOURCES = \
	src/store/store.h \
	src/store/internal.h \
	src/store/batch.c \
	src/store/cache.c \
	src/store/list.c \
	src/store/reader.c \
	src/store/record.c \
	src/store/root.c \
	src/store/sweep.c \
	src/store/temporary.c \
	src/store/writer.c
