#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/batch.h"
#include "session/body.h"

/* One PUT on its way in. */
struct put {
    struct landing l;
    struct claim claim;
    bool claimed;
    uint64_t kept; /* bytes of a part that stay */
};

/* if=sha256: whether it holds for what stands under the name now. */
static int check_condition(struct conn *c, const struct wire_msg *req, const struct path *p)
{
    uint8_t sum[DIGEST_LEN];
    struct stat sb;

    if (!(req->keys & WIRE_K_IF) || req->if_kind != WIRE_IF_SHA256)
        return 0;
    int fd = store_read_open(&c->srv->store, p->s, &sb);
    if (fd < 0)
        return -XFER_ECONFLICT;
    int r = conn_sum(c, fd, &sb, false, sum);
    if (r == 0 && memcmp(sum, req->if_sha256, DIGEST_LEN) != 0)
        r = -XFER_ECONFLICT;
    close(fd);
    return r;
}

/* Whether the client would send a file to itself. */
static bool is_source(const struct wire_msg *req, const struct stat *target)
{
    char etag[STORE_ETAG_MAX + 1];

    if (!(req->keys & WIRE_K_ETAG) || !target->st_mode)
        return false;
    store_etag(target, etag);
    return strcmp(etag, req->etag) == 0;
}

static int open_target(struct conn *c, const struct wire_msg *req, const struct path *p,
                       struct put *u)
{
    bool absent = (req->keys & WIRE_K_IF) && req->if_kind == WIRE_IF_ABSENT;
    struct store_write_opts o = {
        .replace = absent || c->srv->o->write == XFER_WRITE_NEW ? STORE_NEW : STORE_REPLACE,
        .mkpath = (req->keys & WIRE_K_MKPATH) != 0};

    int r = check_condition(c, req, p);
    if (r == 0 && (req->keys & WIRE_K_RESUME)) {
        o.resume_id = req->resume;
        u->claim = (struct claim){.path = *p, .fd = c->ch.s.fd};
        memcpy(u->claim.id, req->resume, sizeof u->claim.id);
        r = claim_take(&c->srv->claims, &u->claim);
        u->claimed = r == 0;
    }
    if (r < 0)
        return r;
    r = store_write_open(&c->srv->store, p->s, &o, &u->l.w);
    if ((r == -EMFILE || r == -ENFILE) && c->batch) { /* the batch holds descriptors */
        batch_close(c);
        r = store_write_open(&c->srv->store, p->s, &o, &u->l.w);
    }
    return r == 0 && is_source(req, &u->l.w.target) ? -XFER_ESAMEFILE : r;
}

/* Offers what a part holds and hears from where the client goes on. */
static int settle_resume(struct conn *c, struct put *u)
{
    struct store_writer *w = &u->l.w;
    struct wire_msg m;

    c->alive_at = clock_now();
    int r = body_hash(&c->ch, w->fd, w->offset, c->digest, conn_alive, c);
    if (r < 0 && !c->ch.s.err) { /* a part that cannot be read is worth nothing */
        digest_reset(c->digest);
        r = store_write_restart(w);
    }
    if (r < 0)
        return r;
    m.verb = WIRE_REPLY;
    m.code = 100;
    m.keys = WIRE_K_OFFSET | WIRE_K_SHA256;
    m.offset = w->offset;
    digest_peek(c->digest, m.sha256);
    r = chan_send(&c->ch, &m);
    if (r == 0)
        r = stream_flush(&c->ch.s);
    do { /* DATA 0: the client is hashing its own prefix */
        if (r == 0)
            r = chan_expect(&c->ch, &m);
        if (r < 0)
            return r;
        r = 0;
    } while (m.verb == WIRE_DATA && m.length == 0);
    if (m.verb == WIRE_ABORT)
        return m.error;
    if (m.verb != WIRE_FROM || (m.offset != 0 && m.offset != w->offset)) {
        c->ch.s.err = -XFER_EPROTO;
        return -XFER_EPROTO;
    }
    if (m.offset == 0) {
        digest_reset(c->digest);
        return store_write_restart(w);
    }
    u->kept = w->offset;
    return 0;
}

static int write_target(void *arg, const void *p, size_t n)
{
    return store_write(arg, p, n);
}

/* Ends a PUT that failed. The part stays where the same bytes can be sent on later. */
static int give_up(struct conn *c, struct put *u, struct op_result *res, int err, bool keep)
{
    store_write_abort(&u->l.w, keep && u->l.w.part);
    res->err = err;
    return c->ch.s.err ? c->ch.s.err : conn_refuse(c, res, err, NULL);
}

static bool keeps_part(const struct conn *c, int err)
{
    return c->ch.s.err || err == -XFER_ECANCELED || err == -XFER_EDEADLINE;
}

/* What the client asks for can only be more than what the server does anyway. */
static enum xfer_sync sync_policy(const struct conn *c, const struct wire_msg *req)
{
    enum xfer_sync own = c->srv->o->sync;

    if (!(req->keys & WIRE_K_SYNC) || req->sync == WIRE_SYNC_NONE || own == XFER_SYNC_FILE)
        return own;
    return req->sync == WIRE_SYNC_FILE ? XFER_SYNC_FILE : XFER_SYNC_BATCH;
}

/* Everything has arrived and is what the client sent: the file gets its name. */
static int land(struct conn *c, const struct wire_msg *req, struct put *u, struct op_result *res)
{
    struct landing *l = &u->l;
    struct store_commit_opts o = {.set_mode = (req->keys & WIRE_K_MODE) != 0,
                                  .mode = req->mode & 0777,
                                  .set_mtime = (req->keys & WIRE_K_MTIME) != 0,
                                  .mtime = req->mtime,
                                  .remember_sha256 = l->sha256};
    enum xfer_sync sync = sync_policy(c, req);

    int r = store_write_finish(&l->w, &o);
    if (r < 0)
        return give_up(c, u, res, r, false);
    if (sync == XFER_SYNC_BATCH && (l->path = strndup(req->path, req->path_len)) != NULL &&
        batch_add(c, l) == 0) {
        res->logged = true;
        return 0;
    }
    free(l->path);
    if (c->batch)
        batch_close(c);
    landing_publish(c, l, 1, sync != XFER_SYNC_NONE, &res->err);
    return landing_reply(c, l, res->err);
}

static int receive(struct conn *c, const struct wire_msg *req, struct put *u, struct op_result *res)
{
    struct body_recv b = {.write = write_target, .write_arg = &u->l.w, .digest = c->digest};
    struct wire_msg end;

    int r = body_recv(&c->ch, &b, &end);
    u->l.bytes = b.received;
    u->l.size = u->l.w.offset;
    res->bytes = b.received;
    res->size = u->l.w.offset;
    if (r < 0 && b.local) {
        r = give_up(c, u, res, r, false);
        if (r == 0)
            r = stream_flush(&c->ch.s);
        return r < 0 ? r : body_discard(&c->ch, UINT64_MAX);
    }
    if (r < 0 && !c->ch.s.err && r == -XFER_EPROTO && !b.text[0])
        c->ch.s.err = r;
    if (r < 0)
        return give_up(c, u, res, r, keeps_part(c, r));
    r = body_check_end(&end, c->digest, u->l.w.offset, u->l.sha256);
    return r < 0 ? give_up(c, u, res, r, false) : land(c, req, u, res);
}

int op_put(struct conn *c, const struct wire_msg *req, const struct path *p, struct op_result *res)
{
    struct put u = {.l = {.w = {.dir_fd = -1, .fd = -1}, .began = clock_now()}};
    bool resume = (req->keys & WIRE_K_RESUME) != 0;

    digest_reset(c->digest);
    if ((req->keys & WIRE_K_IF) && req->if_kind == WIRE_IF_SHA256) {
        u.l.if_kind = WIRE_IF_SHA256;
        memcpy(u.l.if_sha256, req->if_sha256, DIGEST_LEN);
    }
    int r = open_target(c, req, p, &u);
    digest_reset(c->digest);
    bool refused = r < 0;
    if (refused) {
        r = give_up(c, &u, res, r, true);
        if (r == 0 && !resume)
            r = stream_flush(&c->ch.s);
        if (r == 0 && !resume)
            r = body_discard(&c->ch, UINT64_MAX);
    } else if (resume && (r = settle_resume(c, &u)) < 0) {
        r = give_up(c, &u, res, r, keeps_part(c, r));
    } else {
        u.l.offset = res->offset = u.kept;
        u.l.resumed = res->resumed = u.kept > 0;
        r = receive(c, req, &u, res);
    }
    if (u.claimed)
        claim_drop(&c->srv->claims, &u.claim);
    return r;
}
