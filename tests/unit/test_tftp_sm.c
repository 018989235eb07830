#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tftp/sm.h"

#define MS TFTP_MS
#define S (1000 * MS)

static struct tftp_sm sm;
static struct tftp_actions acts;

/* ---- what is done to the machine ---- */

static void start(struct tftp_params p)
{
    p.blksize = p.blksize ? p.blksize : 512;
    p.window = p.window ? p.window : 1;
    p.give_up = p.give_up ? p.give_up : 30 * S;
    tftp_sm_init(&sm, &p, 0);
    tftp_sm_begin(&sm, 0, &acts);
}

static void packet(struct tftp_pkt p, int64_t now)
{
    tftp_sm_packet(&sm, &p, now, &acts);
}

static void ack(unsigned block, int64_t now)
{
    packet((struct tftp_pkt){.op = TFTP_ACK, .block = (uint16_t)block}, now);
}

static void data(unsigned block, size_t len, int64_t now)
{
    static const uint8_t bytes[70000];

    packet((struct tftp_pkt){.op = TFTP_DATA, .block = (uint16_t)block, .data = bytes, .len = len},
           now);
}

static void op(enum tftp_op what, int64_t now)
{
    packet((struct tftp_pkt){.op = what, .code = 3}, now);
}

/* The next deadline, and what is done then. */
static int64_t tick(void)
{
    int64_t at = tftp_sm_deadline(&sm);

    tftp_sm_tick(&sm, at - 1, &acts);
    cr_assert_eq(acts.n, 0, "before the deadline nothing happens");
    tftp_sm_tick(&sm, at, &acts);
    return at;
}

/* ---- what it answers ---- */

static void nothing(void)
{
    cr_assert_eq(acts.n, 0, "%u actions, the first is %d", acts.n, (int)acts.a[0].what);
}

static void one(enum tftp_do what)
{
    cr_assert_eq(acts.n, 1, "%u actions", acts.n);
    cr_assert_eq(acts.a[0].what, what, "action %d", (int)acts.a[0].what);
}

static void acks(uint64_t block)
{
    one(TFTP_DO_ACK);
    cr_assert_eq(acts.a[0].block, block, "ACK %d", (int)acts.a[0].block);
}

static void sends(uint64_t block, unsigned count)
{
    one(TFTP_DO_DATA);
    cr_assert(acts.a[0].block == block && acts.a[0].count == count, "DATA %d, %u blocks",
              (int)acts.a[0].block, acts.a[0].count);
}

static void writes(uint64_t block, enum tftp_do then, uint64_t then_block)
{
    cr_assert_eq(acts.n, 2, "%u actions", acts.n);
    cr_assert(acts.a[0].what == TFTP_DO_WRITE && acts.a[0].block == block);
    cr_assert(acts.a[1].what == then && acts.a[1].block == then_block);
}

static void fails(enum tftp_reason reason)
{
    cr_assert(acts.n > 0 && acts.a[acts.n - 1].what == TFTP_DO_FAIL);
    cr_assert_eq(sm.reason, reason, "reason %d", (int)sm.reason);
    cr_assert(tftp_sm_over(&sm));
    cr_assert_eq(tftp_sm_deadline(&sm), INT64_MAX);
}

static void says(enum tftp_error code)
{
    cr_assert(acts.n == 2 && acts.a[0].what == TFTP_DO_ERROR && acts.a[0].code == code &&
              acts.a[0].text);
}

/* ---- first packets ---- */

Test(tftp_sm, beginnings)
{
    start((struct tftp_params){.client = true});
    one(TFTP_DO_REQUEST);
    start((struct tftp_params){.client = true, .sender = true});
    one(TFTP_DO_REQUEST);
    start((struct tftp_params){.oack = true});
    one(TFTP_DO_OACK);
    start((struct tftp_params){.oack = true, .sender = true});
    one(TFTP_DO_OACK);
    start((struct tftp_params){.sender = true});
    sends(1, 1);
    start((struct tftp_params){0});
    acks(0);
}

Test(tftp_sm, a_request_is_answered)
{
    start((struct tftp_params){.client = true});
    data(1, 512, MS);
    writes(1, TFTP_DO_ACK, 1);
    start((struct tftp_params){.client = true});
    op(TFTP_OACK, MS);
    acks(0);
    start((struct tftp_params){.client = true, .sender = true});
    ack(0, MS);
    sends(1, 1);
    start((struct tftp_params){.client = true, .sender = true});
    tftp_sm_agree(&sm, 1024, 4, 0);
    op(TFTP_OACK, MS);
    sends(1, 4);
    cr_assert_eq(sm.p.blksize, 1024);
}

Test(tftp_sm, answers_that_are_none)
{
    start((struct tftp_params){.client = true});
    data(2, 512, MS);
    nothing();
    data(0, 512, MS);
    nothing();
    ack(0, MS);
    nothing();
    cr_assert_eq(sm.state, TFTP_S_REQUEST);
    start((struct tftp_params){.client = true, .sender = true});
    ack(1, MS);
    nothing();
    data(1, 512, MS);
    nothing();
    op(TFTP_RRQ, MS);
    nothing();
    cr_assert_eq(sm.state, TFTP_S_REQUEST);
    cr_assert_eq(sm.counts.stray, 3);
}

Test(tftp_sm, an_offer_is_taken)
{
    start((struct tftp_params){.oack = true, .sender = true, .window = 4});
    op(TFTP_RRQ, MS);
    one(TFTP_DO_OACK);
    op(TFTP_WRQ, MS);
    nothing();
    ack(1, MS);
    nothing();
    ack(0, MS);
    sends(1, 4);
    op(TFTP_RRQ, MS);
    nothing();
    start((struct tftp_params){.oack = true, .window = 2});
    op(TFTP_WRQ, MS);
    one(TFTP_DO_OACK);
    data(3, 512, MS);
    nothing();
    cr_assert_eq(sm.state, TFTP_S_OFFER, "beyond the window");
    data(2, 512, MS);
    acks(0);
    data(1, 512, MS);
    one(TFTP_DO_WRITE);
}

Test(tftp_sm, an_oack_that_comes_again)
{
    start((struct tftp_params){.client = true});
    op(TFTP_OACK, MS);
    op(TFTP_OACK, 2 * MS);
    acks(0);
    tftp_sm_agree(&sm, 8, 8, 0);
    cr_assert_eq(sm.p.blksize, 512, "nothing is agreed twice");
    data(1, 512, 3 * MS);
    op(TFTP_OACK, 4 * MS);
    nothing();
    start((struct tftp_params){.client = true, .sender = true});
    op(TFTP_OACK, MS);
    op(TFTP_OACK, 2 * MS);
    nothing();
}

/* ---- timeouts ---- */

Test(tftp_sm, the_request_backs_off_and_gives_up)
{
    static const int64_t gaps[] = {1000, 2000, 4000, 8000, 8000};
    int64_t last = 0, at = 0;

    start((struct tftp_params){.client = true, .give_up = 128 * S});
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++, last = at) {
        at = tick();
        one(TFTP_DO_REQUEST);
        cr_assert_eq(at - last, gaps[i] * MS, "gap %zu", i);
    }
    while (!tftp_sm_over(&sm))
        at = tick();
    fails(TFTP_R_TIMEOUT);
    cr_assert_eq(at, 128 * S);
    tftp_sm_tick(&sm, INT64_MAX / 4, &acts);
    nothing();
}

Test(tftp_sm, a_short_patience_is_worth_sixteen_tries)
{
    unsigned tries = 0;

    start((struct tftp_params){.client = true, .give_up = 32 * S});
    for (; !tftp_sm_over(&sm); tries++)
        tick();
    cr_assert_geq(tries, TFTP_TRIES);
}

Test(tftp_sm, rto_follows_rfc_6298)
{
    start((struct tftp_params){.sender = true});
    cr_assert_eq(sm.rto, 1 * S);
    ack(1, 100 * MS); /* 2.2: SRTT = R, RTTVAR = R / 2 */
    cr_assert_eq(sm.srtt, 100 * MS);
    cr_assert_eq(sm.rto, 300 * MS);
    ack(2, 280 * MS); /* 2.3 with R = 180 */
    cr_assert_eq(sm.rttvar, 50 * MS + (80 - 50) * MS / 4);
    cr_assert_eq(sm.srtt, 110 * MS);
    cr_assert_eq(sm.rto, sm.srtt + 4 * sm.rttvar);
    for (unsigned i = 3; i < 100; i++)
        ack(i, 280 * MS);
    cr_assert_eq(sm.rto, TFTP_RTO_MIN);
}

Test(tftp_sm, rto_stays_below_its_highest)
{
    start((struct tftp_params){.sender = true, .give_up = 1000 * S});
    ack(1, 20 * S);
    cr_assert_eq(sm.rto, TFTP_RTO_MAX);
}

Test(tftp_sm, small_variance_leaves_eight_milliseconds)
{
    start((struct tftp_params){.sender = true});
    for (unsigned i = 1; i < 60; i++)
        ack(i, i * 100 * MS);
    cr_assert(sm.rto >= 108 * MS && sm.rto < 109 * MS);
}

Test(tftp_sm, karn_what_was_sent_twice_is_not_timed)
{
    start((struct tftp_params){.sender = true});
    ack(1, 10 * MS);

    int64_t srtt = sm.srtt, at = tick();

    sends(2, 1);
    cr_assert_eq(sm.rto, 60 * MS, "doubled");
    ack(2, at + 5 * MS);
    cr_assert_eq(sm.srtt, srtt);
    cr_assert_eq(sm.rto, 60 * MS, "until something is timed");
    ack(3, at + 15 * MS);
    cr_assert(sm.rto < 60 * MS);
}

Test(tftp_sm, small_packets_do_not_hurry_large_ones)
{
    start((struct tftp_params){.sender = true, .oack = true, .blksize = 8192, .window = 8});
    ack(0, 1 * MS);
    cr_assert(sm.rto > 500 * MS, "64 KiB take half a second at 1 Mbit/s");
    ack(8, 3 * MS);
    cr_assert_eq(sm.rto, TFTP_RTO_MIN);
}

Test(tftp_sm, an_agreed_timeout_is_used_exactly)
{
    start((struct tftp_params){.sender = true, .oack = true, .fixed_rto = 2 * S, .unheard = 1});
    cr_assert_eq(tick(), 2 * S);
    one(TFTP_DO_OACK);
    ack(0, 3 * S);
    for (unsigned i = 1; i < 4; i++) {
        cr_assert_eq(tick(), (3 + 2 * i) * S);
        sends(1, 1);
    }
    start((struct tftp_params){.client = true});
    tftp_sm_agree(&sm, 512, 1, 3 * S);
    op(TFTP_OACK, MS);
    cr_assert_eq(tick(), 3 * S + MS);
    acks(0);
}

Test(tftp_sm, progress_puts_the_end_off)
{
    start((struct tftp_params){.sender = true, .give_up = 10 * S});
    ack(1, 9 * S);
    while (!tftp_sm_over(&sm))
        tick();
    fails(TFTP_R_TIMEOUT);
    start((struct tftp_params){.give_up = 10 * S});
    data(1, 512, 9 * S);
    data(1, 512, 15 * S); /* no progress */
    while (tftp_sm_deadline(&sm) < 19 * S)
        tick();
    cr_assert_eq(tick(), 19 * S);
    fails(TFTP_R_TIMEOUT);
}

/* ---- a peer that was never heard ---- */

/* Packets that time alone sends until it is given up. */
static unsigned unheard_packets(struct tftp_params p)
{
    unsigned n = 0;

    for (start(p); !tftp_sm_over(&sm); tick())
        n += acts.n;
    return n;
}

Test(tftp_sm, an_address_that_is_never_heard_gets_few_packets)
{
    cr_assert_eq(unheard_packets((struct tftp_params){.sender = true}), 1);
    cr_assert_eq(unheard_packets((struct tftp_params){.sender = true, .unheard = 2}), 3);
    fails(TFTP_R_TIMEOUT);
    cr_assert_eq(unheard_packets((struct tftp_params){.oack = true, .unheard = 2}), 3);
    cr_assert_eq(unheard_packets((struct tftp_params){.unheard = 2}), 3, "ACK 0 of a write");
    cr_assert_eq(
        unheard_packets((struct tftp_params){.sender = true, .unheard = 2, .fixed_rto = S}), 3);
    cr_assert_gt(unheard_packets((struct tftp_params){.client = true}), 8, "a client asks on");
}

Test(tftp_sm, a_request_that_comes_again_buys_one_more)
{
    start((struct tftp_params){.sender = true, .give_up = 200 * S});
    cr_assert_eq(tick(), S);
    cr_assert_eq(acts.n, 0);
    cr_assert(tftp_sm_is_silent(&sm));
    tftp_sm_asked_again(&sm, 1);
    tick();
    sends(1, 1);
    tick();
    cr_assert_eq(acts.n, 0);
    cr_assert_eq(sm.deadline < TFTP_UNHEARD_WAIT, true);
}

Test(tftp_sm, who_was_heard_gets_it_again_as_long_as_it_takes)
{
    start((struct tftp_params){.sender = true, .oack = true});
    op(TFTP_RRQ, MS);
    one(TFTP_DO_OACK);
    for (unsigned i = 0; i < 8; i++) {
        tick();
        one(TFTP_DO_OACK);
    }
}

Test(tftp_sm, who_was_never_heard_is_given_up_sooner)
{
    start((struct tftp_params){.sender = true, .give_up = 200 * S, .unheard = 2});
    while (!tftp_sm_over(&sm))
        cr_assert_leq(tick(), TFTP_UNHEARD_WAIT);
    start((struct tftp_params){.sender = true, .give_up = 5 * S, .unheard = 2});
    while (!tftp_sm_over(&sm))
        cr_assert_leq(tick(), 5 * S);
}

/* ---- the sender ---- */

Test(tftp_sm, lock_step_never_answers_a_second_ack)
{
    start((struct tftp_params){.sender = true});
    ack(1, MS);
    sends(2, 1);
    for (unsigned i = 0; i < 10; i++) {
        ack(1, (1 + i * 500) * MS);
        nothing();
    }
    ack(0, MS);
    nothing();
    ack(3, MS);
    nothing();
    ack(65535, MS);
    nothing();
    cr_assert_eq(sm.counts.duplicates, 10);
    cr_assert_eq(sm.counts.stray, 3);
}

Test(tftp_sm, the_last_block)
{
    start((struct tftp_params){.sender = true});
    ack(1, MS);
    tftp_sm_last(&sm, 2);
    ack(2, 2 * MS);
    one(TFTP_DO_DONE);
    cr_assert_eq(sm.state, TFTP_S_DONE);
    cr_assert_eq(tftp_sm_deadline(&sm), INT64_MAX);
    ack(2, 3 * MS);
    nothing();
}

Test(tftp_sm, a_last_block_in_mid_window_takes_back_the_rest)
{
    start((struct tftp_params){.sender = true, .window = 8});
    sends(1, 8);
    tftp_sm_last(&sm, 3);
    cr_assert_eq(sm.counts.sent, 3);
    cr_assert_eq(sm.counts.data_sent, 3);
    tftp_sm_last(&sm, 2);
    cr_assert_eq(sm.last, 3, "it is said once");
    ack(4, MS);
    nothing();
    ack(3, MS);
    one(TFTP_DO_DONE);
    cr_assert_eq(sm.srtt, MS, "and is what was timed");
}

Test(tftp_sm, last_that_cannot_be)
{
    start((struct tftp_params){.sender = true});
    ack(1, MS);
    tftp_sm_last(&sm, 1);
    tftp_sm_last(&sm, 3);
    tftp_sm_last(&sm, 0);
    cr_assert_eq(sm.last, 0);
}

Test(tftp_sm, unconfirmed_is_what_was_all_sent)
{
    start((struct tftp_params){.sender = true, .give_up = 5 * S});
    tftp_sm_last(&sm, 1);
    while (!tftp_sm_over(&sm))
        tick();
    fails(TFTP_R_UNCONFIRMED);
    start((struct tftp_params){.sender = true});
    tftp_sm_last(&sm, 1);
    tftp_sm_unreachable(&sm, &acts);
    fails(TFTP_R_UNCONFIRMED);
    start((struct tftp_params){.sender = true});
    tftp_sm_unreachable(&sm, &acts);
    fails(TFTP_R_UNREACHABLE);
}

Test(tftp_sm, windows)
{
    start((struct tftp_params){.sender = true, .window = 4});
    sends(1, 4);
    ack(4, 10 * MS);
    sends(5, 4);
    ack(6, 20 * MS);
    sends(7, 2); /* a burst of half the window, from the gap on */
    tick();
    sends(9, 2);
    ack(10, 40 * MS);
    sends(11, 3); /* grown back by one */
    cr_assert_eq(sm.counts.resent, 2);
    tick();
    sends(14, 1);
    ack(14, 60 * MS);
    sends(15, 4);
    cr_assert_eq(sm.burst, 4);
}

Test(tftp_sm, a_window_goes_back_once)
{
    start((struct tftp_params){.sender = true, .window = 4});
    ack(4, 10 * MS);
    ack(4, 11 * MS);
    nothing(); /* too early to tell of a loss */
    ack(4, 16 * MS);
    sends(5, 2);
    ack(4, 30 * MS);
    nothing(); /* these blocks were sent twice, and may be answered twice */
    while (sm.next <= 8)
        tick();
    ack(8, 40 * MS);
    sends(9, 2);
    ack(8, 60 * MS);
    nothing(); /* the second answer */
}

Test(tftp_sm, after_a_timeout_the_whole_window_goes_in_bursts)
{
    unsigned sent = 0;
    int64_t at;

    start((struct tftp_params){.sender = true, .window = 8, .unheard = 2});
    at = tick();
    sends(1, 4);
    for (sent = 4; sent < 8; sent += acts.a[0].count) {
        cr_assert_leq(tftp_sm_deadline(&sm) - at, TFTP_PACE_MAX);
        at = tick();
    }
    cr_assert_eq(sm.counts.resent, 8);
    cr_assert_eq(tick() - at, 1875 * MS);
    sends(1, 2);
}

Test(tftp_sm, a_gap_behind_timeouts_shortens_the_next)
{
    int64_t at = 0;

    start((struct tftp_params){.sender = true, .window = 8});
    ack(8, 10 * MS);
    while (sm.counts.timeouts < 3)
        at = tick();
    while (sm.next <= 16)
        at = tick();
    cr_assert_eq(sm.rto, 240 * MS);
    ack(10, at + 10 * MS); /* what was sent twice is not timed, yet something arrives */
    sends(11, 1);
    cr_assert_eq(sm.rto, 120 * MS);
    cr_assert_eq(sm.srtt, 10 * MS);
}

Test(tftp_sm, numbers_cross_their_sixteen_bits)
{
    uint64_t end = 0;
    int64_t now = 0;

    start((struct tftp_params){.sender = true, .window = 7});
    while (end < 200000) {
        end = sm.sent;
        ack((uint16_t)end, now += MS);
        sends(end + 1, 7);
    }
    cr_assert_eq(sm.acked, end);
    ack((uint16_t)(end - 1), now += MS);
    nothing();
    ack((uint16_t)(end + 8), now += MS);
    nothing();
    start((struct tftp_params){0});
    for (uint64_t i = 1; i <= 200000; i++) {
        data((uint16_t)i, 512, now += MS);
        writes(i, TFTP_DO_ACK, i);
    }
}

Test(tftp_sm, a_window_has_bounds)
{
    start((struct tftp_params){.sender = true, .window = 100000});
    sends(1, TFTP_WINDOW_MAX);
    tftp_sm_init(&sm, &(struct tftp_params){.sender = true, .give_up = S}, 0);
    tftp_sm_begin(&sm, 0, &acts);
    sends(1, 1);
}

/* ---- the receiver ---- */

Test(tftp_sm, a_short_block_is_committed_before_it_is_acknowledged)
{
    start((struct tftp_params){0});
    data(1, 512, MS);
    writes(1, TFTP_DO_ACK, 1);
    data(2, 511, 2 * MS);
    writes(2, TFTP_DO_COMMIT, 0);
    cr_assert_eq(tftp_sm_deadline(&sm), INT64_MAX, "a commit takes its time");
    data(2, 511, 3 * MS);
    nothing();
    op(TFTP_ERROR, 3 * MS);
    nothing();
    tftp_sm_committed(&sm, 4 * MS, &acts);
    cr_assert(acts.n == 2 && acts.a[0].what == TFTP_DO_ACK && acts.a[0].block == 2 &&
              acts.a[1].what == TFTP_DO_DONE);
    cr_assert_eq(sm.state, TFTP_S_LINGER);
    tftp_sm_committed(&sm, 4 * MS, &acts);
    nothing();
}

Test(tftp_sm, a_commit_that_fails)
{
    start((struct tftp_params){0});
    data(1, 5, MS);
    tftp_sm_abort(&sm, TFTP_E_DISK_FULL, "no space", &acts);
    says(TFTP_E_DISK_FULL);
    fails(TFTP_R_LOCAL);
    tftp_sm_committed(&sm, MS, &acts);
    nothing();
}

static void until_linger(bool client)
{
    start((struct tftp_params){.client = client});
    data(1, 5, 10 * MS);
    tftp_sm_committed(&sm, 20 * MS, &acts);
}

Test(tftp_sm, lingering)
{
    until_linger(false);
    cr_assert_eq(tftp_sm_deadline(&sm), 20 * MS + TFTP_LINGER_MIN);
    data(1, 5, 1 * S);
    acks(1);
    cr_assert_eq(tftp_sm_deadline(&sm), 1 * S + TFTP_LINGER_MIN);
    data(2, 5, 1 * S);
    nothing();
    op(TFTP_WRQ, 1 * S);
    nothing();
    for (int64_t at = 2 * S; at < 20 * MS + TFTP_LINGER_MAX; at += S)
        data(1, 5, at);
    cr_assert_eq(tick(), 20 * MS + TFTP_LINGER_MAX, "at most");
    nothing();
    cr_assert_eq(sm.state, TFTP_S_DONE);
    data(1, 5, 11 * S);
    nothing();
}

Test(tftp_sm, a_client_does_not_linger_long)
{
    until_linger(true);
    cr_assert_leq(tftp_sm_deadline(&sm), 20 * MS + TFTP_LINGER_CLIENT);
    for (unsigned i = 0; i < 100; i++)
        data(1, 5, tftp_sm_deadline(&sm) - 1);
    cr_assert_eq(sm.state, TFTP_S_LINGER);
    cr_assert_eq(tick(), 20 * MS + TFTP_LINGER_CLIENT);
    cr_assert_eq(sm.state, TFTP_S_DONE);
}

Test(tftp_sm, the_end_of_lingering)
{
    until_linger(false);
    op(TFTP_ERROR, 30 * MS);
    nothing();
    cr_assert_eq(sm.state, TFTP_S_DONE);
    until_linger(false);
    tftp_sm_abort(&sm, TFTP_E_UNDEFINED, "stopped", &acts);
    nothing();
    cr_assert_eq(sm.state, TFTP_S_DONE);
    until_linger(false);
    tftp_sm_unreachable(&sm, &acts);
    nothing();
    cr_assert_eq(sm.state, TFTP_S_DONE);
    until_linger(false);
    tftp_sm_refuse(&sm, TFTP_E_OPTION, "no", &acts);
    nothing();
}

Test(tftp_sm, duplicates_in_lock_step)
{
    start((struct tftp_params){0});
    data(1, 512, MS);
    data(2, 512, 2 * MS);
    data(2, 512, 3 * MS);
    acks(2);
    data(1, 512, 4 * MS);
    nothing();
    data(4, 512, 4 * MS);
    nothing();
    data(0, 512, 4 * MS);
    nothing();
    cr_assert_eq(sm.received, 2);
}

Test(tftp_sm, data_0_comes_before_any)
{
    start((struct tftp_params){0});
    data(0, 512, MS);
    nothing();
    data(65535, 512, MS);
    nothing();
}

Test(tftp_sm, a_window_is_acknowledged_at_its_end)
{
    start((struct tftp_params){.oack = true, .window = 3});
    data(1, 512, MS);
    one(TFTP_DO_WRITE);
    data(2, 512, MS);
    one(TFTP_DO_WRITE);
    data(3, 512, MS);
    writes(3, TFTP_DO_ACK, 3);
    data(4, 512, MS);
    data(5, 100, MS);
    writes(5, TFTP_DO_COMMIT, 0);
}

Test(tftp_sm, a_gap_is_told_once)
{
    start((struct tftp_params){.oack = true, .window = 8});
    data(1, 512, MS);
    data(3, 512, MS);
    acks(1);
    for (unsigned i = 4; i < 9; i++) {
        data(i, 512, MS);
        nothing();
    }
    data(2, 512, 2 * MS);
    one(TFTP_DO_WRITE);
    data(4, 512, 2 * MS);
    acks(2);
    cr_assert_eq(sm.acked, 2, "the next window begins there");
    for (unsigned i = 3; i < 10; i++) {
        data(i, 512, 3 * MS);
        one(TFTP_DO_WRITE);
    }
    data(10, 512, 3 * MS);
    writes(10, TFTP_DO_ACK, 10);
}

Test(tftp_sm, one_ack_for_a_window_that_comes_again)
{
    unsigned again = 0;

    start((struct tftp_params){.oack = true, .window = 4});
    for (unsigned i = 1; i <= 4; i++)
        data(i, 512, MS);
    for (unsigned i = 1; i <= 4; i++) {
        data(i, 512, 50 * MS);
        again += acts.n;
    }
    cr_assert_eq(again, 1);
    acks(4);
    data(5, 512, 60 * MS);
    data(5, 512, 60 * MS);
    nothing(); /* in mid-window it would look like a gap */
}

Test(tftp_sm, silence_in_mid_window)
{
    int64_t at;

    start((struct tftp_params){.oack = true, .window = 4});
    data(1, 512, 10 * MS);
    data(2, 512, 10 * MS);
    at = tick();
    acks(2);
    cr_assert_leq(at, 100 * MS);
    cr_assert_eq(tick() - at, 1 * S, "behind its ACK it is the sender's turn");
    acks(2);
}

Test(tftp_sm, oversize)
{
    start((struct tftp_params){0});
    data(1, 513, MS);
    says(TFTP_E_ILLEGAL);
    fails(TFTP_R_PROTOCOL);
    start((struct tftp_params){.client = true, .blksize = 512});
    data(1, 1428, MS);
    says(TFTP_E_ILLEGAL);
    fails(TFTP_R_PROTOCOL);
}

/* ---- ends ---- */

Test(tftp_sm, an_error_is_not_answered)
{
    static const struct tftp_params t[] = {
        {.client = true}, {.client = true, .sender = true}, {.oack = true},
        {.sender = true}, {.sender = true, .oack = true},   {.window = 1},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        start(t[i]);
        op(TFTP_ERROR, MS);
        one(TFTP_DO_FAIL);
        fails(TFTP_R_PEER);
        cr_assert_eq(sm.peer_code, 3);
        op(TFTP_ERROR, MS);
        nothing();
    }
}

Test(tftp_sm, aborts)
{
    start((struct tftp_params){.client = true});
    tftp_sm_abort(&sm, TFTP_E_UNDEFINED, "stopped", &acts);
    one(TFTP_DO_FAIL); /* nobody to tell */
    fails(TFTP_R_LOCAL);
    start((struct tftp_params){.sender = true});
    tftp_sm_abort(&sm, TFTP_E_UNDEFINED, "stopped", &acts);
    says(TFTP_E_UNDEFINED);
    fails(TFTP_R_LOCAL);
    tftp_sm_abort(&sm, TFTP_E_UNDEFINED, "stopped", &acts);
    nothing();
    tftp_sm_unreachable(&sm, &acts);
    nothing();
    start((struct tftp_params){.client = true});
    tftp_sm_refuse(&sm, TFTP_E_OPTION, "no", &acts);
    says(TFTP_E_OPTION);
    fails(TFTP_R_PROTOCOL);
    tftp_sm_refuse(&sm, TFTP_E_OPTION, "no", &acts);
    nothing();
}

/* Packets of the other role, in every state. */
Test(tftp_sm, nonsense_changes_nothing)
{
    start((struct tftp_params){.sender = true});
    data(1, 512, MS);
    nothing();
    op(TFTP_OACK, MS);
    nothing();
    op((enum tftp_op)99, MS);
    nothing();
    start((struct tftp_params){0});
    ack(0, MS);
    nothing();
    op(TFTP_OACK, MS);
    nothing();
    start((struct tftp_params){.oack = true});
    op(TFTP_OACK, MS);
    nothing();
    ack(0, MS);
    nothing();
    cr_assert_eq(sm.state, TFTP_S_OFFER);
}
