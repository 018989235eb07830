/* worker.h - a thread of put or get with a connection of its own: takes jobs, survives losses. */
#ifndef XFER_SESSION_WORKER_H
#define XFER_SESSION_WORKER_H

#include "session/copy.h"
#include "session/peer.h"

struct worker {
    struct copy *c;
    struct peer peer;
    struct digest *digest;
    struct job_list redo; /* to be begun, perhaps again, before anything new */
    size_t n;             /* requests without an answer */
    bool no_more;         /* the queue is used up */
};

/* What put and get do differently. Errors are those of the connection; who closed it himself
 * (peer_close) may return any, and a new one is made at once. */
struct worker_ops {
    /* 1 with the next job, 0: there is none now. */
    int (*next)(void *self, struct job **j);
    /* Takes a job over. */
    int (*begin)(void *self, struct job *j);
    /* Takes the answer to the oldest request. */
    int (*answer)(void *self);
    /* The connection is gone: jobs without an answer go to redo, oldest first. */
    void (*recall)(void *self);
};

void worker_init(struct worker *w, struct copy *c);

/* Moves jobs until there are none. Where others are at work they get its jobs, and it ends, if the
 * server has no room for one more connection, or this one is lost after all retries. 0, or why the
 * copy has to be given up. */
int worker_run(struct worker *w, const struct worker_ops *ops, void *self);

/* From redo, else from the queue; with wait, waits for one. NULL: none now. */
struct job *worker_next(struct worker *w, bool wait);

/* Closes and frees; gives the copy up for err, if it is not 0. */
void worker_end(struct worker *w, int err);

#endif
