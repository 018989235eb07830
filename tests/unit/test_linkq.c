#include "config.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "link/linkq.h"

#define MS INT64_C(1000000)
#define SLOTS 128

static struct linkq_packet slots[SLOTS];

static struct linkq made(struct linkq_params p)
{
    struct linkq q;

    linkq_init(&q, &p, slots, SLOTS);
    return q;
}

/* A handle that is a number. */
static void *handle(uintptr_t n)
{
    return (void *)n;
}

static void balanced(const struct linkq *q)
{
    const struct linkq_counts *c = &q->counts;

    cr_assert_eq(c->in_packets + c->duplicated,
                 c->out_packets + c->dropped_queue + c->dropped_loss + c->dropped_full + q->n);
}

/* n packets, one a millisecond, each taken out as it comes. */
static struct linkq passed(struct linkq_params p, unsigned n)
{
    struct linkq q = made(p);
    struct linkq_packet got;

    for (unsigned i = 0; i < n; i++) {
        linkq_push(&q, handle(i), 100, i * MS);
        while (linkq_pop(&q, i * MS, &got))
            cr_assert_leq(got.due, i * MS);
    }
    while (linkq_pop(&q, INT64_MAX, &got))
        ;
    balanced(&q);
    cr_assert_eq(q.n, 0);
    return q;
}

Test(linkq, nothing_set_means_nothing_happens)
{
    struct linkq q = made((struct linkq_params){0});
    struct linkq_packet got;

    cr_assert_eq(linkq_next(&q), INT64_MAX);
    cr_assert_not(linkq_pop(&q, INT64_MAX, &got));
    cr_assert_eq(linkq_push(&q, handle(7), 100, 5), LINKQ_SENT);
    cr_assert_eq(linkq_next(&q), 5);
    cr_assert_not(linkq_pop(&q, 4, &got));
    cr_assert(linkq_pop(&q, 5, &got));
    cr_assert(got.handle == handle(7) && got.len == 100 && got.flip == -1 && !got.more &&
              !got.copy);
    balanced(&q);
}

Test(linkq, a_rate_spaces_packets_and_does_not_drift)
{
    struct linkq q = made((struct linkq_params){.rate = 8000000, .delay = 10 * MS});
    struct linkq_packet got;

    /* 1000 bytes at 8 Mbit/s take a millisecond each */
    for (unsigned i = 0; i < 50; i++)
        linkq_push(&q, handle(i), 1000, 0);
    cr_assert_eq(linkq_backlog(&q, 0), 50000);
    cr_assert_eq(linkq_backlog(&q, 25 * MS), 25000);
    for (unsigned i = 0; i < 50; i++) {
        cr_assert_eq(linkq_next(&q), (10 + i + 1) * MS);
        cr_assert(linkq_pop(&q, linkq_next(&q), &got));
        cr_assert(got.handle == handle(i));
    }
    linkq_push(&q, handle(1), 1000, 1000 * MS);
    cr_assert_eq(linkq_next(&q), 1011 * MS, "an idle line begins anew");
}

Test(linkq, the_queue_drops_its_tail)
{
    struct linkq q = made((struct linkq_params){.rate = 8000000, .queue = 2500});

    cr_assert_eq(linkq_push(&q, NULL, 1000, 0), LINKQ_SENT);
    cr_assert_eq(linkq_push(&q, NULL, 1000, 0), LINKQ_SENT);
    cr_assert_eq(linkq_push(&q, NULL, 1000, 0), LINKQ_DROP_QUEUE);
    cr_assert_eq(linkq_push(&q, NULL, 500, 0), LINKQ_SENT);
    cr_assert_eq(linkq_push(&q, NULL, 1000, 2 * MS), LINKQ_SENT);
    cr_assert_eq(q.counts.dropped_queue, 1);
    cr_assert_eq(q.counts.queued_high, 2500);
    q = made((struct linkq_params){.rate = 8000000, .queue = 10});
    cr_assert_eq(linkq_push(&q, NULL, 1000, 0), LINKQ_SENT, "an idle line takes any");
    cr_assert_eq(linkq_push(&q, NULL, 1, 0), LINKQ_DROP_QUEUE);
    balanced(&q);
}

Test(linkq, what_is_in_flight_does_not_count_for_the_queue)
{
    struct linkq q =
        made((struct linkq_params){.rate = 8000000, .queue = 1000, .delay = 1000 * MS});

    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(linkq_push(&q, NULL, 1000, i * MS), LINKQ_SENT);
}

Test(linkq, without_a_slot_it_is_dropped)
{
    struct linkq q = made((struct linkq_params){.delay = MS, .duplicate = 1});

    for (unsigned i = 0; i < SLOTS; i += 2)
        cr_assert_eq(linkq_push(&q, NULL, 1, 0), LINKQ_SENT);
    cr_assert_eq(linkq_push(&q, NULL, 1, 0), LINKQ_DROP_FULL);
    cr_assert_eq(q.counts.duplicated, SLOTS / 2);

    struct linkq_packet got;

    cr_assert(linkq_pop(&q, MS, &got));
    cr_assert_eq(linkq_push(&q, NULL, 1, MS), LINKQ_SENT);
    cr_assert_eq(q.counts.duplicated, SLOTS / 2, "a copy needs a slot of its own");
    balanced(&q);
}

Test(linkq, a_duplicate_comes_behind_its_first)
{
    struct linkq q = made((struct linkq_params){.duplicate = 1, .delay = MS});
    struct linkq_packet a, b;

    linkq_push(&q, handle(3), 10, 0);
    cr_assert(linkq_pop(&q, MS, &a) && linkq_pop(&q, MS, &b));
    cr_assert(a.handle == handle(3) && a.more && !a.copy);
    cr_assert(b.handle == handle(3) && !b.more && b.copy);
}

Test(linkq, jitter_keeps_the_order_and_stays_within)
{
    struct linkq q = made((struct linkq_params){.delay = 10 * MS, .jitter = 30 * MS, .seed = 5});
    struct linkq_packet got;
    int64_t least = INT64_MAX, most = 0;

    for (uintptr_t i = 0; i < 100; i++)
        linkq_push(&q, handle(i), 10, (int64_t)i * MS);
    for (uintptr_t i = 0; i < 100; i++) {
        cr_assert(linkq_pop(&q, INT64_MAX, &got));
        cr_assert(got.handle == handle(i));

        int64_t took = got.due - (int64_t)i * MS;

        least = took < least ? took : least;
        most = took > most ? took : most;
        cr_assert(took >= 10 * MS && took < 40 * MS);
    }
    cr_assert(most - least > 10 * MS, "there is jitter");
}

Test(linkq, reordering_only_ever_adds)
{
    struct linkq q =
        made((struct linkq_params){.delay = 10 * MS, .reorder = 0.3, .reorder_delay = 5 * MS});
    struct linkq_packet got;
    unsigned late = 0, overtaken = 0;
    uintptr_t before = 0;

    for (uintptr_t i = 0; i < 100; i++)
        linkq_push(&q, handle(i), 10, (int64_t)i * MS);
    while (linkq_pop(&q, INT64_MAX, &got)) {
        uintptr_t i = (uintptr_t)got.handle;
        int64_t took = got.due - (int64_t)i * MS;

        cr_assert(took == 10 * MS || took == 15 * MS);
        late += took == 15 * MS;
        overtaken += i < before;
        before = i;
    }
    cr_assert_eq(late, q.counts.reordered);
    cr_assert(overtaken > 10);
}

/* Each chance within four standard deviations, for each seed. */
Test(linkq, chances_are_what_was_asked_for)
{
    const unsigned n = 20000;

    for (uint64_t seed = 0; seed < 20; seed++) {
        struct linkq_params p = {.loss = 0.1,
                                 .duplicate = 0.05,
                                 .corrupt = 0.02,
                                 .reorder = 0.2,
                                 .seed = seed,
                                 .direction = seed % 2};
        struct linkq q = passed(p, n);
        double left = n - (double)q.counts.dropped_loss;
        const struct {
            double chance, of;
            uint64_t seen;
        } t[] = {{p.loss, n, q.counts.dropped_loss},
                 {p.duplicate, left, q.counts.duplicated},
                 {p.corrupt, left, q.counts.corrupted},
                 {p.reorder, left, q.counts.reordered}};

        for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
            double mean = t[i].chance * t[i].of, sd = sqrt(mean * (1 - t[i].chance));

            cr_assert(fabs((double)t[i].seen - mean) < 4 * sd, "seed %d, chance %g: %d of %g",
                      (int)seed, t[i].chance, (int)t[i].seen, t[i].of);
        }
    }
}

static void fates(struct linkq_params p, char out[1001])
{
    struct linkq q = made(p);
    struct linkq_packet got;

    for (unsigned i = 0; i < 1000; i++) {
        out[i] = linkq_push(&q, NULL, 100, i * MS) == LINKQ_SENT ? '.' : 'x';
        while (linkq_pop(&q, INT64_MAX, &got))
            ;
    }
    out[1000] = '\0';
}

Test(linkq, one_chance_does_not_move_another)
{
    struct linkq_params p = {.loss = 0.1, .seed = 42};
    char alone[1001], among[1001], other_way[1001], other_seed[1001];

    fates(p, alone);
    p.duplicate = 0.5;
    p.corrupt = 0.5;
    p.reorder = 0.5;
    p.jitter = MS;
    fates(p, among);
    cr_assert_str_eq(alone, among);
    p.direction = 1;
    fates(p, other_way);
    cr_assert_str_neq(alone, other_way);
    p.direction = 0;
    p.seed = 43;
    fates(p, other_seed);
    cr_assert_str_neq(alone, other_seed);
}

Test(linkq, a_flipped_bit_is_within_the_packet)
{
    struct linkq q = made((struct linkq_params){.corrupt = 1, .seed = 9});
    struct linkq_packet got;
    unsigned seen[24] = {0};

    for (unsigned i = 0; i < 2000; i++) {
        linkq_push(&q, NULL, 3, i);
        cr_assert(linkq_pop(&q, i, &got));
        cr_assert(got.flip >= 0 && got.flip < 24);
        seen[got.flip]++;
    }
    for (unsigned i = 0; i < 24; i++)
        cr_assert(seen[i] > 30, "bit %u: %u times", i, seen[i]);
    linkq_push(&q, NULL, 0, 2000);
    cr_assert(linkq_pop(&q, 2000, &got) && got.flip == -1, "nothing to flip in an empty one");
}

Test(linkq, a_fixed_checksum_goes_with_the_flipped_bit_and_moves_no_fate)
{
    struct linkq_params p = {.corrupt = 0.5, .seed = 9};
    struct linkq plain = made(p);
    struct linkq_packet a[64], b;

    for (unsigned i = 0; i < 64; i++) {
        linkq_push(&plain, NULL, 100, i);
        cr_assert(linkq_pop(&plain, i, &a[i]));
        cr_assert_not(a[i].fix_checksum);
    }
    p.fix_checksum = true;

    struct linkq fixed = made(p);

    for (unsigned i = 0; i < 64; i++) {
        linkq_push(&fixed, NULL, 100, i);
        cr_assert(linkq_pop(&fixed, i, &b));
        cr_assert_eq(b.flip, a[i].flip);
        cr_assert_eq(b.fix_checksum, b.flip >= 0);
    }
}

Test(linkq, the_last_one_tells_its_fate_on_entry)
{
    struct linkq q = made((struct linkq_params){
        .delay = MS, .reorder = 1, .reorder_delay = MS, .duplicate = 1, .corrupt = 1});
    struct linkq_packet got;

    cr_assert_eq(linkq_push(&q, handle(4), 10, 5), LINKQ_SENT);
    cr_assert(q.last.handle == handle(4) && q.last.more && !q.last.copy && q.last_reordered);
    cr_assert(linkq_pop(&q, INT64_MAX, &got));
    cr_assert_eq(q.last.due, got.due);
    cr_assert_eq(q.last.flip, got.flip);
    q = made((struct linkq_params){.delay = MS, .loss = 1});
    cr_assert_eq(linkq_push(&q, handle(4), 10, 5), LINKQ_DROP_LOSS);
    cr_assert_eq(q.last.due, 5 + MS, "when it would have come");
    cr_assert_not(q.last_reordered);
}

/* The heap, against sorting. */
Test(linkq, packets_come_by_time_and_then_by_turn)
{
    struct linkq q = made((struct linkq_params){.reorder = 0.5, .reorder_delay = 7, .seed = 3});
    struct linkq_packet got;
    unsigned state = 1;
    int64_t now = 0, last = INT64_MIN;
    uint64_t seq = 0;

    for (unsigned i = 0; i < 20000; i++) {
        state = state * 1664525 + 1013904223;
        now += state >> 30;
        if (state >> 28 & 1 && q.n < SLOTS)
            linkq_push(&q, NULL, 1, now);
        if (linkq_pop(&q, now, &got)) {
            cr_assert(got.due <= now);
            cr_assert(got.due > last || (got.due == last && got.seq > seq) || got.due + 7 >= last);
            last = got.due;
            seq = got.seq;
        }
    }
    for (last = INT64_MIN; linkq_pop(&q, INT64_MAX, &got); last = got.due, seq = got.seq)
        cr_assert(got.due > last || (got.due == last && got.seq > seq));
    balanced(&q);
}

Test(linkq, far_times_and_rates_do_not_overflow)
{
    struct linkq q = made((struct linkq_params){.rate = UINT64_MAX});

    cr_assert_eq(q.p.rate, LINKQ_RATE_MAX);
    q = made((struct linkq_params){.rate = 1});
    for (unsigned i = 0; i < 60; i++)
        linkq_push(&q, NULL, 65535, 0);
    cr_assert_eq(linkq_backlog(&q, 0), 60 * UINT64_C(65535));
}
