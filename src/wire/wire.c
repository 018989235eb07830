#include "config.h"

#include "wire/wire.h"

#include <string.h>

#include "base/buf.h"
#include "base/escape.h"

#define NUMBER_MAX ((uint64_t)INT64_MAX)
#define SECONDS_MAX ((INT64_C(1) << 40) - 1) /* some 34,000 years: no sum of times overflows */
#define NSEC_PER_SEC 1000000000L
#define VALUE_MAX 80 /* the longest value of a known key: sha256: and 64 digits */

/* ---- values: how the field of a key is read and written ---- */

/* read: false when the value is bad. Both get the address of the field. */
struct codec {
    bool (*read)(const char *s, size_t n, void *field);
    void (*write)(struct wbuf *b, const void *field);
};

static bool is_word(const char *s, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(s, word, n) == 0;
}

static void write_escaped(struct wbuf *b, const char *s, size_t n)
{
    long len = b->failed ? -1 : escape_percent(s, n, b->p + b->len, b->cap - b->len);

    if (len < 0)
        b->failed = true;
    else
        b->len += (size_t)len;
}

static bool read_number(const char *s, size_t n, void *field)
{
    return parse_u64(s, n, NUMBER_MAX, field);
}

static void write_number(struct wbuf *b, const void *field)
{
    wbuf_u64(b, *(const uint64_t *)field);
}

static bool is_time_in_range(const struct timespec *ts)
{
    return ts->tv_sec >= -SECONDS_MAX && ts->tv_sec <= SECONDS_MAX && ts->tv_nsec >= 0 &&
           ts->tv_nsec < NSEC_PER_SEC;
}

static bool read_fraction(const char *s, size_t n, long *nsec)
{
    uint64_t v;

    if (n > 9 || !parse_u64(s, n, NSEC_PER_SEC, &v))
        return false;
    for (; n < 9; n++)
        v *= 10;
    *nsec = (long)v;
    return true;
}

/* The real number: -1.5 is {-2, 500000000}. */
static bool read_time(const char *s, size_t n, void *field)
{
    struct timespec *ts = field;
    bool minus = n > 0 && s[0] == '-';
    const char *dot = memchr(s, '.', n);
    size_t whole = dot ? (size_t)(dot - s) : n;
    uint64_t sec;
    long nsec = 0;

    if (!parse_u64(s + minus, whole - minus, SECONDS_MAX, &sec))
        return false;
    if (dot && !read_fraction(dot + 1, n - whole - 1, &nsec))
        return false;
    ts->tv_sec = minus ? -(time_t)sec : (time_t)sec;
    if (minus && nsec > 0) {
        ts->tv_sec--;
        nsec = NSEC_PER_SEC - nsec;
    }
    ts->tv_nsec = nsec;
    return is_time_in_range(ts);
}

static void write_time(struct wbuf *b, const void *field)
{
    const struct timespec *ts = field;
    uint64_t sec = (uint64_t)ts->tv_sec;
    uint64_t nsec = (uint64_t)ts->tv_nsec;

    if (ts->tv_sec < 0) {
        wbuf_ch(b, '-');
        sec = 0 - sec - (nsec > 0);
        nsec = nsec > 0 ? NSEC_PER_SEC - nsec : 0;
    }
    wbuf_u64(b, sec);
    if (nsec > 0) {
        wbuf_ch(b, '.');
        wbuf_u64_base(b, nsec, 10, 9);
    }
}

static bool read_mode(const char *s, size_t n, void *field)
{
    return n <= 5 && parse_octal(s, n, 07777, field);
}

static void write_mode(struct wbuf *b, const void *field)
{
    wbuf_u64_base(b, *(const unsigned *)field & 07777, 8, 4);
}

static bool read_text(const char *s, size_t n, void *field)
{
    char *text = field;

    if (n == 0 || n > WIRE_ETAG_MAX)
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    return true;
}

static void write_text(struct wbuf *b, const void *field)
{
    write_escaped(b, field, strnlen(field, WIRE_ETAG_MAX));
}

static bool read_digest(const char *s, size_t n, void *field)
{
    return parse_hex(s, n, field, 32);
}

static void write_digest(struct wbuf *b, const void *field)
{
    wbuf_hex(b, field, 32);
}

static bool read_id(const char *s, size_t n, void *field)
{
    return parse_hex(s, n, field, 16);
}

static void write_id(struct wbuf *b, const void *field)
{
    wbuf_hex(b, field, 16);
}

static bool read_flag(const char *s, size_t n, void *field)
{
    (void)field; /* the bit in .keys says it all */
    return is_word(s, n, "1");
}

static void write_flag(struct wbuf *b, const void *field)
{
    (void)field;
    wbuf_ch(b, '1');
}

static bool read_if(const char *s, size_t n, void *field)
{
    static const char head[] = "sha256:";
    const size_t head_len = sizeof head - 1;
    struct wire_msg *m = field;

    if (is_word(s, n, "absent")) {
        m->if_kind = WIRE_IF_ABSENT;
        return true;
    }
    m->if_kind = WIRE_IF_SHA256;
    return n > head_len && memcmp(s, head, head_len) == 0 &&
           read_digest(s + head_len, n - head_len, m->if_sha256);
}

static void write_if(struct wbuf *b, const void *field)
{
    const struct wire_msg *m = field;

    if (m->if_kind == WIRE_IF_ABSENT) {
        wbuf_str(b, "absent");
        return;
    }
    wbuf_str(b, "sha256:");
    write_digest(b, m->if_sha256);
}

/* Letters that a later version may add stand for "other". */
static bool read_type(const char *s, size_t n, void *field)
{
    if (n != 1 || s[0] < 'a' || s[0] > 'z')
        return false;
    *(char *)field = strchr("fdl", s[0]) ? s[0] : 'o';
    return true;
}

static void write_type(struct wbuf *b, const void *field)
{
    wbuf_bytes(b, field, 1);
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* The error that a name of at least one lower case letter, digit or hyphen stands for, or, where
 * that is unknown, the code; 0 when it cannot be a name. */
static int named_error(const char *s, size_t n, unsigned code)
{
    char name[VALUE_MAX + 1];

    if (n == 0 || n > VALUE_MAX)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_name_byte(s[i]))
            return 0;
        name[i] = s[i];
    }
    name[n] = '\0';
    return err_from_wire(name, code);
}

static bool read_error(const char *s, size_t n, void *field)
{
    int err = named_error(s, n, 0);

    *(int *)field = err;
    return err != 0;
}

static void write_error(struct wbuf *b, const void *field)
{
    wbuf_str(b, err_row(*(const int *)field)->name);
}

static const char *const sync_words[] = {
    [WIRE_SYNC_NONE] = "none", [WIRE_SYNC_FILE] = "file", [WIRE_SYNC_BATCH] = "batch"};

#define N_SYNC (sizeof sync_words / sizeof sync_words[0])

static bool read_sync(const char *s, size_t n, void *field)
{
    for (unsigned i = 0; i < N_SYNC; i++)
        if (is_word(s, n, sync_words[i])) {
            *(enum wire_sync *)field = (enum wire_sync)i;
            return true;
        }
    return false;
}

static void write_sync(struct wbuf *b, const void *field)
{
    wbuf_str(b, sync_words[*(const enum wire_sync *)field % N_SYNC]);
}

static const struct codec number = {read_number, write_number};
static const struct codec timestamp = {read_time, write_time};
static const struct codec mode = {read_mode, write_mode};
static const struct codec text = {read_text, write_text};
static const struct codec digest = {read_digest, write_digest};
static const struct codec id = {read_id, write_id};
static const struct codec flag = {read_flag, write_flag};
static const struct codec condition = {read_if, write_if};
static const struct codec type = {read_type, write_type};
static const struct codec error = {read_error, write_error};
static const struct codec sync_policy = {read_sync, write_sync};

/* ---- the tables ---- */

struct key {
    const char *name;
    size_t name_len;
    enum wire_key bit;
    size_t field; /* offset in struct wire_msg; 0 for flags and for values of several fields */
    const struct codec *codec;
};

#define KEY(name, bit, field, codec)                                                               \
    {                                                                                              \
        name, sizeof name - 1, bit, field, codec                                                   \
    }
#define AT(field) offsetof(struct wire_msg, field)

/* In the order in which they are written. */
static const struct key keys[] = {
    KEY("size", WIRE_K_SIZE, AT(size), &number),
    KEY("offset", WIRE_K_OFFSET, AT(offset), &number),
    KEY("length", WIRE_K_LENGTH, AT(length), &number),
    KEY("type", WIRE_K_TYPE, AT(type), &type),
    KEY("mtime", WIRE_K_MTIME, AT(mtime), &timestamp),
    KEY("mode", WIRE_K_MODE, AT(mode), &mode),
    KEY("etag", WIRE_K_ETAG, AT(etag), &text),
    KEY("sha256", WIRE_K_SHA256, AT(sha256), &digest),
    KEY("whole", WIRE_K_WHOLE, AT(whole), &digest),
    KEY("prefix", WIRE_K_PREFIX, AT(prefix), &digest),
    KEY("if", WIRE_K_IF, 0, &condition),
    KEY("resume", WIRE_K_RESUME, AT(resume), &id),
    KEY("recursive", WIRE_K_RECURSIVE, 0, &flag),
    KEY("self", WIRE_K_SELF, 0, &flag),
    KEY("sums", WIRE_K_SUMS, 0, &flag),
    KEY("fresh", WIRE_K_FRESH, 0, &flag),
    KEY("mkpath", WIRE_K_MKPATH, 0, &flag),
    KEY("sync", WIRE_K_SYNC, AT(sync), &sync_policy),
    KEY("rate", WIRE_K_RATE, AT(rate), &number),
    KEY("count", WIRE_K_COUNT, AT(count), &number),
    KEY("error", WIRE_K_ERROR, AT(error), &error),
    KEY("agent", WIRE_K_AGENT, AT(agent), &text),
};

#define N_KEYS (sizeof keys / sizeof keys[0])

/* What stands between the verb and the keys. A number is the field of a key, given in place. */
enum place { PLACE_NOTHING, PLACE_PATH, PLACE_OFFSET, PLACE_LENGTH, PLACE_ERROR };

static const struct verb {
    const char *name;
    enum place place;
} verbs[] = {
    [WIRE_UNKNOWN] = {"?", PLACE_NOTHING}, [WIRE_HELLO] = {"XFER", PLACE_NOTHING},
    [WIRE_GET] = {"GET", PLACE_PATH},      [WIRE_PUT] = {"PUT", PLACE_PATH},
    [WIRE_LIST] = {"LIST", PLACE_PATH},    [WIRE_SUM] = {"SUM", PLACE_PATH},
    [WIRE_MKDIR] = {"MKDIR", PLACE_PATH},  [WIRE_DISCARD] = {"DISCARD", PLACE_PATH},
    [WIRE_FROM] = {"FROM", PLACE_OFFSET},  [WIRE_DATA] = {"DATA", PLACE_LENGTH},
    [WIRE_END] = {"END", PLACE_NOTHING},   [WIRE_ABORT] = {"ABORT", PLACE_ERROR},
    [WIRE_ENTRY] = {"ENTRY", PLACE_PATH},  [WIRE_REPLY] = {"reply", PLACE_NOTHING},
};

#define N_VERBS (sizeof verbs / sizeof verbs[0])

const char *wire_verb_name(enum wire_verb v)
{
    return (size_t)v < N_VERBS ? verbs[v].name : verbs[WIRE_UNKNOWN].name;
}

/* ---- decoding ---- */

static bool is_plain(const char *s, size_t n)
{
    unsigned bad = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        bad |= (unsigned)(c < 0x20) | (unsigned)(c == 0x7f);
    }
    return bad == 0;
}

static const struct key *find_key(const char *name, size_t n)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (keys[i].name_len == n && memcmp(keys[i].name, name, n) == 0)
            return &keys[i];
    return NULL;
}

/* One key=value. */
static int read_pair(const char *tok, size_t n, struct wire_msg *m)
{
    const char *eq = memchr(tok, '=', n);

    if (!eq || eq == tok)
        return -XFER_EPROTO;

    const struct key *k = find_key(tok, (size_t)(eq - tok));

    if (!k)
        return 0;
    if (m->keys & k->bit)
        return -XFER_EPROTO;

    char value[VALUE_MAX];
    long len = escape_unpercent(eq + 1, n - (size_t)(eq + 1 - tok), value, sizeof value);

    if (len < 0 || !k->codec->read(value, (size_t)len, (char *)m + k->field))
        return -XFER_EPROTO;
    m->keys |= k->bit;
    return 0;
}

static int read_pairs(struct rbuf *b, struct wire_msg *m)
{
    const char *tok;
    size_t n;

    while (rbuf_token(b, ' ', &tok, &n)) {
        int err = read_pair(tok, n, m);

        if (err)
            return err;
    }
    return 0;
}

/* Why escape_unpercent refused a path: a bad escape is worse than NUL, which is worse than length.
 */
static int why_refused(const char *s, size_t n)
{
    int err = -XFER_ETOOLONG;

    for (size_t i = 0; i < n; i++) {
        uint8_t byte;

        if (s[i] != '%')
            continue;
        if (n - i < 3 || !parse_hex(s + i + 1, 2, &byte, 1))
            return -XFER_EPROTO;
        if (byte == 0)
            err = -XFER_ENAME;
    }
    return err;
}

static int read_path(struct rbuf *b, struct wire_msg *m)
{
    const char *tok;
    size_t n;

    if (!rbuf_token(b, ' ', &tok, &n) || n == 0)
        return -XFER_EPROTO;

    long len = escape_unpercent(tok, n, m->path, sizeof m->path - 1);

    if (len < 0) {
        m->path[0] = '\0';
        return why_refused(tok, n);
    }
    m->path_len = (size_t)len;
    m->path[len] = '\0';
    return 0;
}

static int read_count(struct rbuf *b, uint64_t max, uint64_t *field)
{
    const char *tok;
    size_t n;

    if (!rbuf_token(b, ' ', &tok, &n) || !parse_u64(tok, n, max, field))
        return -XFER_EPROTO;
    return 0;
}

/* The rest of the line, for people: a stray '%' stands for itself, what is too long is cut. */
static void read_free_text(struct rbuf *b, struct wire_msg *m)
{
    const char *s = b->p + b->off;
    size_t n = b->len - b->off, at = 0;

    b->off = b->len;
    for (size_t i = 0; i < n && at < WIRE_TEXT_MAX; i++) {
        uint8_t byte;

        if (s[i] == '%' && n - i > 2 && parse_hex(s + i + 1, 2, &byte, 1) && byte != 0) {
            m->text[at++] = (char)byte;
            i += 2;
        } else {
            m->text[at++] = s[i];
        }
    }
    m->text[at] = '\0';
}

/* The name and text that follow the code of an error; both may be missing. */
static int read_error_words(struct rbuf *b, struct wire_msg *m)
{
    const char *tok;
    size_t n;

    m->error = err_from_wire(NULL, m->code);
    if (!rbuf_token(b, ' ', &tok, &n))
        return 0;
    m->error = named_error(tok, n, m->code);
    if (m->error == 0)
        return -XFER_EPROTO;
    read_free_text(b, m);
    return 0;
}

static int read_abort(struct rbuf *b, struct wire_msg *m)
{
    uint64_t code;

    if (read_count(b, 599, &code) || code < 400)
        return -XFER_EPROTO;
    m->code = (unsigned)code;
    return read_error_words(b, m);
}

static int read_reply(const char *tok, struct rbuf *b, struct wire_msg *m)
{
    uint64_t code;

    if (!parse_u64(tok, 3, 599, &code) || code < 100)
        return -XFER_EPROTO;
    m->verb = WIRE_REPLY;
    m->code = (unsigned)code;
    return code < 400 ? read_pairs(b, m) : read_error_words(b, m);
}

static int read_hello(const char *tok, size_t n, struct rbuf *b, struct wire_msg *m)
{
    const size_t head = strlen("XFER/");
    uint64_t version;

    if (n - head > 3 || !parse_u64(tok + head, n - head, 999, &version) || version == 0)
        return -XFER_EPROTO;
    m->verb = WIRE_HELLO;
    m->version = (unsigned)version;
    return read_pairs(b, m);
}

/* A verb begins with a letter; letters, digits and hyphens follow. */
static int read_unknown(const char *tok, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = (char)(tok[i] | 0x20);
        bool letter = c >= 'a' && c <= 'z';
        bool other = (tok[i] >= '0' && tok[i] <= '9') || tok[i] == '-';

        if (!letter && !(other && i > 0))
            return -XFER_EPROTO;
    }
    return 0;
}

static int read_place(enum place place, struct rbuf *b, struct wire_msg *m)
{
    switch (place) {
    case PLACE_PATH:
        return read_path(b, m);
    case PLACE_OFFSET:
        m->keys |= WIRE_K_OFFSET;
        return read_count(b, NUMBER_MAX, &m->offset);
    case PLACE_LENGTH:
        m->keys |= WIRE_K_LENGTH;
        return read_count(b, WIRE_DATA_MAX, &m->length);
    case PLACE_ERROR:
        return read_abort(b, m);
    case PLACE_NOTHING:
        break;
    }
    return 0;
}

static int read_verb(const char *tok, size_t n, struct rbuf *b, struct wire_msg *m)
{
    for (size_t v = WIRE_GET; v < WIRE_REPLY; v++) {
        if (!is_word(tok, n, verbs[v].name))
            continue;
        m->verb = (enum wire_verb)v;

        int place_err = read_place(verbs[v].place, b, m);

        if (place_err == -XFER_EPROTO)
            return place_err;

        /* A request refused for its path may have a body all the same: its keys count. */
        int err = read_pairs(b, m);

        return err ? err : place_err;
    }
    return read_unknown(tok, n);
}

int wire_decode(const char *line, size_t n, struct wire_msg *m)
{
    /* Not the path: clearing 4 KiB for each DATA would cost more than the rest. */
    memset(m, 0, offsetof(struct wire_msg, path));
    m->path[0] = '\0';
    if (n > 0 && line[n - 1] == '\r')
        n--;
    if (n == 0 || n >= WIRE_LINE_MAX || line[n - 1] == ' ' || !is_plain(line, n))
        return -XFER_EPROTO;

    struct rbuf b = rbuf_init(line, n);
    const char *tok;
    size_t len;

    if (!rbuf_token(&b, ' ', &tok, &len) || len == 0)
        return -XFER_EPROTO;
    if (tok[0] >= '0' && tok[0] <= '9')
        return len == 3 ? read_reply(tok, &b, m) : -XFER_EPROTO;
    if (len >= 5 && memcmp(tok, "XFER/", 5) == 0)
        return read_hello(tok, len, &b, m);
    return read_verb(tok, len, &b, m);
}

/* ---- encoding ---- */

/* A time that the other side would refuse is left out: then the file keeps the time of its arrival.
 */
static bool is_sendable(const struct key *k, const struct wire_msg *m)
{
    return k->bit != WIRE_K_MTIME || is_time_in_range(&m->mtime);
}

static void write_pairs(struct wbuf *b, const struct wire_msg *m, uint32_t except)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        const struct key *k = &keys[i];

        if (!(m->keys & k->bit & ~except) || !is_sendable(k, m))
            continue;
        wbuf_ch(b, ' ');
        wbuf_bytes(b, k->name, k->name_len);
        wbuf_ch(b, '=');
        k->codec->write(b, (const char *)m + k->field);
    }
}

/* Spaces stay, but for one at the end; everything else as in a path. */
static void write_free_text(struct wbuf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] == ' ' && i + 1 < n)
            wbuf_ch(b, ' ');
        else
            write_escaped(b, s + i, 1);
}

/* code name text; the code is that of the error where none is given. */
static void write_error_words(struct wbuf *b, const struct wire_msg *m)
{
    const struct err_row *row = err_row(m->error);
    size_t n = strnlen(m->text, WIRE_TEXT_MAX);

    wbuf_u64(b, m->code ? m->code : row->wire_code);
    wbuf_ch(b, ' ');
    wbuf_str(b, row->name);
    if (n > 0) {
        wbuf_ch(b, ' ');
        write_free_text(b, m->text, n);
    }
}

static void write_reply(struct wbuf *b, const struct wire_msg *m)
{
    if (m->code >= 400 || (m->code == 0 && m->error != 0)) {
        write_error_words(b, m);
        return;
    }
    wbuf_u64(b, m->code);
    write_pairs(b, m, 0);
}

static void write_request(struct wbuf *b, const struct wire_msg *m)
{
    const struct verb *v = &verbs[m->verb];

    wbuf_str(b, v->name);
    if (v->place == PLACE_NOTHING) {
        write_pairs(b, m, 0);
        return;
    }
    wbuf_ch(b, ' ');
    switch (v->place) {
    case PLACE_PATH:
        write_escaped(b, m->path_len > 0 ? m->path : "/", m->path_len > 0 ? m->path_len : 1);
        write_pairs(b, m, 0);
        break;
    case PLACE_OFFSET:
        wbuf_u64(b, m->offset);
        write_pairs(b, m, WIRE_K_OFFSET);
        break;
    case PLACE_LENGTH:
        wbuf_u64(b, m->length);
        write_pairs(b, m, WIRE_K_LENGTH);
        break;
    case PLACE_ERROR:
        write_error_words(b, m);
        break;
    case PLACE_NOTHING:
        break;
    }
}

long wire_encode(const struct wire_msg *m, char *out, size_t cap)
{
    struct wbuf b = wbuf_init(out, cap);

    if (m->verb == WIRE_UNKNOWN || (size_t)m->verb >= N_VERBS)
        return -XFER_EUSAGE;
    if (m->verb == WIRE_REPLY) {
        write_reply(&b, m);
    } else if (m->verb == WIRE_HELLO) {
        wbuf_str(&b, "XFER/");
        wbuf_u64(&b, m->version);
        write_pairs(&b, m, 0);
    } else {
        write_request(&b, m);
    }
    wbuf_ch(&b, '\n');
    return b.failed ? -XFER_ETOOLONG : (long)b.len;
}
