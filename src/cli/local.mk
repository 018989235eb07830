# The command. All but main.c is in an archive, so that tests can link its parts.

noinst_LIBRARIES += libcli.a
libcli_a_SOURCES = \
	src/cli/client.c \
	src/cli/client.h \
	src/cli/cmd.c \
	src/cli/cmd.h \
	src/cli/cmd_get.c \
	src/cli/cmd_ls.c \
	src/cli/cmd_put.c \
	src/cli/cmd_serve.c \
	src/cli/cmd_compare.c \
	src/cli/compare_ask.c \
	src/cli/compare_job.h \
	src/cli/compare_tell.c \
	src/cli/listing.c \
	src/cli/listing.h \
	src/cli/log.c \
	src/cli/log.h \
	src/cli/options.c \
	src/cli/options.h \
	src/cli/out.c \
	src/cli/out.h \
	src/cli/output.c \
	src/cli/output.h \
	src/cli/progress.c \
	src/cli/progress.h \
	src/cli/records.c \
	src/cli/records.h \
	src/cli/report.c \
	src/cli/report.h \
	src/cli/signals.c \
	src/cli/signals.h \
	src/cli/transfer.c \
	src/cli/transfer.h

bin_PROGRAMS += xfer
xfer_SOURCES = \
	src/cli/main.c
# -static: the program itself holds what it needs of libxfer, so that it is a real binary in the
# build directory and the inside of base can be used, which libxfer.so hides.
xfer_LDFLAGS = $(AM_LDFLAGS) $(XFER_PROGRAM_LDFLAGS) -static
xfer_LDADD = libcli.a libcompare.a liblink.la libxfer.la libbase.la $(room_libs) $(JANSSON_LIBS) -lm
