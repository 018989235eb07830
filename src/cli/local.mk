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
	src/cli/compare.h \
	src/cli/compare_ability.c \
	src/cli/compare_ability.h \
	src/cli/compare_csv.c \
	src/cli/compare_csv.h \
	src/cli/compare_data.c \
	src/cli/compare_data.h \
	src/cli/compare_html.c \
	src/cli/compare_html.h \
	src/cli/compare_json.c \
	src/cli/compare_json.h \
	src/cli/compare_ladder.c \
	src/cli/compare_ladder.h \
	src/cli/compare_link.c \
	src/cli/compare_link.h \
	src/cli/compare_method.c \
	src/cli/compare_method.h \
	src/cli/compare_packet.c \
	src/cli/compare_packet.h \
	src/cli/compare_plan.c \
	src/cli/compare_plan.h \
	src/cli/compare_pictures.c \
	src/cli/compare_pictures.h \
	src/cli/compare_place.c \
	src/cli/compare_place.h \
	src/cli/compare_plot.c \
	src/cli/compare_plot.h \
	src/cli/compare_row.c \
	src/cli/compare_row.h \
	src/cli/compare_run.c \
	src/cli/compare_run.h \
	src/cli/compare_spec.c \
	src/cli/compare_spec.h \
	src/cli/compare_table.c \
	src/cli/compare_table.h \
	src/cli/compare_theory.c \
	src/cli/compare_theory.h \
	src/cli/compare_trace.c \
	src/cli/compare_trace.h \
	src/cli/compare_trial.c \
	src/cli/compare_trial.h \
	src/cli/compare_words.c \
	src/cli/compare_words.h \
	src/cli/listing.c \
	src/cli/listing.h \
	src/cli/log.c \
	src/cli/log.h \
	src/cli/markup.c \
	src/cli/markup.h \
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
	src/cli/transfer.h \
	src/cli/vendor.h
nodist_libcli_a_SOURCES = src/cli/vendor.c

# The library that draws the charts of a report, as strings.
vendor_files = \
	vendor/uplot/uPlot.iife.min.js \
	vendor/uplot/uPlot.min.css \
	vendor/uplot/LICENSE
src/cli/vendor.c: build-aux/embed $(vendor_files)
	$(AM_V_GEN)$(MKDIR_P) src/cli && (cd $(srcdir) && \
		$(SHELL) build-aux/embed vendor_uplot $(vendor_files)) > $@-t && mv $@-t $@
EXTRA_DIST += build-aux/embed vendor/uplot/README.md $(vendor_files)
CLEANFILES += src/cli/vendor.c src/cli/vendor.c-t

bin_PROGRAMS += xfer
xfer_SOURCES = \
	src/cli/main.c
# -static: the program itself holds what it needs of libxfer, so that it is a real binary in the
# build directory and the inside of base can be used, which libxfer.so hides.
xfer_LDFLAGS = $(AM_LDFLAGS) $(XFER_PROGRAM_LDFLAGS) -static
xfer_LDADD = libcli.a liblink.la libxfer.la libbase.la $(room_libs) $(JANSSON_LIBS) -lm
