#include "config.h"

#include "session/put_worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/body.h"
#include "session/put_query.h"
#include "session/source.h"
#include "session/stop.h"
#include "session/worker.h"

#define LOOK_MIN (64 * 1024)

/* A request whose answer is still to come. */
struct pending {
    struct job *job; /* NULL: a directory on the way to some */
    const char *dir; /* a directory's path; NULL: a file */
    uint8_t sum[DIGEST_LEN];
    uint64_t bytes, resumed_at, moved;
    int aborted;   /* why we broke it off; 0: we did not */
    bool answered; /* refused while its body was on the way; the reason is in putter.refusal */
};

struct putter {
    struct worker w;
    uint64_t bit;          /* in job_dir.made */
    struct job_list fresh; /* waits for put_query */
    struct job_list ready; /* put_query is over: to be sent */
    struct pending ring[COPY_PENDING];
    size_t first;     /* of w.n */
    int64_t alive_at; /* see keep_alive */
    char refusal[WIRE_TEXT_MAX + 1];
};

/* ---- answers ---- */

static struct pending *pending_push(struct putter *u)
{
    struct pending *p = &u->ring[(u->first + u->w.n++) % COPY_PENDING];

    *p = (struct pending){0};
    return p;
}

static struct pending *pending_head(struct putter *u)
{
    return u->w.n ? &u->ring[u->first] : NULL;
}

static void pending_pop(struct putter *u)
{
    u->first = (u->first + 1) % COPY_PENDING;
    u->w.n--;
}

/* A file is not over there. What may be better next time is tried again. */
static void file_failed(struct putter *u, struct pending *p, int err, const char *text)
{
    struct job *j = p->job;

    tally_unmoved(u->w.c->tally, p->moved);
    if (err == -XFER_ECHANGED && ++j->tries < COPY_CHANGED_TRIES)
        job_list_push(&u->w.redo, j);
    else if (err == -XFER_EEXISTS && u->w.c->o->no_clobber)
        copy_report(u->w.c, j, XFER_UNCHANGED, 0, NULL);
    else
        copy_report(u->w.c, j, XFER_FAILED, err, text);
}

static void answer_to_file(struct putter *u, struct pending *p, const struct wire_msg *m)
{
    if (p->aborted)
        file_failed(u, p, p->aborted, NULL);
    else if (m->code >= 400)
        file_failed(u, p, m->error, m->text[0] ? m->text : NULL);
    else if (!(m->keys & WIRE_K_SHA256) || memcmp(m->sha256, p->sum, DIGEST_LEN) != 0)
        file_failed(u, p, -XFER_EINTEGRITY, NULL);
    else
        copy_report_done(u->w.c, p->job, p->bytes, p->resumed_at, p->sum);
}

/* The final reply to the oldest pending request. */
static int take_answer(struct putter *u, const struct wire_msg *m)
{
    char name[PATH_CLEAN_MAX + 300];
    struct pending *p = pending_head(u);

    if (!p || m->verb != WIRE_REPLY || m->code < 200)
        return -XFER_EPROTO;
    if (!p->dir &&
        m->code < 400) /* a directory is asked for anew on each connection: no progress */
        peer_progress(&u->w.peer);
    if (!p->dir)
        answer_to_file(u, p, m);
    else if (m->code >= 400)
        tally_fail(u->w.c->tally, copy_remote_name(u->w.c, p->dir, name, sizeof name), m->error,
                   m->text);
    if (p->dir)
        job_free(p->job);
    pending_pop(u);
    return 0;
}

static int wait_answer(struct putter *u)
{
    struct wire_msg m;

    int r = peer_recv(&u->w.peer, &m);
    return r < 0 ? r : take_answer(u, &m);
}

static int drain(struct putter *u)
{
    int r = 0;

    while (r == 0 && u->w.n)
        r = wait_answer(u);
    return r;
}

static int make_room(struct putter *u)
{
    return u->w.n < COPY_PENDING ? 0 : wait_answer(u);
}

/* ---- directories ---- */

static bool dir_is_made(struct putter *u, struct job_dir *d)
{
    pthread_mutex_lock(&u->w.c->mutex);
    bool made = (d->made & u->bit) != 0;
    d->made |= u->bit;
    pthread_mutex_unlock(&u->w.c->mutex);
    return made;
}

/* Asks for a directory and those above it; each connection does so for itself, since another's
 * request may still be on its way. */
static int make_dir(struct putter *u, struct job_dir *d)
{
    struct wire_msg m;

    if (!d || u->w.c->o->discard || dir_is_made(u, d))
        return 0;
    int r = make_dir(u, d->parent);
    if (r == 0)
        r = make_room(u);
    if (r < 0)
        return r;
    pending_push(u)->dir = d->path;
    m.keys = u->w.c->o->mkpath ? WIRE_K_MKPATH : 0;
    if (d->mode && !u->w.c->o->no_preserve) {
        m.keys |= WIRE_K_MODE;
        m.mode = d->mode;
    }
    return peer_request(&u->w.peer, WIRE_MKDIR, d->path, &m);
}

/* ---- bodies ---- */

static struct pending *newest(struct putter *u)
{
    return &u->ring[(u->first + u->w.n - 1) % COPY_PENDING];
}

/* After each chunk: hold the rate, count, and look whether the server has already had enough. A
 * small file is on its way before that could be known. */
static int body_moved(void *arg, uint64_t n)
{
    struct putter *u = arg;
    struct pending *mine = newest(u);
    struct wire_msg m;
    int r = u->w.c->o->limit_rate ? stream_flush(&u->w.peer.ch.s) : 0; /* not kept while we wait */

    if (r == 0)
        r = copy_pace(u->w.c, n);
    if (r < 0)
        return r;
    tally_moved(u->w.c->tally, n, true);
    mine->moved += n;
    if (mine->job->known && mine->job->size < LOOK_MIN)
        return 0;
    while ((r = peer_try_recv(&u->w.peer, &m)) > 0) {
        bool final = pending_head(u) == mine;
        if (final && m.verb == WIRE_REPLY && m.code >= 400) {
            mine->answered = true;
            snprintf(u->refusal, sizeof u->refusal, "%s", m.text);
            return m.error;
        }
        /* Nobody can have stored what is still on its way. */
        r = final ? -XFER_EPROTO : take_answer(u, &m);
        if (r < 0) {
            u->w.peer.ch.s.err = r;
            return r;
        }
    }
    return r;
}

/* While a prefix is hashed: the server hears from us, and we from the user. */
static int keep_alive(void *arg, uint64_t n)
{
    struct putter *u = arg;
    int64_t now = clock_now();

    (void)n;
    if (xfer_stop_is_raised(u->w.c->o->net.stop))
        return -XFER_ECANCELED;
    if (now - u->alive_at < CHAN_KEEPALIVE)
        return 0;
    u->alive_at = now;
    int r = chan_send_data(&u->w.peer.ch, NULL, 0);
    return r < 0 ? r : stream_flush(&u->w.peer.ch.s);
}

static int send_end(struct putter *u, struct pending *p)
{
    struct wire_msg m;

    if (!digest_peek(u->w.digest, p->sum)) {
        p->aborted = -ENOMEM;
        return chan_refuse(&u->w.peer.ch, true, -ENOMEM, NULL);
    }
    memcpy(p->job->sum, p->sum, DIGEST_LEN);
    p->job->sum_known = true;
    m.verb = WIRE_END;
    m.keys = WIRE_K_SIZE | WIRE_K_SHA256;
    m.size = p->bytes;
    memcpy(m.sha256, p->sum, DIGEST_LEN);
    return chan_send(&u->w.peer.ch, &m);
}

/* Body and END of the newest request, from offset on. */
static int send_file(struct putter *u, int fd, const struct stat *sb, uint64_t offset)
{
    struct pending *p = newest(u);
    struct body_send b = {.fd = fd,
                          .before = sb,
                          .offset = offset,
                          .length = BODY_TO_END,
                          .chunk = pace_chunk(&u->w.c->pace, CHAN_SCRATCH),
                          .digest = u->w.digest,
                          .tick = body_moved,
                          .arg = u};
    bool aborted;

    int r = body_send(&u->w.peer.ch, &b, &aborted);
    bool stopped = r == -XFER_ECANCELED || r == -XFER_EDEADLINE;
    if (stopped && aborted) /* the server keeps the part; let it hear so */
        stream_flush(&u->w.peer.ch.s);
    if (r < 0 && (!aborted || stopped))
        return r;
    if (p->answered) {
        file_failed(u, p, r, u->refusal[0] ? u->refusal : NULL);
        pending_pop(u);
        return 0;
    }
    p->aborted = r;
    p->bytes = offset + b.sent;
    p->resumed_at = offset;
    if (r < 0)
        return 0;
    r = send_end(u, p);
    if (sb && u->w.c->o->remember)
        store_remember(fd, sb, p->sum, p->job->hashed_from);
    return r;
}

static void put_keys(const struct copy *c, const struct job *j, const struct stat *sb,
                     struct wire_msg *m)
{
    m->keys = c->o->discard && !j->stream ? WIRE_K_SIZE : 0;
    m->size = (uint64_t)sb->st_size;
    if (c->o->discard)
        return;
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
static int check_kept(struct putter *u, int fd, const struct stat *sb, const struct wire_msg *m)
{
    uint8_t sum[DIGEST_LEN];

    if (m->offset == 0 || m->offset > (uint64_t)sb->st_size || !(m->keys & WIRE_K_SHA256))
        return 0;
    u->alive_at = clock_now();
    int r = body_hash(&u->w.peer.ch, fd, m->offset, u->w.digest, keep_alive, u);
    if (r < 0 && (u->w.peer.ch.s.err || r == -XFER_ECANCELED))
        return r;
    digest_peek(u->w.digest, sum);
    return r == 0 && memcmp(sum, m->sha256, DIGEST_LEN) == 0;
}

/* The one request that waits: the server says what it kept, we say from where we go on. Returns 1
 * with *offset, 0 when the server refused (the request is answered then), or an error. */
static int agree_on_offset(struct putter *u, int fd, const struct stat *sb, uint64_t *offset)
{
    struct pending *p = newest(u);
    struct wire_msg m;
    int r = 0;

    while (r == 0 && pending_head(u) != p)
        r = wait_answer(u);
    if (r == 0)
        r = peer_recv(&u->w.peer, &m);
    if (r < 0)
        return r;
    if (m.verb == WIRE_REPLY && m.code >= 400)
        return take_answer(u, &m);
    if (m.verb != WIRE_REPLY || m.code != 100 || !(m.keys & WIRE_K_OFFSET))
        return -XFER_EPROTO;
    r = check_kept(u, fd, sb, &m);
    if (r < 0)
        return r;
    *offset = r ? m.offset : 0;
    if (r == 0)
        digest_reset(u->w.digest);
    if (*offset > p->job->reached) {
        p->job->reached = *offset;
        peer_progress(&u->w.peer);
    }
    m.verb = WIRE_FROM;
    m.keys = 0;
    m.offset = *offset;
    r = chan_send(&u->w.peer.ch, &m);
    return r < 0 ? r : 1;
}

static int put_file(struct putter *u, struct job *j, int fd, const struct stat *sb)
{
    const struct xfer_copy_opts *o = u->w.c->o;
    bool resume = !j->stream && !o->no_resume && !o->discard && sb->st_size >= COPY_RESUME_MIN;
    uint64_t offset = 0;
    struct wire_msg m;

    put_keys(u->w.c, j, sb, &m);
    if (resume) {
        m.keys |= WIRE_K_RESUME;
        resume_id(j, sb, m.resume);
    }
    digest_reset(u->w.digest);
    struct pending *p = pending_push(u);
    p->job = j;
    int r = peer_request(&u->w.peer, o->discard ? WIRE_DISCARD : WIRE_PUT, j->remote, &m);
    if (r == 0 && resume)
        r = agree_on_offset(u, fd, sb, &offset);
    else if (r == 0)
        r = 1;
    if (r <= 0)
        return r;
    tally_moved(u->w.c->tally, offset, false);
    p->moved = offset;
    return send_file(u, fd, j->stream ? NULL : sb, offset);
}

/* ---- jobs ---- */

/* An empty directory has nothing but its own request: that is kept until it is answered. */
static int begin_dir(struct putter *u, struct job *j)
{
    int r = make_dir(u, j->dir);

    if (r < 0)
        job_list_push(&u->w.redo, j);
    else if (u->w.n && newest(u)->dir == j->dir->path && !newest(u)->job)
        newest(u)->job = j;
    else
        job_free(j);
    return r;
}

static int begin(void *self, struct job *j)
{
    struct putter *u = self;
    struct stat sb = {0};

    if (j->is_dir)
        return begin_dir(u, j);
    int r = make_dir(u, j->dir);
    if (r == 0)
        r = make_room(u);
    if (r < 0) {
        job_list_push(&u->w.redo, j);
        return r;
    }
    if (j->began == 0)
        j->began = clock_now();
    int fd = j->stream ? STDIN_FILENO : source_open(j, &sb);
    if (fd < 0) {
        copy_report(u->w.c, j, XFER_FAILED, fd, NULL);
        return 0;
    }
    j->sent = true;
    j->hashed_from = time(NULL);
    r = put_file(u, j, fd, &sb);
    if (fd != STDIN_FILENO)
        close(fd);
    return r;
}

static bool wants_query(const struct copy *c)
{
    return c->o->no_clobber || c->o->update != XFER_UPDATE_ALL;
}

/* Jobs that have to be asked about first are gathered, so that one round trip serves many. */
static int gather(struct putter *u)
{
    struct job *j;

    while (u->fresh.n < PUT_QUERY_MAX &&
           (j = worker_next(&u->w, !u->fresh.n && !u->ready.n && !u->w.n)))
        job_list_push(j->is_dir || j->stream ? &u->ready : &u->fresh, j);
    if (!u->fresh.n)
        return 0;
    int r = drain(u);
    return r < 0 ? r : put_query(u->w.c, &u->w.peer, &u->fresh, &u->ready);
}

static int next(void *self, struct job **j)
{
    struct putter *u = self;
    bool query = wants_query(u->w.c);
    int r = query && !u->ready.n ? gather(u) : 0;

    if (r < 0)
        return r;
    *j = query ? job_list_pop(&u->ready) : worker_next(&u->w, u->w.n == 0);
    return *j != NULL;
}

static int answer(void *self)
{
    return wait_answer(self);
}

/* What was not answered has to be asked about, made and sent again. */
static void recall(void *self)
{
    struct putter *u = self;
    struct job *j;

    for (; u->w.n; pending_pop(u)) {
        struct pending *p = pending_head(u);
        if (!p->job)
            continue;
        tally_unmoved(u->w.c->tally, p->moved);
        if (p->job->stream)
            copy_report(u->w.c, p->job, XFER_FAILED, -XFER_ELOST,
                        "connection lost, and standard input cannot be read again");
        else
            job_list_push(&u->w.redo, p->job);
    }
    while ((j = job_list_pop(&u->fresh)) || (j = job_list_pop(&u->ready)))
        job_list_push(&u->w.redo, j);
    pthread_mutex_lock(&u->w.c->mutex);
    for (struct job_dir *d = u->w.c->dirs; d; d = d->next)
        d->made &= ~u->bit;
    pthread_mutex_unlock(&u->w.c->mutex);
}

static const struct worker_ops put_ops = {next, begin, answer, recall};

void put_worker(struct copy *c, unsigned index)
{
    struct putter u = {.bit = UINT64_C(1) << index};

    worker_init(&u.w, c);
    job_list_init(&u.fresh);
    job_list_init(&u.ready);
    worker_end(&u.w, worker_run(&u.w, &put_ops, &u));
}
