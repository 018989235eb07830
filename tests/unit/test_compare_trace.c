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

/* What was corrupted is thrown away by its receiver: only time goes on. */
Test(compare_trace, what_arrives_corrupted_asks_for_nothing)
{
    struct link_record r[] = {packet(0, 0, 3, 1, false), packet(10, 1, 4, 1, false),
                              packet(60, 0, 3, 1, false)};
    struct compare_trace t;

    r[1].what = LINK_CORRUPTED;
    compare_trace_take(&t, r, 3);
    cr_assert_eq(t.n, 4);
    cr_expect(t.packets[1].corrupted);
    cr_expect_eq(t.packets[2].kind, COMPARE_TIMEOUT);
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

/* A window that a timeout sends again is due to one timeout. */
Test(compare_trace, a_window_is_sent_again_by_one)
{
    const struct link_record r[] = {packet(0, 0, 3, 1, true),   packet(0, 0, 3, 2, true),
                                    packet(60, 0, 3, 1, false), packet(60, 0, 3, 2, false),
                                    packet(70, 1, 4, 2, false), packet(140, 1, 4, 2, false),
                                    packet(150, 0, 3, 3, false)};
    struct compare_trace t;

    compare_trace_take(&t, r, 7);
    cr_assert_eq(t.n, 9);
    cr_expect_eq(t.packets[2].kind, COMPARE_TIMEOUT);
    cr_expect(t.packets[3].again && t.packets[4].again && !t.packets[5].again);
    cr_expect_eq(t.packets[6].kind, COMPARE_TIMEOUT);
    cr_expect_eq(t.packets[6].way, 1);
    cr_expect(t.packets[7].again);
}

/* A TCP segment of one connection, the client's port given. */
static struct link_record segment(int ms, unsigned side, unsigned port, uint32_t seq, uint32_t ack,
                                  unsigned flags, unsigned len)
{
    struct link_record r = packet(ms, side, 0, 0, false);
    uint8_t *tcp = r.bytes + 20;

    r.length = 40 + len;
    r.captured = 40;
    r.bytes[2] = (uint8_t)(r.length >> 8);
    r.bytes[3] = (uint8_t)r.length;
    r.bytes[9] = 6;
    memset(tcp, 0, 20);
    tcp[side == 0 ? 1 : 3] = (uint8_t)port;
    for (int i = 0; i < 4; i++) {
        tcp[4 + i] = (uint8_t)(seq >> (24 - 8 * i));
        tcp[8 + i] = (uint8_t)(ack >> (24 - 8 * i));
    }
    tcp[12] = 0x50;
    tcp[13] = (uint8_t)flags;
    return r;
}

Test(compare_trace, sequence_numbers_begin_at_zero_and_go_over_the_end)
{
    struct link_record r[] = {
        segment(0, 0, 9, UINT32_MAX, 0, 2, 0), segment(10, 1, 9, 1000, 0, 18, 0),
        segment(20, 0, 9, 0, 1001, 16, 0),     segment(20, 0, 9, 0, 1001, 24, 100),
        segment(21, 0, 9, 100, 1001, 24, 100), segment(30, 1, 9, 1001, 0, 16, 0),
        segment(40, 0, 9, 0, 1001, 24, 100),   segment(340, 0, 9, 0, 1001, 24, 100),
        segment(350, 1, 9, 1001, 200, 16, 0),
    };
    static const char *const words[] = {
        "SYN seq 0",
        "SYN-ACK seq 0, ack 1",
        "ACK 1",
        "seq 1, 100 bytes",
        "seq 101, 100 bytes",
        "ACK 1",
        "seq 1, 100 bytes (again)",
        "timeout",
        "seq 1, 100 bytes (again)",
        "ACK 201",
    };
    struct compare_trace t;
    char text[80];

    compare_trace_take(&t, r, 9);
    cr_assert_eq(t.n, 10);
    for (size_t i = 0; i < t.n; i++)
        cr_expect_str_eq(compare_packet_text(&t.packets[i], text, sizeof text), words[i]);
}

Test(compare_trace, connections_are_told_apart)
{
    const struct link_record r[] = {segment(0, 0, 9, 50, 0, 2, 0), segment(1, 0, 10, 70, 0, 2, 0),
                                    segment(10, 1, 10, 3, 71, 18, 0)};
    struct compare_trace t;
    char text[80];

    compare_trace_take(&t, r, 3);
    cr_assert_eq(t.n, 3);
    cr_expect_str_eq(compare_packet_text(&t.packets[1], text, sizeof text), "2: SYN seq 0");
    cr_expect_str_eq(compare_packet_text(&t.packets[2], text, sizeof text),
                     "2: SYN-ACK seq 0, ack 1");
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

/* The last block has come: its receiver waits for nothing, and only asks whether the sender is
 * gone. */
Test(compare_trace, a_last_acknowledgment_is_repeated_without_a_timeout)
{
    const struct link_record r[] = {packet(0, 1, 3, 1, false), packet(10, 0, 4, 1, false),
                                    packet(40, 0, 4, 1, false)};
    const struct link_record waiting[] = {packet(0, 1, 3, 1, false), packet(10, 0, 4, 1, false),
                                          packet(40, 0, 4, 1, false), packet(50, 1, 3, 2, false)};
    struct compare_trace t;

    compare_trace_take(&t, r, 3);
    cr_expect_eq(t.n, 3);
    compare_trace_take(&t, waiting, 4);
    cr_expect_eq(t.n, 5);
    cr_expect_eq(t.packets[2].kind, COMPARE_TIMEOUT);
}
