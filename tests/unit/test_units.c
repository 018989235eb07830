#include "config.h"

#include <criterion/criterion.h>
#include <math.h>

#include "base/units.h"

Test(units, sizes_are_read)
{
    static const struct {
        const char *s;
        uint64_t v;
    } t[] = {
        {"0", 0},
        {"1048576", 1048576},
        {"64K", 65536},
        {"64k", 65536},
        {"1.5M", 1572864},
        {"2G", 2147483648},
        {"1T", 1099511627776},
        {"0.001k", 1},
        {"0.3k", 307},
        {"0.125k", 128},
        {"9007199254740993", 9007199254740993}, /* 2^53 + 1 */
        {"9223372036854775807", INT64_MAX},
        {"8191.5P", INT64_MAX - (UINT64_C(1) << 49) + 1},
        {"8191.999999999999999P", INT64_MAX - 1}, /* not a bit beyond */
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        uint64_t v = 4711;

        cr_expect(units_parse_size(t[i].s, &v), "\"%s\"", t[i].s);
        cr_expect(v == t[i].v, "\"%s\" is %llu", t[i].s, (unsigned long long)v);
    }
}

Test(units, sizes_are_refused)
{
    static const char *const t[] = {"",
                                    "-1",
                                    "+1",
                                    " 1",
                                    "1 ",
                                    "1.5",
                                    "1.",
                                    "1.k",
                                    ".5k",
                                    "K",
                                    "1KB",
                                    "1kk",
                                    "1x",
                                    "0x10",
                                    "1,5M",
                                    "1e3",
                                    "inf",
                                    "nan",
                                    "9223372036854775808",
                                    "8192P",
                                    "99999999999999999999"};

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        uint64_t v = 4711;

        cr_expect(!units_parse_size(t[i], &v), "\"%s\"", t[i]);
        cr_expect(v == 4711);
    }
}

Test(units, rates)
{
    static const struct {
        const char *s;
        uint64_t v; /* 0: refused */
    } t[] = {
        {"500K", 512000},
        {"2M", 2097152},
        {"1", 1},
        {"100mbit", 12500000},
        {"1gbit", 125000000},
        {"800kbit", 100000},
        {"1.5Mbit", 187500},
        {"64BIT", 8},
        {"0", 0},
        {"0K", 0},
        {"1bit", 0},
        {"0mbit", 0},
        {"-1M", 0},
        {"100mbits", 0},
        {"mbit", 0},
        {"100 mbit", 0},
        {"9223372036854775807gbit", 0},
        {"", 0},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        uint64_t v = 0;

        cr_expect(units_parse_rate(t[i].s, &v) == (t[i].v > 0), "\"%s\"", t[i].s);
        cr_expect(v == t[i].v, "\"%s\" is %llu", t[i].s, (unsigned long long)v);
    }
}

Test(units, seconds)
{
    static const struct {
        const char *s;
        double v;
    } good[] = {{"30", 30},    {"0.5", 0.5}, {"200ms", 0.2}, {"2m", 120},        {"1h", 3600},
                {"1.5S", 1.5}, {"0", 0},     {"0.25h", 900}, {"1000000000", 1e9}};
    static const char *const bad[] = {"",           "-1",  "1d",  "1 s", "s",
                                      "1000000001", "inf", "1,5", ".5",  "1e3"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        double v = -1;

        cr_expect(units_parse_seconds(good[i].s, &v), "\"%s\"", good[i].s);
        cr_expect(fabs(v - good[i].v) < 1e-9, "\"%s\" is %f", good[i].s, v);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double v = -1;

        cr_expect(!units_parse_seconds(bad[i], &v), "\"%s\"", bad[i]);
        cr_expect(v == -1);
    }
}

Test(units, sizes_are_shown)
{
    static const struct {
        uint64_t v;
        const char *s;
    } t[] = {
        {0, "0 B"},
        {12, "12 B"},
        {999, "999 B"},
        {1000, "1.0 kB"},
        {4100, "4.1 kB"},
        {4149, "4.1 kB"},
        {4150, "4.2 kB"},
        {99949, "99.9 kB"},
        {99950, "100 kB"},
        {107400000, "107 MB"},
        {107500000, "108 MB"},
        {96100000, "96.1 MB"},
        {999499, "999 kB"},
        {999500, "1.0 MB"},
        {4000000000, "4.0 GB"},
        {UINT64_C(1000000000000), "1.0 TB"},
        {UINT64_C(999499999999999999), "999 PB"},
        {UINT64_C(999500000000000000), "1.0 EB"},
        {UINT64_MAX, "18.4 EB"},
    };
    char out[32];

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        cr_expect_str_eq(units_size(t[i].v, out, sizeof out), t[i].s, "%llu: %s",
                         (unsigned long long)t[i].v, out);
    cr_expect_str_eq(units_size(96100000, out, 5), "96.1", "cut, with its NUL");
}

Test(units, rates_are_shown)
{
    char out[32];

    cr_expect_str_eq(units_rate(107000000, 1, out, sizeof out), "107 MB/s");
    cr_expect_str_eq(units_rate(96100000, 0.9, out, sizeof out), "107 MB/s");
    cr_expect_str_eq(units_rate(0, 1, out, sizeof out), "0 B/s");
    cr_expect_str_eq(units_rate(5, 0, out, sizeof out), "-");
    cr_expect_str_eq(units_rate(5, -1, out, sizeof out), "-");
    cr_expect_str_eq(units_rate(5, NAN, out, sizeof out), "-");
    cr_expect_str_eq(units_rate(UINT64_MAX, 1e-300, out, sizeof out), "18.4 EB/s");
}

Test(units, times_are_shown)
{
    static const struct {
        double v;
        const char *s;
    } t[] = {
        {0, "0.0 s"},
        {0.9, "0.9 s"},
        {15, "15.0 s"},
        {59.94, "59.9 s"},
        {59.95, "1 min 00 s"},
        {185, "3 min 05 s"},
        {3599.4, "59 min 59 s"},
        {3599.9, "1 h 00 min"},
        {8040, "2 h 14 min"},
        {360000, "100 h 00 min"},
        {-1, "0.0 s"},
        {NAN, "0.0 s"},
    };
    char out[48];

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        cr_expect_str_eq(units_time(t[i].v, out, sizeof out), t[i].s, "%f: %s", t[i].v, out);
    cr_expect(units_time(INFINITY, out, sizeof out)[0] != '\0');
}
