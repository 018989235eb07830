#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/stream.h"
#include "xfer.h"

#define IN_CAP 64
#define OUT_CAP 32
#define LONG_WAIT (60 * CLOCK_SEC)
#define SHORT_WAIT (CLOCK_SEC / 50)

/* A stream with small buffers, and the other end of its socket. */
struct pair {
    struct stream s;
    int peer;
};

static struct pair pair_new(int stop_fd)
{
    struct pair p;
    int fd[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    cr_assert_eq(stream_init(&p.s, fd[0], stop_fd, IN_CAP, OUT_CAP), 0);
    p.s.deadline = clock_now() + LONG_WAIT;
    p.peer = fd[1];
    return p;
}

static void pair_free(struct pair *p)
{
    stream_free(&p->s);
    if (p->peer >= 0)
        close(p->peer);
}

static void hang_up(struct pair *p)
{
    close(p->peer);
    p->peer = -1;
}

static void send_text(struct pair *p, const char *text)
{
    cr_assert_eq(send(p->peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void expect_line(struct pair *p, const char *want)
{
    const char *line;
    size_t n;

    cr_assert_eq(stream_line(&p->s, IN_CAP, &line, &n), 1);
    cr_assert_eq(n, strlen(want));
    cr_assert_eq(memcmp(line, want, n), 0, "not %s", want);
}

Test(stream, lines_come_whole_however_they_arrive)
{
    struct pair p = pair_new(-1);
    const char *line;
    size_t n;

    send_text(&p, "one\n\nthr");
    expect_line(&p, "one");
    expect_line(&p, "");
    cr_expect_eq(stream_try_line(&p.s, IN_CAP, &line, &n), 0);
    send_text(&p, "ee\nfour");
    cr_expect_eq(stream_try_line(&p.s, IN_CAP, &line, &n), 1);
    cr_expect_eq(n, 5);
    for (int i = 0; i < 100; i++) { /* round and round the buffer */
        send_text(&p, "\nabcdefghijklmnopqrstuvwxyz");
        expect_line(&p, i ? "abcdefghijklmnopqrstuvwxyz" : "four");
    }
    pair_free(&p);
}

Test(stream, a_line_may_have_its_maximum_and_no_more)
{
    const char *line;
    size_t n;
    struct pair p = pair_new(-1);

    send_text(&p, "1234567\n12345678\n");
    cr_expect_eq(stream_line(&p.s, 8, &line, &n), 1);
    cr_expect_eq(stream_line(&p.s, 8, &line, &n), -XFER_ETOOLONG);
    cr_expect_eq(stream_line(&p.s, 80, &line, &n), -XFER_ETOOLONG, "errors are sticky");
    cr_expect_eq(stream_write(&p.s, "x", 1), -XFER_ETOOLONG);
    pair_free(&p);

    p = pair_new(-1);
    send_text(&p, "12345678"); /* no need to wait for its end */
    cr_expect_eq(stream_line(&p.s, 8, &line, &n), -XFER_ETOOLONG);
    pair_free(&p);
}

Test(stream, an_end_between_lines_is_clean_and_inside_one_is_a_loss)
{
    const char *line;
    size_t n;
    struct pair p = pair_new(-1);

    send_text(&p, "a\n");
    hang_up(&p);
    expect_line(&p, "a");
    cr_expect_eq(stream_line(&p.s, IN_CAP, &line, &n), 0);
    pair_free(&p);

    p = pair_new(-1);
    send_text(&p, "a");
    hang_up(&p);
    cr_expect_eq(stream_line(&p.s, IN_CAP, &line, &n), -XFER_ELOST);
    pair_free(&p);
}

Test(stream, spans_take_what_lines_left)
{
    struct pair p = pair_new(-1);
    const uint8_t *b;

    send_text(&p, "DATA 6\nabcdefNEXT\n");
    expect_line(&p, "DATA 6");
    cr_assert_eq(stream_span(&p.s, 4, &b), 4);
    cr_expect_eq(memcmp(b, "abcd", 4), 0);
    cr_assert_eq(stream_span(&p.s, 2, &b), 2);
    cr_expect_eq(memcmp(b, "ef", 2), 0);
    expect_line(&p, "NEXT");
    hang_up(&p);
    cr_expect_eq(stream_span(&p.s, 1, &b), 0);
    pair_free(&p);
}

Test(stream, a_full_buffer_is_told_at_once)
{
    struct pair p = pair_new(-1);

    for (int i = 0; i < 4; i++)
        send_text(&p, "0123456789012345");
    while (p.s.in_len < IN_CAP)
        cr_assert_eq(stream_fill(&p.s), 1);
    cr_expect_eq(stream_fill(&p.s), 1);
    cr_expect_eq(p.s.in_len, IN_CAP);
    pair_free(&p);
}

Test(stream, writing_is_put_off_until_it_is_worth_it_or_asked_for)
{
    struct pair p = pair_new(-1);
    char got[256];

    cr_assert_eq(stream_write(&p.s, "abc", 3), 0);
    cr_expect_eq(recv(p.peer, got, sizeof(got), MSG_DONTWAIT), -1);
    cr_assert_eq(stream_flush(&p.s), 0);
    cr_expect_eq(recv(p.peer, got, sizeof(got), MSG_DONTWAIT), 3);

    char large[OUT_CAP * 4];
    memset(large, 'x', sizeof(large));
    cr_assert_eq(stream_write(&p.s, "abc", 3), 0);
    cr_assert_eq(stream_write(&p.s, large, sizeof(large)), 0);
    cr_expect_eq(recv(p.peer, got, sizeof(got), MSG_DONTWAIT), (ssize_t)sizeof(large) + 3);
    cr_expect_eq(memcmp(got, "abcxxx", 6), 0, "order is kept");
    cr_expect_eq(p.s.bytes_out, sizeof(large) + 6);
    pair_free(&p);
}

Test(stream, waiting_for_input_sends_what_is_pending)
{
    struct pair p = pair_new(-1);
    const char *line;
    char got[8];
    size_t n;

    cr_assert_eq(stream_write(&p.s, "ask\n", 4), 0);
    p.s.idle = SHORT_WAIT;
    cr_expect_eq(stream_line(&p.s, IN_CAP, &line, &n), -ETIMEDOUT);
    cr_expect_eq(recv(p.peer, got, sizeof(got), MSG_DONTWAIT), 4);
    pair_free(&p);
}

Test(stream, silence_and_deadlines_end_a_wait)
{
    struct pair p = pair_new(-1);
    int64_t began = clock_now();

    p.s.idle = SHORT_WAIT;
    cr_expect_eq(stream_fill(&p.s), -ETIMEDOUT);
    cr_expect_geq(clock_now() - began, SHORT_WAIT);
    cr_expect_eq(stream_flush(&p.s), -ETIMEDOUT, "errors are sticky");
    pair_free(&p);

    p = pair_new(-1);
    p.s.idle = LONG_WAIT;
    p.s.deadline = clock_now() + SHORT_WAIT;
    cr_expect_eq(stream_fill(&p.s), -XFER_EDEADLINE);
    pair_free(&p);
}

Test(stream, a_peer_that_does_not_read_ends_a_send)
{
    struct pair p = pair_new(-1);
    static char block[65536];
    int r = 0;

    p.s.idle = SHORT_WAIT;
    for (int i = 0; i < 1000 && r == 0; i++)
        r = stream_write(&p.s, block, sizeof(block));
    cr_expect_eq(r, -ETIMEDOUT);
    pair_free(&p);
}

Test(stream, a_stop_ends_a_wait)
{
    int stop = eventfd(0, EFD_CLOEXEC);
    struct pair p = pair_new(stop);

    cr_assert_eq(eventfd_write(stop, 1), 0);
    cr_expect_eq(stream_fill(&p.s), -XFER_ECANCELED);
    pair_free(&p);
    close(stop);
}

Test(stream, writing_to_a_peer_that_left_is_an_error_not_a_signal)
{
    struct pair p = pair_new(-1);

    hang_up(&p);
    cr_assert_eq(stream_write(&p.s, "abc", 3), 0);
    cr_expect_eq(stream_flush(&p.s), -EPIPE);
    pair_free(&p);
}

Test(stream, freeing_twice_is_safe)
{
    struct pair p = pair_new(-1);

    stream_free(&p.s);
    stream_free(&p.s);
    cr_expect_lt(stream_fill(&p.s), 0);
    pair_free(&p);
}

/* More than both sockets hold, in both directions at once. */
#define TALK (8u << 20)

static void *talk(void *arg)
{
    struct stream *s = arg;
    char *block = calloc(1, 65536);
    int r = block ? 0 : -ENOMEM;

    for (size_t sent = 0; sent < TALK && r == 0; sent += 65536)
        r = stream_write(s, block, 65536);
    if (r == 0)
        r = stream_flush(s);
    while (r == 0 && s->in_len < TALK)
        r = stream_fill(s) == 1 ? 0 : -EIO;
    free(block);
    return r == 0 ? NULL : s;
}

Test(stream, two_talkers_do_not_deadlock)
{
    struct stream s[2];
    pthread_t t[2];
    int fd[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(stream_init(&s[i], fd[i], -1, TALK, OUT_CAP), 0);
        s[i].deadline = clock_now() + LONG_WAIT;
        cr_assert_eq(pthread_create(&t[i], NULL, talk, &s[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        void *bad;
        pthread_join(t[i], &bad);
        cr_expect_null(bad, "both were sending, neither was heard: %d", s[i].err);
        cr_expect_eq(s[i].bytes_in, TALK);
    }
    for (int i = 0; i < 2; i++)
        stream_free(&s[i]);
}

static void *trickle(void *arg)
{
    const int *fd = arg;

    while (send(*fd, "x", 1, MSG_NOSIGNAL) == 1)
        sched_yield();
    return NULL;
}

Test(stream, a_trickle_below_the_minimum_rate_is_cut)
{
    struct pair p = pair_new(-1);
    const uint8_t *b;
    pthread_t t;
    long r = 1;

    stream_min_rate(&p.s, UINT64_C(1) << 40);
    p.s.rate_waited = STREAM_RATE_WINDOW; /* as if a whole window had been waited through */
    cr_assert_eq(pthread_create(&t, NULL, trickle, &p.peer), 0);
    while (r > 0)
        r = stream_span(&p.s, IN_CAP, &b);
    cr_expect_eq(r, -ETIMEDOUT);
    stream_free(&p.s);
    pthread_join(t, NULL);
    pair_free(&p);
}
