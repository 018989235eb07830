#include "config.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void wbuf_bytes(struct wbuf *b, const void *p, size_t n)
{
    if (b->failed || n > b->cap - b->len) {
        b->failed = true;
        return;
    }
    if (n > 0)
        memcpy(b->p + b->len, p, n);
    b->len += n;
}

void wbuf_str(struct wbuf *b, const char *s)
{
    wbuf_bytes(b, s, strlen(s));
}

void wbuf_fmt(struct wbuf *b, const char *fmt, ...)
{
    size_t room = b->cap - b->len;
    va_list ap;

    if (b->failed)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(b->p + b->len, room, fmt, ap);
    va_end(ap);
    b->failed = n < 0 || (size_t)n >= room;
    if (!b->failed)
        b->len += (size_t)n;
}

void wbuf_ch(struct wbuf *b, char c)
{
    wbuf_bytes(b, &c, 1);
}

void wbuf_u64(struct wbuf *b, uint64_t v)
{
    wbuf_u64_base(b, v, 10, 1);
}

void wbuf_u64_base(struct wbuf *b, uint64_t v, unsigned base, int min_digits)
{
    char digits[64]; /* base 2 is the longest */
    size_t at = sizeof digits;

    if (base < 2 || base > 16) {
        b->failed = true;
        return;
    }
    while (at > 0 && (v > 0 || min_digits > 0)) {
        digits[--at] = "0123456789abcdef"[v % base];
        v /= base;
        min_digits--;
    }
    wbuf_bytes(b, digits + at, sizeof digits - at);
}

void wbuf_hex(struct wbuf *b, const uint8_t *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";

    if (b->failed || n > (b->cap - b->len) / 2) {
        b->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        b->p[b->len++] = hex[p[i] >> 4];
        b->p[b->len++] = hex[p[i] & 15];
    }
}

bool rbuf_at_end(const struct rbuf *b)
{
    return b->off >= b->len;
}

bool rbuf_token(struct rbuf *b, char sep, const char **tok, size_t *n)
{
    if (b->failed || rbuf_at_end(b))
        return false;

    const char *start = b->p + b->off;
    size_t left = b->len - b->off;
    const char *end = memchr(start, sep, left);

    *tok = start;
    *n = end ? (size_t)(end - start) : left;
    b->off += end ? *n + 1 : left;
    return true;
}

/* Digits below base, no sign, at most max. */
static bool parse_digits(const char *s, size_t n, unsigned base, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (n == 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)(unsigned char)s[i] - '0';

        if (d >= base || d > max || v > (max - d) / base)
            return false;
        v = v * base + d;
    }
    *ret = v;
    return true;
}

bool parse_u64(const char *s, size_t n, uint64_t max, uint64_t *ret)
{
    return parse_digits(s, n, 10, max, ret);
}

bool parse_octal(const char *s, size_t n, unsigned max, unsigned *ret)
{
    uint64_t v;

    if (!parse_digits(s, n, 8, max, &v))
        return false;
    *ret = (unsigned)v;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool parse_hex(const char *s, size_t len, uint8_t *out, size_t n)
{
    if (len % 2 != 0 || len / 2 != n)
        return false;
    for (size_t i = 0; i < len; i++)
        if (hex_digit(s[i]) < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(hex_digit(s[2 * i]) << 4 | hex_digit(s[2 * i + 1]));
    return true;
}
