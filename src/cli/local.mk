# The command. All but main.c is in an archive, so that tests can link its parts.

noinst_LIBRARIES += libcli.a
libcli_a_SOURCES =

bin_PROGRAMS += xfer
xfer_SOURCES = \
	src/cli/main.c
# -static: the program itself holds what it needs of libxfer, so that it is a real binary in the
# build directory and the inside of base can be used, which libxfer.so hides.
xfer_LDFLAGS = $(AM_LDFLAGS) $(XFER_PROGRAM_LDFLAGS) -static
xfer_LDADD = libcli.a libxfer.la libbase.la $(room_libs) $(JANSSON_LIBS)
