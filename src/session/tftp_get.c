#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"
#include "session/stop.h"
#include "session/tftp_client.h"
#include "session/tftp_file.h"

#define NOTHING                                                                                    \
    (struct udp)                                                                                   \
    {                                                                                              \
        .fd = -1, .companion = -1                                                                  \
    }

/* One attempt at one file. */
struct fetch {
    struct tftp_exchange x;
    struct job *j;
    struct store_writer w;
    struct tftp_sink sink;
    struct digest *digest;
    uint8_t sum[DIGEST_LEN];
    bool verified;
    uint64_t streamed;    /* standard output: where this attempt is */
    struct digest *again; /* of what an earlier attempt has written there already */
};

/* ---- where the bytes go ---- */

static int write_stdout(const struct fetch *f, const uint8_t *p, size_t n)
{
    while (n) {
        struct pollfd w[2] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                              {.fd = stop_fd(f->x.peer->copy->o->net.stop), .events = POLLIN}};
        if (poll(w, 2, -1) > 0 && w[1].revents)
            return -XFER_ECANCELED;
        ssize_t k = write(STDOUT_FILENO, p, n);
        if (k < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return 0;
}

/* What an earlier attempt has written cannot be taken back: it must be the same again. */
static int skip_written(struct fetch *f, const uint8_t *p, size_t n)
{
    uint8_t before[DIGEST_LEN], now[DIGEST_LEN];
    const struct job *j = f->j;

    digest_update(f->again, p, n);
    f->streamed += n;
    if (f->streamed < j->out_bytes)
        return 0;
    if (!digest_peek(j->out_digest, before) || !digest_peek(f->again, now))
        return -ENOMEM;
    return memcmp(before, now, DIGEST_LEN) ? -XFER_EINTEGRITY : 0;
}

static int to_stream(void *arg, const void *bytes, size_t n)
{
    struct fetch *f = arg;
    const uint8_t *p = bytes;

    if (f->streamed < f->j->out_bytes) {
        uint64_t left = f->j->out_bytes - f->streamed;
        size_t k = n < left ? n : (size_t)left;
        int r = skip_written(f, p, k);
        if (r < 0)
            return r;
        p += k;
        n -= k;
    }
    int r = write_stdout(f, p, n);
    if (r == 0) {
        digest_update(f->j->out_digest, p, n);
        f->j->out_bytes += n;
        f->streamed += n;
    }
    return r;
}

static int to_file(void *arg, const void *p, size_t n)
{
    struct fetch *f = arg;

    return f->x.peer->copy->o->discard ? 0 : dest_error(store_write(&f->w, p, n));
}

static int open_target(struct fetch *f)
{
    const struct xfer_copy_opts *o = f->x.peer->copy->o;
    struct job *j = f->j;
    struct store_write_opts wo = {.replace = o->no_clobber ? STORE_NEW : STORE_REPLACE,
                                  .mkpath = o->mkpath};

    if (o->discard)
        return 0;
    if (!j->stream)
        return dest_error(store_write_open(j->store, j->path, &wo, &f->w));
    if (!j->out_digest)
        j->out_digest = digest_new();
    f->again = digest_new();
    return j->out_digest && f->again ? 0 : -ENOMEM;
}

/* ---- the exchange ---- */

static int op_agreed(void *arg, const struct tftp_opts *got)
{
    struct fetch *f = arg;

    if (got->have & TFTP_O_TSIZE)
        tally_expect(f->x.peer->copy->tally, 0, got->tsize);
    return tftp_exchange_agreed(&f->x, got);
}

static int op_write(void *arg, const uint8_t *p, size_t n)
{
    struct fetch *f = arg;

    int r = tftp_exchange_agreed(&f->x, NULL);
    return r < 0 ? r : tftp_sink_write(&f->sink, p, n);
}

static int op_moved(void *arg, uint64_t n)
{
    struct fetch *f = arg;

    return tftp_exchange_moved(&f->x, n);
}

static void op_idle(void *arg)
{
    struct fetch *f = arg;

    tftp_sink_idle(&f->sink);
}

static int check_size(struct fetch *f)
{
    const struct tftp_opts *got = &f->x.got;
    char *text = f->x.drive.text;

    if (!(got->have & TFTP_O_TSIZE) || f->sink.bytes == got->tsize)
        return 0;
    snprintf(text, TFTP_TEXT_MAX, "%llu bytes came, of %llu announced",
             (unsigned long long)f->sink.bytes, (unsigned long long)got->tsize);
    return -XFER_EINTEGRITY;
}

/* Whether the bytes stay here, in a file. */
static bool keeps(const struct fetch *f)
{
    return !f->j->stream && !f->x.peer->copy->o->discard;
}

static int publish(struct fetch *f)
{
    return !keeps(f)
               ? 0
               : dest_error(store_write_publish(&f->w, f->x.peer->copy->o->sync != XFER_SYNC_NONE));
}

/* All has come. What can be checked now is checked before the last ACK; a digest that the server
 * did not know beforehand is asked for after it. */
static int op_commit(void *arg)
{
    struct fetch *f = arg;
    const struct tftp_opts *got = &f->x.got;
    bool known = (got->have & TFTP_O_SHA256) && got->sha_kind == TFTP_SHA_KNOWN;
    bool later = (got->have & TFTP_O_SHA256) && !known;
    struct store_commit_opts co = {.sync = f->x.peer->copy->o->sync != XFER_SYNC_NONE,
                                   .remember_sha256 = f->sum};

    int r = tftp_sink_finish(&f->sink);
    if (r == 0 && !digest_peek(f->digest, f->sum))
        r = -ENOMEM;
    if (r == 0)
        r = check_size(f);
    if (r == 0 && f->j->stream && f->streamed < f->j->out_bytes)
        r = -XFER_EINTEGRITY; /* an earlier attempt has written more than there is now */
    if (r == 0 && known && memcmp(f->sum, got->sha256, DIGEST_LEN) != 0)
        r = -XFER_EINTEGRITY;
    f->verified = r == 0 && known;
    if (r == 0 && keeps(f))
        r = dest_error(store_write_finish(&f->w, &co));
    return r < 0 || later ? r : publish(f);
}

static const struct tftp_ops fetch_ops = {.write = op_write,
                                          .commit = op_commit,
                                          .agreed = op_agreed,
                                          .idle = op_idle,
                                          .moved = op_moved};

/* The server has not told the digest that it promised. If it is lost it is all to be done again; if
 * it cannot tell, that is said. */
static int go_without(struct fetch *f, int why)
{
    bool required = f->x.peer->copy->o->require_verified;
    char *text = f->x.drive.text;

    snprintf(text, TFTP_TEXT_MAX, "the digest that the server promised did not come%s%s",
             why < 0 ? ": " : "", why < 0 ? xfer_strerror(why) : "");
    if (err_is_transient(why) || xfer_exit_status(why) == 3)
        return why;
    if (required)
        return -XFER_EUNVERIFIED;
    tally_warn(f->x.peer->copy->tally, 0, "%s: %s", f->j->name, text);
    return publish(f);
}

/* The digest that was promised for after the transfer. */
static int verify_later(struct fetch *f)
{
    const struct tftp_peer *p = f->x.peer;
    uint8_t theirs[DIGEST_LEN];

    int r = tftp_ask_digest(p, f->x.name, f->x.got.etag, theirs);
    if (r == -XFER_ECANCELED || r == -XFER_EDEADLINE || r == -XFER_ECHANGED)
        return r;
    if (r != 1)
        return go_without(f, r);
    f->verified = memcmp(theirs, f->sum, DIGEST_LEN) == 0;
    return f->verified ? publish(f) : -XFER_EINTEGRITY;
}

static int run(struct fetch *f)
{
    int r = open_target(f);

    if (r == 0)
        r = tftp_sink_init(&f->sink, f->j->stream ? to_stream : to_file, f, f->x.netascii,
                           f->digest);
    if (r == 0)
        r = tftp_exchange_open(&f->x, &fetch_ops, f);
    if (r == 0)
        r = tftp_exchange_run(&f->x);
    bool later = (f->x.got.have & TFTP_O_SHA256) && f->x.got.sha_kind == TFTP_SHA_LATER;
    return r == 0 && later ? verify_later(f) : r;
}

/* 1: done with, and told; 0: to be tried again; negative: why not. */
static int fetch_once(struct tftp_peer *p, struct job *j, const char *name, bool netascii,
                      struct tftp_tries *tries, char *text)
{
    struct fetch f = {
        .j = j,
        .x = {.peer = p, .name = name, .netascii = netascii, .plain = tries->plain, .udp = NOTHING},
        .w = {.fd = -1, .dir_fd = -1},
        .digest = digest_new()};

    tftp_opts_init(&f.x.asked);
    f.x.asked.have = TFTP_O_SHA256 | (netascii ? 0 : TFTP_O_TSIZE);
    f.x.asked.sha_kind = TFTP_SHA_ASK;
    int r = f.digest ? run(&f) : -ENOMEM;
    if (r == 0) {
        tftp_report(&f.x, j, f.sink.bytes, f.verified, f.sum);
        tftp_drive_linger_out(&f.x.drive);
        r = 1;
    } else {
        snprintf(text, TFTP_TEXT_MAX + 1, "%s", f.x.drive.text);
        tftp_exchange_unmoved(&f.x);
    }
    tftp_exchange_close(&f.x);
    store_write_abort(&f.w, false);
    tftp_sink_free(&f.sink);
    digest_free(f.digest);
    digest_free(f.again);
    return r == 1 ? 1 : tftp_again(p, tries, r, &f.x);
}

/* ---- files ---- */

static void get_file(struct tftp_peer *p, struct job *j, const struct remote *remote)
{
    struct copy *c = p->copy;
    char name[TFTP_NAME_MAX], text[TFTP_TEXT_MAX + 1] = "";
    struct tftp_tries tries = {0};
    struct stat sb;
    int r = 0;

    tally_expect(c->tally, 1, 0);
    if (c->o->no_clobber && !j->stream && store_stat(j->store, j->path, true, &sb) == 0) {
        copy_report(c, j, XFER_UNCHANGED, 0, NULL);
        return;
    }
    if (c->o->dry_run) {
        copy_report(c, j, XFER_WOULD, 0, NULL);
        return;
    }
    j->began = clock_now();
    tftp_remote_name(remote, remote->path.s, name);
    while (r == 0)
        r = fetch_once(p, j, name, remote->netascii, &tries, text);
    if (r < 0)
        copy_report(c, j, XFER_FAILED, r, text[0] ? text : NULL);
}

static struct job *new_job(struct dest *d, const struct remote *remote)
{
    char local[PATH_CLEAN_MAX * 2 + 2];
    const char *base = path_base(remote->path.s);
    const char *target = d->into || d->stream ? base : d->name;
    struct job *j =
        job_new(target, remote->path.s, base, dest_show(d, target, local, sizeof local));

    if (j) {
        j->store = &d->store;
        j->stream = d->stream;
    }
    return j;
}

static void get_one(struct tftp_peer *p, struct dest *d, struct seen *names,
                    const struct remote *remote, int unreachable)
{
    struct job *j = new_job(d, remote);
    int fresh = j && !d->stream ? seen_add(names, seen_key(j->path, strlen(j->path))) : 1;

    if (!j || fresh < 0) {
        job_free(j);
        tally_fail(p->copy->tally, remote->path.s, -ENOMEM, NULL);
    } else if (remote->dir_slash || remote->path.len == 0) {
        copy_report(p->copy, j, XFER_FAILED, -XFER_EISDIR,
                    "is a directory, and TFTP has files only");
    } else if (fresh == 0) {
        copy_report(p->copy, j, XFER_FAILED, -XFER_ECOLLISION, NULL);
    } else if (unreachable) {
        copy_report(p->copy, j, XFER_FAILED, unreachable, NULL);
    } else {
        get_file(p, j, remote);
    }
}

void tftp_get(const struct xfer_copy_opts *o, struct tally *t, struct dest *d, struct seen *names,
              const struct remote *remotes, size_t n, int64_t deadline)
{
    struct tftp_peer peer;
    struct copy c;

    copy_init(&c, o, t, &remotes[0], deadline);
    int r = tftp_peer_init(&peer, &c);
    for (size_t i = 0; i < n; i++) {
        if (xfer_stop_is_raised(o->net.stop))
            r = -XFER_ECANCELED;
        get_one(&peer, d, names, &remotes[i], r);
    }
    copy_destroy(&c);
}
