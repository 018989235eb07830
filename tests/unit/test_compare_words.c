#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "compare/link.h"
#include "compare/row.h"
#include "compare/spec.h"
#include "compare/words.h"

/* What one method came to, made up: nobody measured it. */
struct figures {
    const char *method;
    double seconds, spread; /* three rounds: less, as it is, more */
    uint64_t bytes;         /* 0: all */
    unsigned lost, resent, overflow, timeouts;
    enum compare_state state;
};

#define OF(method_, seconds_, ...)                                                                 \
    {                                                                                              \
        .method = method_, .seconds = seconds_, __VA_ARGS__                                        \
    }

static char *text;
static size_t text_len;

static struct compare_round round_of(const struct compare_spec *s, const struct figures *f,
                                     unsigned method, unsigned number)
{
    struct compare_round r = {.method = method,
                              .number = number,
                              .direction = s->direction,
                              .state = f->state,
                              .verified = f->state == COMPARE_DONE,
                              .bytes = f->bytes > 0 ? f->bytes : s->size,
                              .size = s->size,
                              .seconds = f->seconds + ((double)number - 2) * f->spread,
                              .counted = s->link.emulated,
                              .retransmits = f->resent,
                              .timeouts = f->timeouts};

    r.way[0].dropped_loss = f->lost;
    r.way[0].dropped_queue = f->overflow;
    return r;
}

/* The words about it, in `text`, which the next call frees. */
static const char *words(const char *link, const struct figures *f, size_t n, bool in_full)
{
    struct compare_spec s;
    struct compare_round rounds[30];
    struct compare_row rows[20];
    struct compare_result r = {.spec = &s, .rounds = rounds, .rows = rows, .n_rounds = 3 * n};
    char why[COMPARE_WHY_MAX];
    FILE *out;

    compare_spec_default(&s);
    cr_assert(compare_link_parse(link, &s.link, why), "%s", why);
    for (size_t i = 0; i < n; i++)
        cr_assert(compare_spec_method(&s, f[i].method, why), "%s", why);
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < 3; k++)
            rounds[3 * i + k] = round_of(&s, &f[i], i, k + 1);
    r.n_rows = compare_rows(&s, rounds, r.n_rounds, rows, 20);
    free(text);
    out = open_memstream(&text, &text_len);
    if (in_full)
        compare_words_long(&r, 0, s.direction, out);
    else
        compare_words_short(&r, 0, s.direction, false, out);
    fclose(out);
    return text;
}

#define SAID(link, expected, ...)                                                                  \
    do {                                                                                           \
        const struct figures f_[] = {__VA_ARGS__};                                                 \
        const char *got_ = words(link, f_, sizeof f_ / sizeof *f_, false);                         \
        cr_expect_str_eq(got_, expected, "got: %s", got_);                                         \
    } while (0)

#define SAID_IN_FULL(link, part, said, ...)                                                        \
    do {                                                                                           \
        const struct figures f_[] = {__VA_ARGS__};                                                 \
        const char *got_ = words(link, f_, sizeof f_ / sizeof *f_, true);                          \
        cr_expect_eq(strstr(got_, part) != NULL, said, "got: %s", got_);                           \
    } while (0)

#define BLOCKS "735 blocks x 20.6 ms = 15.1 s. "

Test(compare_words, of_one_method)
{
    SAID("default", "", OF("tcp", .5));
    SAID("default", "735 blocks x 20.6 ms = 15.1 s.", OF("udp", 15.3));
    SAID("default", "735 blocks x 20.6 ms = 15.1 s. 1 timeout came on top.",
         OF("udp", 15.3, .timeouts = 1));
    SAID("default", "", OF("udp", 15.3, .state = COMPARE_FAILED));
    SAID("default", "", OF("tcp", .5), OF("udp", 15.3, .state = COMPARE_UNFINISHED));
}

Test(compare_words, of_few_blocks_the_request_is_told)
{
    SAID("default", "2 blocks x 20.6 ms = 0.041 s, and 0.020 s for the request.",
         OF("udp", .062, .bytes = 2000));
}

/* Three rounds of one method with each of two values. */
static const char *words_of_series(double first, double second, double spread)
{
    struct compare_spec s;
    struct compare_round rounds[6];
    struct compare_row rows[2];
    struct compare_result r = {.spec = &s, .rounds = rounds, .rows = rows, .n_rounds = 6};
    char why[COMPARE_WHY_MAX];
    FILE *out;

    compare_spec_default(&s);
    cr_assert(compare_spec_method(&s, "udp", why) && compare_spec_sweep(&s, "loss=0,1%", why));
    for (unsigned i = 0; i < 6; i++) {
        const struct figures f = {.seconds = i < 3 ? first : second, .spread = spread};

        rounds[i] = round_of(&s, &f, 0, i % 3 + 1);
        rounds[i].point = i / 3;
    }
    r.n_rows = compare_rows(&s, rounds, 6, rows, 2);
    free(text);
    out = open_memstream(&text, &text_len);
    compare_words_series(&r, s.direction, out);
    fclose(out);
    return text;
}

Test(compare_words, of_a_series)
{
    cr_expect_str_eq(words_of_series(10, 20, 1),
                     "With loss 1% each byte takes 2.0 times as long as with 0.");
    cr_expect_str_eq(words_of_series(10, 10.2, 1), "All values are within 2 % of each other.");
    cr_expect_str_eq(words_of_series(11, 10, 1), "The rounds differ more than the values do.");
}

Test(compare_words, nothing_to_choose)
{
    SAID("default", "All methods are within 1 % of each other.", OF("tcp", .5), OF("tcp:bbr", .5));
    SAID("default", "All methods are within 4 % of each other.", OF("tcp", .5), OF("tcp:bbr", .52));
    SAID("default", "The rounds differ more than the methods do.", OF("tcp", .5, .spread = .15),
         OF("tcp:bbr", .6, .spread = .15));
    SAID("default", "tcp is 1.2 times as fast as tcp (bbr).", OF("tcp", .5, .spread = .01),
         OF("tcp:bbr", .6, .spread = .01));
}

Test(compare_words, waiting_against_the_others)
{
    SAID("default", BLOCKS "Waiting is slow, not UDP: see window 16.", OF("tcp", .5),
         OF("udp:window=16", 1.4), OF("udp", 15.3));
    SAID("default",
         BLOCKS "tcp does not wait for each answer: it takes 1/31 of the time for each "
                "byte.",
         OF("tcp", .5), OF("udp", 15.3));
    /* Larger blocks are another cause. */
    SAID("default", BLOCKS "udp 8192 window 4 is 15 times as fast as udp stop-and-wait.",
         OF("udp:blksize=8192,window=4", 1), OF("udp", 15.3));
    SAID("default", BLOCKS "Waiting is slow, not UDP: see window 16.", OF("udp:window=16", 1.4),
         OF("udp:blksize=8192,window=4", 1), OF("udp", 15.3));
    /* A window that brings nothing. */
    SAID("default", BLOCKS "All methods are within 2 % of each other.", OF("udp:window=16", 15.1),
         OF("udp", 15.3));
}

Test(compare_words, waiting_may_win)
{
    SAID("default",
         "1 block x 20.0 ms = 0.020 s, and 0.020 s for the request. udp stop-and-wait is 1.5 "
         "times as fast as tcp, byte for byte.",
         OF("tcp", .06, .bytes = 1), OF("udp", .04, .bytes = 1));
}

#define LOSSY "rate=100mbit,rtt=50ms,loss=1%"

Test(compare_words, congestion_control_and_loss)
{
    SAID(LOSSY, "Window 16 beats tcp here only because it has no congestion control.",
         OF("tcp", 9, .spread = .1, .lost = 7, .resent = 7), OF("udp:window=16", 3, .spread = .1));
    /* It lost nothing; it does not mind; it would not have been faster without. */
    SAID(LOSSY, "udp window 16 is 3.0 times as fast as tcp.", OF("tcp", 9, .spread = .1),
         OF("udp:window=16", 3, .spread = .1));
    SAID(LOSSY, "udp window 16 is 3.0 times as fast as tcp (bbr).",
         OF("tcp:bbr", 9, .spread = .1, .lost = 7, .resent = 7),
         OF("udp:window=16", 3, .spread = .1));
    SAID(LOSSY, "udp window 16 is 2.5 times as fast as tcp.",
         OF("tcp", .5, .spread = .01, .lost = 7, .resent = 7),
         OF("udp:window=16", .2, .spread = .01));
    SAID("rate=100mbit,rtt=50ms", "udp window 16 is 3.0 times as fast as tcp.",
         OF("tcp", 9, .spread = .1, .resent = 7), OF("udp:window=16", 3, .spread = .1));
}

Test(compare_words, loopback_has_no_blocks_times_trips)
{
    SAID("loopback", "tcp is 25 times as fast as udp stop-and-wait.", OF("tcp", .002),
         OF("udp", .05));
    SAID_IN_FULL("loopback", " ms = ", false, OF("tcp", .002), OF("udp", .05));
    SAID_IN_FULL("loopback", "link's rate", false, OF("tcp", .002), OF("udp", .05));
    SAID_IN_FULL("loopback", "textbook", false, OF("tcp", .002), OF("udp", .05));
}

Test(compare_words, what_was_cut_is_compared_byte_for_byte)
{
    SAID("default", "tcp is 2.8 times as fast as udp window 16, byte for byte.", OF("tcp", .5),
         OF("udp:window=16", .7, .bytes = 1 << 19));
}

Test(compare_words, a_window_that_overflows_the_queue)
{
    SAID("rate=5mbit",
         "tcp is 5.0 times as fast as udp window 64. udp window 64 sends more at once than the "
         "queue holds: 800 packets were dropped there.",
         OF("tcp", 2), OF("udp:window=64", 10, .overflow = 800));
    SAID("rate=5mbit", "tcp is 5.0 times as fast as udp window 16.", OF("tcp", 2, .overflow = 3),
         OF("udp:window=16", 10, .overflow = 8));
}

Test(compare_words, in_full)
{
    SAID_IN_FULL("default", "nothing to compare", true, OF("tcp", 1, .state = COMPARE_FAILED));
    SAID_IN_FULL("default", "slow start", true, OF("tcp", .51));
    SAID_IN_FULL("default", "slow start", false, OF("tcp", 3));
    SAID_IN_FULL("default", "never idle", true, OF("tcp", .45));
    SAID_IN_FULL("default", "takes each lost packet", false, OF("tcp", 3));
    SAID_IN_FULL(LOSSY, "takes each lost packet", true, OF("tcp", 9, .lost = 7, .resent = 7));
    SAID_IN_FULL(LOSSY, "takes each lost packet", false, OF("tcp", 9));
    SAID_IN_FULL("default", "longer than the textbook", true, OF("udp", 20));
    SAID_IN_FULL("default", "longer than the textbook", false, OF("udp", 20, .spread = 6));
    SAID_IN_FULL("default", "is lost", false, OF("udp", 20, .timeouts = 3));
    SAID_IN_FULL("default", "was lost", true, OF("udp", 20, .timeouts = 3, .lost = 2));
    SAID_IN_FULL("default", "1 time it waited", true, OF("udp", 20, .timeouts = 1, .lost = 2));
    SAID_IN_FULL("default", "times as fast", false, OF("udp", 2), OF("udp:window=2", 20));
}
