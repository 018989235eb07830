/* report.h - the lines that people read, made of events and totals. Pure.
 *
 * Each function appends to `w`, without a line feed; names are escaped. REPORT_LINE_MAX bytes
 * always suffice.
 */
#ifndef XFER_CLI_REPORT_H
#define XFER_CLI_REPORT_H

#include "base/buf.h"
#include "xfer.h"

#define REPORT_LINE_MAX 65536

struct report_style {
    bool put;      /* else get */
    bool utf8;     /* what is cut ends in an ellipsis character, else in three dots */
    bool counting; /* -u or -n: the total says how many files stayed as they were */
    bool resumes;  /* a lost connection can be taken up again by the same command */
};

/* "big.iso  4.0 GB  15.0 s  107 MB/s  sha256 9f2c41d0…  verified", "a  12 B  unchanged",
 * "would send a  12 B": a file that did not fail. */
void report_file(const struct report_style *st, const struct xfer_event *ev, struct wbuf *w);

/* "xfer: nas:/nope: not found": a file that failed or was skipped. */
void report_problem(const struct report_style *st, const struct xfer_event *ev, struct wbuf *w);

/* "412 files  96.1 MB  0.9 s  107 MB/s  verified", "412 files: 0 sent, 412 unchanged". would_bytes:
 * what a dry run would move. */
void report_total(const struct report_style *st, const struct xfer_totals *t, uint64_t would_bytes,
                  struct wbuf *w);

/* "xfer: NAME: why; what to do": name (may be NULL) is raw, text (may be NULL) what is known beyond
 * the error. */
void report_error(const struct report_style *st, const char *name, int err, const char *text,
                  struct wbuf *w);

/* A line as sha256sum writes it, without LF: names with a backslash, LF or CR are escaped as
 * coreutils does, and the line then begins with a backslash. */
void report_checksum(const uint8_t sha256[XFER_SHA256_LEN], const char *name, struct wbuf *w);

/* "-rw-r--r--         12  2026-11-22 12:00:00  a.txt": the details before a name of `ls -l`, local
 * time, the size right-aligned in size_columns. */
void report_details(const struct xfer_entry *e, int size_columns, struct wbuf *w);

void report_escaped(const char *s, struct wbuf *w);

#endif
