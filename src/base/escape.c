#include "config.h"

#include "base/escape.h"

#include <stdint.h>
#include <string.h>

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* The length of the valid UTF-8 sequence at s (n > 0) and its code point; 0 when there is none. */
static size_t utf8_next(const char *s, size_t n, uint32_t *cp)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t len = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;

    if (len == 0 || u[0] > 0xf4 || len > n)
        return 0;
    *cp = len == 1 ? u[0] : u[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (!is_tail(u[i]))
            return 0;
        *cp = *cp << 6 | (u[i] & 0x3fu);
    }
    if (len == 3 && (*cp < 0x800 || (*cp >= 0xd800 && *cp <= 0xdfff)))
        return 0;
    if (len == 4 && (*cp < 0x10000 || *cp > 0x10ffff))
        return 0;
    return len;
}

/* Whether a terminal may get it: no control, nothing that ends the line or turns its direction. */
static bool is_showable(uint32_t cp)
{
    if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == '\\')
        return false;
    if (cp == 0x61c || cp == 0x200e || cp == 0x200f)
        return false;
    return !(cp >= 0x2028 && cp <= 0x202e) && !(cp >= 0x2066 && cp <= 0x2069);
}

/* One byte as an escape; returns the length. */
static size_t escape_byte(unsigned char c, char out[4])
{
    static const char hex[] = "0123456789abcdef";

    out[0] = '\\';
    if (c == '\n' || c == '\t' || c == '\\') {
        out[1] = c == '\n' ? 'n' : c == '\t' ? 't' : '\\';
        return 2;
    }
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    return 4;
}

/* The next piece of s as it is shown: at most 16 bytes in piece. Returns how much of s it took. */
static size_t show_piece(const char *s, size_t n, char piece[16], size_t *len)
{
    uint32_t cp = 0;
    size_t took = utf8_next(s, n, &cp);

    if (took > 0 && is_showable(cp)) {
        memcpy(piece, s, took);
        *len = took;
        return took;
    }
    if (took == 0)
        took = 1;
    *len = 0;
    for (size_t i = 0; i < took; i++)
        *len += escape_byte((unsigned char)s[i], piece + *len);
    return took;
}

char *escape_show(const char *s, size_t n, char *out, size_t cap)
{
    size_t at = 0, cut = 0; /* cut: the last place where the dots still fit */

    for (size_t i = 0; i < n;) {
        char piece[16];
        size_t len;

        i += show_piece(s + i, n - i, piece, &len);
        if (at + 4 <= cap)
            cut = at;
        if (at + len + 1 > cap) {
            memcpy(out + cut, "...", 4);
            return out;
        }
        memcpy(out + at, piece, len);
        at += len;
    }
    out[at] = '\0';
    return out;
}

bool escape_is_utf8(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = utf8_next(s + i, n - i, &cp);

        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

static bool needs_percent(unsigned char c)
{
    return c <= ' ' || c == '%' || c == 0x7f;
}

long escape_percent(const char *s, size_t n, char *out, size_t cap)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        size_t need = needs_percent(c) ? 3 : 1;

        if (need > cap - at)
            return -1;
        if (need == 1) {
            out[at++] = (char)c;
            continue;
        }
        out[at++] = '%';
        out[at++] = hex[c >> 4];
        out[at++] = hex[c & 15];
    }
    return (long)at;
}

static int hex_digit(char c)
{
    char l = (char)(c | 0x20);

    if (c >= '0' && c <= '9')
        return c - '0';
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

long escape_unpercent(const char *s, size_t n, char *out, size_t cap)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        char c = s[i];

        if (c == '%') {
            int hi = n - i > 2 ? hex_digit(s[i + 1]) : -1;
            int lo = n - i > 2 ? hex_digit(s[i + 2]) : -1;

            if (hi < 0 || lo < 0 || (hi | lo) == 0)
                return -1;
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if (at >= cap)
            return -1;
        out[at++] = c;
    }
    return (long)at;
}
