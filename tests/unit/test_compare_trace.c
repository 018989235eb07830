#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "compare/trace.h"

#define MS 1000000

/* A TFTP packet of four bytes at `ms`, that arrives 10 ms later or never. */
static struct link_record packet(int ms, unsigned side, unsigned opcode, unsigned block, bool lost)
{
    struct link_record r = {.time = INT64_C(1000) * MS + (int64_t)ms * MS,
                            .due = INT64_C(1000) * MS + (int64_t)(ms + 10) * MS,
                            .length = 32,
                            .captured = 32,
                            .side = (uint8_t)side,
                            .fate = lost ? LINK_LOST_BY_CHANCE : LINK_PASSED};

    r.bytes[0] = 0x45;
    r.bytes[3] = 32;
    r.bytes[9] = 17;
    r.bytes[25] = 12; /* UDP, with its header */
    r.bytes[29] = (uint8_t)opcode;
    r.bytes[31] = (uint8_t)block;
    return r;
}

Test(compare_trace, what_no_packet_asked_for_was_sent_by_a_timeout)
{
    const struct link_record r[] = {packet(0, 0, 3, 1, true), packet(30, 0, 3, 1, false),
                                    packet(40, 1, 4, 1, false), packet(50, 0, 3, 2, false)};
    struct compare_trace t;

    compare_trace_take(&t, r, 4);
    cr_assert_eq(t.n, 5);
    cr_expect_eq(t.packets[0].fate, COMPARE_LOST);
    cr_expect_eq(t.packets[1].kind, COMPARE_TIMEOUT);
    cr_expect_eq(t.packets[1].way, 0);
    cr_expect_eq(t.packets[2].block, 1);
    cr_expect_eq(t.packets[3].way, 1);
    cr_expect_float_eq(t.packets[3].arrives, 0.05, 1e-9);
    cr_expect_eq(t.packets[4].block, 2);
    cr_expect_not(t.more);
}

/* The same block again, since an acknowledgment asked for it. */
Test(compare_trace, what_was_asked_for_was_not)
{
    const struct link_record r[] = {packet(0, 0, 3, 1, true), packet(1, 0, 3, 2, false),
                                    packet(11, 1, 4, 0, false), packet(21, 0, 3, 1, false)};
    struct compare_trace t;

    compare_trace_take(&t, r, 4);
    cr_expect_eq(t.n, 4);
    for (size_t i = 0; i < t.n; i++)
        cr_expect_eq(t.packets[i].kind, COMPARE_TFTP);
}

Test(compare_trace, the_first_ones_alone)
{
    struct link_record r[COMPARE_TRACE_PACKETS + 1];
    struct compare_trace t;

    for (int i = 0; i <= COMPARE_TRACE_PACKETS; i++)
        r[i] = packet(i, 0, 3, 1, true); /* each by a timeout but the first */
    compare_trace_take(&t, r, COMPARE_TRACE_PACKETS + 1);
    cr_expect_eq(t.n, 2 * COMPARE_TRACE_PACKETS - 1);
    cr_expect(t.more);
    compare_trace_take(&t, NULL, 0);
    cr_expect_eq(t.n, 0);
}
