#include "config.h"

#include "session/turnaway.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"

#define STAY (2 * CLOCK_SEC)

static void drop(struct turnaway *t, int i)
{
    close(t->fd[i]);
    t->n--;
    for (; i < t->n; i++) {
        t->fd[i] = t->fd[i + 1];
        t->until[i] = t->until[i + 1];
    }
}

void turnaway_add(struct turnaway *t, int fd, int64_t now)
{
    const struct err_row *row = err_row(-XFER_EBUSY);
    char line[128];

    int n = snprintf(line, sizeof line, "XFER/1\n%03u %s too many connections, try again later\n",
                     row->wire_code, row->name);
    if (send(fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n) {
        close(fd);
        return;
    }
    shutdown(fd, SHUT_WR);
    if (t->n == TURNAWAY_MAX)
        drop(t, 0);
    t->fd[t->n] = fd;
    t->until[t->n++] = now + STAY;
}

int turnaway_poll(const struct turnaway *t, struct pollfd *p)
{
    for (int i = 0; i < t->n; i++)
        p[i] = (struct pollfd){.fd = t->fd[i], .events = POLLIN};
    return t->n;
}

void turnaway_turn(struct turnaway *t, const struct pollfd *p, int64_t now)
{
    char sink[4096];

    for (int i = t->n - 1; i >= 0; i--) {
        bool done = now >= t->until[i];
        if (p[i].revents)
            done = recv(t->fd[i], sink, sizeof sink, MSG_DONTWAIT) <= 0 || done;
        if (done)
            drop(t, i);
    }
}

void turnaway_close(struct turnaway *t)
{
    while (t->n)
        drop(t, t->n - 1);
}
