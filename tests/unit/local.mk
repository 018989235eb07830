# Criterion programs, one a module. Each links the rooms that its module may use and no others.
# To add one: its name in unit_tests, and two lines.

if HAVE_CRITERION
unit_tests = \
	tests/unit/test_buf \
	tests/unit/test_digest \
	tests/unit/test_err \
	tests/unit/test_escape \
	tests/unit/test_fd \
	tests/unit/test_pace \
	tests/unit/test_path \
	tests/unit/test_remote \
	tests/unit/test_units \
	tests/unit/test_wire \
	tests/unit/test_tftp_pkt \
	tests/unit/test_tftp_opt \
	tests/unit/test_tftp_sm \
	tests/unit/test_linkq \
	tests/unit/test_damage \
	tests/unit/test_hist \
	tests/unit/test_pcapng \
	tests/unit/test_store \
	tests/unit/test_store_list \
	tests/unit/test_store_part \
	tests/unit/test_store_record \
	tests/unit/test_store_sweep \
	tests/unit/test_store_writer \
	tests/unit/test_addr \
	tests/unit/test_stream \
	tests/unit/test_udp \
	tests/unit/test_tftp_file \
	tests/unit/test_hasher \
	tests/unit/test_options \
	tests/unit/test_progress \
	tests/unit/test_report \
	tests/unit/test_compare_ladder \
	tests/unit/test_compare_pictures \
	tests/unit/test_compare_report \
	tests/unit/test_compare_spec \
	tests/unit/test_compare_theory \
	tests/unit/test_compare_trace \
	tests/unit/test_compare_words \
	tests/unit/test_body \
	tests/unit/test_chan \
	tests/unit/test_claim \
	tests/unit/test_dest \
	tests/unit/test_filter \
	tests/unit/test_job \
	tests/unit/test_ranges \
	tests/unit/test_seen \
	tests/unit/test_tally \
	tests/unit/test_turnaway

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

unit_base = libbase.la $(room_libs) $(CRITERION_LIBS)
unit_wire = libwire.la $(unit_base)
unit_tftp = libtftp.la $(unit_base)
unit_link = liblink.la $(unit_base)
unit_store = libstore.la $(unit_base)
store_fixture = tests/unit/store_fixture.c tests/unit/store_fixture.h
unit_net = libnet.la $(unit_base)
unit_session = $(rooms) $(unit_base)
chan_fixture = tests/unit/chan_fixture.c tests/unit/chan_fixture.h
unit_cli = libcli.a $(unit_base) $(JANSSON_LIBS) -lm
unit_compare = libcompare.a libcli.a $(unit_base) $(JANSSON_LIBS) -lm

tests_unit_test_buf_SOURCES = tests/unit/test_buf.c
tests_unit_test_buf_LDADD = $(unit_base)
tests_unit_test_digest_SOURCES = tests/unit/test_digest.c
tests_unit_test_digest_LDADD = $(unit_base)
tests_unit_test_err_SOURCES = tests/unit/test_err.c
tests_unit_test_err_LDADD = $(unit_base)
tests_unit_test_escape_SOURCES = tests/unit/test_escape.c
tests_unit_test_escape_LDADD = $(unit_base)
tests_unit_test_fd_SOURCES = tests/unit/test_fd.c
tests_unit_test_fd_LDADD = $(unit_base)
tests_unit_test_fd_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=write
tests_unit_test_pace_SOURCES = tests/unit/test_pace.c
tests_unit_test_pace_LDADD = $(unit_base)
tests_unit_test_path_SOURCES = tests/unit/test_path.c
tests_unit_test_path_LDADD = $(unit_base)
tests_unit_test_remote_SOURCES = tests/unit/test_remote.c
tests_unit_test_remote_LDADD = $(unit_base)
tests_unit_test_units_SOURCES = tests/unit/test_units.c
tests_unit_test_units_LDADD = $(unit_base)
tests_unit_test_wire_SOURCES = tests/unit/test_wire.c
tests_unit_test_wire_LDADD = $(unit_wire)
tests_unit_test_tftp_pkt_SOURCES = tests/unit/test_tftp_pkt.c
tests_unit_test_tftp_pkt_LDADD = $(unit_tftp)
tests_unit_test_tftp_opt_SOURCES = tests/unit/test_tftp_opt.c
tests_unit_test_tftp_opt_LDADD = $(unit_tftp)
tests_unit_test_tftp_sm_SOURCES = tests/unit/test_tftp_sm.c
tests_unit_test_tftp_sm_LDADD = $(unit_tftp)
tests_unit_test_linkq_SOURCES = tests/unit/test_linkq.c
tests_unit_test_linkq_LDADD = liblinkq.la $(CRITERION_LIBS) -lm
tests_unit_test_damage_SOURCES = tests/unit/test_damage.c
tests_unit_test_damage_LDADD = $(unit_link)
tests_unit_test_hist_SOURCES = tests/unit/test_hist.c
tests_unit_test_hist_LDADD = $(unit_link)
tests_unit_test_pcapng_SOURCES = tests/unit/test_pcapng.c
tests_unit_test_pcapng_LDADD = $(unit_link)
tests_unit_test_store_SOURCES = tests/unit/test_store.c $(store_fixture)
tests_unit_test_store_LDADD = $(unit_store)
tests_unit_test_store_list_SOURCES = tests/unit/test_store_list.c $(store_fixture)
tests_unit_test_store_list_LDADD = $(unit_store)
tests_unit_test_store_part_SOURCES = tests/unit/test_store_part.c $(store_fixture)
tests_unit_test_store_part_LDADD = $(unit_store)
tests_unit_test_store_record_SOURCES = tests/unit/test_store_record.c $(store_fixture)
tests_unit_test_store_record_LDADD = $(unit_store)
tests_unit_test_store_sweep_SOURCES = tests/unit/test_store_sweep.c $(store_fixture)
tests_unit_test_store_sweep_LDADD = $(unit_store)
tests_unit_test_store_writer_SOURCES = tests/unit/test_store_writer.c $(store_fixture)
tests_unit_test_store_writer_LDADD = $(unit_store)
tests_unit_test_addr_SOURCES = tests/unit/test_addr.c
tests_unit_test_addr_LDADD = $(unit_net)
tests_unit_test_stream_SOURCES = tests/unit/test_stream.c
tests_unit_test_stream_LDADD = $(unit_net)
tests_unit_test_udp_SOURCES = tests/unit/test_udp.c
tests_unit_test_udp_LDADD = $(unit_net)
tests_unit_test_tftp_file_SOURCES = tests/unit/test_tftp_file.c
tests_unit_test_tftp_file_LDADD = $(rooms) $(unit_base)
tests_unit_test_hasher_SOURCES = tests/unit/test_hasher.c
tests_unit_test_hasher_LDADD = libsession.la $(unit_net)
tests_unit_test_options_SOURCES = tests/unit/test_options.c
tests_unit_test_options_LDADD = libcli.a $(rooms) $(unit_base) $(JANSSON_LIBS)
tests_unit_test_progress_SOURCES = tests/unit/test_progress.c
tests_unit_test_progress_LDADD = $(unit_cli)
tests_unit_test_report_SOURCES = tests/unit/test_report.c
tests_unit_test_report_LDADD = $(unit_cli)
tests_unit_test_compare_ladder_SOURCES = tests/unit/test_compare_ladder.c
tests_unit_test_compare_ladder_LDADD = $(unit_compare)
tests_unit_test_compare_pictures_SOURCES = tests/unit/test_compare_pictures.c
tests_unit_test_compare_pictures_LDADD = libcompare.a libcli.a $(unit_session) $(JANSSON_LIBS) -lm
tests_unit_test_compare_report_SOURCES = tests/unit/test_compare_report.c
tests_unit_test_compare_report_LDADD = $(unit_compare)
tests_unit_test_compare_spec_SOURCES = tests/unit/test_compare_spec.c
tests_unit_test_compare_spec_LDADD = $(unit_compare)
tests_unit_test_compare_theory_SOURCES = tests/unit/test_compare_theory.c
tests_unit_test_compare_theory_LDADD = $(unit_compare)
tests_unit_test_compare_words_SOURCES = tests/unit/test_compare_words.c
tests_unit_test_compare_words_LDADD = $(unit_compare)
tests_unit_test_compare_trace_SOURCES = tests/unit/test_compare_trace.c
tests_unit_test_compare_trace_LDADD = $(unit_compare)
tests_unit_test_body_SOURCES = tests/unit/test_body.c $(chan_fixture)
tests_unit_test_body_LDADD = $(unit_session)
tests_unit_test_chan_SOURCES = tests/unit/test_chan.c $(chan_fixture)
tests_unit_test_chan_LDADD = $(unit_session)
tests_unit_test_claim_SOURCES = tests/unit/test_claim.c
tests_unit_test_claim_LDADD = $(unit_session)
tests_unit_test_dest_SOURCES = tests/unit/test_dest.c $(store_fixture)
tests_unit_test_dest_LDADD = $(unit_session)
tests_unit_test_filter_SOURCES = tests/unit/test_filter.c
tests_unit_test_filter_LDADD = $(unit_session)
tests_unit_test_job_SOURCES = tests/unit/test_job.c
tests_unit_test_job_LDADD = $(unit_session)
tests_unit_test_ranges_SOURCES = tests/unit/test_ranges.c
tests_unit_test_ranges_LDADD = $(unit_session)
tests_unit_test_seen_SOURCES = tests/unit/test_seen.c
tests_unit_test_seen_LDADD = $(unit_session)
tests_unit_test_tally_SOURCES = tests/unit/test_tally.c
tests_unit_test_tally_LDADD = $(unit_session)
tests_unit_test_turnaway_SOURCES = tests/unit/test_turnaway.c
tests_unit_test_turnaway_LDADD = $(unit_session)
endif
