#include "config.h"

#include <criterion/criterion.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "cli/progress.h"

static void use_utf8(void)
{
    cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
}

TestSuite(progress, .init = use_utf8);

/* What a terminal makes of it, told by other means than the code under test. */
static int width_of(const char *s)
{
    wchar_t wide[PROGRESS_LINE_MAX];
    size_t n = mbstowcs(wide, s, PROGRESS_LINE_MAX);

    cr_assert(n < PROGRESS_LINE_MAX, "not text: %s", s);
    return wcswidth(wide, n); /* -1: holds a control character */
}

#define HALF                                                                                       \
    {                                                                                              \
        .bytes_done = 1800000000, .bytes_total = 4000000000, .rate = 107e6, .utf8 = true           \
    }

static const struct {
    struct progress_state s;
    unsigned width;
    const char *line;
} lines[] = {
    {HALF, 80, " 45%  1.8 GB of 4.0 GB  107 MB/s  20.6 s left"},
    {HALF, 46, " 45%  1.8 GB of 4.0 GB  107 MB/s  20.6 s left"},
    {HALF, 45, " 45%  1.8 GB of 4.0 GB  107 MB/s"},
    {HALF, 33, " 45%  1.8 GB of 4.0 GB  107 MB/s"},
    {HALF, 32, " 45%  1.8 GB of 4.0 GB"},
    {HALF, 20, " 45%  1.8 GB"},
    {HALF, 19, " 45%"},
    {HALF, 5, " 45%"},
    {HALF, 4, ""},
    {HALF, 1, ""},
    {HALF, 0, ""},
    {{.bytes_done = 12, .utf8 = true}, 80, "12 B"},
    {{.bytes_done = 12, .files_done = 3}, 80, "12 B  3 files"},
    {{.bytes_done = 12}, 19, ""},
    {{.bytes_done = 5, .bytes_total = 10, .files_done = 3, .files_total = 412},
     80,
     " 50%  5 B of 10 B  3 of 412 files"},
    {{.bytes_done = 10, .bytes_total = 10, .rate = 1}, 80, "100%  10 B of 10 B  1 B/s  0.0 s left"},
    {{.bytes_done = 999, .bytes_total = 1000}, 12, " 99%"},
    {{.bytes_done = 20, .bytes_total = 10, .rate = 1}, 80, "100%  20 B of 10 B  1 B/s"},
    {{.name = "big.iso", .bytes_done = 5, .bytes_total = 10}, 80, "big.iso   50%  5 B of 10 B"},
    {{.name = "a-rather-long-name.iso", .bytes_done = 5, .bytes_total = 10, .utf8 = true},
     33,
     "a-rather-lon…   50%  5 B of 10 B"},
    {{.name = "a-rather-long-name.iso", .bytes_done = 5, .bytes_total = 10},
     33,
     "a-rather-l...   50%  5 B of 10 B"},
    {{.name = "日本語日本語日.iso", .bytes_done = 5, .bytes_total = 10, .utf8 = true},
     33,
     "日本語日本語…   50%  5 B of 10 B"},
    {{.name = "e\xcc\x81te\xcc\x81", .bytes_done = 5, .bytes_total = 10, .utf8 = true},
     80,
     "e\xcc\x81te\xcc\x81   50%  5 B of 10 B"},
    {{.name = "\033[2J\n", .bytes_done = 5, .bytes_total = 10, .utf8 = true},
     80,
     "\\x1b[2J\\n   50%  5 B of 10 B"},
};

Test(progress, lines_are_as_the_table_says)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char out[PROGRESS_LINE_MAX];

        cr_expect_str_eq(progress_format(&lines[i].s, lines[i].width, out), lines[i].line,
                         "row %zu: \"%s\"", i, out);
    }
}

static const char *const names[] = {
    NULL,
    "",
    "a",
    "日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語",
    "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81te\xcc\x81 e\xcc\x81\xcc\x81te\xcc\x81 e\xcc\x81te\xcc\x81",
    "\xcc\x81\xcc\x81\xcc\x81 begins with what combines",
    "\xff\xfe\033[31m\r\n\t\x7f\xe2\x80\xae hostile",
    "a name that is longer than every terminal that was ever made, and then some, and then some "
    "more, and then some more of that, and then some more of that, too, and then some",
};

static const struct progress_state states[] = {
    {.bytes_done = 0, .bytes_total = 1, .utf8 = true},
    {.bytes_done = UINT64_MAX, .bytes_total = UINT64_MAX, .rate = 1e30, .utf8 = true},
    {.bytes_done = 1,
     .bytes_total = UINT64_MAX,
     .rate = 1e-9,
     .files_done = UINT64_MAX,
     .files_total = UINT64_MAX},
    {.bytes_done = 1, .bytes_total = 0, .rate = 1e9, .files_done = 3},
    {.bytes_done = 1, .bytes_total = 3, .rate = 0.5, .files_done = 3, .files_total = 9},
};

Test(progress, never_reaches_the_last_column)
{
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t i = 0; i < sizeof states / sizeof *states; i++)
            for (unsigned width = 1; width <= 200; width++) {
                struct progress_state s = states[i];
                char out[PROGRESS_LINE_MAX];
                int columns;

                s.name = names[n];
                columns = width_of(progress_format(&s, width, out));
                cr_assert(columns >= 0 && columns <= (int)width - 1,
                          "name %zu, state %zu, width %u: %d columns: %s", n, i, width, columns,
                          out);
                cr_assert(width >= 20 || columns == 0 || out[columns - 1] == '%', "%s", out);
            }
}

Test(progress, never_cuts_a_character_where_the_locale_has_none)
{
    struct progress_state s = {.name = names[3], .bytes_done = 1, .bytes_total = 2};

    setlocale(LC_CTYPE, "C");
    for (unsigned width = 1; width <= 200; width++) {
        char out[PROGRESS_LINE_MAX];

        progress_format(&s, width, out);
        cr_assert(strlen(out) < width || width >= 20);
        use_utf8();
        cr_assert(width_of(out) < (int)width);
        setlocale(LC_CTYPE, "C");
    }
}

Test(progress, rate_is_that_of_the_last_seconds)
{
    struct progress_rate r = {.n = 0};
    double rate = 0;

    cr_expect_eq(progress_rate_update(&r, 100, 0), 0);
    for (int i = 1; i <= 100; i++)
        rate = progress_rate_update(&r, 100 + 0.1 * i, (uint64_t)i * 100);
    cr_expect_float_eq(rate, 1000, 1);
    /* ten times as fast: after the samples are used up nothing is left of the slow time */
    for (int i = 1; i <= 100; i++)
        rate = progress_rate_update(&r, 110 + 0.1 * i, 10000 + (uint64_t)i * 1000);
    cr_expect_float_eq(rate, 10000, 10);
    /* a stall brings it down */
    for (int i = 1; i <= 100; i++)
        rate = progress_rate_update(&r, 120 + 0.1 * i, 110000);
    cr_expect_eq(rate, 0);
}

Test(progress, rate_survives_bytes_that_are_taken_back_and_a_clock_that_stands)
{
    struct progress_rate r = {.n = 0};

    progress_rate_update(&r, 1, 1000);
    cr_expect_eq(progress_rate_update(&r, 1, 2000), 0);
    cr_expect_eq(progress_rate_update(&r, 2, 500), 0);
    cr_expect_float_eq(progress_rate_update(&r, 3, 700), 200, 0.001);
}
