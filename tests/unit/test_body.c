#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "chan_fixture.h"
#include "session/body.h"

/* A body goes from one channel, through the socket, into another. */

static struct ends e;
static struct digest *d;
static FILE *file; /* the source; unlinked */

static void set_up(void)
{
    ends_open(&e, -1);
    d = digest_new();
    file = tmpfile();
    cr_assert(d && file);
}

static void tear_down(void)
{
    ends_close(&e);
    digest_free(d);
    fclose(file);
}

TestSuite(body, .init = set_up, .fini = tear_down);

static struct stat source_holds(const char *text)
{
    struct stat sb;

    cr_assert_eq(pwrite(fileno(file), text, strlen(text), 0), (ssize_t)strlen(text));
    cr_assert_eq(ftruncate(fileno(file), (off_t)strlen(text)), 0);
    cr_assert_eq(fstat(fileno(file), &sb), 0);
    return sb;
}

static void hears(const char *want)
{
    cr_expect_str_eq(peer_heard(&e, NULL), want);
}

static void digest_is_of(const char *text)
{
    uint8_t got[DIGEST_LEN], want[DIGEST_LEN];

    digest_of(text, strlen(text), want);
    digest_peek(d, got);
    cr_expect_eq(memcmp(got, want, DIGEST_LEN), 0, "digest of %s", text);
}

static struct body_send sending(const struct stat *before)
{
    return (struct body_send){
        .fd = fileno(file), .before = before, .length = BODY_TO_END, .digest = d};
}

/* ---- sending ---- */

Test(body, a_file_is_sent_and_hashed)
{
    struct stat sb = source_holds("hello, world");
    struct body_send b = sending(&sb);
    bool aborted;

    cr_assert_eq(body_send(&e.ch, &b, &aborted), 0);
    cr_expect(!aborted && b.sent == 12);
    digest_is_of("hello, world");
    hears("DATA 12\nhello, world");
}

Test(body, a_range_is_sent)
{
    struct stat sb = source_holds("0123456789");
    struct body_send b = sending(&sb);
    bool aborted;

    b.offset = 3;
    b.length = 4;
    cr_assert_eq(body_send(&e.ch, &b, &aborted), 0);
    cr_expect_eq(b.sent, 4);
    digest_is_of("3456");
    hears("DATA 4\n3456");
}

Test(body, without_a_digest_it_is_only_sent)
{
    struct stat sb = source_holds("abc");
    struct body_send b = sending(&sb);
    bool aborted;

    b.digest = NULL;
    cr_assert_eq(body_send(&e.ch, &b, &aborted), 0);
    digest_is_of("");
    hears("DATA 3\nabc");
}

Test(body, an_empty_file_is_no_data)
{
    struct stat sb = source_holds("");
    struct body_send b = sending(&sb);
    bool aborted;

    cr_assert_eq(body_send(&e.ch, &b, &aborted), 0);
    cr_expect_eq(b.sent, 0);
    hears("");
}

/* What happens to the source while it is sent, told by the first tick. */
struct meddler {
    int (*what)(int fd);
    unsigned calls;
    int answer; /* 0: go on */
};

static int meddle(void *arg, uint64_t n)
{
    struct meddler *m = arg;

    cr_expect_gt(n, 0);
    if (m->calls++ == 0 && m->what)
        cr_assert_eq(m->what(fileno(file)), 0);
    return m->answer;
}

static int grow(int fd)
{
    return pwrite(fd, "more", 4, 300000) == 4 ? 0 : -1;
}

static int shrink(int fd)
{
    return ftruncate(fd, 150000);
}

static int rewrite(int fd)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000}};

    return pwrite(fd, "X", 1, 7) == 1 ? futimens(fd, times) : -1;
}

/* Sends 300,000 bytes with a tick; the result, and how the peer heard of it. */
static int send_with(struct meddler *m, bool *aborted, char end[64])
{
    char *text = malloc(300001);

    memset(text, 'a', 300000);
    text[300000] = '\0';
    struct stat sb = source_holds(text);
    struct body_send b = sending(&sb);
    free(text);
    b.tick = meddle;
    b.arg = m;
    int r = body_send(&e.ch, &b, aborted);
    const char *abort = strstr(peer_heard(&e, NULL), "ABORT ");
    snprintf(end, 64, "%s", abort ? abort : "");
    return r;
}

Test(body, a_source_that_changes_is_never_passed_off_as_whole)
{
    static int (*const what[])(int) = {grow, shrink, rewrite};

    for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
        struct meddler m = {.what = what[i]};
        bool aborted;
        char end[64];
        int r = send_with(&m, &aborted, end);
        cr_expect_eq(r, -XFER_ECHANGED, "%zu: %d", i, r);
        cr_expect(aborted, "%zu", i);
        cr_expect_eq(strncmp(end, "ABORT 451 changed", 17), 0, "%zu: %s", i, end);
        tear_down();
        set_up();
    }
}

Test(body, a_tick_that_fails_ends_it)
{
    struct meddler m = {.answer = -XFER_ECANCELED};
    bool aborted;
    char end[64];

    cr_expect_eq(send_with(&m, &aborted, end), -XFER_ECANCELED);
    cr_expect(aborted && m.calls == 1);
    cr_expect_eq(strncmp(end, "ABORT 426 canceled", 18), 0, "%s", end);
}

Test(body, a_source_that_cannot_be_read_aborts)
{
    struct stat sb = source_holds("abc");
    struct body_send b = sending(&sb);
    bool aborted;

    b.fd = open("/", O_RDONLY | O_DIRECTORY);
    cr_expect_eq(body_send(&e.ch, &b, &aborted), -EISDIR);
    cr_expect(aborted);
    close(b.fd);
    hears("ABORT 556 is-a-directory is a directory\n");
}

Test(body, a_peer_that_left_is_no_abort)
{
    struct stat sb = source_holds("abc");
    struct body_send b = sending(&sb);
    bool aborted;

    ends_hang_up(&e);
    cr_assert_eq(body_send(&e.ch, &b, &aborted), 0, "it only queues");
    cr_expect(stream_flush(&e.ch.s) < 0);
    b = sending(&sb);
    cr_expect(body_send(&e.ch, &b, &aborted) < 0);
    cr_expect(!aborted);
}

Test(body, a_pipe_is_read_to_its_end)
{
    struct body_send b = sending(NULL);
    bool aborted;
    int p[2];

    cr_assert_eq(pipe(p), 0);
    b.fd = p[0];
    cr_assert_eq(write(p[1], "from a pipe", 11), 11);
    close(p[1]);
    cr_assert_eq(body_send(&e.ch, &b, &aborted), 0);
    cr_expect(!aborted && b.sent == 11);
    close(p[0]);
    digest_is_of("from a pipe");
    hears("DATA 11\nfrom a pipe");
}

Test(body, a_stop_ends_waiting_for_a_pipe)
{
    struct body_send b = sending(NULL);
    int p[2], stop = eventfd(1, EFD_CLOEXEC);
    bool aborted;

    cr_assert_eq(pipe(p), 0);
    b.fd = p[0];
    e.ch.s.stop_fd = stop;
    cr_expect_eq(body_send(&e.ch, &b, &aborted), -XFER_ECANCELED);
    cr_expect(aborted);
    close(p[0]);
    close(p[1]);
    close(stop);
}

/* ---- receiving ---- */

struct sink {
    char text[64];
    size_t n;
    int fails_at; /* call of write that fails; 0: none */
    int calls;
};

static int sink_write(void *arg, const void *p, size_t n)
{
    struct sink *s = arg;

    if (++s->calls == s->fails_at)
        return -ENOSPC;
    cr_assert_lt(s->n + n, sizeof s->text);
    memcpy(s->text + s->n, p, n);
    s->n += n;
    return 0;
}

static struct sink sink;
static struct wire_msg end;

static int receive(struct body_recv *b, const char *what)
{
    memset(&sink, 0, sizeof sink);
    *b = (struct body_recv){.write = sink_write, .write_arg = &sink, .digest = d};
    peer_says(&e, what);
    return body_recv(&e.ch, b, &end);
}

Test(body, what_is_received_is_written_and_hashed)
{
    struct body_recv b;

    cr_assert_eq(receive(&b, "DATA 5\nhelloDATA 0\n102\nDATA 7\n, worldEND size=12\n"), 0);
    cr_expect(b.received == 12 && !b.local && end.size == 12);
    cr_expect_str_eq(sink.text, "hello, world");
    digest_is_of("hello, world");
}

Test(body, an_abort_is_the_peers_error)
{
    struct body_recv b;

    cr_expect_eq(receive(&b, "DATA 3\nabcABORT 451 changed it was truncated\n"), -XFER_ECHANGED);
    cr_expect(!b.local);
    cr_expect_str_eq(b.text, "it was truncated");
    cr_expect_eq(e.ch.s.err, 0, "the connection goes on");
}

Test(body, what_has_no_place_in_a_body)
{
    static const char *const t[] = {"GET /a\n",         "200 size=1\n",    "XFER/1\n",
                                    "ENTRY a type=f\n", "550 not-found\n", "NEWS\n"};

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct body_recv b;
        int r = receive(&b, t[i]);
        cr_expect_eq(r, -XFER_EPROTO, "%s: %d", t[i], r);
        cr_expect(!b.local);
    }
}

Test(body, an_end_of_stream_is_no_end)
{
    struct body_recv b = {.write = sink_write, .write_arg = &sink, .digest = d};

    memset(&sink, 0, sizeof sink);
    peer_says(&e, "DATA 3\nabc");
    ends_hang_up(&e);
    cr_expect_eq(body_recv(&e.ch, &b, &end), -XFER_ELOST);
    cr_expect(!b.local);
}

Test(body, a_write_that_fails_is_ours_and_leaves_the_rest)
{
    struct body_recv b = {.write = sink_write, .write_arg = &sink, .digest = d};

    memset(&sink, 0, sizeof sink);
    sink.fails_at = 2;
    peer_says(&e, "DATA 3\nabcDATA 3\ndefDATA 3\nghiEND size=9\nSUM /next\n");
    cr_expect_eq(body_recv(&e.ch, &b, &end), -ENOSPC);
    cr_expect(b.local && b.received == 3);
    cr_assert_eq(body_discard(&e.ch, UINT64_MAX), 0);
    cr_assert_eq(chan_recv(&e.ch, &end), 1);
    cr_expect_eq(end.verb, WIRE_SUM);
}

static int refuse(void *arg, uint64_t n)
{
    (void)arg, (void)n;
    return -XFER_EDEADLINE;
}

Test(body, a_tick_that_fails_while_receiving_is_ours_too)
{
    struct body_recv b = {.write = sink_write, .write_arg = &sink, .digest = d, .tick = refuse};

    memset(&sink, 0, sizeof sink);
    peer_says(&e, "DATA 3\nabc");
    cr_expect_eq(body_recv(&e.ch, &b, &end), -XFER_EDEADLINE);
    cr_expect(b.local);
}

Test(body, the_end_of_an_upload_is_held_against_what_came)
{
    uint8_t sum[DIGEST_LEN];
    struct digest *ours = digest_new();
    struct wire_msg m = {.verb = WIRE_END, .keys = WIRE_K_SHA256 | WIRE_K_SIZE, .size = 5};

    digest_update(ours, "hello", 5);
    digest_of("hello", 5, m.sha256);
    cr_expect_eq(body_check_end(&m, ours, 5, sum), 0);
    cr_expect_eq(memcmp(sum, m.sha256, DIGEST_LEN), 0);
    cr_expect_eq(body_check_end(&m, ours, 6, sum), -XFER_EINTEGRITY);
    m.keys = WIRE_K_SHA256;
    cr_expect_eq(body_check_end(&m, ours, 6, sum), 0, "no size is told");
    m.sha256[31] ^= 1;
    cr_expect_eq(body_check_end(&m, ours, 5, sum), -XFER_EINTEGRITY);
    m.keys = WIRE_K_SIZE;
    cr_expect_eq(body_check_end(&m, ours, 5, sum), -XFER_EINTEGRITY, "a digest must be there");
    digest_free(ours);
}

/* ---- discarding ---- */

static void discards(const char *what, uint64_t max, int want)
{
    peer_says(&e, what);
    int r = body_discard(&e.ch, max);
    cr_expect_eq(r, want, "%s: %d", what, r);
}

Test(body, a_body_is_discarded_to_its_end)
{
    discards("DATA 5\nhelloDATA 5\nworldEND size=10\n", 10, 0);
    discards("DATA 5\nhelloABORT 426 canceled\n", 5, 0);
    discards("END\n", 0, 0);
    discards("102\nDATA 0\nEND\n", 0, 0);
}

Test(body, discarding_is_bounded)
{
    discards("DATA 5\nhelloDATA 5\nworldEND size=10\n", 9, -XFER_ETOOLONG);
}

Test(body, discarding_meets_nonsense)
{
    discards("DATA 5\nhelloGET /a\n", 100, -XFER_EPROTO);
}

Test(body, discarding_meets_the_end)
{
    peer_says(&e, "DATA 5\nhel");
    ends_hang_up(&e);
    cr_expect_eq(body_discard(&e.ch, 100), -XFER_ELOST);
}

/* ---- hashing what is here ---- */

static int count(void *arg, uint64_t n)
{
    cr_expect_eq(n, 0);
    ++*(unsigned *)arg;
    return 0;
}

Test(body, a_prefix_is_hashed_with_signs_of_life)
{
    unsigned ticks = 0;

    source_holds("0123456789");
    cr_expect_eq(body_hash(&e.ch, fileno(file), 4, d, count, &ticks), 0);
    digest_is_of("0123");
    cr_expect_eq(ticks, 1);
    digest_reset(d);
    cr_expect_eq(body_hash(&e.ch, fileno(file), BODY_TO_END, d, NULL, NULL), 0);
    digest_is_of("0123456789");
}

Test(body, a_prefix_beyond_the_end_is_another_file)
{
    source_holds("abc");
    cr_expect_eq(body_hash(&e.ch, fileno(file), 4, d, NULL, NULL), -XFER_ECHANGED);
    cr_expect_eq(body_hash(&e.ch, -1, 4, d, NULL, NULL), -EBADF);
    cr_expect_eq(body_hash(&e.ch, fileno(file), 3, d, refuse, NULL), -XFER_EDEADLINE);
}
