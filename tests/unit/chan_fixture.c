#include "config.h"

#include "chan_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/clock.h"

#define HEARD_MAX (1 << 20)

static void *listen_to(void *arg)
{
    struct ends *e = arg;
    ssize_t k;

    while ((k = recv(e->peer, e->heard + e->n_heard, HEARD_MAX - e->n_heard, 0)) > 0)
        e->n_heard += (size_t)k;
    return NULL;
}

void ends_open(struct ends *e, int stop_fd)
{
    int fd[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    cr_assert_eq(chan_init(&e->ch, fd[0], stop_fd), 0);
    e->ch.s.deadline = clock_now() + 60 * CLOCK_SEC;
    e->peer = fd[1];
    e->n_heard = 0;
    e->heard = calloc(1, HEARD_MAX + 1);
    cr_assert(e->heard);
    cr_assert_eq(pthread_create(&e->listener, NULL, listen_to, e), 0);
}

void ends_hang_up(struct ends *e)
{
    shutdown(e->peer, SHUT_RDWR);
    pthread_join(e->listener, NULL);
    close(e->peer);
    e->peer = -1;
}

void ends_close(struct ends *e)
{
    if (e->peer >= 0)
        ends_hang_up(e);
    chan_free(&e->ch);
    free(e->heard);
}

void peer_sends(struct ends *e, const void *p, size_t n)
{
    cr_assert_eq(send(e->peer, p, n, MSG_NOSIGNAL), (ssize_t)n);
}

void peer_says(struct ends *e, const char *text)
{
    peer_sends(e, text, strlen(text));
}

const char *peer_heard(struct ends *e, size_t *n)
{
    cr_assert_eq(stream_flush(&e->ch.s), 0);
    shutdown(e->ch.s.fd, SHUT_WR); /* the listener meets the end */
    pthread_join(e->listener, NULL);
    close(e->peer);
    e->peer = -1;
    if (n)
        *n = e->n_heard;
    return e->heard;
}
