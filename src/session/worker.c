#include "config.h"

#include "session/worker.h"

#include <errno.h>

void worker_init(struct worker *w, struct copy *c)
{
    *w = (struct worker){.c = c, .digest = digest_new()};
    job_list_init(&w->redo);
    peer_init(&w->peer, &c->o->net, &c->remote, c->tally, c->deadline, c->o->limit_rate);
}

struct job *worker_next(struct worker *w, bool wait)
{
    struct job *j = job_list_pop(&w->redo);

    if (!j && !w->no_more)
        w->no_more = job_queue_pop(&w->c->queue, wait, &j) < 0;
    return j;
}

static int move_jobs(struct worker *w, const struct worker_ops *ops, void *self)
{
    w->no_more = false;
    for (;;) {
        struct job *j;
        int r = ops->next(self, &j);
        if (r > 0 && w->c->o->dry_run)
            copy_report(w->c, j, XFER_WOULD, 0, NULL);
        else if (r > 0)
            r = ops->begin(self, j);
        else if (r == 0 && w->n)
            r = ops->answer(self);
        else if (r == 0 && w->no_more && !w->redo.n)
            return 0;
        if (r < 0)
            return r;
    }
}

/* A server that was busy may not be so for another file, or later: what it refused goes behind all
 * the others. Bytes of one stream keep their order. */
static void give_back(struct worker *w)
{
    if (!w->redo.first || w->redo.first->stream)
        return;
    job_list_push(&w->redo, job_list_pop(&w->redo));
    job_queue_return(&w->c->queue, &w->redo);
}

/* After a connection: 0 to go on with another, 1 to leave that to others, or what ends it all. */
static int connection_ended(struct worker *w, int err)
{
    if (!w->peer.open) /* by ourselves */
        return 0;
    if (err == -XFER_EBUSY) {
        give_back(w);
        if (!w->peer.served && !w->redo.n && job_queue_leave(&w->c->queue)) {
            tally_note(w->c->tally, "no room for so many connections: one less");
            return 1;
        }
    }
    return peer_lost(&w->peer, err);
}

/* A connection that is lost for good: where others are at work, they get its jobs. */
static bool leave_to_others(struct worker *w, int err)
{
    size_t n = w->redo.n;
    struct job *j;

    if (xfer_exit_status(err) != 3 || (n && w->redo.first->stream))
        return false;
    job_queue_return(&w->c->queue, &w->redo);
    if (job_queue_leave(&w->c->queue)) {
        tally_note(w->c->tally, "%s: one connection less", xfer_strerror(err));
        return true;
    }
    while (n-- && job_queue_pop(&w->c->queue, false, &j) > 0)
        job_list_push(&w->redo, j);
    return false;
}

int worker_run(struct worker *w, const struct worker_ops *ops, void *self)
{
    int r = w->digest ? 0 : -ENOMEM;

    job_queue_join(&w->c->queue);
    while (r == 0 && (w->redo.n || job_queue_wait(&w->c->queue))) {
        r = peer_open(&w->peer);
        if (r < 0)
            break;
        r = move_jobs(w, ops, self);
        if (r < 0) {
            ops->recall(self);
            r = connection_ended(w, r);
        }
    }
    return r < 0 && !leave_to_others(w, r) ? r : 0;
}

void worker_end(struct worker *w, int err)
{
    if (err < 0)
        copy_give_up(w->c, err, w->redo.n);
    job_list_free(&w->redo);
    peer_close(&w->peer);
    digest_free(w->digest);
}
