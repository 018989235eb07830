# Comparing: what `xfer compare` plans, runs and shows. In an archive, so that tests can link its parts.

noinst_LIBRARIES += libcompare.a
libcompare_a_SOURCES = \
	src/compare/ability.c \
	src/compare/ability.h \
	src/compare/charts.c \
	src/compare/charts.h \
	src/compare/compare.h \
	src/compare/csv.c \
	src/compare/csv.h \
	src/compare/data.c \
	src/compare/data.h \
	src/compare/embedded.h \
	src/compare/html.c \
	src/compare/html.h \
	src/compare/json.c \
	src/compare/json.h \
	src/compare/ladder.c \
	src/compare/ladder.h \
	src/compare/link.c \
	src/compare/link.h \
	src/compare/linkcheck.c \
	src/compare/linkcheck.h \
	src/compare/markup.c \
	src/compare/markup.h \
	src/compare/method.c \
	src/compare/method.h \
	src/compare/outfile.c \
	src/compare/outfile.h \
	src/compare/packet.c \
	src/compare/packet.h \
	src/compare/pictures.c \
	src/compare/pictures.h \
	src/compare/place.c \
	src/compare/place.h \
	src/compare/plan.c \
	src/compare/plan.h \
	src/compare/plot.c \
	src/compare/plot.h \
	src/compare/process.c \
	src/compare/process.h \
	src/compare/round.c \
	src/compare/round.h \
	src/compare/row.c \
	src/compare/row.h \
	src/compare/run.c \
	src/compare/run.h \
	src/compare/spec.c \
	src/compare/spec.h \
	src/compare/table.c \
	src/compare/table.h \
	src/compare/theory.c \
	src/compare/theory_tcp.c \
	src/compare/theory_udp.c \
	src/compare/theory.h \
	src/compare/trace.c \
	src/compare/trace.h \
	src/compare/trial.c \
	src/compare/trial.h \
	src/compare/words.c \
	src/compare/words.h
nodist_libcompare_a_SOURCES = src/compare/embedded.c

# The page of a report, and the library that draws its charts, as strings.
vendor_files = \
	vendor/uplot/uPlot.iife.min.js \
	vendor/uplot/uPlot.min.css \
	vendor/uplot/LICENSE
page_files = \
	src/compare/report.css \
	src/compare/report.js
src/compare/embedded.c: build-aux/embed $(vendor_files) $(page_files)
	$(AM_V_GEN)$(MKDIR_P) src/compare && (cd $(srcdir) && \
		$(SHELL) build-aux/embed vendor_uplot $(vendor_files) && \
		$(SHELL) build-aux/embed page $(page_files)) > $@-t && mv $@-t $@
EXTRA_DIST += build-aux/embed vendor/uplot/README.md $(vendor_files) $(page_files)
CLEANFILES += src/compare/embedded.c src/compare/embedded.c-t
