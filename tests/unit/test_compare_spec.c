#include "config.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "compare/link.h"
#include "compare/method.h"
#include "compare/plan.h"
#include "compare/spec.h"

Test(compare_method, names_and_labels)
{
    static const struct {
        const char *text, *name, *label;
    } t[] = {
        {"tcp", "tcp", "tcp (cubic)"},
        {"tcp:bbr", "tcp:bbr", "tcp (cubic)"}, /* what was read back counts */
        {"tcp*4", "tcp*4", "tcp (cubic) x 4"},
        {"tcp:reno*2", "tcp:reno*2", "tcp (cubic) x 2"},
        {"udp", "udp", "udp stop-and-wait"},
        {"udp:window=16", "udp:window=16", "udp window 16"},
        {"udp:window=4,blksize=512", "udp:blksize=512,window=4", "udp 512 window 4"},
        {"udp:blksize=8192", "udp:blksize=8192", "udp 8192, waiting"},
        {"udp:blksize=1428", "udp", "udp stop-and-wait"},
    };
    char why[COMPARE_WHY_MAX], name[COMPARE_LABEL_MAX], label[COMPARE_LABEL_MAX];
    struct compare_method m;

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        cr_assert(compare_method_parse(t[i].text, &m, why), "%s: %s", t[i].text, why);
        compare_method_name(&m, name);
        compare_method_label(&m, "cubic", label);
        cr_expect_str_eq(name, t[i].name);
        cr_expect_str_eq(label, t[i].label);
    }
}

Test(compare_method, refused)
{
    static const char *const t[] = {"",
                                    "ftp",
                                    "tcp4",
                                    "tcp:",
                                    "tcp*0",
                                    "tcp*65",
                                    "tcp:a b",
                                    "tcp*4x",
                                    "udp:",
                                    "udpx",
                                    "udp:window=0",
                                    "udp:window=",
                                    "udp:w=1",
                                    "udp:blksize=7",
                                    "udp:window=1,",
                                    "udp:window=-1",
                                    "udp:blksize=65465",
                                    "tcp:*4",
                                    "tcp:averyveryverylongname",
                                    "udp:window=32768"};
    char why[COMPARE_WHY_MAX];
    struct compare_method m;

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        why[0] = '\0';
        cr_expect_not(compare_method_parse(t[i], &m, why), "%s", t[i]);
        cr_expect_neq(why[0], '\0');
    }
}

Test(compare_method, refused_with_the_right_form)
{
    static const struct {
        const char *text, *why;
    } t[] = {
        {"TCP", "method 'TCP': a method begins with tcp or udp"},
        {"tcp4", "method 'tcp4': after tcp comes :NAME or *N"},
        {"tcp*", "method 'tcp*': connections are a number from 1 to 64 (as in tcp*4)"},
        {"tcp:window=4",
         "method 'tcp:window=4': no name of a congestion control (as in tcp:cubic)"},
        {"udp16", "method 'udp16': udp takes blksize=N and window=N (as in udp:window=16)"},
        {"udp:bbr",
         "method 'udp:bbr': udp takes blksize=N and window=N (as in udp:blksize=512,window=16)"},
        {"udp:blksize=1k", "method 'udp:blksize=1k': blksize is a number from 8 to 65464"},
        {"udp:window=4,window=5", "method 'udp:window=4,window=5': a setting is given twice"},
        {"udp:window=4,blksize=512,window=5",
         "method 'udp:window=4,blksize=512,window=5': a setting is given twice"},
    };
    char why[COMPARE_WHY_MAX];
    struct compare_method m;

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        cr_expect_not(compare_method_parse(t[i].text, &m, why), "%s", t[i].text);
        cr_expect_str_eq(why, t[i].why, "%s", why);
    }
}

Test(compare_link, texts)
{
    static const struct {
        const char *text, *shown;
        double measured;
    } t[] = {
        {"default", "20 Mbit/s, RTT 20 ms (measured 20.2), no loss, seed 1", .0202},
        {"rtt=50ms,loss=1%,rate=100mbit", "100 Mbit/s, RTT 50 ms, loss 1%, seed 1", 0},
        {"up-loss=1%,seed=7", "20 Mbit/s, RTT 20 ms, loss 1% up, 0% down, seed 7", 0},
        {"loopback", "the loopback device, RTT 0.04 ms (measured), seed 1", .00004},
        {"loopback", "the loopback device, seed 1", 0},
        {"broadband", "broadband: 10 Mbit/s up, 50 Mbit/s down, RTT 20 ms, no loss, seed 1", 0},
        {"mobile,loss=0",
         "mobile: 10 Mbit/s up, 20 Mbit/s down, RTT 60 ms, jitter 10 ms, no loss, seed 1", 0},
        {"rate=20mbit/1mbit,delay=1ms/9ms,loss=0/2%",
         "20 Mbit/s up, 1 Mbit/s down, RTT 10 ms, loss 0% up, 2% down, seed 1", 0},
        {"queue=64K", "20 Mbit/s, RTT 20 ms, no loss, queue 65.5 kB, seed 1", 0},
        {"up-queue=64K", "20 Mbit/s, RTT 20 ms, no loss, queue 65.5 kB up, 50.0 kB down, seed 1",
         0},
        {"down-delay=30ms,mtu=1400,corrupt=0.5%",
         "20 Mbit/s, RTT 40 ms, no loss, corrupted 0.5%, MTU 1400, seed 1", 0},
    };
    char why[COMPARE_WHY_MAX], shown[256];
    struct compare_link l;

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        compare_link_default(&l);
        cr_assert(compare_link_parse(t[i].text, &l, why), "%s: %s", t[i].text, why);
        compare_link_text(&l, t[i].measured, shown, sizeof shown);
        cr_expect_str_eq(shown, t[i].shown, "%s", shown);
    }
}

Test(compare_link, refused_with_clear_words)
{
    static const struct {
        const char *text, *why;
    } t[] = {
        {"loss=100%", "loss '100%': nothing would arrive"},
        {"loss=101%", "loss '101%': more than 100%"},
        {"loss=0.5", "loss '0.5': a share needs a percent sign (as in 0.5%)"},
        {"loss=x%", "loss 'x%': no percentage (as in 0.5%)"},
        {"loss=%", "loss '%': no percentage (as in 0.5%)"},
        {"rate=0", "rate '0': nothing crosses a link without a rate"},
        {"rate=0mbit", "rate '0mbit': nothing crosses a link without a rate"},
        {"rate=20", "rate '20': a rate needs a unit (as in 20mbit)"},
        {"rate=20furlongs", "rate '20furlongs': no rate (as in 20mbit)"},
        {"rtt=20", "rtt '20': a time needs a unit (as in 20ms or 0.5s)"},
        {"rtt=1h", "rtt '1h': more than 30 s"},
        {"mtu=100", "mtu '100': an MTU is a number from 576 to 9000"},
        {"seed=-1", "seed '-1': no number"},
        {"lan,wifi", "link 'wifi': a preset comes first, then KEY=VALUE; decimals have a point"},
        {"seed=x", "seed 'x': no number"},
        {"seed=1.5", "seed '1.5': no number"},
        {"queue=0", "queue '0': no size (as in 64K)"},
        {"queue=-1", "queue '-1': no size (as in 64K)"},
        {"loss=-1%", "loss '-1%': no percentage (as in 0.5%)"},
        {"loss=nan%", "loss 'nan%': no percentage (as in 0.5%)"},
        {"loss=1e9%", "loss '1e9%': no percentage (as in 0.5%)"},
        {"loss=1/100%", "loss '1': a share needs a percent sign (as in 0.5%)"},
        {"corrupt=100%", "corrupt '100%': nothing would arrive whole"},
        {"rtt=-5ms", "rtt '-5ms': no time (as in 20ms or 0.5s)"},
        {"rtt=nan", "rtt 'nan': no time (as in 20ms or 0.5s)"},
        {"rtt=99999999999999999999s", "rtt '99999999999999999999s': no time (as in 20ms or 0.5s)"},
        {"rtt=1ms/2ms",
         "rtt '1ms/2ms': a round trip is one; each way has a delay (--link delay=A/B)"},
        {"up-rate=1mbit/2mbit", "up-rate '1mbit/2mbit': it is of one way: one value"},
        {"rate=1mbit/", "rate '': no rate (as in 20mbit)"},
        {"rate=-1mbit", "rate '-1mbit': no rate (as in 20mbit)"},
        {"rate=11gbit", "rate '11gbit': more than 10gbit"},
        {"rate=99999999999999999999gbit",
         "rate '99999999999999999999gbit': no rate (as in 20mbit)"},
        {"rate=1mbit/0", "rate '0': nothing crosses a link without a rate"},
        {"loopback,loss=1%",
         "loss '1%': the loopback device has no settings; leave out the preset"},
    };
    char why[COMPARE_WHY_MAX];
    struct compare_link l;

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        compare_link_default(&l);
        cr_expect_not(compare_link_parse(t[i].text, &l, why), "%s", t[i].text);
        cr_expect_str_eq(why, t[i].why, "%s", why);
    }
    compare_link_default(&l);
    cr_expect_not(compare_link_set(&l, "loss", "0,5%", NULL, why));
    cr_expect_str_eq(why, "loss '0,5%': decimals have a point: 0.5%");
    cr_expect_not(compare_link_parse("", &l, why));
    cr_expect_not(compare_link_parse("moon", &l, why));
    cr_expect_not(compare_link_parse("up-rtt=1ms", &l, why));
    cr_expect_not(compare_link_parse("up-mtu=1500", &l, why));
}

Test(compare_spec, methods_given_replace_the_defaults)
{
    struct compare_spec s;
    char why[COMPARE_WHY_MAX];

    compare_spec_default(&s);
    cr_expect_eq(s.n, 3);
    cr_expect(compare_spec_method(&s, "tcp*4", why));
    cr_expect(compare_spec_method(&s, "udp", why));
    cr_expect_eq(s.n, 2);
    cr_expect_not(compare_spec_method(&s, "udp:window=1", why));
    cr_expect_str_eq(why, "method 'udp:window=1' is given twice");
}

Test(compare_spec, impossible_combinations)
{
    struct compare_spec s;
    char why[COMPARE_WHY_MAX];

    compare_spec_default(&s);
    cr_expect(compare_spec_check(&s, why));
    cr_assert(compare_link_parse("mtu=1000", &s.link, why));
    cr_expect_not(compare_spec_check(&s, why));
    cr_expect_str_eq(why, "blocks of 1428 bytes do not fit an MTU of 1000: with headers they take "
                          "1460; udp:blksize=968 fits");
    compare_spec_default(&s);
    cr_assert(compare_link_parse("queue=100", &s.link, why));
    cr_expect_not(compare_spec_check(&s, why));
    compare_spec_default(&s);
    cr_expect_not(compare_spec_size(&s, "0", why));
    cr_expect_not(compare_spec_size(&s, "2T", why));
    cr_expect_not(compare_spec_size(&s, "x", why));
    s.rounds = 0;
    cr_expect_not(compare_spec_check(&s, why));
    compare_spec_default(&s);
    cr_assert_null(compare_spec_warning(&s));
    cr_assert(compare_link_parse("rate=1gbit", &s.link, why));
    cr_assert_not_null(compare_spec_warning(&s));
}

Test(compare_spec, blocks_that_never_arrive_whole)
{
    static const struct {
        const char *link, *method;
        uint64_t size;
        bool fits;
    } t[] = {
        {"default", "udp:blksize=60000", 1 << 20, false},
        {"default", "udp:blksize=60000", 40000, true}, /* no block is as long as it may be */
        {"lan", "udp:blksize=32768", 1 << 20, false},
        {"default", "udp:blksize=8192", 1 << 20, true},
        {"down-queue=4000", "udp:blksize=8192", 1 << 20, true}, /* it is of acknowledgments */
        {"up-queue=4000", "udp:blksize=8192", 1 << 20, false},
        {"satellite", "udp:blksize=65464", 1 << 20, true},
        {"loopback", "udp:blksize=65464", 1 << 20, true},
    };
    struct compare_spec s;
    char why[COMPARE_WHY_MAX];

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        compare_spec_default(&s);
        s.size = t[i].size;
        cr_assert(compare_link_parse(t[i].link, &s.link, why), "%s", why);
        cr_assert(compare_spec_method(&s, t[i].method, why), "%s", why);
        cr_expect_eq(compare_spec_check(&s, why), t[i].fits, "%zu", i);
    }
}

Test(compare_spec, windows_beyond_memory)
{
    struct compare_spec s;
    char why[COMPARE_WHY_MAX];

    compare_spec_default(&s);
    cr_assert(compare_link_parse("queue=1M", &s.link, why));
    cr_assert(compare_spec_method(&s, "udp:blksize=65464,window=16", why));
    cr_expect(compare_spec_check(&s, why));
    cr_assert(compare_spec_method(&s, "udp:blksize=65464,window=32767", why));
    cr_expect_not(compare_spec_check(&s, why));
    cr_expect_str_eq(why, "32767 blocks of 65464 bytes are more than the 1 MiB that a window "
                          "holds; udp:blksize=65464,window=16 fits");
}

Test(compare_spec, several_connections_are_for_downloads)
{
    struct compare_spec s;
    char why[COMPARE_WHY_MAX];

    compare_spec_default(&s);
    cr_expect_eq(compare_spec_direction(&s), COMPARE_PUT);
    cr_assert(compare_spec_method(&s, "udp", why));
    cr_assert(compare_spec_method(&s, "tcp*4", why));
    cr_expect_eq(compare_spec_direction(&s), COMPARE_GET);
    cr_expect_null(compare_spec_refusal(&s.methods[0], COMPARE_PUT));
    cr_expect_not_null(compare_spec_refusal(&s.methods[1], COMPARE_PUT));
    cr_expect_null(compare_spec_refusal(&s.methods[1], COMPARE_GET));
}

Test(compare_spec, sweeps_that_make_methods_alike)
{
    struct compare_spec s;
    char why[COMPARE_WHY_MAX];

    compare_spec_default(&s);
    cr_assert(compare_spec_sweep(&s, "window=1,4", why));
    cr_expect_eq(s.n, 2, "tcp and the first of those over UDP");
    compare_spec_default(&s);
    cr_assert(compare_spec_sweep(&s, "blksize=512,1024", why));
    cr_expect_eq(s.n, 3);
    compare_spec_default(&s);
    cr_assert(compare_spec_method(&s, "udp", why));
    cr_assert(compare_spec_method(&s, "udp:window=4", why));
    cr_expect_not(compare_spec_sweep(&s, "window=1,4", why));
    cr_expect_str_eq(why, "sweep: with one window 'udp' and 'udp:window=4' are the same method");
}

Test(compare_spec, sweeps_of_too_much)
{
    struct compare_spec s;
    char why[COMPARE_WHY_MAX];

    compare_spec_default(&s);
    cr_expect(compare_spec_sweep(&s, "seed=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", why), "%s",
              why);
    cr_expect_not(compare_spec_sweep(&s, "seed=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", why));
    cr_expect_str_eq(why, "more than 16 values to sweep");
    cr_expect_not(compare_spec_sweep(&s, "rtt=1ms,2ms,1ms", why));
    cr_expect_str_eq(why, "sweep: 1ms is given twice");
    cr_expect_not(compare_spec_sweep(&s, "colour=red", why));
    cr_expect_str_eq(why, "sweep 'colour': neither size, blksize or window, nor one of rtt, rate, "
                          "loss, jitter, delay, duplicate, corrupt, reorder, queue (up- or down- "
                          "before them: one way), mtu, seed");
}

Test(compare_spec, sweeps)
{
    struct compare_spec s, point;
    char why[COMPARE_WHY_MAX];

    compare_spec_default(&s);
    cr_assert(compare_spec_sweep(&s, "rtt=1ms,10ms,0.1s", why), "%s", why);
    cr_expect_eq(compare_spec_points(&s), 3);
    cr_expect_float_eq(s.sweep.numbers[2], .1, 1e-12);
    cr_assert(compare_spec_point(&s, 1, &point, why));
    cr_expect_float_eq(compare_link_rtt(&point.link), .01, 1e-12);
    cr_assert(compare_spec_sweep(&s, "window=1,64", why));
    cr_assert(compare_spec_point(&s, 1, &point, why));
    cr_expect_eq(point.methods[1].window, 64);
    cr_expect_eq(point.methods[0].window, 0);
    cr_assert(compare_spec_sweep(&s, "size=64K,1M", why));
    cr_assert(compare_spec_point(&s, 0, &point, why));
    cr_expect_eq(point.size, 65536);
    cr_expect_not(compare_spec_sweep(&s, "rtt", why));
    cr_expect_not(compare_spec_sweep(&s, "rtt=", why));
    cr_expect_not(compare_spec_sweep(&s, "rtt=1ms,", why));
    cr_expect_not(compare_spec_sweep(&s, "rtt=1ms,1", why));
    cr_expect_not(compare_spec_sweep(&s, "loss=1%,100%", why));
    cr_expect_not(compare_spec_sweep(&s, "colour=red", why));
    s.n = 1;
    cr_expect_not(compare_spec_sweep(&s, "blksize=512", why));
    cr_expect_str_eq(why, "no method over UDP has a blksize to sweep");
}

Test(compare_plan, default_is_one_round_of_stop_and_wait)
{
    struct compare_spec s;
    struct compare_plan p;
    unsigned method, number, order[7];
    enum compare_direction d;

    compare_spec_default(&s);
    compare_plan(&s, "cubic", s.max_time, &p);
    cr_expect_eq(p.methods[0].rounds, 3);
    cr_expect_eq(p.methods[1].rounds, 3);
    cr_expect_eq(p.methods[2].rounds, 1);
    cr_expect_eq(p.methods[2].bytes, s.size);
    cr_expect_float_eq(p.seconds, 20.7, .1);
    for (size_t k = 0; k < 7; k++) {
        cr_assert(compare_plan_turn(&s, &p, k, &method, &number, &d));
        cr_expect_eq(d, COMPARE_PUT);
        order[k] = number * 10 + method;
    }
    cr_expect_arr_eq(order, ((unsigned[]){10, 11, 12, 20, 21, 30, 31}), sizeof order);
    cr_expect_not(compare_plan_turn(&s, &p, 7, &method, &number, &d));
}

Test(compare_plan, long_ones_are_cut_to_what_is_left)
{
    struct compare_spec s;
    struct compare_plan p;
    char why[COMPARE_WHY_MAX];

    compare_spec_default(&s);
    cr_assert(compare_link_parse("rtt=600ms", &s.link, why));
    compare_plan(&s, "cubic", 30, &p);
    cr_expect_eq(p.methods[0].bytes, s.size, "tcp fits");
    cr_expect_lt(p.methods[2].bytes, s.size / 10);
    cr_expect_eq(p.methods[2].bytes % COMPARE_BLKSIZE, 0);
    cr_expect_leq(p.seconds, 30);
    cr_expect_gt(p.seconds, 24);
    compare_plan(&s, "cubic", 14, &p);
    cr_expect_eq(p.methods[0].bytes, s.size, "tcp is cut last");
    cr_expect_lt(p.methods[1].bytes, s.size);
    cr_expect_leq(p.seconds, 14);
    compare_plan(&s, "cubic", 6, &p);
    cr_expect_lt(p.methods[0].bytes, s.size, "where it needs more than half of the time");
    cr_expect_leq(p.seconds, 6);
    compare_plan(&s, "cubic", .01, &p);
    cr_expect_eq(p.methods[2].bytes, COMPARE_BLKSIZE, "never nothing");
    s.direction = COMPARE_BOTH;
    compare_plan(&s, "cubic", 30, &p);
    cr_expect_leq(p.seconds, 30);
}

Test(compare_plan, who_needs_less_leaves_the_rest_to_the_others)
{
    const double short_first[] = {1, 30}, long_first[] = {30, 1}, three[] = {4, 1, 40};
    const double unknown[] = {INFINITY, 1, INFINITY}, little[] = {1, 2, 3};

    cr_expect_float_eq(compare_plan_share(short_first, 2, 20), 1, 1e-9);
    cr_expect_float_eq(compare_plan_share(long_first, 2, 20), 19, 1e-9);
    cr_expect_float_eq(compare_plan_share(three, 3, 30), 4, 1e-9);
    cr_expect_float_eq(compare_plan_share(three, 3, 6), 2.5, 1e-9, "it needs more than its part");
    cr_expect_float_eq(compare_plan_share(unknown, 3, 21), 10, 1e-9);
    cr_expect_float_eq(compare_plan_share(little, 3, 12), 3, 1e-9, "what is left is shared alike");
    cr_expect_float_eq(compare_plan_share(unknown, 1, 21), 21, 1e-9);
}

Test(compare_plan, what_is_impossible_takes_no_time)
{
    struct compare_spec s;
    struct compare_plan p;
    char why[COMPARE_WHY_MAX];

    compare_spec_default(&s);
    s.size = 64 << 20;
    cr_assert(compare_spec_method(&s, "tcp*4", why));
    compare_plan(&s, "cubic", 30, &p);
    cr_expect_float_eq(p.seconds, 0, 1e-9, "no put");
    s.direction = COMPARE_BOTH;
    compare_plan(&s, "cubic", 30, &p);
    cr_expect_gt(p.seconds, 20, "but a get");
}

Test(compare_plan, a_window_that_overflows_is_cut)
{
    struct compare_spec s;
    struct compare_plan p;
    char why[COMPARE_WHY_MAX];

    compare_spec_default(&s);
    cr_assert(compare_spec_method(&s, "udp:window=64", why));
    compare_plan(&s, "cubic", 10, &p);
    cr_expect_lt(p.methods[0].bytes, s.size / 2);
    cr_expect_leq(p.seconds, 10);
}
