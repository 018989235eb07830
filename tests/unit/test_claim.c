#include "config.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/claim.h"
#include "xfer.h"

static struct claims claims;

static void set_up(void)
{
    claims_init(&claims);
}

static void tear_down(void)
{
    claims_destroy(&claims);
}

TestSuite(claim, .init = set_up, .fini = tear_down, .timeout = 60);

/* A claim with a connection of its own. peer: the client's end. */
static struct claim claim(const char *id, const char *path, int *peer)
{
    struct claim c = {.path = {.len = strlen(path)}};
    int fd[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    memcpy(c.id, id, sizeof c.id);
    strcpy(c.path.s, path);
    c.fd = fd[0];
    *peer = fd[1];
    return c;
}

static bool is_shut(const struct claim *c)
{
    char byte;

    return recv(c->fd, &byte, 1, MSG_DONTWAIT) == 0;
}

Test(claim, claims_of_different_parts_stand_beside_each_other)
{
    int peer[3];
    struct claim a = claim("0123456789abcdef", "d/f", &peer[0]);
    struct claim other_id = claim("0123456789abcdeX", "d/f", &peer[1]);
    struct claim other_path = claim("0123456789abcdef", "d/g", &peer[2]);

    cr_expect_eq(claim_take(&claims, &a), 0);
    cr_expect_eq(claim_take(&claims, &other_id), 0);
    cr_expect_eq(claim_take(&claims, &other_path), 0);
    cr_expect_not(is_shut(&a));
    claim_drop(&claims, &other_id);
    claim_drop(&claims, &a);
    claim_drop(&claims, &other_path);
    claim_drop(&claims, &a); /* twice is harmless */
    cr_expect_null(claims.first);
}

Test(claim, a_part_can_be_claimed_again_once_it_was_dropped)
{
    int peer[2];
    struct claim a = claim("0123456789abcdef", "f", &peer[0]);
    struct claim b = claim("0123456789abcdef", "f", &peer[1]);

    cr_expect_eq(claim_take(&claims, &a), 0);
    claim_drop(&claims, &a);
    cr_expect_eq(claim_take(&claims, &b), 0);
    cr_expect_not(is_shut(&a));
    claim_drop(&claims, &b);
}

/* A connection that waits for its peer, and lets go of its claim once it is shut down. */
static void *hold(void *arg)
{
    struct claim *c = arg;
    char byte;

    while (recv(c->fd, &byte, 1, 0) > 0)
        continue;
    claim_drop(&claims, c);
    return NULL;
}

Test(claim, an_older_connection_is_ended)
{
    int peer[2];
    struct claim a = claim("0123456789abcdef", "f", &peer[0]);
    struct claim b = claim("0123456789abcdef", "f", &peer[1]);
    pthread_t holder;

    cr_assert_eq(claim_take(&claims, &a), 0);
    pthread_create(&holder, NULL, hold, &a);
    cr_expect_eq(claim_take(&claims, &b), 0);
    pthread_join(holder, NULL);
    cr_expect(is_shut(&a));
    cr_expect_not(is_shut(&b));
    cr_expect(claims.first == &b && b.next == NULL);
    claim_drop(&claims, &b);
}

Test(claim, one_that_does_not_leave_is_waited_for_five_seconds)
{
    int peer[2];
    struct claim a = claim("0123456789abcdef", "f", &peer[0]);
    struct claim b = claim("0123456789abcdef", "f", &peer[1]);
    int64_t began = clock_now();

    cr_assert_eq(claim_take(&claims, &a), 0);
    cr_expect_eq(claim_take(&claims, &b), -XFER_EBUSY);
    cr_expect(clock_now() - began >= 4 * CLOCK_SEC);
    cr_expect(claims.first == &a && a.next == NULL, "it keeps its claim");
    claim_drop(&claims, &a);
}

#define THREADS 16

static unsigned holders; /* atomic: of the one part */

static void *contend(void *arg)
{
    struct claim *c = arg;

    if (claim_take(&claims, c) == 0) {
        cr_assert_eq(__atomic_add_fetch(&holders, 1, __ATOMIC_SEQ_CST), 1);
        sched_yield();
        __atomic_sub_fetch(&holders, 1, __ATOMIC_SEQ_CST);
        claim_drop(&claims, c);
    }
    return NULL;
}

Test(claim, one_at_a_time)
{
    struct claim c[THREADS];
    pthread_t t[THREADS];
    int peer;

    for (unsigned i = 0; i < THREADS; i++)
        c[i] = claim("0123456789abcdef", "f", &peer);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, contend, &c[i]);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    cr_expect_null(claims.first);
}
