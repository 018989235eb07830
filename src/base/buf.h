/* buf.h - bounded cursors over memory, with sticky failure.
 *
 * Invariants: a cursor never reads or writes outside its bounds; once a call failed every later one
 * fails too, so that a caller checks once at the end.
 */
#ifndef XFER_BASE_BUF_H
#define XFER_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wbuf {
    char *p;
    size_t len, cap;
    bool failed;
};

static inline struct wbuf wbuf_init(void *mem, size_t cap)
{
    return (struct wbuf){.p = mem, .cap = cap};
}
void wbuf_bytes(struct wbuf *b, const void *p, size_t n);
void wbuf_str(struct wbuf *b, const char *s);
/* As printf. Needs room for a NUL behind it. */
void wbuf_fmt(struct wbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void wbuf_ch(struct wbuf *b, char c);
void wbuf_u64(struct wbuf *b, uint64_t v); /* decimal */
void wbuf_u64_base(struct wbuf *b, uint64_t v, unsigned base, int min_digits);
void wbuf_hex(struct wbuf *b, const uint8_t *p, size_t n); /* lower case */

struct rbuf {
    const char *p;
    size_t len, off;
    bool failed;
};

static inline struct rbuf rbuf_init(const void *mem, size_t len)
{
    return (struct rbuf){.p = mem, .len = len};
}
bool rbuf_at_end(const struct rbuf *b);
/* The bytes up to (not including) the next `sep` or the end; the separator is consumed. Returns
 * false, with nothing consumed, at the end or after a failure. */
bool rbuf_token(struct rbuf *b, char sep, const char **tok, size_t *n);

/* Strict numbers from exactly n bytes: digits only, no sign, no overflow past max. */
bool parse_u64(const char *s, size_t n, uint64_t max, uint64_t *ret);
bool parse_octal(const char *s, size_t n, unsigned max, unsigned *ret);
/* 2*n hex digits of either case to n bytes. */
bool parse_hex(const char *s, size_t len, uint8_t *out, size_t n);

#endif
