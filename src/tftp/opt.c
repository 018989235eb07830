#include "config.h"

#include "tftp/opt.h"

#include <string.h>

#include "base/buf.h"

#define VALUE_MAX (sizeof "later:" + TFTP_ETAG_MAX) /* the longest value of ours, with its NUL */

/* ---- values: how the field of an option is read and written ---- */

enum reading { READ_BAD, READ_OK, READ_OVER /* a number above its range */ };

struct opt_row {
    unsigned bit;
    const char *name;
    uint64_t min, max;
    bool lower; /* in a request, above max stands for max */
    bool exact; /* the answer must be what was asked, no less */
    enum reading (*read)(const struct opt_row *row, struct tftp_text v, struct tftp_opts *o);
    void (*write)(const struct opt_row *row, struct wbuf *b, const struct tftp_opts *o);
    size_t field; /* of a number */
};

static unsigned *number(const struct opt_row *row, struct tftp_opts *o)
{
    return (unsigned *)((char *)o + row->field);
}

static unsigned number_of(const struct opt_row *row, const struct tftp_opts *o)
{
    return *(const unsigned *)((const char *)o + row->field);
}

static enum reading read_number(const struct opt_row *row, struct tftp_text v, struct tftp_opts *o)
{
    uint64_t n;

    if (!parse_u64(v.p, v.n, UINT32_MAX, &n) || n < row->min)
        return READ_BAD;
    *number(row, o) = (unsigned)(n > row->max ? row->max : n);
    return n > row->max ? READ_OVER : READ_OK;
}

static void write_number(const struct opt_row *row, struct wbuf *b, const struct tftp_opts *o)
{
    wbuf_u64(b, number_of(row, o));
}

static enum reading read_tsize(const struct opt_row *row, struct tftp_text v, struct tftp_opts *o)
{
    return parse_u64(v.p, v.n, row->max, &o->tsize) ? READ_OK : READ_BAD;
}

static void write_tsize(const struct opt_row *row, struct wbuf *b, const struct tftp_opts *o)
{
    (void)row;
    wbuf_u64(b, o->tsize);
}

static enum reading read_discard(const struct opt_row *row, struct tftp_text v, struct tftp_opts *o)
{
    (void)row;
    (void)o; /* the bit says it all */
    return tftp_text_is(v, "1") ? READ_OK : READ_BAD;
}

static void write_discard(const struct opt_row *row, struct wbuf *b, const struct tftp_opts *o)
{
    (void)row;
    (void)o;
    wbuf_ch(b, '1');
}

static bool read_etag(struct tftp_text v, char etag[TFTP_ETAG_MAX + 1])
{
    if (v.n == 0 || v.n > TFTP_ETAG_MAX)
        return false;
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= ' ' || v.p[i] > '~')
            return false;
    memcpy(etag, v.p, v.n);
    etag[v.n] = '\0';
    return true;
}

static enum reading read_sha256(const struct opt_row *row, struct tftp_text v, struct tftp_opts *o)
{
    static const char later[] = "later:";
    const size_t head = sizeof later - 1;

    (void)row;
    o->sha_kind = TFTP_SHA_ASK;
    if (tftp_text_is(v, "0"))
        return READ_OK;
    o->sha_kind = TFTP_SHA_KNOWN;
    if (parse_hex(v.p, v.n, o->sha256, sizeof o->sha256))
        return READ_OK;
    o->sha_kind = TFTP_SHA_LATER;
    if (v.n > head && memcmp(v.p, later, head) == 0)
        return read_etag((struct tftp_text){v.p + head, v.n - head}, o->etag) ? READ_OK : READ_BAD;
    o->sha_kind = TFTP_SHA_ETAG;
    return read_etag(v, o->etag) ? READ_OK : READ_BAD;
}

static void write_sha256(const struct opt_row *row, struct wbuf *b, const struct tftp_opts *o)
{
    (void)row;
    switch (o->sha_kind) {
    case TFTP_SHA_ASK:
        wbuf_ch(b, '0');
        break;
    case TFTP_SHA_KNOWN:
        wbuf_hex(b, o->sha256, sizeof o->sha256);
        break;
    case TFTP_SHA_LATER:
        wbuf_str(b, "later:");
        wbuf_str(b, o->etag);
        break;
    case TFTP_SHA_ETAG:
        wbuf_str(b, o->etag);
        break;
    }
}

/* ---- the options ---- */

static const struct opt_row opts[] = {
    /* RFC 2348: 8 to 65464; the answer is less than or equal to what was asked */
    {TFTP_O_BLKSIZE, "blksize", TFTP_BLKSIZE_MIN, TFTP_BLKSIZE_MAX, true, false, read_number,
     write_number, offsetof(struct tftp_opts, blksize)},
    /* RFC 2349: 1 to 255; the answer must match */
    {TFTP_O_TIMEOUT, "timeout", 1, 255, false, true, read_number, write_number,
     offsetof(struct tftp_opts, timeout)},
    /* RFC 2349; what the server says of it is information, nothing is agreed */
    {TFTP_O_TSIZE, "tsize", 0, INT64_MAX, false, false, read_tsize, write_tsize, 0},
    /* RFC 7440: 1 to 65535; less than or equal */
    {TFTP_O_WINDOW, "windowsize", 1, TFTP_WINDOW_MAX, true, false, read_number, write_number,
     offsetof(struct tftp_opts, window)},
    {TFTP_O_SHA256, "sha256", 0, 0, false, false, read_sha256, write_sha256, 0},
    {TFTP_O_DISCARD, "discard", 0, 0, false, false, read_discard, write_discard, 0},
};

#define N_OPTS (sizeof opts / sizeof opts[0])

static const struct opt_row *find(struct tftp_text name)
{
    for (size_t i = 0; i < N_OPTS; i++)
        if (tftp_text_is(name, opts[i].name))
            return &opts[i];
    return NULL;
}

void tftp_opts_init(struct tftp_opts *o)
{
    memset(o, 0, sizeof *o);
    o->blksize = TFTP_BLKSIZE_DEFAULT;
    o->window = 1;
}

/* ---- a request ---- */

/* Whether a value that can be read has a meaning in this request. */
static bool makes_sense(const struct opt_row *row, const struct tftp_opts *o, bool write,
                        bool netascii)
{
    if (row->bit == TFTP_O_TSIZE)
        return write || !netascii; /* the size after conversion is not known before */
    if (row->bit == TFTP_O_DISCARD)
        return write;
    if (row->bit != TFTP_O_SHA256)
        return true;
    if (write)
        return o->sha_kind == TFTP_SHA_KNOWN;
    return o->sha_kind == TFTP_SHA_ASK || o->sha_kind == TFTP_SHA_ETAG;
}

void tftp_opts_request(struct tftp_text list, bool write, bool netascii, struct tftp_opts *ret)
{
    struct tftp_text name, value;
    unsigned seen = 0;

    tftp_opts_init(ret);
    while (tftp_next_option(&list, &name, &value)) {
        const struct opt_row *row = find(name);
        struct tftp_opts with = *ret;

        if (!row || seen & row->bit)
            continue;
        seen |= row->bit;

        enum reading how = row->read(row, value, &with);

        if (how == READ_BAD || (how == READ_OVER && !row->lower) ||
            !makes_sense(row, &with, write, netascii))
            continue;
        with.have |= row->bit;
        *ret = with;
    }
}

/* ---- an answer ---- */

/* A digest that was sent comes back as it was; one that was asked for comes, now or later. */
static bool answers_digest(const struct tftp_opts *asked, const struct tftp_opts *o)
{
    if (asked->sha_kind == TFTP_SHA_KNOWN)
        return o->sha_kind == TFTP_SHA_KNOWN &&
               memcmp(asked->sha256, o->sha256, sizeof o->sha256) == 0;
    return o->sha_kind == TFTP_SHA_KNOWN || o->sha_kind == TFTP_SHA_LATER;
}

static const char *fault(const struct opt_row *row, const struct tftp_opts *asked,
                         const struct tftp_opts *o, enum reading how)
{
    if (how == READ_BAD)
        return "option with a malformed value";
    if (row->bit == TFTP_O_SHA256)
        return answers_digest(asked, o) ? NULL : "digest that was not asked for";
    if (row->read != read_number)
        return NULL;
    if (how == READ_OVER || number_of(row, o) > number_of(row, asked))
        return "option above what was asked for";
    if (row->exact && number_of(row, o) != number_of(row, asked))
        return "option changed that must match";
    return NULL;
}

static const char *take_answer(struct tftp_text name, struct tftp_text value,
                               const struct tftp_opts *asked, struct tftp_opts *o)
{
    const struct opt_row *row = find(name);

    if (!row || !(asked->have & row->bit))
        return "option that was not asked for";
    if (o->have & row->bit)
        return "option given twice";
    o->have |= row->bit;
    return fault(row, asked, o, row->read(row, value, o));
}

int tftp_opts_answer(const struct tftp_pkt *oack, const struct tftp_opts *asked,
                     struct tftp_opts *ret, const char **why)
{
    struct tftp_text list = oack->options, name, value;
    struct tftp_opts o;
    const char *text = NULL;

    tftp_opts_init(&o);
    while (!text && tftp_next_option(&list, &name, &value))
        text = take_answer(name, value, asked, &o);
    if (!text && oack->ragged)
        text = "option without value";
    if (!text && o.have == 0)
        text = "no option in OACK";
    if (text) {
        *why = text;
        return -1;
    }
    *ret = o;
    return 0;
}

size_t tftp_opts_put(const struct tftp_opts *o, void *packet, size_t len, size_t cap)
{
    for (size_t i = 0; i < N_OPTS && len > 0; i++) {
        char value[VALUE_MAX + 1];
        struct wbuf b = wbuf_init(value, sizeof value);

        if (!(o->have & opts[i].bit))
            continue;
        opts[i].write(&opts[i], &b, o);
        wbuf_ch(&b, '\0');
        len = b.failed ? 0 : tftp_put_option(packet, len, cap, opts[i].name, value);
    }
    return len;
}
