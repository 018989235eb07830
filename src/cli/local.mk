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

# AppArmor's profile names the installed program. Where the system's AppArmor knows user namespaces
# (--with-apparmor-profile) it is installed with it.
noinst_DATA += xfer.apparmor
xfer.apparmor: src/cli/xfer.apparmor.in Makefile
	$(AM_V_GEN)program=$(bindir)/`echo xfer | sed '$(transform)'` && \
		sed "s|@program@|$$program|" $(srcdir)/src/cli/xfer.apparmor.in >$@-t && mv $@-t $@
CLEANFILES += xfer.apparmor xfer.apparmor-t
EXTRA_DIST += src/cli/xfer.apparmor.in build-aux/apparmor-profile

apparmor_profile = $(SHELL) $(srcdir)/build-aux/apparmor-profile
install-apparmor: xfer.apparmor
if WITH_APPARMOR_PROFILE
	$(apparmor_profile) install xfer.apparmor '$(DESTDIR)' '$(apparmordir)' $(apparmor_how)
endif
uninstall-apparmor:
if WITH_APPARMOR_PROFILE
	$(apparmor_profile) remove xfer.apparmor '$(DESTDIR)' '$(apparmordir)' $(apparmor_how)
endif
install-data-local: install-apparmor
uninstall-local: uninstall-apparmor
.PHONY: install-apparmor uninstall-apparmor
