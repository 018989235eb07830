# The lines of XFER/1. Pure.

noinst_LTLIBRARIES += libwire.la
libwire_la_SOURCES = \
	src/wire/wire.c \
	src/wire/wire.h
