#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tftp/pkt.h"

/* A datagram with its length; the literal's own NUL is not in it. */
#define D(s) s, sizeof(s) - 1

static uint8_t *copy;

/* From memory of its very size, so that a sanitizer sees a read past the end. */
static int decode(const char *s, size_t n, struct tftp_pkt *p)
{
    free(copy);
    copy = malloc(n > 0 ? n : 1);
    cr_assert(copy);
    memcpy(copy, s, n);
    memset(p, 0xa5, sizeof *p);
    return tftp_decode(copy, n, p);
}

static void text_is(struct tftp_text t, const char *s)
{
    cr_assert(t.n == strlen(s) && memcmp(t.p, s, t.n) == 0, "\"%.*s\" is not \"%s\"", (int)t.n, t.p,
              s);
}

Test(tftp_pkt, no_packets)
{
    static const struct {
        const char *s;
        size_t n;
    } t[] = {
        {D("")},
        {D("\0")},
        {D("\0\1")},
        {D("\0\2")},
        {D("\0\3")},
        {D("\0\4\0")},
        {D("\0\5\0")},
        {D("\0\0\0\0")},
        {D("\0\7\0\0")},
        {D("\1\3\0\1data")},
        {D("\xff\xff\0\0")},
        {D("\0\1file")},
        {D("\0\1file\0octet")},
        {D("\0\1file\0")},
        {D("\0\1\0octet\0")},
        {D("\0\2\0\0\0\0\0\0")},
        {D("\0\1\0")},
    };
    struct tftp_pkt p;

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        cr_assert_eq(decode(t[i].s, t[i].n, &p), -1, "row %zu", i);
}

Test(tftp_pkt, requests)
{
    static const struct {
        const char *s;
        size_t n;
        enum tftp_op op;
        const char *file;
        bool known;
        enum tftp_mode mode;
        size_t options;
        bool ragged;
    } t[] = {
        {D("\0\1f\0octet\0"), TFTP_RRQ, "f", true, TFTP_OCTET, 0, false},
        {D("\0\2a b\0OcTeT\0"), TFTP_WRQ, "a b", true, TFTP_OCTET, 0, false},
        {D("\0\1f\0NETASCII\0"), TFTP_RRQ, "f", true, TFTP_NETASCII, 0, false},
        {D("\0\1f\0mail\0"), TFTP_RRQ, "f", false, TFTP_OCTET, 0, false},
        {D("\0\1f\0\0"), TFTP_RRQ, "f", false, TFTP_OCTET, 0, false},
        {D("\0\1f\0octet\0blksize\0"
           "512\0"),
         TFTP_RRQ, "f", true, TFTP_OCTET, 12, false},
        {D("\0\1f\0octet\0blksize\0"), TFTP_RRQ, "f", true, TFTP_OCTET, 0, true},
        {D("\0\1f\0octet\0blksize\0"
           "512"),
         TFTP_RRQ, "f", true, TFTP_OCTET, 0, true},
        {D("\0\1f\0octet\0a\0b\0c"), TFTP_RRQ, "f", true, TFTP_OCTET, 4, true},
        {D("\0\1f\0octet\0a\0\0c\0d\0"), TFTP_RRQ, "f", true, TFTP_OCTET, 7, false},
        {D("\0\1f\0octet\0\0b\0"), TFTP_RRQ, "f", true, TFTP_OCTET, 0, true},
        {D("\0\1f\0octet\0a\0b\0\0\0\0\0"), TFTP_RRQ, "f", true, TFTP_OCTET, 4, false},
    };
    struct tftp_pkt p;

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        cr_assert_eq(decode(t[i].s, t[i].n, &p), 0, "row %zu", i);
        cr_assert_eq(p.op, t[i].op, "row %zu", i);
        text_is(p.file, t[i].file);
        cr_assert_eq(p.mode_known, t[i].known, "row %zu", i);
        cr_assert_eq(p.mode, t[i].mode, "row %zu", i);
        cr_assert_eq(p.options.n, t[i].options, "row %zu: %zu", i, p.options.n);
        cr_assert_eq(p.ragged, t[i].ragged, "row %zu", i);
    }
}

Test(tftp_pkt, options_one_by_one)
{
    struct tftp_pkt p;
    struct tftp_text list, name, value;

    cr_assert_eq(decode(D("\0\6blksize\0"
                          "1428\0x\0\0tsize\0"
                          "5\0"),
                        &p),
                 0);
    cr_assert_eq(p.op, TFTP_OACK);
    list = p.options;
    cr_assert(tftp_next_option(&list, &name, &value));
    text_is(name, "blksize");
    text_is(value, "1428");
    cr_assert(tftp_next_option(&list, &name, &value));
    text_is(name, "x");
    text_is(value, "");
    cr_assert(tftp_next_option(&list, &name, &value));
    text_is(name, "tsize");
    text_is(value, "5");
    cr_assert_not(tftp_next_option(&list, &name, &value));
    cr_assert_not(tftp_next_option(&list, &name, &value));
    cr_assert_eq(decode(D("\0\6"), &p), 0);
    cr_assert_not(tftp_next_option(&p.options, &name, &value));
}

/* More than a counter of eight bits holds. */
Test(tftp_pkt, hundreds_of_options)
{
    char s[2 + 4 * 400] = {0, 6};
    struct tftp_pkt p;
    struct tftp_text name, value;
    unsigned n = 0;

    for (unsigned i = 0; i < 400; i++)
        memcpy(s + 2 + 4 * i, "a\0b", 4);
    cr_assert_eq(decode(s, sizeof s, &p), 0);
    while (tftp_next_option(&p.options, &name, &value))
        n++;
    cr_assert_eq(n, 400);
}

Test(tftp_pkt, data_and_acks)
{
    struct tftp_pkt p;

    cr_assert_eq(decode(D("\0\3\xff\xfehello"), &p), 0);
    cr_assert(p.op == TFTP_DATA && p.block == 65534 && p.len == 5 &&
              memcmp(p.data, "hello", 5) == 0);
    cr_assert_eq(decode(D("\0\3\0\1"), &p), 0);
    cr_assert(p.op == TFTP_DATA && p.block == 1 && p.len == 0);
    cr_assert_eq(decode(D("\0\4\1\2"), &p), 0);
    cr_assert(p.op == TFTP_ACK && p.block == 0x102);
    cr_assert_eq(decode(D("\0\4\0\7 and more"), &p), 0, "a longer ACK is one");
    cr_assert_eq(p.block, 7);
}

Test(tftp_pkt, errors)
{
    struct tftp_pkt p;

    cr_assert_eq(decode(D("\0\5\0\1not found\0behind"), &p), 0);
    cr_assert_eq(p.code, 1);
    text_is(p.text, "not found");
    cr_assert_eq(decode(D("\0\5\0\x63no NUL"), &p), 0);
    cr_assert_eq(p.code, 99);
    text_is(p.text, "no NUL");
    cr_assert_eq(decode(D("\0\5\0\0"), &p), 0);
    text_is(p.text, "");
}

Test(tftp_pkt, words_in_any_case)
{
    cr_assert(tftp_text_is((struct tftp_text){"BlkSize", 7}, "blksize"));
    cr_assert_not(tftp_text_is((struct tftp_text){"blksize", 6}, "blksize"));
    cr_assert_not(tftp_text_is((struct tftp_text){"blksizf", 7}, "blksize"));
    cr_assert_not(tftp_text_is((struct tftp_text){"[", 1}, "{"), "only letters have cases");
    cr_assert(tftp_text_is((struct tftp_text){NULL, 0}, ""));
}

Test(tftp_pkt, what_is_put_comes_back)
{
    uint8_t out[64];
    struct tftp_pkt p;
    size_t n = tftp_put_request(out, sizeof out, TFTP_WRQ, "a/b", TFTP_NETASCII);

    n = tftp_put_option(out, n, sizeof out, "blksize", "8");
    cr_assert_eq(n, 2 + 4 + 9 + 10);
    cr_assert_eq(decode((char *)out, n, &p), 0);
    cr_assert(p.op == TFTP_WRQ && p.mode == TFTP_NETASCII && p.options.n == 10);
    text_is(p.file, "a/b");
    n = tftp_put_data_header(out, sizeof out, 65535);
    cr_assert(n == 4 && memcmp(out, "\0\3\xff\xff", 4) == 0);
    n = tftp_put_ack(out, sizeof out, 258);
    cr_assert(n == 4 && memcmp(out, "\0\4\1\2", 4) == 0);
    n = tftp_put_oack(out, sizeof out);
    cr_assert(n == 2 && memcmp(out, "\0\6", 2) == 0);
    n = tftp_put_error(out, sizeof out, TFTP_E_OPTION, "no");
    cr_assert(n == 7 && memcmp(out, "\0\5\0\10no", 7) == 0);
}

/* Nothing is written behind cap, and what does not fit is told. */
Test(tftp_pkt, room)
{
    uint8_t out[64];
    const size_t request = 2 + 5 + 6, option = request + 6, error = 4 + 4;

    for (size_t cap = 0; cap < sizeof out; cap++) {
        memset(out, 0xee, sizeof out);
        cr_assert_eq(tftp_put_request(out, cap, TFTP_RRQ, "file", TFTP_OCTET),
                     cap >= request ? request : 0);
        if (cap >= request)
            cr_assert_eq(tftp_put_option(out, request, cap, "abc", "1"),
                         cap >= option ? option : 0);
        cr_assert_eq(tftp_put_error(out, cap, TFTP_E_TID, "tid"), cap >= error ? error : 0);
        cr_assert_eq(tftp_put_ack(out, cap, 1), cap >= 4 ? 4 : 0);
        cr_assert_eq(tftp_put_oack(out, cap), cap >= 2 ? 2 : 0);
        for (size_t i = cap; i < sizeof out; i++)
            cr_assert_eq(out[i], 0xee);
    }
}
