#include "config.h"

#include "base/units.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

/* A unit and what it multiplies by; the first of a table has the empty name. */
struct unit {
    const char *name; /* lower case */
    double factor;
};

static const struct unit sizes[] = {
    {"", 1},           {"k", 1ull << 10}, {"m", 1ull << 20},
    {"g", 1ull << 30}, {"t", 1ull << 40}, {"p", 1ull << 50},
};
static const struct unit bit_rates[] = {
    {"bit", 1 / 8.}, {"kbit", 1e3 / 8}, {"mbit", 1e6 / 8}, {"gbit", 1e9 / 8}};
static const struct unit times[] = {{"", 1}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define SECONDS_MAX 1e9 /* in nanoseconds it still fits 64 bits */

/* Digits and a point, as they stand in every locale: whole and the fraction below 1. */
static const char *parse_decimal(const char *s, uint64_t *whole, double *fraction)
{
    size_t n = strspn(s, "0123456789");
    double part = 0, scale = 1;

    *fraction = 0;
    if (!parse_u64(s, n, INT64_MAX, whole))
        return NULL;
    s += n;
    if (*s != '.')
        return s;
    if (s[1] < '0' || s[1] > '9')
        return NULL;
    for (s++; *s >= '0' && *s <= '9'; s++)
        if (scale < 1e15) { /* one division, rounded once: more digits do not count */
            part = part * 10 + (*s - '0');
            scale *= 10;
        }
    *fraction = part / scale;
    return s;
}

static bool same_word(const char *s, const char *lower)
{
    for (; *s || *lower; s++, lower++)
        if ((*s >= 'A' && *s <= 'Z' ? *s | 0x20 : *s) != *lower)
            return false;
    return true;
}

static const struct unit *find_unit(const struct unit *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (same_word(name, table[i].name))
            return &table[i];
    return NULL;
}

bool units_parse_size(const char *s, uint64_t *bytes)
{
    uint64_t whole;
    double fraction;
    const char *rest = parse_decimal(s, &whole, &fraction);
    const struct unit *u = rest ? find_unit(sizes, COUNT(sizes), rest) : NULL;

    if (!u || (u->factor == 1 && memchr(s, '.', (size_t)(rest - s))))
        return false;

    /* In integers: a double would round sizes beyond 2^53. */
    uint64_t factor = (uint64_t)u->factor;

    if (whole > INT64_MAX / factor)
        return false;
    *bytes = whole * factor + (uint64_t)(fraction * u->factor);
    return true;
}

bool units_parse_rate(const char *s, uint64_t *bytes_per_second)
{
    uint64_t whole, rate;
    double fraction;
    const char *rest = parse_decimal(s, &whole, &fraction);
    const struct unit *u = rest ? find_unit(bit_rates, COUNT(bit_rates), rest) : NULL;

    if (u) {
        double v = ((double)whole + fraction) * u->factor;

        if (v >= (double)INT64_MAX)
            return false;
        rate = (uint64_t)v;
    } else if (!units_parse_size(s, &rate)) {
        return false;
    }
    if (rate == 0)
        return false;
    *bytes_per_second = rate;
    return true;
}

bool units_parse_seconds(const char *s, double *seconds)
{
    uint64_t whole;
    double fraction;
    const char *rest = parse_decimal(s, &whole, &fraction);
    const struct unit *u = rest ? find_unit(times, COUNT(times), rest) : NULL;

    if (!u || ((double)whole + fraction) * u->factor > SECONDS_MAX)
        return false;
    *seconds = ((double)whole + fraction) * u->factor;
    return true;
}

char *units_size(uint64_t bytes, char *out, size_t cap)
{
    static const char *const names[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    uint64_t unit = 1;
    size_t i = 0;

    /* 999.5 of a unit would be shown as 1000 of it: 1.0 of the next one. */
    while (i + 1 < COUNT(names) && bytes >= unit * 1000 - unit / 2) {
        unit *= 1000;
        i++;
    }

    uint64_t whole = bytes / unit, rest = bytes % unit;
    uint64_t tenths = whole * 10 + (rest * 10 + unit / 2) / unit;

    if (i == 0 || tenths >= 1000)
        snprintf(out, cap, "%llu %s",
                 (unsigned long long)(whole + (rest >= (unit + 1) / 2 && i > 0)), names[i]);
    else
        snprintf(out, cap, "%llu.%llu %s", (unsigned long long)(tenths / 10),
                 (unsigned long long)(tenths % 10), names[i]);
    return out;
}

char *units_rate(uint64_t bytes, double seconds, char *out, size_t cap)
{
    double rate = seconds > 0 ? (double)bytes / seconds : 0;
    char size[32];

    if (!(seconds > 0))
        snprintf(out, cap, "-");
    else
        snprintf(out, cap, "%s/s",
                 units_size(rate < 1e19 ? (uint64_t)rate : UINT64_MAX, size, sizeof size));
    return out;
}

char *units_time(double seconds, char *out, size_t cap)
{
    double s = seconds > 0 ? seconds : 0;
    uint64_t tenths = (uint64_t)((s < SECONDS_MAX ? s : SECONDS_MAX) * 10 + 0.5);
    unsigned long long whole = (tenths + 5) / 10;

    if (tenths < 600)
        snprintf(out, cap, "%llu.%llu s", (unsigned long long)(tenths / 10),
                 (unsigned long long)(tenths % 10));
    else if (whole < 3600)
        snprintf(out, cap, "%llu min %02llu s", whole / 60, whole % 60);
    else
        snprintf(out, cap, "%llu h %02llu min", (whole + 30) / 3600, (whole + 30) / 60 % 60);
    return out;
}
