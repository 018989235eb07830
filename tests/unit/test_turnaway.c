#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/turnaway.h"

static struct turnaway t;

static void set_up(void)
{
    t = (struct turnaway){0};
}

TestSuite(turnaway, .init = set_up, .timeout = 60);

/* A newcomer that is turned away at time `now`; the client's end. */
static int newcomer(int64_t now)
{
    int fd[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    turnaway_add(&t, fd[0], now);
    return fd[1];
}

static void turn(int64_t now)
{
    struct pollfd p[TURNAWAY_MAX];
    int n = turnaway_poll(&t, p);

    cr_assert_eq(n, t.n);
    cr_assert_geq(poll(p, (nfds_t)n, 0), 0);
    turnaway_turn(&t, p, now);
}

/* Whether the other side of a client has closed it altogether. */
static bool is_gone(int client)
{
    return send(client, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE;
}

Test(turnaway, it_is_told_so_and_hears_no_more)
{
    char text[256];
    int client = newcomer(0);

    ssize_t n = recv(client, text, sizeof text - 1, 0);
    cr_assert_gt(n, 0);
    text[n] = '\0';
    cr_expect_str_eq(text, "XFER/1\n421 busy too many connections, try again later\n");
    cr_expect_eq(recv(client, text, sizeof text, 0), 0, "then the end");
    cr_expect_not(is_gone(client));
    turnaway_close(&t);
    cr_expect(is_gone(client));
    close(client);
}

Test(turnaway, what_it_says_is_dropped_until_it_leaves)
{
    int client = newcomer(0), other = newcomer(0);

    turn(1);
    cr_expect_eq(t.n, 2);
    cr_assert_eq(send(client, "XFER/1\nGET /a\n", 14, 0), 14);
    turn(2);
    cr_expect_eq(t.n, 2);
    close(client);
    turn(3);
    cr_expect_eq(t.n, 1);
    cr_expect_not(is_gone(other));
    turnaway_close(&t);
    close(other);
}

Test(turnaway, nobody_stays_for_long)
{
    int first = newcomer(0), second = newcomer(CLOCK_SEC);

    turn(2 * CLOCK_SEC - 1);
    cr_expect_eq(t.n, 2);
    turn(2 * CLOCK_SEC);
    cr_expect_eq(t.n, 1);
    cr_expect(is_gone(first));
    cr_expect_not(is_gone(second));
    while (t.n) { /* whoever talks all the time has to go, too */
        cr_assert_eq(send(second, "x", 1, 0), 1);
        turn(3 * CLOCK_SEC);
    }
    cr_expect(is_gone(second));
    close(first);
    close(second);
}

Test(turnaway, the_oldest_makes_room)
{
    int client[TURNAWAY_MAX + 2];

    for (int i = 0; i < TURNAWAY_MAX + 2; i++)
        client[i] = newcomer(i);
    cr_expect_eq(t.n, TURNAWAY_MAX);
    cr_expect(is_gone(client[0]) && is_gone(client[1]));
    for (int i = 2; i < TURNAWAY_MAX + 2; i++)
        cr_expect_not(is_gone(client[i]), "%d", i);
    turnaway_close(&t);
    cr_expect_eq(t.n, 0);
    for (int i = 0; i < TURNAWAY_MAX + 2; i++)
        close(client[i]);
}

Test(turnaway, one_that_left_before_it_was_told_is_not_kept)
{
    int fd[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    close(fd[1]);
    turnaway_add(&t, fd[0], 0);
    cr_expect_eq(t.n, 0);
    cr_expect(fcntl(fd[0], F_GETFD) < 0 && errno == EBADF, "closed");
}
