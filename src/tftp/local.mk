# TFTP: packets, options and the machine. Pure.

noinst_LTLIBRARIES += libtftp.la
libtftp_la_SOURCES = \
	src/tftp/opt.c \
	src/tftp/opt.h \
	src/tftp/pkt.c \
	src/tftp/pkt.h \
	src/tftp/sm.c \
	src/tftp/sm.h
