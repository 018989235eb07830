#include "config.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"

Test(escape, shows)
{
    static const struct {
        const char *in, *out;
    } t[] = {
        {"", ""},
        {"plain name.txt", "plain name.txt"},
        {"tab\there", "tab\\there"},
        {"new\nline", "new\\nline"},
        {"cr\rhere", "cr\\x0dhere"},
        {"back\\slash", "back\\\\slash"},
        {"\033[31mred", "\\x1b[31mred"},
        {"\x7f", "\\x7f"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xff", "\\xff"},
        {"\xc3", "\\xc3"},
        {"\xc3(", "\\xc3("},
        {"\xc0\xaf", "\\xc0\\xaf"},          /* overlong slash */
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"}, /* overlong in three */
        {"\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
        {"\xc2\x9b[2J", "\\xc2\\x9b[2J"},             /* C1: CSI */
        {"\xe2\x80\xae"
         "gpj.exe",
         "\\xe2\\x80\\xaegpj.exe"},          /* right-to-left override */
        {"\xe2\x81\xa6", "\\xe2\\x81\\xa6"}, /* isolate */
        {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"}, /* line separator */
        {"\xe2\x80\xa7", "\xe2\x80\xa7"},    /* its neighbour is harmless */
    };
    char out[128];

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        cr_expect(escape_show(t[i].in, strlen(t[i].in), out, sizeof out) == out);
        cr_expect_str_eq(out, t[i].out, "row %zu: %s", i, out);
    }
    cr_expect_str_eq(escape_show("a\0b", 3, out, sizeof out), "a\\x00b");
}

Test(escape, cuts_at_whole_pieces)
{
    static const struct {
        const char *in;
        size_t cap;
        const char *out;
    } t[] = {
        {"1234567", 8, "1234567"},
        {"12345678", 8, "1234..."},
        {"123\n567", 8, "123..."},
        {"\n\n\n\n", 8, "\\n\\n..."},
        {"\001\001\001", 8, "\\x01..."},
        {"1\001\001\001", 8, "1..."},
        {"123\xe2\x82\xac"
         "45",
         8, "123..."},
        {"12345\xc3\xbc", 8, "12345\xc3\xbc"},
    };
    char out[16];

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        cr_expect_str_eq(escape_show(t[i].in, strlen(t[i].in), out, t[i].cap), t[i].out,
                         "row %zu: %s", i, out);
}

/* Whatever comes in: printable UTF-8 of one line that fits comes out. */
Test(escape, random_bytes_become_harmless)
{
    unsigned short seed[3] = {1, 2, 3};

    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)nrand48(seed) % 24, cap = 8 + (size_t)nrand48(seed) % 100;
        char in[24], *out = malloc(cap);

        cr_assert(out);
        for (size_t i = 0; i < n; i++)
            in[i] = (char)(nrand48(seed) >> 8);
        escape_show(in, n, out, cap);
        cr_assert(strlen(out) < cap);
        cr_assert(escape_is_utf8(out, strlen(out)));
        for (char *p = out; *p; p++)
            cr_assert((unsigned char)*p >= 0x20 && *p != 0x7f);
        cr_assert(cap < 4 * n + 1 || !strstr(out, "...") || memmem(in, n, "...", 3));
        free(out);
    }
}

Test(escape, utf8)
{
    static const char *const good[] = {"", "a", "\xc3\xbc", "\xf4\x8f\xbf\xbf", "\xee\x80\x80"};
    static const char *const bad[] = {"\x80",  "\xc3",     "\xc1\xbf",    "\xf5\x80\x80\x80",
                                      "a\xff", "\xe2\x82", "\xed\xbf\xbf"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(escape_is_utf8(good[i], strlen(good[i])), "good %zu", i);
    for (size_t n = 1; n < 4; n++)
        cr_expect(!escape_is_utf8("\xf0\x9f\x98\x80", n), "cut after %zu", n);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect(!escape_is_utf8(bad[i], strlen(bad[i])), "bad %zu", i);
}

Test(escape, percent_of_every_byte_comes_back)
{
    char all[255], coded[3 * 255], plain[255];

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)(i + 1);

    long n = escape_percent(all, sizeof all, coded, sizeof coded);

    cr_assert(n == 255 + 2 * (31 + 3)); /* controls, space, '%' and DEL */
    for (long i = 0; i < n; i++)
        cr_expect((unsigned char)coded[i] > ' ' && coded[i] != 0x7f);
    cr_expect(escape_unpercent(coded, (size_t)n, plain, sizeof plain) == 255);
    cr_expect(memcmp(all, plain, sizeof all) == 0);
    cr_expect(escape_unpercent(coded, (size_t)n, coded, sizeof coded) == 255, "in place");
    cr_expect(memcmp(all, coded, sizeof all) == 0);
}

Test(escape, percent_needs_room)
{
    char out[4] = "...";

    cr_expect(escape_percent("a b", 3, out, 4) == -1);
    cr_expect(escape_percent(" ", 1, out, 2) == -1);
    cr_expect(escape_percent(" ", 1, out, 3) == 3);
    cr_expect(escape_percent("", 0, out, 0) == 0);
    cr_expect(escape_unpercent("abc", 3, out, 2) == -1);
    cr_expect(escape_unpercent("%61%62", 6, out, 2) == 2);
}

Test(escape, unpercent_is_strict_about_escapes_only)
{
    static const char *const bad[] = {"%",   "%4",    "%zz",  "a%",  "%0",
                                      "%00", "a%00b", "%%20", "%-1", "% 1"};
    char out[16];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect(escape_unpercent(bad[i], strlen(bad[i]), out, sizeof out) == -1, "%s", bad[i]);
    cr_expect(escape_unpercent("%2f%2F%aB", 9, out, sizeof out) == 3);
    cr_expect(memcmp(out, "//\xab", 3) == 0);
    cr_expect(escape_unpercent("a b\n", 4, out, sizeof out) == 4);
    cr_expect(memcmp(out, "a b\n", 4) == 0);
}
