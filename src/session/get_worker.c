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
#include "session/ranges.h"
#include "session/stop.h"
#include "session/worker.h"

#define ASKED_MAX 64              /* each holds an open temporary */
#define DISCARD_MAX (1024 * 1024) /* of a body that we cannot take; more: connect anew */
#define LANDED_MAX 256            /* of those that wait for their sync */
#define PIECES_ASKED 2            /* ranges: the next is on its way while one is taken */
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

struct getter {
    struct worker w;
    struct asked ring[ASKED_MAX];
    size_t first;              /* of w.n */
    size_t window;             /* files to ask for at once; see adapt */
    size_t share;              /* files that may be open here at once */
    size_t landed;             /* at most so many of them wait for their sync */
    struct landings *landings; /* files that wait for their sync */
};

/* ---- targets ---- */

static void part_id(const struct getter *g, const struct job *j, uint8_t id[16])
{
    char key[PATH_CLEAN_MAX + 600];
    uint8_t sum[DIGEST_LEN];

    copy_remote_name(g->w.c, j->remote, key, sizeof key);
    digest_of(key, strlen(key), sum);
    memcpy(id, sum, 16);
}

/* Hashes what a part holds; a part that cannot be read starts anew. */
static int read_part(struct getter *g, struct asked *a)
{
    a->digest = digest_new();
    if (!a->digest)
        return -ENOMEM;
    int r = body_hash(&g->w.peer.ch, a->w.fd, a->w.offset, a->digest, NULL, NULL);
    if (r < 0) {
        digest_reset(a->digest);
        r = store_write_restart(&a->w);
    }
    a->offset = a->w.offset;
    return r;
}

static int open_target(struct getter *g, struct asked *a)
{
    const struct xfer_copy_opts *o = g->w.c->o;
    struct job *j = a->job;
    uint8_t id[16];

    if (o->discard)
        return 0;
    struct store_write_opts wo = {.replace = o->no_clobber ? STORE_NEW : STORE_REPLACE,
                                  .mkpath = o->mkpath || j->in_tree};

    if (!o->no_resume && (!j->known || j->size >= COPY_RESUME_MIN)) {
        part_id(g, j, id);
        wo.resume_id = id;
    }
    int r = store_write_open(j->store, j->path, &wo, &a->w);
    if (r == 0 && copy_made(g->w.c, &a->w.target))
        return -XFER_ECOLLISION;
    if (r == -XFER_EBUSY) { /* somebody else receives the same: do without a part */
        wo.resume_id = NULL;
        r = store_write_open(j->store, j->path, &wo, &a->w);
    }
    if (r == 0 && a->w.offset)
        r = read_part(g, a);
    return r;
}

/* Lets go of a target. What it holds stays for another attempt if it may be right. */
static void close_target(struct asked *a, bool keep)
{
    if (a->job->stream || ranges_is_piece(a->job))
        return;
    store_write_abort(&a->w, keep && a->w.offset >= PART_MIN);
    digest_free(a->digest);
    a->digest = NULL;
}

static int write_stream(struct getter *g, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t k = write(STDOUT_FILENO, p, n);
        if (k < 0 && errno == EAGAIN) {
            struct pollfd f[2] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                                  {.fd = stop_fd(g->w.c->o->net.stop), .events = POLLIN}};
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

/* A server that sends more than was asked for does not know ranges. */
static int write_piece(struct asked *a, const void *p, size_t n)
{
    if (!ranges_wanted(a->job))
        return -XFER_ECHANGED;
    if (n > ranges_size(a->job) - (a->moved))
        return -XFER_EUNKNOWN;
    return a->w.fd < 0 ? 0 : store_write(&a->w, p, n);
}

struct sink {
    struct getter *g;
    struct asked *a;
};

static int sink_write(void *arg, const void *p, size_t n)
{
    struct sink *s = arg;

    if (ranges_is_piece(s->a->job))
        return write_piece(s->a, p, n);
    if (s->g->w.c->o->discard)
        return 0;
    if (!s->a->job->stream)
        return store_write(&s->a->w, p, n);
    int r = write_stream(s->g, p, n);
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
static size_t ask_max(const struct getter *g)
{
    return g->share / 2 < ASKED_MAX ? g->share / 2 : ASKED_MAX;
}

/* What one connection has asked for no other can take. Beside others it takes one file at a time,
 * and more as long as they turn out to be small: those cost round trips, not time. */
static void adapt(struct getter *g, uint64_t size)
{
    if (g->w.c->o->jobs > 1)
        g->window = size >= SMALL_MAX ? 1 : g->window < ASKED_MAX ? 2 * g->window : ASKED_MAX;
}

static void settle(struct getter *g)
{
    landings_settle(g->landings);
    g->landed = 0;
}

/* ---- asking ---- */

static struct asked *head(struct getter *g)
{
    return &g->ring[g->first];
}

static void pop(struct getter *g)
{
    g->first = (g->first + 1) % ASKED_MAX;
    g->w.n--;
}

static int send_get(struct getter *g, struct asked *a)
{
    struct wire_msg m;

    m.keys = 0;
    if (ranges_is_piece(a->job)) {
        ranges_ask(a->job, &m);
    } else if (a->job->ranges) {
        m.keys = WIRE_K_OFFSET | WIRE_K_LENGTH;
        m.offset = a->offset;
        m.length = RANGES_FIRST;
    }
    if (a->offset) {
        m.keys |= WIRE_K_OFFSET | WIRE_K_PREFIX;
        m.offset = a->offset;
        digest_peek(a->digest, m.prefix);
    }
    if (a->offset && a->job->stream && a->job->out_etag[0]) {
        m.keys |= WIRE_K_ETAG;
        memcpy(m.etag, a->job->out_etag, sizeof m.etag);
    }
    return peer_request(&g->w.peer, WIRE_GET, a->job->remote, &m);
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
static void file_failed(struct getter *g, int err, const char *text, bool keep)
{
    struct asked *a = head(g);
    struct job *j = a->job;
    bool again = err == -XFER_ECHANGED && !j->stream && ++j->tries < COPY_CHANGED_TRIES;

    tally_unmoved(g->w.c->tally, a->moved);
    close_target(a, keep);
    if (again)
        job_list_push(&g->w.redo, j);
    else
        copy_report(g->w.c, j, XFER_FAILED, err, text);
    pop(g);
}

static int body_moved(void *arg, uint64_t n)
{
    struct sink *s = arg;

    tally_moved(s->g->w.c->tally, n, true);
    s->a->moved += n;
    return copy_pace(s->g->w.c, n);
}

/* The rest of a body that we cannot take: read past it where it is short, else hang up. */
static int drop_body(struct getter *g)
{
    int r = body_discard(&g->w.peer.ch, DISCARD_MAX);

    if (r == -XFER_ETOOLONG)
        peer_close(&g->w.peer);
    return r;
}

/* From where the server goes on: as asked, or from the beginning since its file is another one. */
static int settle_offset(struct getter *g, struct asked *a, const struct wire_msg *m)
{
    uint64_t offset = m->keys & WIRE_K_OFFSET ? m->offset : 0;

    if (offset == a->offset)
        return 0;
    if (offset != 0)
        return -XFER_EPROTO;
    if (a->job->stream)
        return -XFER_ECHANGED;
    tally_note(g->w.c->tally, "%s: not the file that was begun: from the beginning", a->job->name);
    digest_reset(a->digest);
    a->offset = 0;
    return store_write_restart(&a->w);
}

static void learn(struct getter *g, struct asked *a, const struct wire_msg *m)
{
    struct job *j = a->job;

    if (!j->known && (m->keys & WIRE_K_SIZE))
        tally_expect(g->w.c->tally, 0, m->size);
    j->size = m->keys & WIRE_K_SIZE ? m->size : 0;
    adapt(g, j->size);
    if (m->keys & WIRE_K_MTIME)
        j->mtime = m->mtime;
    j->mode = m->keys & WIRE_K_MODE ? m->mode & 0777 : 0;
    j->known = true;
    if (j->stream && (m->keys & WIRE_K_ETAG))
        memcpy(j->out_etag, m->etag, sizeof j->out_etag);
    if (a->offset > j->reached) {
        j->reached = a->offset;
        peer_progress(&g->w.peer);
    }
    tally_moved(g->w.c->tally, a->offset, false);
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

/* Everything has arrived and is what the server read: the file gets its name. */
static void land(struct getter *g, const uint8_t sum[DIGEST_LEN], uint64_t received)
{
    struct asked *a = head(g);
    bool file = !a->job->stream && !g->w.c->o->discard;
    int r = 0;

    if (file)
        r = copy_finish(g->w.c, a->job, &a->w, sum, g->w.c->o->sync == XFER_SYNC_FILE);
    if (r == 0 && file && g->w.c->o->sync == XFER_SYNC_BATCH) {
        digest_free(a->digest);
        landings_add(g->landings, a->job, &a->w, a->offset, sum);
        if (++g->landed >= g->share - ask_max(g))
            settle(g);
        pop(g);
        return;
    }
    if (r == 0 && file)
        r = store_write_publish(&a->w, g->w.c->o->sync == XFER_SYNC_FILE);
    if (r < 0) {
        file_failed(g, dest_error(r), NULL, false);
        return;
    }
    close_target(a, false);
    copy_report_done(g->w.c, a->job, a->offset + received, a->offset, sum);
    pop(g);
}

/* A transfer that ended in an error. Returns what it means for the connection. */
static int body_failed(struct getter *g, const struct body_recv *b, int err)
{
    if (g->w.peer.ch.s.err || err == -XFER_EPROTO)
        return err;
    if (b->local && (err == -XFER_ECANCELED || err == -XFER_EDEADLINE))
        return err;
    file_failed(g, b->local ? err : peer_error(err), b->text[0] ? b->text : NULL, false);
    return b->local ? drop_body(g) : 0;
}

static int take_body(struct getter *g)
{
    struct asked *a = head(g);
    struct sink s = {g, a};
    struct digest *d = a->digest ? a->digest : g->w.digest;
    struct body_recv b = {
        .write = sink_write, .write_arg = &s, .digest = d, .tick = body_moved, .arg = &s};
    uint8_t sum[DIGEST_LEN];
    struct wire_msg end;

    if (!a->digest)
        digest_reset(d);
    int r = body_recv(&g->w.peer.ch, &b, &end);
    if (r < 0)
        return body_failed(g, &b, r);
    r = check_end(a, d, &b, &end, sum);
    if (r < 0)
        file_failed(g, r, NULL, false);
    else
        land(g, sum, b.received);
    peer_progress(&g->w.peer);
    return 0;
}

/* ---- ranges ---- */

/* A range that cannot be had: then nor can the file, this way. */
static void piece_failed(struct getter *g, int err, const char *text)
{
    struct asked *a = head(g);

    tally_unmoved(g->w.c->tally, a->moved);
    ranges_failed(a->job, err, text);
    pop(g);
}

static int check_piece(const struct asked *a, struct digest *d, const struct body_recv *b,
                       const struct wire_msg *end)
{
    uint8_t sum[DIGEST_LEN];

    if (!digest_peek(d, sum))
        return -ENOMEM;
    if (!(end->keys & WIRE_K_SHA256))
        return -XFER_EUNKNOWN;
    if (memcmp(end->sha256, sum, DIGEST_LEN) != 0 ||
        ((end->keys & WIRE_K_SIZE) && end->size != b->received))
        return -XFER_EINTEGRITY;
    return b->received == ranges_size(a->job) ? 0 : -XFER_ECHANGED;
}

static int take_piece(struct getter *g)
{
    struct asked *a = head(g);
    struct sink s = {g, a};
    struct body_recv b = {
        .write = sink_write, .write_arg = &s, .digest = g->w.digest, .tick = body_moved, .arg = &s};
    struct wire_msg end;

    digest_reset(g->w.digest);
    if (!ranges_writer(a->job, &a->w))
        a->w.fd = -1;
    int r = body_recv(&g->w.peer.ch, &b, &end);
    if (r < 0 && (g->w.peer.ch.s.err || r == -XFER_EPROTO))
        return r;
    if (r < 0 && b.local && (r == -XFER_ECANCELED || r == -XFER_EDEADLINE))
        return r;
    if (r < 0) {
        piece_failed(g, b.local ? dest_error(r) : peer_error(r), b.text[0] ? b.text : NULL);
        return b.local ? drop_body(g) : 0;
    }
    r = check_piece(a, g->w.digest, &b, &end);
    if (r < 0) {
        piece_failed(g, r, NULL);
    } else {
        ranges_note_whole(a->job, &end);
        ranges_arrived(a->job);
        g->window = PIECES_ASKED;
        pop(g);
    }
    peer_progress(&g->w.peer);
    return 0;
}

static int answer_piece(struct getter *g, const struct wire_msg *m)
{
    int r = m->code >= 400 ? m->error : ranges_check(head(g)->job, m);

    if (r == 0)
        return take_piece(g);
    piece_failed(g, r, m->code >= 400 && m->text[0] ? m->text : NULL);
    return m->code >= 400 ? 0 : drop_body(g);
}

/* The first answer about a file that is to come in ranges. */
static int answer_first(struct getter *g, const struct wire_msg *m)
{
    struct asked *a = head(g);
    enum ranges_how how = ranges_how(m, a->offset);

    if (how == RANGES_CUT && ranges_cut(&a->job, &a->w, &a->digest, a->offset, m) == 0) {
        a->moved = 0; /* what was there already is counted with the file */
        return take_piece(g);
    }
    ranges_release(a->job->ranges); /* a file like any other: nobody waits for it alone */
    a->job->ranges = NULL;
    if (how == RANGES_WHOLE)
        return take_body(g);
    tally_unmoved(g->w.c->tally, a->moved);
    close_target(a, true);
    job_list_push(&g->w.redo, a->job);
    pop(g);
    return drop_body(g);
}

static int answer(void *self)
{
    struct getter *g = self;
    struct asked *a = head(g);
    struct wire_msg m;

    int r = peer_recv(&g->w.peer, &m);
    if (r < 0)
        return r;
    if (m.verb != WIRE_REPLY || (m.code != 200 && m.code < 400))
        return -XFER_EPROTO;
    if (ranges_is_piece(a->job))
        return answer_piece(g, &m);
    if (m.code >= 400) {
        file_failed(g, m.error,
                    m.error == -XFER_EISDIR ? "is a directory (-r gets it whole)" : NULL, true);
        peer_progress(&g->w.peer);
        return 0;
    }
    r = is_own_target(a, &m) ? -XFER_ESAMEFILE : settle_offset(g, a, &m);
    if (r == -XFER_EPROTO)
        return r;
    if (r < 0) {
        file_failed(g, r, NULL, true);
        return drop_body(g);
    }
    learn(g, a, &m);
    return a->job->ranges ? answer_first(g, &m) : take_body(g);
}

/* ---- jobs ---- */

static int begin(void *self, struct job *j)
{
    struct getter *g = self;
    struct asked *a = &g->ring[(g->first + g->w.n) % ASKED_MAX];

    *a = (struct asked){.job = j, .w = {.fd = -1, .dir_fd = -1}};
    if (j->began == 0)
        j->began = clock_now();
    if (ranges_is_piece(j) && !ranges_wanted(j)) {
        job_free(j);
        return 0;
    }
    if (ranges_is_piece(j)) {
        g->w.n++;
        return send_get(g, a);
    }
    int r = j->stream ? open_stream(a) : open_target(g, a);
    if (r < 0)
        close_target(a, true);
    if ((r == -EMFILE || r == -ENFILE) && (g->w.n || g->landed)) { /* these hold descriptors */
        job_list_push(&g->w.redo, j);
        settle(g);
        return g->w.n ? answer(g) : 0;
    }
    if (r < 0) {
        bool exists = r == -XFER_EEXISTS && g->w.c->o->no_clobber;
        copy_report(g->w.c, j, exists ? XFER_UNCHANGED : XFER_FAILED, exists ? 0 : dest_error(r),
                    r == -XFER_ENOTREG ? xfer_strerror(r) : NULL);
        return 0;
    }
    g->w.n++;
    return send_get(g, a);
}

/* Whether -n or -u makes a job needless; then it has been reported. */
static bool is_unchanged(struct getter *g, struct job *j)
{
    const struct xfer_copy_opts *o = g->w.c->o;
    uint8_t sum[DIGEST_LEN];
    struct stat sb;

    if (j->stream || ranges_is_piece(j) || (!o->no_clobber && o->update == XFER_UPDATE_ALL))
        return false;
    int fd = store_read_open(j->store, j->path, &sb);
    if (fd < 0)
        return false;
    bool same = o->no_clobber;
    if (o->update == XFER_UPDATE_TIMES)
        same = same || copy_same_times(j->size, j->mtime, (uint64_t)sb.st_size, sb.st_mtim);
    if (o->update == XFER_UPDATE_DIGEST && j->sum_known && (uint64_t)sb.st_size == j->size)
        same = same ||
               (copy_local_sum(g->w.c, fd, &sb, sum) == 0 && memcmp(sum, j->sum, DIGEST_LEN) == 0);
    close(fd);
    if (same)
        copy_report(g->w.c, j, XFER_UNCHANGED, 0, NULL);
    return same;
}

static int next(void *self, struct job **j)
{
    struct getter *g = self;

    do {
        bool room = g->w.n < ask_max(g) && g->w.n < g->window;
        *j = room ? worker_next(&g->w, g->w.n == 0) : NULL;
    } while (*j && is_unchanged(g, *j));
    return *j != NULL;
}

/* What had not arrived is asked for again; parts go on where they were, and ranges are for whoever
 * is free. */
static void recall(void *self)
{
    struct getter *g = self;
    struct job_list pieces;

    job_list_init(&pieces);
    for (; g->w.n; pop(g)) {
        struct asked *a = head(g);
        tally_unmoved(g->w.c->tally, a->moved);
        close_target(a, true);
        if (ranges_is_piece(a->job) && a->moved)
            ranges_broken(a->job);
        job_list_push(ranges_is_piece(a->job) ? &pieces : &g->w.redo, a->job);
    }
    job_queue_return(&g->w.c->queue, &pieces);
}

static const struct worker_ops get_ops = {next, begin, answer, recall};

void get_worker(struct copy *c, unsigned index)
{
    struct getter g = {.landings = landings_new(c)};

    (void)index;
    g.share = fair_share(c->o);
    g.window = c->o->jobs > 1 ? 1 : ASKED_MAX;
    worker_init(&g.w, c);
    int r = g.landings ? worker_run(&g.w, &get_ops, &g) : -ENOMEM;
    settle(&g);
    worker_end(&g.w, r);
    landings_free(g.landings);
}
