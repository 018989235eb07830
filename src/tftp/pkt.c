#include "config.h"

#include "tftp/pkt.h"

#include <string.h>

#include "base/buf.h"

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(struct wbuf *b, unsigned v)
{
    wbuf_ch(b, (char)(v >> 8 & 0xff));
    wbuf_ch(b, (char)(v & 0xff));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Not strcasecmp: what it does depends on the locale. */
bool tftp_text_is(struct tftp_text t, const char *word)
{
    if (t.n != strlen(word))
        return false;
    for (size_t i = 0; i < t.n; i++)
        if (lower(t.p[i]) != lower(word[i]))
            return false;
    return true;
}

/* Takes the text up to the next NUL off the front; false when there is none. */
static bool take_text(struct tftp_text *from, struct tftp_text *ret)
{
    const char *nul = from->n > 0 ? memchr(from->p, '\0', from->n) : NULL;

    if (!nul)
        return false;
    *ret = (struct tftp_text){from->p, (size_t)(nul - from->p)};
    from->n -= ret->n + 1;
    from->p = nul + 1;
    return true;
}

bool tftp_next_option(struct tftp_text *list, struct tftp_text *name, struct tftp_text *value)
{
    struct tftp_text rest = *list, n, v;

    if (!take_text(&rest, &n) || n.n == 0 || !take_text(&rest, &v))
        return false;
    *list = rest;
    *name = n;
    *value = v;
    return true;
}

/* Some peers pad with zeros: that alone is no fault. */
static bool is_padding(struct tftp_text t)
{
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] != '\0')
            return false;
    return true;
}

static void decode_options(struct tftp_text list, struct tftp_pkt *ret)
{
    struct tftp_text rest = list, name, value;

    while (tftp_next_option(&rest, &name, &value))
        ;
    ret->options = (struct tftp_text){list.p, list.n - rest.n};
    ret->ragged = !is_padding(rest);
}

static int decode_request(struct tftp_text rest, struct tftp_pkt *ret)
{
    struct tftp_text mode;

    if (!take_text(&rest, &ret->file) || ret->file.n == 0 || !take_text(&rest, &mode))
        return -1;
    ret->mode = tftp_text_is(mode, "netascii") ? TFTP_NETASCII : TFTP_OCTET;
    ret->mode_known = ret->mode == TFTP_NETASCII || tftp_text_is(mode, "octet");
    decode_options(rest, ret);
    return 0;
}

static int decode_numbered(const uint8_t *p, size_t n, struct tftp_pkt *ret)
{
    const uint8_t *body = p + TFTP_HEADER;
    const size_t len = n - TFTP_HEADER;

    switch (ret->op) {
    case TFTP_DATA:
        ret->block = get16(p + 2);
        ret->data = body;
        ret->len = len;
        return 0;
    case TFTP_ACK:
        ret->block = get16(p + 2);
        return 0;
    case TFTP_ERROR:
        ret->code = get16(p + 2);
        ret->text = (struct tftp_text){(const char *)body, strnlen((const char *)body, len)};
        return 0;
    default:
        return -1;
    }
}

int tftp_decode(const void *datagram, size_t n, struct tftp_pkt *ret)
{
    const uint8_t *p = datagram;

    if (n < 2)
        return -1;
    memset(ret, 0, sizeof *ret);
    ret->op = get16(p);

    struct tftp_text rest = {(const char *)p + 2, n - 2};

    if (ret->op == TFTP_RRQ || ret->op == TFTP_WRQ)
        return decode_request(rest, ret);
    if (ret->op == TFTP_OACK) {
        decode_options(rest, ret);
        return 0;
    }
    return n < TFTP_HEADER ? -1 : decode_numbered(p, n, ret);
}

static size_t finish(const struct wbuf *b)
{
    return b->failed ? 0 : b->len;
}

/* A string with its NUL. */
static void put_text(struct wbuf *b, const char *s)
{
    wbuf_bytes(b, s, strlen(s) + 1);
}

static size_t put_numbered(void *out, size_t cap, enum tftp_op op, unsigned number,
                           const char *text)
{
    struct wbuf b = wbuf_init(out, cap);

    put16(&b, op);
    put16(&b, number);
    if (text)
        put_text(&b, text);
    return finish(&b);
}

size_t tftp_put_request(void *out, size_t cap, enum tftp_op op, const char *file,
                        enum tftp_mode mode)
{
    struct wbuf b = wbuf_init(out, cap);

    put16(&b, op);
    put_text(&b, file);
    put_text(&b, mode == TFTP_NETASCII ? "netascii" : "octet");
    return finish(&b);
}

size_t tftp_put_option(void *out, size_t len, size_t cap, const char *name, const char *value)
{
    struct wbuf b = wbuf_init(out, cap);

    b.len = len;
    put_text(&b, name);
    put_text(&b, value);
    return finish(&b);
}

size_t tftp_put_data_header(void *out, size_t cap, uint16_t block)
{
    return put_numbered(out, cap, TFTP_DATA, block, NULL);
}

size_t tftp_put_ack(void *out, size_t cap, uint16_t block)
{
    return put_numbered(out, cap, TFTP_ACK, block, NULL);
}

size_t tftp_put_oack(void *out, size_t cap)
{
    struct wbuf b = wbuf_init(out, cap);

    put16(&b, TFTP_OACK);
    return finish(&b);
}

size_t tftp_put_error(void *out, size_t cap, enum tftp_error code, const char *text)
{
    return put_numbered(out, cap, TFTP_ERROR, code, text);
}
