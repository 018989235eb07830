#include "config.h"

#include "session/put_worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/body.h"
#include "session/peer.h"
#include "session/put_query.h"
#include "session/source.h"
#include "session/stop.h"

#define LOOK_MIN (64 * 1024)

/* A request whose answer is still to come. */
struct pending {
    struct job *job; /* NULL: a directory */
    const char *dir; /* its path, for messages */
    uint8_t sum[DIGEST_LEN];
    uint64_t bytes, resumed_at, moved;
    int aborted;   /* why we broke it off; 0: we did not */
    bool answered; /* refused while its body was on the way; the reason is in worker.refusal */
};

struct worker {
    struct copy *c;
    struct peer peer;
    struct digest *digest;
    uint64_t bit;          /* in job_dir.made */
    struct job_list redo;  /* to be sent (again) before anything new */
    struct job_list fresh; /* waits for put_query */
    struct pending ring[COPY_PENDING];
    size_t first, n;
    bool no_more;     /* the queue is used up */
    int64_t alive_at; /* see keep_alive */
    char refusal[WIRE_TEXT_MAX + 1];
};

/* ---- answers ---- */

static struct pending *pending_push(struct worker *w)
{
    struct pending *p = &w->ring[(w->first + w->n++) % COPY_PENDING];

    *p = (struct pending){0};
    return p;
}

static struct pending *pending_head(struct worker *w)
{
    return w->n ? &w->ring[w->first] : NULL;
}

static void pending_pop(struct worker *w)
{
    w->first = (w->first + 1) % COPY_PENDING;
    w->n--;
}

/* A file is not over there. What may be better next time is tried again. */
static void file_failed(struct worker *w, struct pending *p, int err, const char *text)
{
    struct job *j = p->job;

    tally_unmoved(w->c->tally, p->moved);
    if (err == -XFER_ECHANGED && ++j->tries < COPY_CHANGED_TRIES)
        job_list_push(&w->redo, j);
    else if (err == -XFER_EEXISTS && w->c->o->no_clobber)
        copy_report(w->c, j, XFER_UNCHANGED, 0, NULL);
    else
        copy_report(w->c, j, XFER_FAILED, err, text);
}

static void answer_to_file(struct worker *w, struct pending *p, const struct wire_msg *m)
{
    if (p->aborted)
        file_failed(w, p, p->aborted, NULL);
    else if (m->code >= 400)
        file_failed(w, p, m->error, m->text[0] ? m->text : NULL);
    else if (!(m->keys & WIRE_K_SHA256) || memcmp(m->sha256, p->sum, DIGEST_LEN) != 0)
        file_failed(w, p, -XFER_EINTEGRITY, NULL);
    else
        copy_report_done(w->c, p->job, p->bytes, p->resumed_at, p->sum);
}

/* The final reply to the oldest pending request. */
static int take_answer(struct worker *w, const struct wire_msg *m)
{
    char name[PATH_CLEAN_MAX + 300];
    struct pending *p = pending_head(w);

    if (!p || m->verb != WIRE_REPLY || m->code < 200)
        return -XFER_EPROTO;
    if (p->job && m->code < 400) /* a directory is asked for anew on each connection: no progress */
        peer_progress(&w->peer);
    if (p->job)
        answer_to_file(w, p, m);
    else if (m->code >= 400)
        tally_fail(w->c->tally, copy_remote_name(w->c, p->dir, name, sizeof name), m->error,
                   m->text);
    pending_pop(w);
    return 0;
}

static int wait_answer(struct worker *w)
{
    struct wire_msg m;

    int r = peer_recv(&w->peer, &m);
    return r < 0 ? r : take_answer(w, &m);
}

static int drain(struct worker *w)
{
    int r = 0;

    while (r == 0 && w->n)
        r = wait_answer(w);
    return r;
}

static int make_room(struct worker *w)
{
    return w->n < COPY_PENDING ? 0 : wait_answer(w);
}

/* ---- directories ---- */

static bool dir_is_made(struct worker *w, struct job_dir *d)
{
    pthread_mutex_lock(&w->c->mutex);
    bool made = (d->made & w->bit) != 0;
    d->made |= w->bit;
    pthread_mutex_unlock(&w->c->mutex);
    return made;
}

/* Asks for a directory and those above it; each connection does so for itself, since another's
 * request may still be on its way. */
static int make_dir(struct worker *w, struct job_dir *d)
{
    struct wire_msg m;

    if (!d || dir_is_made(w, d))
        return 0;
    int r = make_dir(w, d->parent);
    if (r == 0)
        r = make_room(w);
    if (r < 0)
        return r;
    pending_push(w)->dir = d->path;
    m.keys = w->c->o->mkpath ? WIRE_K_MKPATH : 0;
    if (d->mode && !w->c->o->no_preserve) {
        m.keys |= WIRE_K_MODE;
        m.mode = d->mode;
    }
    return peer_request(&w->peer, WIRE_MKDIR, d->path, &m);
}

/* ---- bodies ---- */

static struct pending *newest(struct worker *w)
{
    return &w->ring[(w->first + w->n - 1) % COPY_PENDING];
}

/* After each chunk: hold the rate, count, and look whether the server has already had enough. A
 * small file is on its way before that could be known. */
static int body_moved(void *arg, uint64_t n)
{
    struct worker *w = arg;
    struct pending *mine = newest(w);
    struct wire_msg m;
    int r = w->c->o->limit_rate ? stream_flush(&w->peer.ch.s) : 0; /* not kept while we wait */

    if (r == 0)
        r = copy_pace(w->c, n);
    if (r < 0)
        return r;
    tally_moved(w->c->tally, n, true);
    mine->moved += n;
    if (mine->job->known && mine->job->size < LOOK_MIN)
        return 0;
    while ((r = peer_try_recv(&w->peer, &m)) > 0) {
        bool final = pending_head(w) == mine;
        if (final && m.verb == WIRE_REPLY && m.code >= 400) {
            mine->answered = true;
            snprintf(w->refusal, sizeof w->refusal, "%s", m.text);
            return m.error;
        }
        /* Nobody can have stored what is still on its way. */
        r = final ? -XFER_EPROTO : take_answer(w, &m);
        if (r < 0) {
            w->peer.ch.s.err = r;
            return r;
        }
    }
    return r;
}

/* While a prefix is hashed: the server hears from us, and we from the user. */
static int keep_alive(void *arg, uint64_t n)
{
    struct worker *w = arg;
    int64_t now = clock_now();

    (void)n;
    if (stop_raised(w->c->o->net.stop))
        return -XFER_ECANCELED;
    if (now - w->alive_at < CHAN_KEEPALIVE)
        return 0;
    w->alive_at = now;
    int r = chan_send_data(&w->peer.ch, NULL, 0);
    return r < 0 ? r : stream_flush(&w->peer.ch.s);
}

static int send_end(struct worker *w, struct pending *p)
{
    struct wire_msg m;

    if (!digest_peek(w->digest, p->sum)) {
        p->aborted = -ENOMEM;
        return chan_refuse(&w->peer.ch, true, -ENOMEM, NULL);
    }
    memcpy(p->job->sum, p->sum, DIGEST_LEN);
    p->job->sum_known = true;
    m.verb = WIRE_END;
    m.keys = WIRE_K_SIZE | WIRE_K_SHA256;
    m.size = p->bytes;
    memcpy(m.sha256, p->sum, DIGEST_LEN);
    return chan_send(&w->peer.ch, &m);
}

/* Body and END of the newest request, from offset on. */
static int send_file(struct worker *w, int fd, const struct stat *sb, uint64_t offset)
{
    struct pending *p = newest(w);
    struct body_send b = {.fd = fd,
                          .before = sb,
                          .offset = offset,
                          .length = BODY_TO_END,
                          .chunk = pace_chunk(&w->c->pace, CHAN_SCRATCH),
                          .digest = w->digest,
                          .tick = body_moved,
                          .arg = w};
    bool aborted;

    int r = body_send(&w->peer.ch, &b, &aborted);
    bool stopped = r == -XFER_ECANCELED || r == -XFER_EDEADLINE;
    if (stopped && aborted) /* the server keeps the part; let it hear so */
        stream_flush(&w->peer.ch.s);
    if (r < 0 && (!aborted || stopped))
        return r;
    if (p->answered) {
        file_failed(w, p, r, w->refusal[0] ? w->refusal : NULL);
        pending_pop(w);
        return 0;
    }
    p->aborted = r;
    p->bytes = offset + b.sent;
    p->resumed_at = offset;
    if (r < 0)
        return 0;
    r = send_end(w, p);
    if (sb && w->c->o->remember)
        store_remember(fd, sb, p->sum, p->job->hashed_from);
    return r;
}

static void put_keys(const struct copy *c, const struct job *j, const struct stat *sb,
                     struct wire_msg *m)
{
    m->keys = 0;
    if (c->o->no_clobber) {
        m->keys |= WIRE_K_IF;
        m->if_kind = WIRE_IF_ABSENT;
    }
    if (c->o->mkpath)
        m->keys |= WIRE_K_MKPATH;
    if (c->o->sync != XFER_SYNC_NONE) {
        m->keys |= WIRE_K_SYNC;
        m->sync = c->o->sync == XFER_SYNC_FILE ? WIRE_SYNC_FILE : WIRE_SYNC_BATCH;
    }
    if (j->stream)
        return;
    m->keys |= WIRE_K_SIZE | WIRE_K_ETAG;
    m->size = (uint64_t)sb->st_size;
    store_etag(sb, m->etag);
    if (!c->o->no_preserve) {
        m->keys |= WIRE_K_MTIME | WIRE_K_MODE;
        m->mtime = sb->st_mtim;
        m->mode = sb->st_mode & 0777;
    }
}

/* Binds a part to this version of this source: path, inode, size and mtime. */
static void resume_id(const struct job *j, const struct stat *sb, uint8_t id[16])
{
    char key[PATH_CLEAN_MAX + 256];
    uint8_t sum[DIGEST_LEN];

    int n =
        snprintf(key, sizeof key, "%llu %llu %lld %lld.%09ld %s", (unsigned long long)sb->st_dev,
                 (unsigned long long)sb->st_ino, (long long)sb->st_size,
                 (long long)sb->st_mtim.tv_sec, sb->st_mtim.tv_nsec, j->local);
    digest_of(key, (size_t)n < sizeof key ? (size_t)n : sizeof key - 1, sum);
    memcpy(id, sum, 16);
}

/* Whether what the server kept is the beginning of this file; the digest then stands behind it. */
static int check_kept(struct worker *w, int fd, const struct stat *sb, const struct wire_msg *m)
{
    uint8_t sum[DIGEST_LEN];

    if (m->offset == 0 || m->offset > (uint64_t)sb->st_size || !(m->keys & WIRE_K_SHA256))
        return 0;
    w->alive_at = clock_now();
    int r = body_hash(&w->peer.ch, fd, m->offset, w->digest, keep_alive, w);
    if (r < 0 && (w->peer.ch.s.err || r == -XFER_ECANCELED))
        return r;
    digest_peek(w->digest, sum);
    return r == 0 && memcmp(sum, m->sha256, DIGEST_LEN) == 0;
}

/* The one request that waits: the server says what it kept, we say from where we go on. Returns 1
 * with *offset, 0 when the server refused (the request is answered then), or an error. */
static int agree_on_offset(struct worker *w, int fd, const struct stat *sb, uint64_t *offset)
{
    struct pending *p = newest(w);
    struct wire_msg m;
    int r = 0;

    while (r == 0 && pending_head(w) != p)
        r = wait_answer(w);
    if (r == 0)
        r = peer_recv(&w->peer, &m);
    if (r < 0)
        return r;
    if (m.verb == WIRE_REPLY && m.code >= 400)
        return take_answer(w, &m);
    if (m.verb != WIRE_REPLY || m.code != 100 || !(m.keys & WIRE_K_OFFSET))
        return -XFER_EPROTO;
    r = check_kept(w, fd, sb, &m);
    if (r < 0)
        return r;
    *offset = r ? m.offset : 0;
    if (r == 0)
        digest_reset(w->digest);
    if (*offset > p->job->reached) {
        p->job->reached = *offset;
        peer_progress(&w->peer);
    }
    m.verb = WIRE_FROM;
    m.keys = 0;
    m.offset = *offset;
    r = chan_send(&w->peer.ch, &m);
    return r < 0 ? r : 1;
}

static int put_file(struct worker *w, struct job *j, int fd, const struct stat *sb)
{
    bool resume = !j->stream && !w->c->o->no_resume && sb->st_size >= COPY_RESUME_MIN;
    uint64_t offset = 0;
    struct wire_msg m;

    put_keys(w->c, j, sb, &m);
    if (resume) {
        m.keys |= WIRE_K_RESUME;
        resume_id(j, sb, m.resume);
    }
    digest_reset(w->digest);
    struct pending *p = pending_push(w);
    p->job = j;
    int r = peer_request(&w->peer, WIRE_PUT, j->remote, &m);
    if (r == 0 && resume)
        r = agree_on_offset(w, fd, sb, &offset);
    else if (r == 0)
        r = 1;
    if (r <= 0)
        return r;
    tally_moved(w->c->tally, offset, false);
    p->moved = offset;
    return send_file(w, fd, j->stream ? NULL : sb, offset);
}

/* ---- jobs ---- */

static int put_job(struct worker *w, struct job *j)
{
    struct stat sb = {0};

    int r = make_dir(w, j->dir);
    if (r == 0 && !j->is_dir)
        r = make_room(w);
    if (r < 0) {
        job_list_push(&w->redo, j);
        return r;
    }
    if (j->is_dir) {
        job_free(j);
        return 0;
    }
    if (j->began == 0)
        j->began = clock_now();
    int fd = j->stream ? STDIN_FILENO : source_open(j, &sb);
    if (fd < 0) {
        copy_report(w->c, j, XFER_FAILED, fd, NULL);
        return 0;
    }
    j->sent = true;
    j->hashed_from = time(NULL);
    r = put_file(w, j, fd, &sb);
    if (fd != STDIN_FILENO)
        close(fd);
    return r;
}

static bool wants_query(const struct copy *c)
{
    return c->o->no_clobber || c->o->update != XFER_UPDATE_ALL;
}

/* Jobs that have to be asked about first are gathered, so that one round trip serves many. */
static int gather(struct worker *w)
{
    struct job *j;
    int got;

    while (w->fresh.n < PUT_QUERY_MAX && !w->no_more) {
        got = job_queue_pop(&w->c->queue, w->fresh.n == 0 && w->n == 0, &j);
        if (got > 0)
            job_list_push(j->is_dir || j->stream ? &w->redo : &w->fresh, j);
        w->no_more = got < 0;
        if (got == 0)
            break;
    }
    if (!w->fresh.n)
        return 0;
    int r = drain(w);
    return r < 0 ? r : put_query(w->c, &w->peer, &w->fresh, &w->redo);
}

/* 1 with a job, 0 when there is none now. */
static int next_job(struct worker *w, struct job **j)
{
    if (wants_query(w->c) && !w->redo.n) {
        int r = gather(w);
        if (r < 0)
            return r;
    }
    *j = job_list_pop(&w->redo);
    if (*j || wants_query(w->c) || w->no_more)
        return *j != NULL;
    int got = job_queue_pop(&w->c->queue, w->n == 0, j);
    w->no_more = got < 0;
    return got > 0;
}

static int run_jobs(struct worker *w)
{
    for (;;) {
        struct job *j;
        int r = next_job(w, &j);
        if (r > 0 && w->c->o->dry_run)
            copy_report(w->c, j, XFER_WOULD, 0, NULL);
        else if (r > 0)
            r = put_job(w, j);
        else if (r == 0 && w->n)
            r = wait_answer(w);
        else if (r == 0 && w->no_more && !w->redo.n && !w->fresh.n)
            return 0;
        if (r < 0)
            return r;
    }
}

/* The connection is gone: what was not answered has to be sent again. */
static void recall_pending(struct worker *w)
{
    for (; w->n; pending_pop(w)) {
        struct pending *p = pending_head(w);
        if (!p->job)
            continue;
        tally_unmoved(w->c->tally, p->moved);
        if (p->job->stream)
            copy_report(w->c, p->job, XFER_FAILED, -XFER_ELOST,
                        "connection lost, and standard input cannot be read again");
        else
            job_list_push(wants_query(w->c) ? &w->fresh : &w->redo, p->job);
    }
    pthread_mutex_lock(&w->c->mutex);
    for (struct job_dir *d = w->c->dirs; d; d = d->next)
        d->made &= ~w->bit;
    pthread_mutex_unlock(&w->c->mutex);
}

void put_worker(struct copy *c, unsigned index)
{
    struct worker w = {.c = c, .bit = UINT64_C(1) << index, .digest = digest_new()};

    job_list_init(&w.redo);
    job_list_init(&w.fresh);
    peer_init(&w.peer, &c->o->net, &c->remote, c->tally, c->deadline, c->o->limit_rate);
    int r = w.digest ? 0 : -ENOMEM;
    bool wanted = job_queue_wait(&c->queue);
    while (r == 0 && wanted) {
        r = peer_open(&w.peer);
        if (r < 0)
            break;
        r = run_jobs(&w);
        if (r == 0)
            break;
        recall_pending(&w);
        r = peer_lost(&w.peer, r);
    }
    if (r < 0)
        copy_give_up(c, r, w.redo.n + w.fresh.n);
    job_list_free(&w.redo);
    job_list_free(&w.fresh);
    peer_close(&w.peer);
    digest_free(w.digest);
}
