#include "config.h"

#include "session/tftp_transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"
#include "session/sums.h"
#include "session/tftp_server.h"

#define SUM_BUDGET (CLOCK_SEC / 10) /* that a digest may delay the first answer */
/* Of more, hashing while the client is busy takes less in all. */
#define SUM_FIRST_MAX (4 << 20)
#define SHOWN_OPTIONS 128

struct tftp_work {
    struct tftp_transfer *t;
    struct server *srv;
    struct tftp_pkt pkt;   /* points into the request */
    struct tftp_opts opts; /* as they are granted */
    char name[PATH_CLEAN_MAX + 1];
    struct path path;
    bool slash;
    bool asks_sum; /* nothing but the digest of a version is asked for */
    int64_t began;
    struct digest *digest;
    /* sending */
    int fd;
    struct stat st;
    char etag[STORE_ETAG_MAX + 1];
    struct tftp_source source;
    time_t wall;
    /* receiving */
    struct store_writer w;
    struct tftp_sink sink;
};

/* ---- sending ---- */

/* All has been read: a torn copy must not pass for a whole one. Whoever does not check digests gets
 * a file that grew as long as it was when it was opened. */
static int check_source(struct tftp_work *k)
{
    bool shrank = k->source.limit != UINT64_MAX && k->source.off < k->source.limit;
    uint8_t sum[DIGEST_LEN];
    struct stat now;

    if (shrank)
        return -XFER_ECHANGED;
    if (!(k->opts.have & TFTP_O_SHA256))
        return 0;
    if (fstat(k->fd, &now) < 0)
        return -errno;
    if (!store_same_version(&k->st, &now))
        return -XFER_ECHANGED;
    if (k->opts.sha_kind != TFTP_SHA_LATER)
        return 0;
    tftp_source_finish(&k->source);
    if (!digest_peek(k->digest, sum))
        return -ENOMEM;
    tftp_recent_add(k->t->ts, k->etag, sum);
    sums_learn(k->srv, k->fd, &k->st, sum, k->wall);
    return 0;
}

static long op_read(void *arg, uint8_t *out, size_t n)
{
    struct tftp_work *k = arg;
    long got = tftp_source_read(&k->source, out, n);

    if (got < 0 || (size_t)got == n)
        return got;
    int r = check_source(k);
    return r < 0 ? r : got;
}

static void source_idle(void *arg)
{
    struct tftp_work *k = arg;

    tftp_source_idle(&k->source);
}

static const struct tftp_ops source_ops = {.read = op_read, .idle = source_idle};

/* Answers sha256: the digest where it is known or quickly had, else the version to ask for. */
static int settle_sum(struct tftp_work *k)
{
    bool known = sums_known(k->srv, k->fd, &k->st, k->opts.sha256);
    bool other = k->asks_sum && strcmp(k->opts.etag, k->etag) != 0;

    if (k->asks_sum && !other && !known)
        known = tftp_recent_get(k->t->ts, k->etag, k->opts.sha256);
    if (!known && !other && (k->asks_sum || k->st.st_size <= SUM_FIRST_MAX)) {
        int r = sums_compute(k->srv, k->fd, &k->st, k->digest,
                             k->asks_sum ? k->srv->idle : SUM_BUDGET, k->opts.sha256);
        if (r < 0 && r != -XFER_ECHANGED)
            return r;
        known = r > 0;
    }
    digest_reset(k->digest);
    k->opts.sha_kind = known && !other ? TFTP_SHA_KNOWN : TFTP_SHA_LATER;
    memcpy(k->opts.etag, k->etag, sizeof k->opts.etag);
    return 0;
}

/*
 * A file of /proc says 0 and has bytes all the same; of an empty one curl takes a tsize of 0 for an
 * error. Neither is told its size.
 */
static int settle_size(struct tftp_work *k)
{
    bool hash = (k->opts.have & TFTP_O_SHA256) && k->opts.sha_kind == TFTP_SHA_LATER;
    uint64_t limit = k->st.st_size > 0 ? (uint64_t)k->st.st_size : UINT64_MAX;

    int r = tftp_source_init(&k->source, k->fd, limit, k->pkt.mode == TFTP_NETASCII,
                             hash ? k->digest : NULL);
    if (r < 0)
        return r;
    tftp_source_idle(&k->source);
    if (limit == UINT64_MAX)
        k->opts.have &= ~(unsigned)TFTP_O_TSIZE;
    k->opts.tsize = (uint64_t)k->st.st_size;
    return k->source.err;
}

static int open_source(struct tftp_work *k)
{
    if (k->slash)
        return -XFER_EISDIR;
    k->fd = store_read_open(&k->srv->store, k->path.s, &k->st);
    if (k->fd < 0)
        return k->fd;
    k->wall = time(NULL);
    store_etag(&k->st, k->etag);
    int r = k->opts.have & TFTP_O_SHA256 ? settle_sum(k) : 0;
    return r < 0 ? r : settle_size(k);
}

/* ---- receiving ---- */

static int op_write(void *arg, const uint8_t *p, size_t n)
{
    struct tftp_work *k = arg;
    bool counted = (k->opts.have & TFTP_O_TSIZE) && k->opts.tsize && k->pkt.mode == TFTP_OCTET;

    if (counted && n > k->opts.tsize - k->sink.bytes) {
        snprintf(k->t->drive.text, sizeof k->t->drive.text, "more than the tsize announced");
        return -XFER_ENOSPACE;
    }
    return tftp_sink_write(&k->sink, p, n);
}

static void sink_idle(void *arg)
{
    struct tftp_work *k = arg;

    tftp_sink_idle(&k->sink);
}

static bool discards(const struct tftp_work *k)
{
    return (k->opts.have & TFTP_O_DISCARD) != 0;
}

static int write_file(void *arg, const void *p, size_t n)
{
    struct tftp_work *k = arg;

    return discards(k) ? 0 : store_write(&k->w, p, n);
}

static int check_sink(struct tftp_work *k, uint8_t sum[DIGEST_LEN])
{
    bool counted = (k->opts.have & TFTP_O_TSIZE) && k->pkt.mode == TFTP_OCTET;

    int r = tftp_sink_finish(&k->sink);
    if (r < 0)
        return r;
    if (!digest_peek(k->digest, sum))
        return -ENOMEM;
    if ((k->opts.have & TFTP_O_SHA256) && memcmp(sum, k->opts.sha256, DIGEST_LEN) != 0) {
        snprintf(k->t->drive.text, sizeof k->t->drive.text, "%s: nothing was kept",
                 xfer_strerror(-XFER_EINTEGRITY));
        return -XFER_EINTEGRITY;
    }
    if (counted && k->sink.bytes < k->opts.tsize) {
        snprintf(k->t->drive.text, sizeof k->t->drive.text,
                 "shorter than the tsize announced: nothing was kept");
        return -XFER_EINTEGRITY;
    }
    return 0;
}

static int op_commit(void *arg)
{
    struct tftp_work *k = arg;
    uint8_t sum[DIGEST_LEN];
    struct store_commit_opts o = {.sync = k->srv->o->sync != XFER_SYNC_NONE,
                                  .remember_sha256 = sum};

    int r = check_sink(k, sum);
    if (r < 0 || discards(k))
        return r;
    r = store_write_finish(&k->w, &o);
    if (r < 0)
        return r;
    pthread_mutex_t *lock = server_target_lock(k->srv, &k->w);
    pthread_mutex_lock(lock);
    r = store_write_publish(&k->w, o.sync);
    pthread_mutex_unlock(lock);
    return r;
}

static const struct tftp_ops sink_ops = {.write = op_write, .commit = op_commit, .idle = sink_idle};

/* RFC 2349: what cannot fit is refused before it is sent. */
static int check_space(const struct tftp_work *k)
{
    struct statvfs vfs;

    if (!(k->opts.have & TFTP_O_TSIZE) || fstatvfs(k->w.fd, &vfs) < 0)
        return 0;
    return k->opts.tsize / (vfs.f_frsize ? vfs.f_frsize : 1) > vfs.f_bavail ? -XFER_ENOSPACE : 0;
}

static int open_file_there(struct tftp_work *k)
{
    bool fresh = k->srv->o->write == XFER_WRITE_NEW;
    struct store_write_opts o = {.replace = fresh ? STORE_NEW : STORE_REPLACE};

    if (k->srv->o->write == XFER_WRITE_NO)
        return -XFER_EREADONLY;
    if (k->slash)
        return -XFER_EISDIR;
    int r = store_write_open(&k->srv->store, k->path.s, &o, &k->w);
    return r < 0 ? r : check_space(k);
}

/* What is thrown away needs no permission and touches no file: it costs what a read costs. */
static int open_target(struct tftp_work *k)
{
    int r = discards(k) ? 0 : open_file_there(k);

    if (r == 0)
        r = tftp_sink_init(&k->sink, write_file, k, k->pkt.mode == TFTP_NETASCII, k->digest);
    return r;
}

/* ---- the request ---- */

char *tftp_name(const struct tftp_pkt *pkt, char *out, size_t cap)
{
    size_t n = pkt->file.n < cap - 1 ? pkt->file.n : cap - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = pkt->file.p[i] == '\\' ? '/' : pkt->file.p[i];
    out[n] = '\0';
    return out;
}

/* Names are netascii (RFC 1350, 5): control characters are no part of them. */
static int check_name(const struct tftp_pkt *pkt)
{
    if (pkt->file.n > PATH_CLEAN_MAX)
        return -XFER_ETOOLONG;
    for (size_t i = 0; i < pkt->file.n; i++)
        if ((unsigned char)pkt->file.p[i] < ' ' || pkt->file.p[i] == 0x7f)
            return -XFER_ENAME;
    return 0;
}

static int read_request(struct tftp_work *k)
{
    const struct tftp_pkt *p = &k->pkt;

    tftp_name(p, k->name, sizeof k->name);
    int r = check_name(p);
    if (r == 0)
        r = path_clean(k->name, strlen(k->name), &k->path, &k->slash);
    tftp_opts_request(p->options, p->op == TFTP_WRQ, p->mode == TFTP_NETASCII, &k->opts);
    k->asks_sum =
        p->op == TFTP_RRQ && (k->opts.have & TFTP_O_SHA256) && k->opts.sha_kind == TFTP_SHA_ETAG;
    return r;
}

static int open_file(struct tftp_work *k)
{
    k->digest = digest_new();
    if (!k->digest)
        return -ENOMEM;
    int r = read_request(k);
    if (r < 0)
        return r;
    return k->pkt.op == TFTP_RRQ ? open_source(k) : open_target(k);
}

static void put_oack(struct tftp_work *k)
{
    struct tftp_drive *d = &k->t->drive;
    size_t n = tftp_put_oack(d->control, sizeof d->control);

    d->control_len = tftp_opts_put(&k->opts, d->control, n, sizeof d->control);
}

static void init_drive(struct tftp_work *k)
{
    struct tftp_transfer *t = k->t;
    bool sender = k->pkt.op == TFTP_RRQ;

    k->opts.window = tftp_drive_window(&t->udp, sender, k->opts.blksize, k->opts.window);
    struct tftp_params p = {.sender = sender,
                            .oack = k->opts.have != 0,
                            .blksize = k->opts.blksize,
                            .window = k->opts.window,
                            .fixed_rto = (int64_t)k->opts.timeout * CLOCK_SEC,
                            .give_up = k->srv->idle,
                            .unheard = t->unheard};
    tftp_drive_init(&t->drive, &t->udp, &p, sender ? &source_ops : &sink_ops, k);
    t->drive.spin = true;
    t->drive.ending = &t->ts->ending;
    t->drive.asked_again = &t->asked_again;
    t->drive.crowd = &t->ts->active;
    t->drive.cores = t->ts->cores;
    put_oack(k);
}

/* A request that is refused gets its ERROR from a port of its own, as everything else would. */
static void refuse(struct tftp_transfer *t, int err)
{
    const struct err_row *row = err_row(err);
    uint8_t out[TFTP_HEADER + TFTP_TEXT_MAX + 1];
    size_t n = tftp_put_error(out, sizeof out, (enum tftp_error)row->tftp_code, row->text);

    udp_send(&t->udp, out, n);
}

/* ---- the log ---- */

static char *show_options(const struct tftp_work *k, char *out, size_t cap)
{
    const struct tftp_opts *o = &k->opts;
    size_t n = (size_t)snprintf(out, cap, "blksize=%u windowsize=%u", o->blksize, o->window);

    if (o->have & TFTP_O_TIMEOUT)
        n += (size_t)snprintf(out + n, cap - n, " timeout=%u", o->timeout);
    if (k->pkt.mode == TFTP_NETASCII)
        n += (size_t)snprintf(out + n, cap - n, " netascii");
    if (o->have & TFTP_O_SHA256)
        snprintf(out + n, cap - n, " sha256");
    return out;
}

/* Boot ROMs ask for tsize, and our own clients for a digest, and end the transfer then. */
static bool was_query(const struct tftp_work *k)
{
    const struct tftp_sm *sm = &k->t->drive.sm;

    return sm->reason == TFTP_R_PEER && sm->acked == 0 && sm->p.sender &&
           (k->asks_sum || (k->opts.have & TFTP_O_TSIZE));
}

/* As over TCP. */
static const char *verb_of(const struct tftp_work *k)
{
    if (k->pkt.op == TFTP_WRQ)
        return discards(k) ? "DISCARD" : "PUT";
    return k->asks_sum ? "SUM" : "GET";
}

static void log_transfer(const struct tftp_work *k, int err)
{
    const struct tftp_drive *d = &k->t->drive;
    char peer[ADDR_SHOW_MAX], options[SHOWN_OPTIONS];
    bool write = k->pkt.op == TFTP_WRQ;

    if (was_query(k))
        err = 0;
    struct xfer_request r = {.peer = addr_show(&k->t->peer, peer),
                             .transport = "udp",
                             .options = show_options(k, options, sizeof options),
                             .verb = verb_of(k),
                             .path = k->name,
                             .bytes = d->arrived,
                             .size = write ? k->sink.bytes : (uint64_t)k->st.st_size,
                             .resent = d->sm.counts.resent,
                             .timeouts = d->sm.counts.timeouts,
                             .seconds = clock_seconds_since(k->began),
                             .err = err,
                             .text = err && d->text[0] ? d->text : NULL,
                             .incoming = write};
    server_log(k->srv, &r);
}

void tftp_log_refused(struct server *srv, const struct addr *peer, const struct tftp_pkt *pkt,
                      int err, const char *text)
{
    char shown[ADDR_SHOW_MAX], name[PATH_CLEAN_MAX + 1] = "";
    struct xfer_request r = {.peer = addr_show(peer, shown),
                             .transport = "udp",
                             .verb = "-",
                             .path = name,
                             .err = err,
                             .text = text};

    if (pkt) {
        tftp_name(pkt, name, sizeof name);
        r.verb = pkt->op == TFTP_WRQ ? "PUT" : "GET";
        r.incoming = pkt->op == TFTP_WRQ;
    }
    server_log(srv, &r);
}

/* ---- the thread ---- */

/* What the transfer held; the log line comes after it, so that it is true of the files, too. */
static void let_go(struct tftp_work *k)
{
    if (k->fd >= 0)
        close(k->fd);
    store_write_abort(&k->w, false);
    tftp_source_free(&k->source);
    tftp_sink_free(&k->sink);
    digest_free(k->digest);
    tftp_drive_free(&k->t->drive);
}

static int run(struct tftp_work *k)
{
    struct tftp_transfer *t = k->t;
    int opened = open_file(k);

    int r = udp_open_server(&t->udp, &t->local, &t->peer, &t->ts->ports);
    if (r < 0) {
        snprintf(t->drive.text, sizeof t->drive.text,
                 "peer is busy: no port for a transfer, try again later");
        tftp_server_turn_away(t->ts, t->listener, &t->local, &t->peer, t->drive.text);
        return -XFER_EBUSY;
    }
    if (opened < 0) {
        refuse(t, opened);
        return opened;
    }
    init_drive(k);
    return tftp_drive_run(&t->drive);
}

bool tftp_transfer_run(struct tftp_transfer *t)
{
    struct tftp_work *k = calloc(1, sizeof *k);

    t->udp = (struct udp){.fd = -1, .companion = -1};
    if (!k) {
        server_note(t->ts->srv, "no memory for a transfer");
        return false;
    }
    k->t = t;
    k->srv = t->ts->srv;
    k->began = clock_now();
    k->fd = -1;
    k->w = (struct store_writer){.fd = -1, .dir_fd = -1};
    tftp_decode(t->request, t->n, &k->pkt);
    int r = run(k);
    let_go(k);
    log_transfer(k, r);
    free(k);
    bool lingers = t->drive.sm.state == TFTP_S_LINGER;
    if (!lingers)
        udp_close(&t->udp);
    return lingers;
}
