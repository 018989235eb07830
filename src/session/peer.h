/* peer.h - a client's connection to one server: connect, hello, lose, connect again. */
#ifndef XFER_SESSION_PEER_H
#define XFER_SESSION_PEER_H

#include "base/remote.h"
#include "session/chan.h"
#include "session/tally.h"

struct peer {
    const struct xfer_net_opts *o;
    const struct remote *remote;
    struct tally *tally;
    int64_t deadline; /* of the whole call */
    uint64_t rate;    /* declared in the hello: why we may be slow */
    struct chan ch;
    bool open, greeted;
    bool served;       /* this connection was answered other than with "no room" */
    bool ever;         /* a server has answered here once */
    unsigned attempts; /* since the last progress */
};

void peer_init(struct peer *p, const struct xfer_net_opts *o, const struct remote *remote,
               struct tally *t, int64_t deadline, uint64_t rate);
void peer_close(struct peer *p);

/* Waits before attempt number `attempts` (from 1): 0.25 s, doubled each time, at most 8 s, with
 * jitter; says so, and counts. 0, -XFER_EDEADLINE at once if it would last too long, or
 * -XFER_ECANCELED. */
int peer_back_off(const struct xfer_net_opts *o, struct tally *t, unsigned attempts,
                  int64_t deadline);

/* Makes sure that there is a connection; the hello is queued with it. After a loss it backs off;
 * the first time it never waits: an unknown name or a closed port is said at once. */
int peer_open(struct peer *p);

/* The next message, hello and signs of life taken out. 1 or a negative error; never 0: an end of
 * stream is -XFER_ELOST. */
int peer_recv(struct peer *p, struct wire_msg *m);
int peer_try_recv(struct peer *p, struct wire_msg *m);

/* What an error named by a peer is here. Words about its own user, clock or command line are not
 * about ours: they become -XFER_EREMOTE. peer_recv has done it. */
int peer_error(int err);

/* Something was achieved: attempts are counted anew. */
void peer_progress(struct peer *p);

/* After an error of the connection: closes it and says what comes next. 0: try again with
 * peer_open; else the error that ends it all: stopped, out of time, out of attempts, not a server
 * of ours. */
int peer_lost(struct peer *p, int err);

/* Queues a request without a body. keys and fields other than these are the caller's in m. */
int peer_request(struct peer *p, enum wire_verb verb, const char *path, struct wire_msg *m);

#endif
