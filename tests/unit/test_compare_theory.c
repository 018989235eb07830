#include "config.h"

#include <criterion/criterion.h>
#include <math.h>

#include "compare/link.h"
#include "compare/spec.h"
#include "compare/method.h"
#include "compare/theory.h"

#define MIB (UINT64_C(1) << 20)
#define KIB UINT64_C(1024)

static struct compare_link link_of(const char *text)
{
    struct compare_link l;
    char why[COMPARE_WHY_MAX];

    compare_link_default(&l);
    cr_assert(compare_link_parse(text, &l, why), "%s", why);
    return l;
}

static double seconds(const char *link, const char *method, uint64_t bytes)
{
    struct compare_link l = link_of(link);
    struct compare_method m;
    char why[COMPARE_WHY_MAX];

    cr_assert(compare_method_parse(method, &m, why), "%s", why);
    return theory_seconds(&l, &m, "", COMPARE_PUT, bytes);
}

#define FAST "rate=100mbit,rtt=50ms"

/* The figures that were predicted of the link's first measurements. Those of stop-and-wait count
 * full blocks alone: one byte less than a whole number of blocks is as many. */
Test(compare_theory, closed_forms)
{
    struct compare_link l = link_of(FAST);
    struct theory_path p = theory_path(&l, COMPARE_PUT);

    cr_expect_float_eq(seconds(FAST, "udp:blksize=512", 128 * KIB - 1), 12.81, .005);
    cr_expect_float_eq(seconds(FAST, "udp", 256 * KIB), 9.22, .005);
    cr_expect_float_eq(seconds(FAST, "udp:blksize=8192", 256 * KIB - 1), 1.62, .005);
    cr_expect_float_eq(seconds(FAST, "udp:window=64", 4 * MIB), 2.64, .005);
    /* Two windows of 64 for 92 blocks: two round trips, not 1.4. */
    cr_expect_float_eq(seconds(FAST, "udp:window=64", 128 << 10), 2 * .05 + 92 * .0001168, 1e-6);
    cr_expect_float_eq(theory_tcp(&p, 4 * MIB, 1, p.rtt / 2), 0.65, .005);
    cr_expect_float_eq(seconds(FAST ",loss=3%", "tcp", 4 * MIB), 20.6, .05);
    cr_expect_float_eq(seconds(FAST ",loss=3%", "tcp*4", 4 * MIB), 20.6 / 4, .05);
}

/* What was measured, in seconds, and how near a textbook comes. */
Test(compare_theory, near_to_what_was_measured)
{
    static const struct {
        const char *link, *method;
        double measured, within;
    } t[] = {
        {FAST, "udp:blksize=512", 414, .02},
        {FAST, "udp", 149, .02},
        {FAST, "udp:blksize=8192", 25.7, .02},
        {FAST ",loss=1%", "udp", 154, .04},
        {FAST ",loss=3%", "udp", 158, .04},
        {FAST ",loss=3%", "udp:blksize=8192", 32.8, .08},
        {FAST, "udp:window=16", 9.6, .02},
        {FAST ",loss=1%", "udp:window=16", 10.6, .02},
        {FAST ",loss=3%", "udp:window=16", 12.9, .08},
        {FAST ",loss=0.1%", "udp:window=64", 2.7, .04},
        {FAST ",loss=1%", "udp:window=64", 3.5, .10},
        {FAST ",loss=3%", "udp:window=64", 6.2, .10},
        {FAST ",loss=0.1%", "tcp:bbr", .69, .05},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        double s = seconds(t[i].link, t[i].method, 4 * MIB);

        cr_expect_float_eq(s / t[i].measured, 1, t[i].within, "%s %s: %g for %g", t[i].link,
                           t[i].method, s, t[i].measured);
    }
}

Test(compare_theory, default_table)
{
    cr_expect_float_eq(seconds("default", "tcp", MIB), 0.50, .005);
    cr_expect_float_eq(seconds("default", "udp:window=16", MIB), 1.35, .005);
    cr_expect_float_eq(seconds("default", "udp", MIB), 15.1, .05);
}

Test(compare_theory, no_prediction_where_there_is_none)
{
    cr_expect(isnan(seconds("loopback", "tcp", MIB)));
    cr_expect(isnan(seconds("loopback", "udp", MIB)));
    cr_expect(isnan(seconds("loss=40%", "udp", MIB)));
}

Test(compare_theory, blocks)
{
    cr_expect_eq(theory_blocks(0, 512), 1);
    cr_expect_eq(theory_blocks(511, 512), 1);
    cr_expect_eq(theory_blocks(512, 512), 2, "an empty block ends it");
    cr_expect_eq(theory_blocks(MIB, 1428), 735);
}

Test(compare_theory, ways_apart)
{
    struct compare_link l = link_of("broadband");
    struct compare_method m;
    char why[COMPARE_WHY_MAX];

    cr_assert(compare_method_parse("tcp", &m, why));
    cr_expect_gt(theory_seconds(&l, &m, "", COMPARE_PUT, MIB),
                 3 * theory_seconds(&l, &m, "", COMPARE_GET, MIB));
}

Test(compare_theory, fits)
{
    struct compare_link l = link_of("default");
    struct compare_method m;
    char why[COMPARE_WHY_MAX];
    uint64_t n;

    cr_assert(compare_method_parse("udp", &m, why));
    n = theory_fits(&l, &m, "", COMPARE_PUT, MIB, 2);
    cr_expect_eq(n % 1428, 0);
    cr_expect_leq(theory_seconds(&l, &m, "", COMPARE_PUT, n), 2);
    cr_expect_gt(theory_seconds(&l, &m, "", COMPARE_PUT, n + 1428), 2);
    cr_expect_eq(theory_fits(&l, &m, "", COMPARE_PUT, MIB, 20), MIB);
    cr_expect_eq(theory_fits(&l, &m, "", COMPARE_PUT, 100, 1e-9), 100);
}
