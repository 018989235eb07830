/* turnaway.h - connections beyond the limit: told so, and closed once they have heard it.
 *
 * Closing at once would reset the connection when the peer's first request is still unread, and the
 * reply would be lost with it. So a few sockets linger; the accepting thread polls them. */
#ifndef XFER_SESSION_TURNAWAY_H
#define XFER_SESSION_TURNAWAY_H

#include <poll.h>
#include <stdint.h>

#define TURNAWAY_MAX 32

struct turnaway {
    int n;
    int fd[TURNAWAY_MAX]; /* oldest first */
    int64_t until[TURNAWAY_MAX];
};

/* Tells a new connection that there is no room, and keeps its socket for a moment. */
void turnaway_add(struct turnaway *t, int fd, int64_t now);
/* Adds its sockets to a poll set; returns how many. */
int turnaway_poll(const struct turnaway *t, struct pollfd *p);
/* Reads and drops what came, closes what is done or late. p as turnaway_poll filled it. */
void turnaway_turn(struct turnaway *t, const struct pollfd *p, int64_t now);
void turnaway_close(struct turnaway *t);

#endif
