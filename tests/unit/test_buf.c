#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static bool holds(const struct wbuf *b, const char *text)
{
    return !b->failed && b->len == strlen(text) && memcmp(b->p, text, b->len) == 0;
}

Test(buf, writes_text_and_numbers)
{
    char mem[64];
    struct wbuf b = wbuf_init(mem, sizeof mem);

    wbuf_str(&b, "n=");
    wbuf_u64(&b, 0);
    wbuf_ch(&b, ' ');
    wbuf_u64(&b, UINT64_MAX);
    wbuf_ch(&b, ' ');
    wbuf_u64_base(&b, 0644, 8, 4);
    wbuf_ch(&b, ' ');
    wbuf_u64_base(&b, 0, 10, 9);
    wbuf_bytes(&b, NULL, 0);
    cr_expect(holds(&b, "n=0 18446744073709551615 0644 000000000"));
}

Test(buf, writes_every_base)
{
    char mem[80];

    for (unsigned base = 2; base <= 16; base++) {
        struct wbuf b = wbuf_init(mem, sizeof mem);

        wbuf_u64_base(&b, UINT64_MAX, base, 1);
        cr_assert(!b.failed);
        mem[b.len] = '\0';
        cr_expect(strtoull(mem, NULL, (int)base) == UINT64_MAX, "base %u: %s", base, mem);
    }
    for (unsigned base = 0; base <= 17; base += base == 1 ? 16 : 1) {
        struct wbuf b = wbuf_init(mem, sizeof mem);

        wbuf_u64_base(&b, 5, base, 1);
        cr_expect(b.failed, "base %u", base);
    }
}

Test(buf, hex_is_lower_case_and_comes_back)
{
    static const uint8_t in[] = {0x00, 0x9f, 0xff, 0xA0};
    uint8_t out[4];
    char mem[8];
    struct wbuf b = wbuf_init(mem, sizeof mem);

    wbuf_hex(&b, in, sizeof in);
    cr_expect(holds(&b, "009fffa0"));
    cr_expect(parse_hex(mem, 8, out, 4));
    cr_expect(memcmp(in, out, 4) == 0);
}

Test(buf, failure_sticks)
{
    char mem[5] = "....";
    struct wbuf b = wbuf_init(mem, 4);

    wbuf_str(&b, "abc");
    wbuf_str(&b, "de");
    cr_expect(b.failed && b.len == 3);
    wbuf_ch(&b, 'x'); /* would fit */
    wbuf_hex(&b, (const uint8_t *)"", 0);
    cr_expect(b.failed && b.len == 3);
    cr_expect_str_eq(mem, "abc.");
}

Test(buf, hex_fails_whole)
{
    char mem[4] = "...";
    struct wbuf b = wbuf_init(mem, 3);

    wbuf_hex(&b, (const uint8_t *)"ab", 2);
    cr_expect(b.failed && b.len == 0);
    cr_expect_str_eq(mem, "...");
}

static void expect_tokens(const char *in, const char *const *want)
{
    struct rbuf b = rbuf_init(in, strlen(in));
    const char *tok;
    size_t n;

    for (; *want; want++) {
        cr_expect(!rbuf_at_end(&b));
        cr_assert(rbuf_token(&b, ' ', &tok, &n), "\"%s\": \"%s\" missing", in, *want);
        cr_expect(n == strlen(*want) && memcmp(tok, *want, n) == 0, "\"%s\": \"%s\"", in, *want);
    }
    cr_expect(rbuf_at_end(&b));
    cr_expect(!rbuf_token(&b, ' ', &tok, &n));
}

Test(buf, tokens)
{
    expect_tokens("", (const char *const[]){NULL});
    expect_tokens("a", (const char *const[]){"a", NULL});
    expect_tokens("GET /x k=v", (const char *const[]){"GET", "/x", "k=v", NULL});
    expect_tokens(" a  b ", (const char *const[]){"", "a", "", "b", NULL});
}

Test(buf, failed_reader_gives_nothing)
{
    struct rbuf b = rbuf_init("a b", 3);
    const char *tok;
    size_t n;

    b.failed = true;
    cr_expect(!rbuf_token(&b, ' ', &tok, &n));
    cr_expect(b.off == 0);
}

Test(buf, decimal)
{
    static const struct {
        const char *s;
        uint64_t max;
        bool good;
        uint64_t v;
    } t[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"7", 6, false, 0},
        {"7", 7, true, 7},
        {"007", 9, true, 7},
        {"0000000000000000000000000000001", 1, true, 1},
        {"9223372036854775807", INT64_MAX, true, INT64_MAX},
        {"9223372036854775808", INT64_MAX, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999", UINT64_MAX, false, 0},
        {"184467440737095516150", UINT64_MAX, false, 0},
        {"", 9, false, 0},
        {"-1", 9, false, 0},
        {"+1", 9, false, 0},
        {" 1", 9, false, 0},
        {"1 ", 9, false, 0},
        {"0x1", 99, false, 0},
        {"1e3", 9999, false, 0},
        {"\xb2", 9, false, 0},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        uint64_t v = 4711;
        bool good = parse_u64(t[i].s, strlen(t[i].s), t[i].max, &v);

        cr_expect(good == t[i].good, "\"%s\"", t[i].s);
        cr_expect(v == (t[i].good ? t[i].v : 4711), "\"%s\"", t[i].s);
    }
}

Test(buf, numbers_take_exactly_n_bytes)
{
    uint64_t v;

    cr_expect(parse_u64("123x", 3, 999, &v) && v == 123);
    cr_expect(!parse_u64("12\0", 3, 999, &v));
}

Test(buf, octal)
{
    unsigned v = 1;

    cr_expect(parse_octal("0644", 4, 07777, &v) && v == 0644);
    cr_expect(parse_octal("7777", 4, 07777, &v) && v == 07777);
    cr_expect(parse_octal("0", 1, 07777, &v) && v == 0);
    v = 1;
    cr_expect(!parse_octal("10000", 5, 07777, &v));
    cr_expect(!parse_octal("0648", 4, 07777, &v));
    cr_expect(!parse_octal("", 0, 07777, &v));
    cr_expect(v == 1);
}

Test(buf, hex_refuses)
{
    uint8_t out[2] = {1, 2};

    cr_expect(!parse_hex("0g00", 4, out, 2));
    cr_expect(!parse_hex("000", 3, out, 2));
    cr_expect(!parse_hex("00", 2, out, 2));
    cr_expect(!parse_hex("000000", 6, out, 2));
    cr_expect(out[0] == 1 && out[1] == 2, "untouched on failure");
    cr_expect(parse_hex("aBCd", 4, out, 2) && out[0] == 0xab && out[1] == 0xcd);
}

Test(buf, formats_what_fits)
{
    char mem[8];
    struct wbuf b = wbuf_init(mem, sizeof mem);

    wbuf_fmt(&b, "%d-%s", 12, "ab");
    cr_expect(!b.failed && b.len == 5 && memcmp(mem, "12-ab", 5) == 0);
    wbuf_fmt(&b, "%s", "xyz"); /* no room for the NUL */
    cr_expect(b.failed && b.len == 5);
    wbuf_fmt(&b, "x");
    cr_expect(b.failed && b.len == 5);
}
