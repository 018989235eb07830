/* escape.h - bytes made safe to show or to send in a line. */
#ifndef XFER_BASE_ESCAPE_H
#define XFER_BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

/* For terminals and logs: control characters, DEL, backslash and bytes that are not valid UTF-8
 * become \n, \t, \\ or \xHH; C1 controls and bidirectional overrides too. The result is one line of
 * printable UTF-8, cut with "..." when cap is small. Always NUL-terminated; returns out. cap >= 8;
 * 4 * n + 1 always suffices. */
char *escape_show(const char *s, size_t n, char *out, size_t cap);

/* Whether the bytes are valid UTF-8. */
bool escape_is_utf8(const char *s, size_t n);

/* Percent-escapes '%', space, control characters and DEL (docs/PROTOCOL.md, "Escapes"). Returns the
 * length, or -1 when cap is too small. Not NUL-terminated. */
long escape_percent(const char *s, size_t n, char *out, size_t cap);

/* The reverse: two hex digits after each '%', else -1; %00 is refused; bytes that ought to have been
 * escaped are taken as they are. out may be s. Returns the length. */
long escape_unpercent(const char *s, size_t n, char *out, size_t cap);

#endif
