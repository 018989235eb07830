/* log.h - lines of a server's log, one a request. Pure. */
#ifndef XFER_CLI_LOG_H
#define XFER_CLI_LOG_H

#include "base/buf.h"
#include "xfer.h"

#define LOG_LINE_MAX 65536
#define LOG_TIME_MAX 64

/* "2026-11-22T12:00:00.123Z". Returns out. */
char *log_time(const struct timespec *t, char out[LOG_TIME_MAX]);

/* "TIME 127.0.0.1:5555 GET /docs/a.txt offset=0 bytes=12 resent=0 seconds=0.001 ok" or, in place of
 * ok, "failed not-found: text"; without LF. Spaces in names are \x20, so that fields can be
 * counted. */
void log_text(const struct xfer_request *r, const struct timespec *t, struct wbuf *w);

/* A line with LF as wu-ftpd's xferlog(5) has it, local time; false for a request that is neither
 * GET nor PUT. Control characters and spaces in names become '_'. */
bool log_xferlog(const struct xfer_request *r, const struct timespec *t, struct wbuf *w);

#endif
