#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX32 "0123456789abcdef0123456789abcdef"

/* From memory of its very size, so that a sanitizer sees a read past the line. */
static int decode_n(const char *line, size_t n, struct wire_msg *m)
{
    char *copy = malloc(n > 0 ? n : 1);

    cr_assert(copy);
    memcpy(copy, line, n);
    memset(m, 0xa5, sizeof *m);

    int err = wire_decode(copy, n, m);

    free(copy);
    return err;
}

static int decode(const char *line, struct wire_msg *m)
{
    return decode_n(line, strlen(line), m);
}

static const char *encode(const struct wire_msg *m, char out[WIRE_LINE_MAX + 1])
{
    long n = wire_encode(m, out, WIRE_LINE_MAX);

    cr_assert(n > 0, "encode: %ld", n);
    cr_assert(out[n - 1] == '\n');
    out[n - 1] = '\0';
    return out;
}

/* Lines that are already as encode would write them. */
Test(wire, canonical_lines_come_back_as_they_were)
{
    static const char *const t[] = {
        "XFER/1",
        "XFER/1 agent=xfer/0.1.0",
        "XFER/999",
        "GET /docs/a.txt",
        "GET /",
        "GET a%20b%25c%0A%7F\xff\xc3",
        "GET offset=5",
        "GET /big offset=100 length=50 etag=1-2-3 prefix=" HEX64,
        "GET /x size=9223372036854775807",
        "PUT /in/b.bin size=1048576 mtime=1700000000.123456789 mode=0644",
        "PUT /a if=absent mkpath=1 sync=none",
        "PUT /a if=sha256:" HEX64 " sync=batch",
        "PUT /a size=5 resume=" HEX32 " sync=file",
        "LIST /docs/ recursive=1 self=1 sums=1",
        "SUM /docs/a.txt etag=x%20y fresh=1",
        "MKDIR /in/d mtime=0 mode=4755 mkpath=1",
        "FROM 0",
        "FROM 9223372036854775807",
        "DATA 0",
        "DATA 1048576",
        "END",
        "END size=12 sha256=" HEX64 " whole=" HEX64,
        "END count=3",
        "ABORT 451 changed",
        "ABORT 451 changed the file grew while it was read",
        "ENTRY a%20b size=3 type=f mtime=-1.500000000 mode=0000 sha256=" HEX64,
        "ENTRY d type=d error=not-permitted",
        "100 offset=5 sha256=" HEX64,
        "102",
        "200 size=12 mtime=1700000000 mode=0644 etag=e whole=" HEX64,
        "201 sha256=" HEX64 " rate=125000000",
        "399",
        "400 io-error",
        "550 not-found",
        "550 not-found /docs/nope: not found",
        "421 busy  two  spaces and 100%25 %0A%0D%1B%7F \xff%20",
        "599 io-error",
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct wire_msg m;
        char out[WIRE_LINE_MAX + 1];
        int err = decode(t[i], &m);

        cr_assert(err == 0, "\"%s\": %s", t[i], xfer_strerror(err));
        cr_expect_str_eq(encode(&m, out), t[i], "\"%s\" became \"%s\"", t[i], out);
    }
}

/* Accepted, and put right by encode. */
Test(wire, tolerated_lines)
{
    static const struct {
        const char *in, *out;
    } t[] = {
        {"GET /a\r", "GET /a"},
        {"XFER/01", "XFER/1"},
        {"GET /a size=007", "GET /a size=7"},
        {"GET /a%2fb", "GET /a/b"},
        {"GET /a x=1 x=2 %zz=%zz later=%00", "GET /a"},
        {"PUT /a mkpath=1 size=5", "PUT /a size=5 mkpath=1"},
        {"PUT /a mode=644 if=sha256:0123456789ABCDEF" HEX32 "0123456789ABCDEF",
         "PUT /a mode=0644 if=sha256:0123456789abcdef" HEX32 "0123456789abcdef"},
        {"PUT /a mtime=1.5", "PUT /a mtime=1.500000000"},
        {"PUT /a mtime=1.000", "PUT /a mtime=1"},
        {"PUT /a mtime=-0", "PUT /a mtime=0"},
        {"PUT /a sync=%66ile", "PUT /a sync=file"},
        {"ENTRY a type=z", "ENTRY a type=o"},
        {"ENTRY a error=of-a-later-version", "ENTRY a error=io-error"},
        {"550", "550 not-found"},
        {"550 of-a-later-version text", "550 not-found text"},
        {"498 of-a-later-version", "498 io-error"},
        {"550 not-found 100% %2 %zz %00", "550 not-found 100%25 %252 %25zz %2500"},
        {"ABORT 426", "ABORT 426 canceled"},
        {"FROM 00", "FROM 0"},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct wire_msg m;
        char out[WIRE_LINE_MAX + 1];
        int err = decode(t[i].in, &m);

        cr_assert(err == 0, "\"%s\": %s", t[i].in, xfer_strerror(err));
        cr_expect_str_eq(encode(&m, out), t[i].out, "\"%s\" became \"%s\"", t[i].in, out);
    }
}

Test(wire, malformed_lines)
{
    static const char *const t[] = {
        "",
        "\r",
        " ",
        "\r\r",
        " GET /a",
        "GET",
        "GET ",
        "GET  /a",
        "GET /a ",
        "GET /a  size=1",
        "GET\t/a",
        "GET /a\tb",
        "GET /a\rb",
        "GET /\033[2J",
        "GET /\x7f",
        "GET /a HTTP/1.1",
        "GET /a size",
        "GET /a =1",
        "GET /a size=",
        "GET /a size=-1",
        "GET /a size=+1",
        "GET /a size=1x",
        "GET /a size=9223372036854775808",
        "GET /a size=1 size=1",
        "GET /a size=%zz",
        "GET /a%",
        "GET /a%4",
        "GET /a%zz",
        "GET /%00%zz",
        "GET /a etag=",
        "GET /a etag=%00",
        "GET /a etag=12345678901234567890123456789012345678901234567890123456789012345",
        "GET /a etag=1234567890123456789012345678901234567890123456789012345678901234567890"
        "1234567890",
        "GET /a prefix=1",
        "LIST /a recursive=0",
        "LIST /a recursive=",
        "LIST /a recursive=11",
        "SUM",
        "MKDIR",
        "PUT",
        "LIST",
        "ENTRY",
        "PUT /a mode=0648",
        "PUT /a mode=10000",
        "PUT /a mode=000644",
        "PUT /a mode=",
        "PUT /a mtime=",
        "PUT /a mtime=-",
        "PUT /a mtime=.5",
        "PUT /a mtime=1.",
        "PUT /a mtime=1.1234567890",
        "PUT /a mtime=1.-5",
        "PUT /a mtime=--1",
        "PUT /a mtime=1e3",
        "PUT /a mtime=1099511627776",
        "PUT /a mtime=-1099511627776",
        "PUT /a mtime=-1099511627775.5",
        "PUT /a if=",
        "PUT /a if=present",
        "PUT /a if=sha256:",
        "PUT /a if=sha256:" HEX32,
        "PUT /a if=sha512:" HEX64,
        "PUT /a resume=" HEX32 "0",
        "PUT /a resume=0123456789abcdef0123456789abcdeg",
        "PUT /a sync=all",
        "PUT /a sync=",
        "END sha256=" HEX32,
        "ENTRY a type=",
        "ENTRY a type=ff",
        "ENTRY a type=F",
        "ENTRY a error=",
        "ENTRY a error=Not",
        "ENTRY a error=a%20b",
        "FROM",
        "FROM x",
        "FROM -1",
        "FROM 9223372036854775808",
        "FROM 5 offset=5",
        "FROM 5 6",
        "DATA",
        "DATA 1048577",
        "DATA 18446744073709551616",
        "DATA 5 length=6",
        "ABORT",
        "ABORT changed",
        "ABORT 399 changed",
        "ABORT 600 changed",
        "ABORT 451 Changed",
        "XFER/",
        "XFER/0",
        "XFER/x",
        "XFER/1x",
        "XFER/1000",
        "XFER/0001",
        "XFER/-1",
        "XFER/1 agent",
        "099",
        "99",
        "600 io-error",
        "1000",
        "20x",
        "2",
        "200 size",
        "200 not-found text",
        "550  text",
        "550 No such file",
        "550 not_found",
        "/GET a",
        "G\xc3T /a",
        "\x16\x03\x01",
        "-GET /a",
        "GET/a",
        "{\"a\":1}",
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct wire_msg m;

        cr_expect(decode(t[i], &m) == -XFER_EPROTO, "\"%s\"", t[i]);
    }
}

Test(wire, nul_inside_a_line_is_malformed)
{
    struct wire_msg m;

    cr_expect(decode_n("GET /a\0b", 8, &m) == -XFER_EPROTO);
    cr_expect(decode_n("GET\0/a", 6, &m) == -XFER_EPROTO);
    cr_expect(decode_n("550 not-found a\0b", 17, &m) == -XFER_EPROTO);
}

Test(wire, unknown_verbs_are_no_error)
{
    static const char *const t[] = {"DELETE /a",  "get /a", "COMMIT /a id=5", "X",    "XFER",
                                    "HELO a b c", "REPLY",  "reply",          "Q-2 x"};

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct wire_msg m;
        char out[64];

        cr_expect(decode(t[i], &m) == 0 && m.verb == WIRE_UNKNOWN, "\"%s\"", t[i]);
        cr_expect(wire_encode(&m, out, sizeof out) == -XFER_EUSAGE);
    }
}

Test(wire, fields)
{
    struct wire_msg m;

    cr_assert(decode("PUT /a%20b size=5 mtime=-1.5 mode=0640 if=absent resume=" HEX32 " mkpath=1",
                     &m) == 0);
    cr_expect(m.verb == WIRE_PUT && m.size == 5 && m.mode == 0640);
    cr_expect(m.mtime.tv_sec == -2 && m.mtime.tv_nsec == 500000000);
    cr_expect(m.if_kind == WIRE_IF_ABSENT && m.resume[0] == 0x01 && m.resume[15] == 0xef);
    cr_expect(m.keys == (WIRE_K_SIZE | WIRE_K_MTIME | WIRE_K_MODE | WIRE_K_IF | WIRE_K_RESUME |
                         WIRE_K_MKPATH));
    cr_expect_str_eq(m.path, "/a b");
    cr_expect(m.path_len == 4);
    cr_assert(decode("550 not-found it is%0Anot there", &m) == 0);
    cr_expect(m.verb == WIRE_REPLY && m.code == 550 && m.error == -XFER_ENOTFOUND && m.keys == 0);
    cr_expect_str_eq(m.text, "it is\nnot there");
    cr_expect_str_eq(m.path, "");
    cr_assert(decode("ABORT 599 digest-mismatch", &m) == 0);
    cr_expect(m.verb == WIRE_ABORT && m.code == 599 && m.error == -XFER_EINTEGRITY);
    cr_assert(decode("FROM 7", &m) == 0);
    cr_expect(m.verb == WIRE_FROM && m.offset == 7 && m.keys == WIRE_K_OFFSET);
    cr_assert(decode("DATA 8", &m) == 0);
    cr_expect(m.verb == WIRE_DATA && m.length == 8 && m.keys == WIRE_K_LENGTH);
    cr_assert(decode("XFER/2 agent=a%3Db", &m) == 0);
    cr_expect(m.verb == WIRE_HELLO && m.version == 2);
    cr_expect_str_eq(m.agent, "a=b");
    cr_assert(decode("ENTRY a error=symlink-loop", &m) == 0);
    cr_expect(m.error == -XFER_ELOOP && m.keys == WIRE_K_ERROR);
}

Test(wire, times_are_real_numbers)
{
    static const struct {
        const char *s;
        time_t sec;
        long nsec;
    } t[] = {
        {"0", 0, 0},
        {"-1", -1, 0},
        {"-0.500000000", -1, 500000000},
        {"-0.000000001", -1, 999999999},
        {"0.000000001", 0, 1},
        {"-1.999999999", -2, 1},
        {"4102444800.100000000", 4102444800, 100000000},
        {"1099511627775.999999999", (INT64_C(1) << 40) - 1, 999999999},
        {"-1099511627775", -((INT64_C(1) << 40) - 1), 0},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct wire_msg m;
        char line[64], out[WIRE_LINE_MAX + 1];

        snprintf(line, sizeof line, "200 mtime=%s", t[i].s);
        cr_assert(decode(line, &m) == 0, "%s", t[i].s);
        cr_expect(m.mtime.tv_sec == t[i].sec && m.mtime.tv_nsec == t[i].nsec, "%s", t[i].s);
        cr_expect_str_eq(encode(&m, out), line);
    }
}

Test(wire, times_that_nobody_would_accept_are_left_out)
{
    static const struct timespec t[] = {{INT64_C(1) << 40, 0}, {-(INT64_C(1) << 40), 0},
                                        {INT64_MAX, 0},        {INT64_MIN, 999999999},
                                        {0, 1000000000},       {0, -1}};

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct wire_msg m = {
            .verb = WIRE_REPLY, .code = 200, .keys = WIRE_K_MTIME | WIRE_K_SIZE, .mtime = t[i]};
        char out[WIRE_LINE_MAX + 1];

        cr_expect_str_eq(encode(&m, out), "200 size=0");
    }
}

static size_t fill(char *line, const char *head, char c, size_t n)
{
    size_t at = strlen(head);

    memcpy(line, head, at);
    memset(line + at, c, n);
    return at + n;
}

/* A refused path leaves the rest to be acted on: the body of a PUT is to be skipped. */
Test(wire, bad_paths_are_told_apart)
{
    static char line[2 * WIRE_LINE_MAX];
    struct wire_msg m;

    cr_expect(decode("PUT /a%00b size=5 resume=" HEX32, &m) == -XFER_ENAME);
    cr_expect(m.verb == WIRE_PUT && m.size == 5 && m.keys == (WIRE_K_SIZE | WIRE_K_RESUME));
    cr_expect(m.path_len == 0 && m.path[0] == '\0');
    cr_expect(decode("PUT /a%00b size=x", &m) == -XFER_EPROTO, "bad keys are worse");
    cr_expect(decode("PUT /a%00 b%00", &m) == -XFER_EPROTO);

    size_t n = fill(line, "GET ", 'x', PATH_CLEAN_MAX + 1);

    cr_expect(decode_n(line, n, &m) == 0 && m.path_len == PATH_CLEAN_MAX + 1);
    cr_expect(m.path[PATH_CLEAN_MAX + 1] == '\0');
    n = fill(line, "GET ", 'x', PATH_CLEAN_MAX + 2);
    memcpy(line + n, " length=3", 9);
    cr_expect(decode_n(line, n + 9, &m) == -XFER_ETOOLONG);
    cr_expect(m.verb == WIRE_GET && m.length == 3 && m.path_len == 0 && m.path[0] == '\0');
    memcpy(line + n - 3, "%00", 3);
    cr_expect(decode_n(line, n, &m) == -XFER_ENAME, "NUL is worse than length");
    memcpy(line + n - 3, "%zz", 3);
    cr_expect(decode_n(line, n, &m) == -XFER_EPROTO);
}

Test(wire, line_limits)
{
    static char line[2 * WIRE_LINE_MAX];
    struct wire_msg m;
    size_t n = fill(line, "NOOP ", 'x', WIRE_LINE_MAX - 1 - 5);

    cr_expect(decode_n(line, n, &m) == 0, "a line of 16383 bytes and its LF");
    line[n] = 'x';
    cr_expect(decode_n(line, n + 1, &m) == -XFER_EPROTO);
    n = fill(line, "GET /a x=", 'y', WIRE_LINE_MAX - 1 - 9);
    cr_expect(decode_n(line, n, &m) == 0, "long values of unknown keys");
    n = fill(line, "550 not-found ", 'y', 5000);
    cr_expect(decode_n(line, n, &m) == 0 && strlen(m.text) == WIRE_TEXT_MAX, "text is cut");
    n = fill(line, "550 ", 'y', 5000);
    cr_expect(decode_n(line, n, &m) == -XFER_EPROTO);
}

Test(wire, encode_needs_room)
{
    struct wire_msg m;
    char out[WIRE_LINE_MAX];

    cr_assert(decode("PUT /a%20b size=5 sha256=" HEX64, &m) == 0);

    long n = wire_encode(&m, out, sizeof out);

    cr_assert(n > 0);
    for (size_t cap = 0; cap < (size_t)n; cap++) {
        char *exact = malloc(cap > 0 ? cap : 1);

        cr_assert(exact);
        cr_expect(wire_encode(&m, exact, cap) == -XFER_ETOOLONG, "%zu", cap);
        free(exact);
    }
    cr_expect(wire_encode(&m, out, (size_t)n) == n);
}

/* Every byte of the path and every value at its longest still fits the line. */
Test(wire, the_longest_message_fits_a_line)
{
    struct wire_msg m = {.verb = WIRE_ENTRY, .keys = UINT32_MAX >> 10, .if_kind = WIRE_IF_SHA256};
    char out[WIRE_LINE_MAX + 1];

    memset(m.path, ' ', PATH_CLEAN_MAX + 1);
    m.path_len = PATH_CLEAN_MAX + 1;
    memset(m.etag, '\n', WIRE_ETAG_MAX);
    memset(m.agent, '%', WIRE_ETAG_MAX);
    m.size = m.offset = m.length = m.count = m.rate = INT64_MAX;
    m.mtime = (struct timespec){-(INT64_C(1) << 40) + 1, 1};
    m.mode = 07777;
    m.type = 'f';
    m.error = -XFER_ENOTREG;
    encode(&m, out);

    struct wire_msg back;

    cr_expect(decode(out, &back) == 0);
    cr_expect(back.keys == m.keys && memcmp(back.path, m.path, m.path_len) == 0);
}

/* Nothing is read that the verb does not have. */
Test(wire, encode_fills_in)
{
    struct wire_msg m;
    char out[WIRE_LINE_MAX + 1];

    memset(&m, 0xff, sizeof m);
    m.verb = WIRE_REPLY;
    m.code = 102;
    m.keys = 0;
    cr_expect_str_eq(encode(&m, out), "102");
    m.code = 0;
    m.error = -XFER_EBUSY;
    m.text[0] = '\0';
    cr_expect_str_eq(encode(&m, out), "421 busy");
    m.verb = WIRE_ABORT;
    m.error = -ENOSPC;
    strcpy(m.text, "disk full\r\n");
    cr_expect_str_eq(encode(&m, out), "ABORT 452 no-space disk full%0D%0A");
    m.verb = WIRE_LIST;
    m.path_len = 0;
    cr_expect_str_eq(encode(&m, out), "LIST /");
    m.verb = (enum wire_verb)99;
    cr_expect(wire_encode(&m, out, sizeof out) == -XFER_EUSAGE);
}

Test(wire, ranges_and_discards)
{
    struct wire_msg m;
    char out[64];

    cr_assert(decode("GET /a offset=0 length=262144 etag=1-2-3", &m) == 0);
    cr_expect(m.verb == WIRE_GET && m.offset == 0 && m.length == 262144);
    cr_expect(m.keys == (WIRE_K_OFFSET | WIRE_K_LENGTH | WIRE_K_ETAG));
    cr_expect(decode("GET /a offset=9223372036854775807 length=0", &m) == 0);
    cr_expect(decode("GET /a offset=9223372036854775808", &m) == -XFER_EPROTO);
    cr_expect(decode("GET /a offset=-1", &m) == -XFER_EPROTO);
    cr_expect(decode("GET /a length=", &m) == -XFER_EPROTO);
    cr_assert(decode("DISCARD /a%20b size=5", &m) == 0);
    cr_expect(m.verb == WIRE_DISCARD && m.size == 5 && m.path_len == 4);
    long n = wire_encode(&m, out, sizeof out);
    cr_expect(n == 22 && memcmp(out, "DISCARD /a%20b size=5\n", 22) == 0);
    cr_assert(decode("DISCARD", &m) == -XFER_EPROTO);
}

Test(wire, verb_names)
{
    cr_expect_str_eq(wire_verb_name(WIRE_DISCARD), "DISCARD");
    cr_expect_str_eq(wire_verb_name(WIRE_GET), "GET");
    cr_expect_str_eq(wire_verb_name(WIRE_MKDIR), "MKDIR");
    cr_expect_str_eq(wire_verb_name(WIRE_ENTRY), "ENTRY");
    cr_expect_str_eq(wire_verb_name(WIRE_UNKNOWN), "?");
    cr_expect_str_eq(wire_verb_name((enum wire_verb)99), "?");
}

/* ---- random messages ---- */

struct dice {
    unsigned short seed[3];
};

static uint64_t roll(struct dice *d, uint64_t below)
{
    uint64_t v = (uint64_t)nrand48(d->seed) << 31 | (uint64_t)nrand48(d->seed);

    return v % below;
}

static void random_bytes(struct dice *d, void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)roll(d, 256);
}

/* n bytes without NUL, and one. */
static void random_text(struct dice *d, char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(1 + roll(d, 255));
    p[n] = '\0';
}

static void random_msg(struct dice *d, struct wire_msg *m)
{
    memset(m, 0, sizeof *m);
    m->verb = (enum wire_verb)(WIRE_HELLO + roll(d, WIRE_REPLY - WIRE_HELLO + 1));
    m->version = 1 + (unsigned)roll(d, 999);
    m->code = 100 + (unsigned)roll(d, 300);
    m->keys = (uint32_t)(roll(d, 1 << 22) & roll(d, 1 << 22));
    m->size = roll(d, INT64_MAX);
    m->offset = roll(d, INT64_MAX);
    m->length = roll(d, WIRE_DATA_MAX + 1);
    m->count = roll(d, 1000);
    m->rate = roll(d, INT64_MAX);
    m->mtime.tv_sec = (time_t)roll(d, INT64_C(1) << 41) - (INT64_C(1) << 40) + 1;
    m->mtime.tv_nsec = roll(d, 2) ? (long)roll(d, 1000000000) : 0;
    m->mtime.tv_sec -= m->mtime.tv_sec == INT64_C(1) << 40;
    m->mode = (unsigned)roll(d, 010000);
    random_text(d, m->etag, 1 + roll(d, WIRE_ETAG_MAX));
    random_text(d, m->agent, 1 + roll(d, WIRE_ETAG_MAX));
    random_bytes(d, m->sha256, 32);
    random_bytes(d, m->whole, 32);
    random_bytes(d, m->prefix, 32);
    m->if_kind = (enum wire_if)(1 + roll(d, 2));
    if (m->if_kind == WIRE_IF_SHA256)
        random_bytes(d, m->if_sha256, 32);
    random_bytes(d, m->resume, 16);
    m->sync = (enum wire_sync)roll(d, 3);
    m->type = "fdlo"[roll(d, 4)];
    m->error = -(int)(XFER_EUSAGE + roll(d, XFER_ERR_END - XFER_EUSAGE));
    if (m->verb == WIRE_ABORT || (m->verb == WIRE_REPLY && roll(d, 2) == 0)) {
        m->code = err_row(m->error)->wire_code;
        m->keys = 0;
        random_text(d, m->text, roll(d, WIRE_TEXT_MAX + 1));
    }
    m->path_len = 1 + roll(d, roll(d, 8) ? 100 : PATH_CLEAN_MAX + 1);
    random_text(d, m->path, m->path_len);
}

static bool has_path(enum wire_verb v)
{
    return (v >= WIRE_GET && v <= WIRE_DISCARD) || v == WIRE_ENTRY;
}

#define SAME(bit, field)                                                                           \
    cr_expect(!(a->keys & (bit)) || memcmp(&a->field, &b->field, sizeof a->field) == 0, #field)

static void expect_same(const struct wire_msg *a, const struct wire_msg *b)
{
    cr_expect(a->verb == b->verb && a->keys == b->keys);
    cr_expect(a->verb != WIRE_HELLO || a->version == b->version);
    SAME(WIRE_K_SIZE, size);
    SAME(WIRE_K_OFFSET, offset);
    SAME(WIRE_K_LENGTH, length);
    SAME(WIRE_K_COUNT, count);
    SAME(WIRE_K_RATE, rate);
    SAME(WIRE_K_MTIME, mtime);
    SAME(WIRE_K_MODE, mode);
    SAME(WIRE_K_SHA256, sha256);
    SAME(WIRE_K_WHOLE, whole);
    SAME(WIRE_K_PREFIX, prefix);
    SAME(WIRE_K_IF, if_kind);
    SAME(WIRE_K_IF, if_sha256);
    SAME(WIRE_K_RESUME, resume);
    SAME(WIRE_K_SYNC, sync);
    SAME(WIRE_K_TYPE, type);
    SAME(WIRE_K_ERROR, error);
    cr_expect(!(a->keys & WIRE_K_ETAG) || strcmp(a->etag, b->etag) == 0);
    cr_expect(!(a->keys & WIRE_K_AGENT) || strcmp(a->agent, b->agent) == 0);
    if (a->verb == WIRE_REPLY || a->verb == WIRE_ABORT)
        cr_expect(a->code == b->code);
    if (a->verb == WIRE_ABORT || (a->verb == WIRE_REPLY && a->code >= 400))
        cr_expect(a->error == b->error && strcmp(a->text, b->text) == 0);
    if (has_path(a->verb))
        cr_expect(a->path_len == b->path_len && memcmp(a->path, b->path, a->path_len + 1) == 0);
}

Test(wire, random_messages_round_trip)
{
    struct dice d = {{20, 26, 11}};

    for (int i = 0; i < 20000; i++) {
        static struct wire_msg sent, got;
        char line[WIRE_LINE_MAX + 1];

        random_msg(&d, &sent);
        encode(&sent, line);

        int err = decode(line, &got);

        cr_assert(err == 0, "message %d, \"%s\": %s", i, line, xfer_strerror(err));
        if (sent.verb == WIRE_FROM)
            sent.keys |= WIRE_K_OFFSET;
        if (sent.verb == WIRE_DATA)
            sent.keys |= WIRE_K_LENGTH;
        expect_same(&sent, &got);
    }
}

/* Valid lines with a few bytes changed: no crash, and what is accepted has one meaning. */
Test(wire, damaged_lines_are_refused_or_stable)
{
    struct dice d = {{3, 1, 4}};
    size_t accepted = 0;

    for (int i = 0; i < 50000; i++) {
        static struct wire_msg m, again;
        char line[WIRE_LINE_MAX + 1], once[WIRE_LINE_MAX + 1], twice[WIRE_LINE_MAX + 1];

        random_msg(&d, &m);
        m.path_len = m.path_len < 40 ? m.path_len : 40;
        encode(&m, line);

        size_t n = strlen(line);

        for (uint64_t hits = 1 + roll(&d, 3); hits > 0; hits--)
            line[roll(&d, n)] = roll(&d, 2) ? "%= /0129a\r"[roll(&d, 10)] : (char)roll(&d, 256);
        if (decode_n(line, n, &m) != 0 || m.verb == WIRE_UNKNOWN)
            continue;
        accepted++;
        encode(&m, once);
        cr_assert(decode(once, &again) == 0, "\"%s\"", once);
        cr_assert_str_eq(encode(&again, twice), once);
        expect_same(&m, &again);
    }
    cr_expect(accepted > 1000, "only %zu accepted: the test tests nothing", accepted);
}
