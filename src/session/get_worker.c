#include "config.h"

#include "session/get_worker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/body.h"
#include "session/dest.h"
#include "session/landings.h"
#include "session/peer.h"
#include "session/stop.h"

#define ASKED_MAX 64              /* each holds an open temporary */
#define DISCARD_MAX (1024 * 1024) /* of a body that we cannot take; more: connect anew */
#define LANDED_MAX 256            /* of those that wait for their sync */
#define PART_MIN (64 * 1024)      /* a shorter part is not worth keeping */
#define SMALL_MAX (1024 * 1024)   /* smaller files are asked for many at a time */

/* A file that was asked for. */
struct asked {
    struct job *job;
    struct store_writer w;
    struct digest *digest; /* of what is here already; NULL: nothing is. A stream's is its job's */
    uint64_t offset;       /* from where we asked it on */
    uint64_t moved;
};

struct worker {
    struct copy *c;
    struct peer peer;
    struct digest *digest;
    struct job_list redo;
    struct asked ring[ASKED_MAX];
    size_t first, n;
    size_t window; /* files to ask for at once; see adapt */
    size_t share;  /* files that may be open here at once */
    size_t landed; /* at most so many of them wait for their sync */
    bool no_more;
    bool hung_up;              /* we ended the connection ourselves: no loss, no waiting */
    struct landings *landings; /* files that wait for their sync */
};

/* ---- targets ---- */

static void part_id(const struct worker *w, const struct job *j, uint8_t id[16])
{
    char key[PATH_CLEAN_MAX + 600];
    uint8_t sum[DIGEST_LEN];

    copy_remote_name(w->c, j->remote, key, sizeof key);
    digest_of(key, strlen(key), sum);
    memcpy(id, sum, 16);
}

/* Hashes what a part holds; a part that cannot be read starts anew. */
static int read_part(struct worker *w, struct asked *a)
{
    a->digest = digest_new();
    if (!a->digest)
        return -ENOMEM;
    int r = body_hash(&w->peer.ch, a->w.fd, a->w.offset, a->digest, NULL, NULL);
    if (r < 0) {
        digest_reset(a->digest);
        r = store_write_restart(&a->w);
    }
    a->offset = a->w.offset;
    return r;
}

static int open_target(struct worker *w, struct asked *a)
{
    const struct xfer_copy_opts *o = w->c->o;
    struct job *j = a->job;
    uint8_t id[16];
    struct store_write_opts wo = {.replace = o->no_clobber ? STORE_NEW : STORE_REPLACE,
                                  .mkpath = o->mkpath || j->in_tree};

    if (!o->no_resume && (!j->known || j->size >= COPY_RESUME_MIN)) {
        part_id(w, j, id);
        wo.resume_id = id;
    }
    int r = store_write_open(j->store, j->path, &wo, &a->w);
    if (r == 0 && copy_made(w->c, &a->w.target))
        return -XFER_ECOLLISION;
    if (r == -XFER_EBUSY) { /* somebody else receives the same: do without a part */
        wo.resume_id = NULL;
        r = store_write_open(j->store, j->path, &wo, &a->w);
    }
    if (r == 0 && a->w.offset)
        r = read_part(w, a);
    return r;
}

/* Lets go of a target. What it holds stays for another attempt if it may be right. */
static void close_target(struct asked *a, bool keep)
{
    if (a->job->stream)
        return;
    store_write_abort(&a->w, keep && a->w.offset >= PART_MIN);
    digest_free(a->digest);
    a->digest = NULL;
}

static int write_stream(struct worker *w, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t k = write(STDOUT_FILENO, p, n);
        if (k < 0 && errno == EAGAIN) {
            struct pollfd f[2] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                                  {.fd = stop_fd(w->c->o->net.stop), .events = POLLIN}};
            poll(f, 2, -1);
            k = f[1].revents ? -1 : 0;
            errno = f[1].revents ? ECANCELED : 0;
        }
        if (k < 0 && errno != EINTR)
            return errno == ECANCELED ? -XFER_ECANCELED : -errno;
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return 0;
}

struct sink {
    struct worker *w;
    struct asked *a;
};

static int sink_write(void *arg, const void *p, size_t n)
{
    struct sink *s = arg;

    if (!s->a->job->stream)
        return store_write(&s->a->w, p, n);
    int r = write_stream(s->w, p, n);
    if (r == 0)
        s->a->job->out_bytes += n;
    return r;
}

/* ---- descriptors ---- */

/* A file that was asked for holds two descriptors, and all workers have one limit. What the caller
 * has open besides is not known: a quarter of it stays free. */
static size_t fair_share(const struct xfer_copy_opts *o)
{
    rlim_t files = ASKED_MAX + LANDED_MAX, jobs = o->jobs ? o->jobs : 1;
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur / 4 * 3 / 2 / jobs < files)
        files = rl.rlim_cur / 4 * 3 / 2 / jobs;
    return files > 2 ? (size_t)files : 2;
}

/* How many may be on their way at once: half of the share, since others wait for their sync. */
static size_t ask_max(const struct worker *w)
{
    return w->share / 2 < ASKED_MAX ? w->share / 2 : ASKED_MAX;
}

/* What one connection has asked for no other can take. Beside others it takes one file at a time,
 * and more as long as they turn out to be small: those cost round trips, not time. */
static void adapt(struct worker *w, uint64_t size)
{
    if (w->c->o->jobs > 1)
        w->window = size >= SMALL_MAX ? 1 : w->window < ASKED_MAX ? 2 * w->window : ASKED_MAX;
}

static void settle(struct worker *w)
{
    landings_settle(w->landings);
    w->landed = 0;
}

/* ---- asking ---- */

static struct asked *head(struct worker *w)
{
    return &w->ring[w->first];
}

static void pop(struct worker *w)
{
    w->first = (w->first + 1) % ASKED_MAX;
    w->n--;
}

static int send_get(struct worker *w, struct asked *a)
{
    struct wire_msg m;

    m.keys = 0;
    if (a->offset) {
        m.keys = WIRE_K_OFFSET | WIRE_K_PREFIX;
        m.offset = a->offset;
        digest_peek(a->digest, m.prefix);
    }
    if (a->offset && a->job->stream && a->job->out_etag[0]) {
        m.keys |= WIRE_K_ETAG;
        memcpy(m.etag, a->job->out_etag, sizeof m.etag);
    }
    return peer_request(&w->peer, WIRE_GET, a->job->remote, &m);
}

/* What went to standard output cannot be taken back: its digest lives with the job. */
static int open_stream(struct asked *a)
{
    struct job *j = a->job;

    if (!j->out_digest)
        j->out_digest = digest_new();
    a->digest = j->out_digest;
    a->offset = j->out_bytes;
    return a->digest ? 0 : -ENOMEM;
}

/* ---- receiving ---- */

/* The file that was asked for first is done with, one way or the other. */
static void file_failed(struct worker *w, int err, const char *text, bool keep)
{
    struct asked *a = head(w);
    struct job *j = a->job;
    bool again = err == -XFER_ECHANGED && !j->stream && ++j->tries < COPY_CHANGED_TRIES;

    tally_unmoved(w->c->tally, a->moved);
    close_target(a, keep);
    if (again)
        job_list_push(&w->redo, j);
    else
        copy_report(w->c, j, XFER_FAILED, err, text);
    pop(w);
}

static int body_moved(void *arg, uint64_t n)
{
    struct sink *s = arg;

    tally_moved(s->w->c->tally, n, true);
    s->a->moved += n;
    return copy_pace(s->w->c, n);
}

/* The rest of a body that we cannot take: read past it where it is short, else hang up. */
static int drop_body(struct worker *w)
{
    int r = body_discard(&w->peer.ch, DISCARD_MAX);
    w->hung_up = r == -XFER_ETOOLONG;
    return r;
}

/* From where the server goes on: as asked, or from the beginning since its file is another one. */
static int settle_offset(struct worker *w, struct asked *a, const struct wire_msg *m)
{
    uint64_t offset = m->keys & WIRE_K_OFFSET ? m->offset : 0;

    if (offset == a->offset)
        return 0;
    if (offset != 0)
        return -XFER_EPROTO;
    if (a->job->stream)
        return -XFER_ECHANGED;
    tally_note(w->c->tally, "%s: not the file that was begun: from the beginning", a->job->name);
    digest_reset(a->digest);
    a->offset = 0;
    return store_write_restart(&a->w);
}

static void learn(struct worker *w, struct asked *a, const struct wire_msg *m)
{
    struct job *j = a->job;

    if (!j->known && (m->keys & WIRE_K_SIZE))
        tally_expect(w->c->tally, 0, m->size);
    j->size = m->keys & WIRE_K_SIZE ? m->size : 0;
    adapt(w, j->size);
    if (m->keys & WIRE_K_MTIME)
        j->mtime = m->mtime;
    j->mode = m->keys & WIRE_K_MODE ? m->mode & 0777 : 0;
    j->known = true;
    if (j->stream && (m->keys & WIRE_K_ETAG))
        memcpy(j->out_etag, m->etag, sizeof j->out_etag);
    if (a->offset > j->reached) {
        j->reached = a->offset;
        peer_progress(&w->peer);
    }
    tally_moved(w->c->tally, a->offset, false);
    a->moved = a->offset;
}

/* Our own file, served back to us: replacing it by itself is never what was meant. */
static bool is_own_target(const struct asked *a, const struct wire_msg *m)
{
    char etag[STORE_ETAG_MAX + 1];

    if (a->job->stream || !(m->keys & WIRE_K_ETAG) || !a->w.target.st_mode)
        return false;
    store_etag(&a->w.target, etag);
    return strcmp(etag, m->etag) == 0;
}

static int check_end(const struct asked *a, struct digest *d, const struct body_recv *b,
                     const struct wire_msg *end, uint8_t sum[DIGEST_LEN])
{
    if (!digest_peek(d, sum))
        return -ENOMEM;
    if ((end->keys & WIRE_K_SIZE) && end->size != b->received)
        return -XFER_EINTEGRITY;
    const uint8_t *theirs = end->keys & WIRE_K_WHOLE ? end->whole : NULL;
    if (!theirs && a->offset == 0 && (end->keys & WIRE_K_SHA256))
        theirs = end->sha256;
    return theirs && memcmp(theirs, sum, DIGEST_LEN) == 0 ? 0 : -XFER_EINTEGRITY;
}

static int finish_target(struct worker *w, struct asked *a, const uint8_t sum[DIGEST_LEN])
{
    const struct xfer_copy_opts *o = w->c->o;
    struct store_commit_opts co = {.set_mode = !o->no_preserve && a->job->mode,
                                   .mode = a->job->mode,
                                   .set_mtime = !o->no_preserve,
                                   .mtime = a->job->mtime,
                                   .sync = o->sync == XFER_SYNC_FILE,
                                   .remember_sha256 = sum};
    return store_write_finish(&a->w, &co);
}

/* Everything has arrived and is what the server read: the file gets its name. */
static void land(struct worker *w, const uint8_t sum[DIGEST_LEN], uint64_t received)
{
    struct asked *a = head(w);
    int r = 0;

    if (!a->job->stream)
        r = finish_target(w, a, sum);
    if (r == 0 && !a->job->stream && w->c->o->sync == XFER_SYNC_BATCH) {
        digest_free(a->digest);
        landings_add(w->landings, a->job, &a->w, a->offset, sum);
        if (++w->landed >= w->share - ask_max(w))
            settle(w);
        pop(w);
        return;
    }
    if (r == 0 && !a->job->stream)
        r = store_write_publish(&a->w, w->c->o->sync == XFER_SYNC_FILE);
    if (r < 0) {
        file_failed(w, dest_error(r), NULL, false);
        return;
    }
    close_target(a, false);
    copy_report_done(w->c, a->job, a->offset + received, a->offset, sum);
    pop(w);
}

/* A transfer that ended in an error. Returns what it means for the connection. */
static int body_failed(struct worker *w, const struct body_recv *b, int err)
{
    if (w->peer.ch.s.err || err == -XFER_EPROTO)
        return err;
    if (b->local && (err == -XFER_ECANCELED || err == -XFER_EDEADLINE))
        return err;
    file_failed(w, b->local ? err : peer_error(err), b->text[0] ? b->text : NULL, false);
    return b->local ? drop_body(w) : 0;
}

static int take_body(struct worker *w)
{
    struct asked *a = head(w);
    struct sink s = {w, a};
    struct digest *d = a->digest ? a->digest : w->digest;
    struct body_recv b = {
        .write = sink_write, .write_arg = &s, .digest = d, .tick = body_moved, .arg = &s};
    uint8_t sum[DIGEST_LEN];
    struct wire_msg end;

    if (!a->digest)
        digest_reset(d);
    int r = body_recv(&w->peer.ch, &b, &end);
    if (r < 0)
        return body_failed(w, &b, r);
    r = check_end(a, d, &b, &end, sum);
    if (r < 0)
        file_failed(w, r, NULL, false);
    else
        land(w, sum, b.received);
    peer_progress(&w->peer);
    return 0;
}

static int take_reply(struct worker *w)
{
    struct asked *a = head(w);
    struct wire_msg m;

    int r = peer_recv(&w->peer, &m);
    if (r < 0)
        return r;
    if (m.verb != WIRE_REPLY || (m.code != 200 && m.code < 400))
        return -XFER_EPROTO;
    if (m.code >= 400) {
        file_failed(w, m.error,
                    m.error == -XFER_EISDIR ? "is a directory (-r gets it whole)" : NULL, true);
        peer_progress(&w->peer);
        return 0;
    }
    r = is_own_target(a, &m) ? -XFER_ESAMEFILE : settle_offset(w, a, &m);
    if (r == -XFER_EPROTO)
        return r;
    if (r < 0) {
        file_failed(w, r, NULL, true);
        return drop_body(w);
    }
    learn(w, a, &m);
    return take_body(w);
}

/* ---- jobs ---- */

static int ask(struct worker *w, struct job *j)
{
    struct asked *a = &w->ring[(w->first + w->n) % ASKED_MAX];

    *a = (struct asked){.job = j, .w = {.fd = -1, .dir_fd = -1}};
    if (j->began == 0)
        j->began = clock_now();
    int r = j->stream ? open_stream(a) : open_target(w, a);
    if (r < 0)
        close_target(a, true);
    if ((r == -EMFILE || r == -ENFILE) && (w->n || w->landed)) { /* these hold descriptors */
        job_list_push(&w->redo, j);
        settle(w);
        return w->n ? take_reply(w) : 0;
    }
    if (r < 0) {
        bool exists = r == -XFER_EEXISTS && w->c->o->no_clobber;
        copy_report(w->c, j, exists ? XFER_UNCHANGED : XFER_FAILED, exists ? 0 : dest_error(r),
                    r == -XFER_ENOTREG ? xfer_strerror(r) : NULL);
        return 0;
    }
    w->n++;
    return send_get(w, a);
}

/* Whether -n or -u makes a job needless; then it has been reported. */
static bool is_unchanged(struct worker *w, struct job *j)
{
    const struct xfer_copy_opts *o = w->c->o;
    uint8_t sum[DIGEST_LEN];
    struct stat sb;

    if (j->stream || (!o->no_clobber && o->update == XFER_UPDATE_ALL))
        return false;
    int fd = store_read_open(j->store, j->path, &sb);
    if (fd < 0)
        return false;
    bool same = o->no_clobber;
    if (o->update == XFER_UPDATE_TIMES)
        same = same || copy_same_times(j->size, j->mtime, (uint64_t)sb.st_size, sb.st_mtim);
    if (o->update == XFER_UPDATE_DIGEST && j->sum_known && (uint64_t)sb.st_size == j->size)
        same = same ||
               (copy_local_sum(w->c, fd, &sb, sum) == 0 && memcmp(sum, j->sum, DIGEST_LEN) == 0);
    close(fd);
    if (same)
        copy_report(w->c, j, XFER_UNCHANGED, 0, NULL);
    return same;
}

/* 1 with a job, 0 when there is none now. */
static int next_job(struct worker *w, struct job **j)
{
    bool room = w->n < ask_max(w) && w->n < w->window;

    *j = room ? job_list_pop(&w->redo) : NULL;
    if (*j || w->no_more || !room)
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
        if (r > 0 && !is_unchanged(w, j)) {
            if (w->c->o->dry_run)
                copy_report(w->c, j, XFER_WOULD, 0, NULL);
            else
                r = ask(w, j);
        } else if (r == 0 && w->n) {
            r = take_reply(w);
        } else if (r == 0 && w->no_more && !w->redo.n) {
            return 0;
        }
        if (r < 0)
            return r;
    }
}

/* The connection is gone: what had not arrived is asked for again, parts go on where they were. */
static void recall_asked(struct worker *w)
{
    for (; w->n; pop(w)) {
        struct asked *a = head(w);
        tally_unmoved(w->c->tally, a->moved);
        close_target(a, true);
        job_list_push(&w->redo, a->job);
    }
}

void get_worker(struct copy *c, unsigned index)
{
    struct worker w = {.c = c, .digest = digest_new(), .landings = landings_new(c)};

    (void)index;
    w.share = fair_share(c->o);
    w.window = c->o->jobs > 1 ? 1 : ASKED_MAX;
    job_list_init(&w.redo);
    peer_init(&w.peer, &c->o->net, &c->remote, c->tally, c->deadline, c->o->limit_rate);
    int r = w.digest && w.landings ? 0 : -ENOMEM;
    bool wanted = job_queue_wait(&c->queue);
    while (r == 0 && wanted) {
        r = peer_open(&w.peer);
        if (r < 0)
            break;
        r = run_jobs(&w);
        if (r == 0)
            break;
        recall_asked(&w);
        if (w.hung_up)
            peer_close(&w.peer);
        r = w.hung_up ? 0 : peer_lost(&w.peer, r);
        w.hung_up = false;
        w.no_more = w.no_more || job_queue_is_done(&c->queue);
        if (w.no_more && !w.redo.n)
            break;
    }
    settle(&w);
    if (r < 0)
        copy_give_up(c, r, w.redo.n);
    job_list_free(&w.redo);
    peer_close(&w.peer);
    digest_free(w.digest);
    landings_free(w.landings);
}
