#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static void text_room(struct text *t, size_t more)
{
    if (t->cap - t->len > more)
        return;
    t->cap = 2 * t->cap + more + 1024;
    t->p = realloc(t->p, t->cap);
    if (!t->p)
        abort();
}

static void text_vadd(struct text *t, const char *format, va_list ap)
{
    va_list again;

    va_copy(again, ap);

    int n = vsnprintf(NULL, 0, format, again);

    va_end(again);
    if (n < 0)
        abort();
    text_room(t, (size_t)n + 1);
    vsnprintf(t->p + t->len, (size_t)n + 1, format, ap);
    t->len += (size_t)n;
}

void text_add(struct text *t, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    text_vadd(t, format, ap);
    va_end(ap);
}

void trace_line(struct world *w, unsigned side, const char *format, ...)
{
    va_list ap;

    if (!w->trace)
        return;
    text_add(w->trace, "%9lld.%03lld  %s ", (long long)(w->now / SIM_MS),
             (long long)(w->now % SIM_MS / 1000), side == SIM_CLIENT ? "client" : "server");
    va_start(ap, format);
    text_vadd(w->trace, format, ap);
    va_end(ap);
    text_add(w->trace, "\n");
}

static void options_text(struct tftp_text list, char *out, size_t cap)
{
    struct tftp_text name, value;
    size_t len = 0;

    out[0] = '\0';
    while (len < cap && tftp_next_option(&list, &name, &value))
        len += (size_t)snprintf(out + len, cap - len, " %.*s=%.*s", (int)name.n, name.p,
                                value.n > 20 ? 12 : (int)value.n, value.p);
}

void packet_text(const void *bytes, size_t len, char *out, size_t cap)
{
    struct tftp_pkt p;
    char options[256];

    if (tftp_decode(bytes, len, &p) < 0) {
        snprintf(out, cap, "malformed (%zu bytes)", len);
        return;
    }
    options_text(p.options, options, sizeof options);
    switch (p.op) {
    case TFTP_RRQ:
    case TFTP_WRQ:
        snprintf(out, cap, "%s %s %s%s", p.op == TFTP_RRQ ? "RRQ" : "WRQ", p.file.p,
                 !p.mode_known             ? "?"
                 : p.mode == TFTP_NETASCII ? "netascii"
                                           : "octet",
                 options);
        break;
    case TFTP_DATA:
        snprintf(out, cap, "DATA %u %zu", p.block, p.len);
        break;
    case TFTP_ACK:
        snprintf(out, cap, "ACK %u", p.block);
        break;
    case TFTP_ERROR:
        snprintf(out, cap, "ERROR %u %.*s", p.code, (int)p.text.n, p.text.p);
        break;
    case TFTP_OACK:
        snprintf(out, cap, "OACK%s", options);
        break;
    }
}

static long hex_bytes(const char *words, void *out, size_t cap)
{
    uint8_t *p = out;
    size_t n = 0;
    unsigned v;

    for (int used; n < cap && sscanf(words, "%2x%n", &v, &used) == 1; words += used)
        p[n++] = (uint8_t)v;
    return (long)n;
}

static long request_bytes(enum tftp_op op, const char *options, void *out, size_t cap)
{
    size_t len = op == TFTP_OACK ? tftp_put_oack(out, cap)
                                 : tftp_put_request(out, cap, op, "file", TFTP_OCTET);
    char name[32], value[80];

    for (int used; sscanf(options, " %31[^= ]=%79[^ ]%n", name, value, &used) == 2; options += used)
        len = tftp_put_option(out, len, cap, name, value);
    return (long)len;
}

long packet_bytes(const char *words, void *out, size_t cap)
{
    unsigned block, len;
    int used = 0;

    if (sscanf(words, "ACK %u", &block) == 1)
        return (long)tftp_put_ack(out, cap, (uint16_t)block);
    if (sscanf(words, "DATA %u %u", &block, &len) == 2 && len + TFTP_HEADER <= cap) {
        memset(out, 'x', len + TFTP_HEADER);
        tftp_put_data_header(out, cap, (uint16_t)block);
        return (long)len + TFTP_HEADER;
    }
    if (sscanf(words, "ERROR %u %n", &block, &used) == 1)
        return (long)tftp_put_error(out, cap, (enum tftp_error)block, words + used);
    if (strncmp(words, "RRQ", 3) == 0)
        return request_bytes(TFTP_RRQ, words + 3, out, cap);
    if (strncmp(words, "WRQ", 3) == 0)
        return request_bytes(TFTP_WRQ, words + 3, out, cap);
    if (strncmp(words, "OACK", 4) == 0)
        return request_bytes(TFTP_OACK, words + 4, out, cap);
    return strncmp(words, "hex ", 4) == 0 ? hex_bytes(words + 4, out, cap) : -1;
}
