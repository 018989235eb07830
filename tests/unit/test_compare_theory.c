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
#define SHORT "rate=100mbit,rtt=10ms"

/* N (R + s), N (R/W + s), and so on, from the design of the link, and a round trip for the request.
 * One byte less than a whole number of blocks is as many. */
Test(compare_theory, closed_forms)
{
    struct compare_link l = link_of(FAST);
    struct theory_path p = theory_path(&l, COMPARE_PUT);

    cr_expect_float_eq(seconds(FAST, "udp:blksize=512", 128 * KIB - 1), 12.81 + .05, .005);
    cr_expect_float_eq(seconds(FAST, "udp", 256 * KIB), 9.22 + .05, .005);
    cr_expect_float_eq(seconds(FAST, "udp:blksize=8192", 256 * KIB - 1), 1.62 + .05, .005);
    cr_expect_float_eq(seconds(FAST, "udp:window=64", 4 * MIB), 2.64 + .05, .01);
    /* Two windows of 64 for 92 blocks: two round trips, not 1.4. */
    cr_expect_float_eq(seconds(FAST, "udp:window=64", 128 << 10), 3 * .05 + 92 * .0001168, .0002);
    cr_expect_float_eq(theory_tcp(&p, 4 * MIB, 1, p.rtt / 2), 0.65, .005);
    p.loss = .03;
    cr_expect_float_eq(theory_mathis(&p, 4 * MIB, 1), 20.6, .05);
    cr_expect_float_eq(theory_mathis(&p, 4 * MIB, 4), 20.6 / 4, .05);
}

/* Means of our own transfers of 1 MiB, 20 seeds each where there is loss, and of 4 MiB as the
 * link's first measurements have them: how near a textbook comes. */
Test(compare_theory, near_to_what_was_measured)
{
    static const struct {
        const char *link, *method;
        uint64_t bytes;
        double measured, within;
    } t[] = {
        {FAST, "udp:blksize=512", 4 * MIB, 414, .02},
        {FAST, "udp", 4 * MIB, 149, .02},
        {FAST, "udp:blksize=8192", 4 * MIB, 25.7, .02},
        {FAST ",loss=1%", "udp", 4 * MIB, 154, .04},
        {FAST ",loss=3%", "udp", 4 * MIB, 158, .04},
        {FAST, "udp:window=16", 4 * MIB, 9.6, .02},
        {FAST ",loss=0.1%", "tcp:bbr", 4 * MIB, .69, .05},
        {SHORT ",loss=1%", "udp:blksize=8192", MIB, 1.615, .05},
        {SHORT ",loss=1%", "udp:window=4", MIB, 2.175, .05},
        {SHORT ",loss=1%", "udp:window=16", MIB, .692, .05},
        {SHORT ",loss=1%", "udp:window=64", MIB, .277, .05},
        {SHORT ",loss=1%", "udp:blksize=512,window=16", MIB, 1.79, .05},
        {SHORT ",loss=1%", "tcp:cubic", MIB, .328, .15},
        {SHORT ",loss=1%", "tcp:reno", MIB, .407, .3},
        {"queue=10K", "tcp:cubic", MIB, .88, .05},
        {"queue=10K", "tcp:reno", MIB, .78, .05},
        {SHORT ",loss=3%", "udp:blksize=8192", MIB, 2.538, .1},
        {SHORT ",loss=3%", "udp:window=4", MIB, 2.678, .05},
        {SHORT ",loss=3%", "udp:window=16", MIB, 1.007, .15},
        {SHORT ",loss=3%", "udp:window=64", MIB, .53, .25},
        {SHORT ",loss=3%", "tcp:reno", MIB, 1.319, .1},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        double s = seconds(t[i].link, t[i].method, t[i].bytes);

        cr_expect_float_eq(s / t[i].measured, 1, t[i].within, "%s %s: %g for %g", t[i].link,
                           t[i].method, s, t[i].measured);
    }
}

/* More bytes, a longer way, a slower line, more loss: nothing of it makes a transfer faster. */
Test(compare_theory, worse_is_never_faster)
{
    static const char *const methods[] = {"tcp",
                                          "tcp:reno",
                                          "tcp:bbr",
                                          "tcp*4",
                                          "udp",
                                          "udp:window=4",
                                          "udp:window=16",
                                          "udp:blksize=8192",
                                          "udp:blksize=8192,window=4"};
    static const char *const worse[][5] = {
        {"rtt=1ms", "rtt=10ms", "rtt=100ms", "rtt=600ms", NULL},
        {"rate=400mbit", "rate=100mbit", "rate=10mbit", "rate=1mbit", NULL},
        {"queue=10M", "loss=0.01%,queue=10M", "loss=1%,queue=10M", "loss=3%,queue=10M", NULL},
        {"loss=0/1%", "loss=1%", NULL},
    };

    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++)
        for (size_t w = 0; w < sizeof worse / sizeof *worse; w++) {
            double least = 0;

            for (size_t i = 0; worse[w][i] != NULL; i++) {
                double s = seconds(worse[w][i], methods[m], MIB), before = 0;

                cr_expect(isnan(s) || s > .99 * least, "%s %s: %g", methods[m], worse[w][i], s);
                least = isnan(s) ? least : s;
                for (uint64_t n = 1; n < 3 * MIB; n += n / 8 + 1000) {
                    s = seconds(worse[w][i], methods[m], n);
                    cr_expect(isnan(s) || (s > 0 && s >= .98 * before), "%s %s %llu: %g after %g",
                              methods[m], worse[w][i], (unsigned long long)n, s, before);
                    before = isnan(s) ? before : s;
                }
            }
        }
}

Test(compare_theory, default_table)
{
    cr_expect_float_eq(seconds("default", "tcp", MIB), 0.50, .005);
    cr_expect_float_eq(seconds("default", "udp:window=16", MIB), 1.37, .005);
    cr_expect_float_eq(seconds("default", "udp", MIB), 15.15, .05);
}

Test(compare_theory, no_prediction_where_there_is_none)
{
    cr_expect(isnan(seconds("loopback", "tcp", MIB)));
    cr_expect(isnan(seconds("loopback", "udp", MIB)));
    cr_expect(isnan(seconds("loss=40%", "udp", MIB)));
    cr_expect(isnan(seconds("loss=40%", "udp:window=4", MIB)));
    cr_expect(isnan(seconds("rate=5mbit", "udp:window=64", MIB)), "it overflows the queue");
    cr_expect(isfinite(seconds("rate=5mbit,queue=100K", "udp:window=64", MIB)));
    cr_expect(isfinite(seconds("rate=5mbit,queue=1500", "udp", MIB)));
}

Test(compare_theory, blocks)
{
    cr_expect_eq(theory_blocks(0, 512), 1);
    cr_expect_eq(theory_blocks(511, 512), 1);
    cr_expect_eq(theory_blocks(512, 512), 2, "an empty block ends it");
    cr_expect_eq(theory_blocks(MIB, 1428), 735);
}

/* A round trip for the request and its answer; one more for the digest of a long file to get. */
Test(compare_theory, what_comes_before_the_blocks)
{
    struct compare_link l = link_of("rate=10gbit,rtt=100ms");
    struct compare_method m;
    char why[COMPARE_WHY_MAX];

    cr_assert(compare_method_parse("udp:blksize=65464", &m, why));
    cr_expect_float_eq(theory_seconds(&l, &m, "", COMPARE_PUT, 1), .2, .001);
    cr_expect_float_eq(theory_seconds(&l, &m, "", COMPARE_GET, 1), .2, .001);
    cr_expect_float_eq(theory_seconds(&l, &m, "", COMPARE_PUT, 5 * MIB), 8.2, .05);
    cr_expect_float_eq(theory_seconds(&l, &m, "", COMPARE_GET, 5 * MIB), 8.3, .05);
}

/* What does not fit a queue is planned for with patience, though no textbook has a time for it. */
Test(compare_theory, overflow_is_planned_for)
{
    struct compare_link l = link_of("rate=5mbit");
    struct compare_method m;
    char why[COMPARE_WHY_MAX];

    cr_assert(compare_method_parse("udp:window=64", &m, why));
    cr_expect_gt(theory_allow(&l, &m, "", COMPARE_PUT, MIB), 40);
    cr_expect_lt(theory_fits(&l, &m, "", COMPARE_PUT, MIB, 10), MIB / 4);
    cr_assert(compare_method_parse("udp:window=16", &m, why));
    cr_expect_float_eq(theory_allow(&l, &m, "", COMPARE_PUT, MIB),
                       theory_seconds(&l, &m, "", COMPARE_PUT, MIB), 1e-9);
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

/* The kernel's default is none of the business of a method that names its own. */
Test(compare_theory, the_method_names_its_congestion_control)
{
    struct compare_link l = link_of("rate=50mbit,rtt=80ms,loss=0.5%");
    struct compare_method reno, any;
    char why[COMPARE_WHY_MAX];

    cr_assert(compare_method_parse("tcp:reno", &reno, why));
    cr_assert(compare_method_parse("tcp", &any, why));
    cr_expect_eq(theory_seconds(&l, &reno, "bbr", COMPARE_GET, 3 * MIB),
                 theory_seconds(&l, &any, "reno", COMPARE_GET, 3 * MIB));
    cr_expect_gt(theory_seconds(&l, &reno, "bbr", COMPARE_GET, 3 * MIB),
                 2 * theory_seconds(&l, &any, "bbr", COMPARE_GET, 3 * MIB));
}
