#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/digest.h"
#include "chan_fixture.h"

static struct ends e;

static void set_up(void)
{
    ends_open(&e, -1);
}

static void tear_down(void)
{
    ends_close(&e);
}

TestSuite(chan, .init = set_up, .fini = tear_down);

/* What the peer hears of what was sent since. */
static void hears(const char *want)
{
    cr_expect_str_eq(peer_heard(&e, NULL), want);
}

Test(chan, messages_come_one_after_the_other)
{
    struct wire_msg m;

    peer_says(&e, "XFER/1\nGET /a%20b offset=7\r\n200 size=3\n");
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_expect(m.verb == WIRE_HELLO && m.version == 1);
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_expect_eq(m.verb, WIRE_GET);
    cr_expect_str_eq(m.path, "/a b");
    cr_expect(m.keys == WIRE_K_OFFSET && m.offset == 7);
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_expect(m.verb == WIRE_REPLY && m.code == 200 && m.size == 3);
    ends_hang_up(&e);
    cr_expect_eq(chan_recv(&e.ch, &m), 0);
}

Test(chan, payload_is_taken_by_its_count)
{
    const uint8_t *p;
    struct wire_msg m;

    peer_says(&e, "DATA 5\nEND x\nDATA 0\nEND size=5\n");
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_expect(m.verb == WIRE_DATA && m.length == 5);
    cr_assert_eq(chan_payload(&e.ch, &p), 5);
    cr_expect_eq(memcmp(p, "END x", 5), 0);
    cr_expect_eq(chan_payload(&e.ch, &p), 0);
    /* The LF after the payload is a line of its own, and an empty line is malformed. */
    cr_expect_eq(chan_recv(&e.ch, &m), -XFER_EPROTO);
}

Test(chan, payload_that_nobody_took_is_skipped)
{
    const uint8_t *p;
    struct wire_msg m;

    peer_says(&e, "DATA 12\nGET /secret\nDATA 4\nab\ncEND size=16\n");
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_expect(m.verb == WIRE_DATA && m.length == 4);
    cr_assert_gt(chan_payload(&e.ch, &p), 0);
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_expect(m.verb == WIRE_END && m.size == 16);
}

Test(chan, payload_larger_than_the_buffer_comes_in_spans)
{
    size_t n = 3 * CHAN_IN_CAP / 4, got = 0;
    uint8_t *bytes = malloc(n);
    const uint8_t *p;
    struct wire_msg m;
    long k;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    peer_says(&e, "DATA 98304\n");
    peer_sends(&e, bytes, n);
    peer_says(&e, "END\n");
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    while ((k = chan_payload(&e.ch, &p)) > 0) {
        cr_assert_leq(got + (size_t)k, n);
        cr_assert_eq(memcmp(p, bytes + got, (size_t)k), 0, "at %zu", got);
        got += (size_t)k;
    }
    cr_expect(k == 0 && got == n);
    cr_expect_eq(chan_recv(&e.ch, &m), 1);
    free(bytes);
}

Test(chan, a_stream_that_ends_in_payload_is_a_loss)
{
    const uint8_t *p;
    struct wire_msg m;

    peer_says(&e, "DATA 5\nabc");
    ends_hang_up(&e);
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_expect_eq(chan_payload(&e.ch, &p), 3);
    cr_expect_eq(chan_payload(&e.ch, &p), -XFER_ELOST);
    cr_expect_eq(chan_recv(&e.ch, &m), -XFER_ELOST);
}

Test(chan, skipping_payload_meets_the_end_too)
{
    struct wire_msg m;

    peer_says(&e, "DATA 5\nabc");
    ends_hang_up(&e);
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_expect_eq(chan_recv(&e.ch, &m), -XFER_ELOST);
}

Test(chan, what_cannot_be_decoded)
{
    static const struct {
        const char *line;
        int err;
    } t[] = {
        {"DATA\n", -XFER_EPROTO},
        {"DATA -1\n", -XFER_EPROTO},
        {"DATA 1048577\n", -XFER_EPROTO},
        {"DATA 18446744073709551616\n", -XFER_EPROTO},
        {"GET\n", -XFER_EPROTO},
        {"GET /a offset=x\n", -XFER_EPROTO},
        {"\n", -XFER_EPROTO},
        {"20 size=1\n", -XFER_EPROTO},
        {"GET /a%00b\n", -XFER_ENAME},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct wire_msg m;
        struct ends one;
        ends_open(&one, -1);
        peer_says(&one, t[i].line);
        int r = chan_recv(&one.ch, &m);
        cr_expect_eq(r, t[i].err, "%s: %d", t[i].line, r);
        ends_close(&one);
    }
}

Test(chan, a_name_that_nobody_can_have_leaves_the_rest)
{
    struct wire_msg m;

    peer_says(&e, "GET /a%00\nSUM /b\n");
    cr_assert_eq(chan_recv(&e.ch, &m), -XFER_ENAME);
    cr_expect_eq(m.verb, WIRE_GET);
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_expect_eq(m.verb, WIRE_SUM);
}

Test(chan, an_overlong_line_is_the_end)
{
    char *line = malloc(WIRE_LINE_MAX + 1);
    struct wire_msg m;

    memset(line, 'a', WIRE_LINE_MAX + 1);
    peer_sends(&e, line, WIRE_LINE_MAX + 1);
    cr_expect_eq(chan_recv(&e.ch, &m), -XFER_ETOOLONG);
    cr_expect_eq(chan_recv(&e.ch, &m), -XFER_ETOOLONG);
    free(line);
}

Test(chan, trying_does_not_wait)
{
    struct wire_msg m;

    cr_expect_eq(chan_try_recv(&e.ch, &m), 0);
    peer_says(&e, "20");
    cr_expect_eq(chan_try_recv(&e.ch, &m), 0);
    peer_says(&e, "1\nDATA 3\nab");
    cr_assert_eq(chan_try_recv(&e.ch, &m), 1);
    cr_expect_eq(m.code, 201);
    cr_assert_eq(chan_try_recv(&e.ch, &m), 1);
    cr_expect_eq(m.verb, WIRE_DATA);
    peer_says(&e, "c\nEND\n");
    cr_expect_eq(chan_try_recv(&e.ch, &m), 0, "not inside a body");
}

Test(chan, an_end_that_must_not_be_is_a_loss_for_good)
{
    struct wire_msg m;

    ends_hang_up(&e);
    cr_expect_eq(chan_expect(&e.ch, &m), -XFER_ELOST);
    cr_expect_eq(chan_recv(&e.ch, &m), -XFER_ELOST);
}

Test(chan, messages_go_out_as_lines)
{
    struct wire_msg m;

    m.verb = WIRE_PUT;
    m.keys = WIRE_K_SIZE;
    m.size = 3;
    strcpy(m.path, "/a b");
    m.path_len = 4;
    cr_expect_eq(chan_send(&e.ch, &m), 0);
    cr_expect_eq(chan_send_data(&e.ch, "xyz", 3), 0);
    cr_expect_eq(chan_send_data(&e.ch, NULL, 0), 0);
    cr_expect_eq(chan_reply(&e.ch, 102), 0);
    cr_expect_eq(chan_refuse(&e.ch, false, -ENOSPC, NULL), 0);
    cr_expect_eq(chan_refuse(&e.ch, true, -XFER_ECHANGED, "while it was read"), 0);
    hears("PUT /a%20b size=3\nDATA 3\nxyzDATA 0\n102\n452 no-space no space over there\n"
          "ABORT 451 changed while it was read\n");
}

Test(chan, what_the_system_said_is_told_where_our_word_is_vague)
{
    cr_expect_eq(chan_refuse(&e.ch, false, -EIO, NULL), 0);
    hears("450 io-error Input/output error\n");
}

/* ---- checks ---- */

static void add_check(const char *line, char *out)
{
    uint8_t d[DIGEST_LEN];
    char hex[DIGEST_HEX + 1];

    digest_of(line, strlen(line), d);
    digest_hex(d, hex);
    sprintf(out, "%s check=%.8s\n", line, hex);
}

Test(chan, checked_lines_are_told_from_damaged_ones)
{
    char line[128];
    struct wire_msg m;

    add_check("GET /abc", line);
    peer_says(&e, line);
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    cr_expect_str_eq(m.path, "/abc");
    cr_expect(e.ch.checked);
    line[5] ^= 1;
    peer_says(&e, line);
    cr_expect_eq(chan_recv(&e.ch, &m), -XFER_EINTEGRITY);
    line[5] ^= 1;
    peer_says(&e, line);
    cr_expect_eq(chan_recv(&e.ch, &m), -XFER_EINTEGRITY, "sticky");
}

Test(chan, a_check_that_is_missing_is_damage_too)
{
    char line[128];
    struct wire_msg m;

    peer_says(&e, "GET /before\n");
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    add_check("GET /abc", line);
    peer_says(&e, line);
    cr_assert_eq(chan_recv(&e.ch, &m), 1);
    peer_says(&e, "DATA 3\nabc");
    cr_assert_eq(chan_recv(&e.ch, &m), 1, "DATA needs none");
    peer_says(&e, "GET /abc\n");
    cr_expect_eq(chan_recv(&e.ch, &m), -XFER_EINTEGRITY);
}

Test(chan, our_lines_are_checked_when_asked)
{
    char want[128], first[64], second[64];

    e.ch.checks = true;
    cr_expect_eq(chan_reply(&e.ch, 201), 0);
    cr_expect_eq(chan_refuse(&e.ch, false, -XFER_EBUSY, NULL), 0);
    add_check("201", first);
    add_check("421 busy peer is busy", second);
    sprintf(want, "%s%s", first, second);
    hears(want);
}

Test(chan, a_longest_line_fits_with_its_check)
{
    struct wire_msg m, back;
    struct ends other;
    size_t n;

    m.verb = WIRE_ENTRY;
    m.keys = WIRE_K_TYPE;
    m.type = 'f';
    m.path_len = PATH_CLEAN_MAX;
    memset(m.path, ' ', PATH_CLEAN_MAX); /* three bytes each on the wire */
    m.path[PATH_CLEAN_MAX] = '\0';
    e.ch.checks = true;
    cr_assert_eq(chan_send(&e.ch, &m), 0);
    const char *line = peer_heard(&e, &n);
    cr_expect_leq(n, WIRE_LINE_MAX);
    ends_open(&other, -1);
    peer_sends(&other, line, n);
    cr_assert_eq(chan_recv(&other.ch, &back), 1);
    cr_expect(back.path_len == PATH_CLEAN_MAX && memcmp(back.path, m.path, PATH_CLEAN_MAX) == 0);
    ends_close(&other);
}

Test(chan, a_stop_ends_waiting)
{
    struct ends stopped;
    struct wire_msg m;
    int stop = eventfd(1, EFD_CLOEXEC);

    ends_open(&stopped, stop);
    cr_expect_eq(chan_recv(&stopped.ch, &m), -XFER_ECANCELED);
    ends_close(&stopped);
    close(stop);
}

Test(chan, freeing_twice_is_safe)
{
    struct ends one;

    ends_open(&one, -1);
    cr_expect(chan_scratch(&one.ch) != NULL);
    cr_expect_eq(chan_scratch(&one.ch), chan_scratch(&one.ch));
    chan_free(&one.ch);
    ends_close(&one);
}
