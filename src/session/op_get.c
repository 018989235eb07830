#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/body.h"
#include "session/conn.h"
#include "session/sums.h"

struct get {
    int fd;
    struct stat st;
    char etag[STORE_ETAG_MAX + 1];
    uint64_t offset, length;
    bool known;      /* whole is the whole file's digest */
    bool hash_whole; /* the running digest covers the file from its first byte */
    bool unhashed;   /* what is sent is not hashed: the client proves the whole by `whole` */
    uint8_t whole[DIGEST_LEN];
    time_t began;
};

/* Whether the bytes that the client has are the first of this file: hashes as many of ours. On
 * success the running digest stands at offset. */
static int check_prefix(struct conn *c, const struct wire_msg *req, struct get *g)
{
    uint8_t ours[DIGEST_LEN];

    c->alive_at = clock_now();
    int r = body_hash(&c->ch, g->fd, req->offset, c->digest, conn_alive, c);
    if (r < 0)
        return r;
    digest_peek(c->digest, ours);
    return memcmp(ours, req->prefix, DIGEST_LEN) ? -XFER_ECHANGED : 0;
}

/* Where to begin: at the offset asked, or at 0 when that would continue another file's bytes. */
static int settle_offset(struct conn *c, const struct wire_msg *req, struct get *g)
{
    bool same = (req->keys & WIRE_K_ETAG) && strcmp(req->etag, g->etag) == 0;

    g->length = req->keys & WIRE_K_LENGTH ? req->length : BODY_TO_END;
    g->offset = req->keys & WIRE_K_OFFSET ? req->offset : 0;
    if ((req->keys & WIRE_K_ETAG) && !same && !(req->keys & WIRE_K_PREFIX))
        g->offset = 0;
    if (g->offset > (uint64_t)g->st.st_size)
        g->offset = 0;
    if (g->offset && (req->keys & WIRE_K_PREFIX) && !(same && g->known)) {
        int r = check_prefix(c, req, g);
        if (r == -XFER_ECHANGED) {
            digest_reset(c->digest);
            g->offset = 0;
            r = 0;
        }
        if (r < 0)
            return r;
        g->hash_whole = g->length == BODY_TO_END;
        if (!g->hash_whole) /* a range has a digest of its own */
            digest_reset(c->digest);
    }
    g->hash_whole = g->hash_whole || g->offset == 0;
    g->unhashed = g->known && g->length == BODY_TO_END &&
                  (g->offset == 0 || (req->keys & WIRE_K_PREFIX) != 0);
    return 0;
}

static int open_source(struct conn *c, const struct wire_msg *req, const struct path *p,
                       struct get *g)
{
    g->fd = store_read_open(&c->srv->store, p->s, &g->st);
    if (g->fd < 0)
        return g->fd;
    g->began = time(NULL);
    store_etag(&g->st, g->etag);
    digest_reset(c->digest);
    g->known = sums_known(c->srv, g->fd, &g->st, g->whole);
    return settle_offset(c, req, g);
}

static int reply_head(struct conn *c, const struct wire_msg *req, const struct get *g)
{
    struct wire_msg m;

    m.verb = WIRE_REPLY;
    m.code = 200;
    m.keys = WIRE_K_SIZE | WIRE_K_MTIME | WIRE_K_MODE | WIRE_K_ETAG;
    m.size = (uint64_t)g->st.st_size;
    m.mtime = g->st.st_mtim;
    m.mode = g->st.st_mode & 0777;
    memcpy(m.etag, g->etag, sizeof g->etag);
    if (req->keys & WIRE_K_OFFSET) {
        m.keys |= WIRE_K_OFFSET;
        m.offset = g->offset;
    }
    if (g->known) {
        m.keys |= WIRE_K_WHOLE;
        memcpy(m.whole, g->whole, DIGEST_LEN);
    }
    return chan_send(&c->ch, &m);
}

static int reply_end(struct conn *c, const struct get *g, uint64_t sent, struct op_result *res)
{
    bool all = g->offset == 0 && (g->length == BODY_TO_END || sent == (uint64_t)g->st.st_size);
    uint8_t sum[DIGEST_LEN];
    struct wire_msg m;

    m.verb = WIRE_END;
    m.keys = WIRE_K_SIZE;
    m.size = sent;
    if (!digest_peek(c->digest, sum) && !g->unhashed) {
        res->err = -ENOMEM;
        return chan_refuse(&c->ch, true, -ENOMEM, NULL);
    }
    if (g->known || (g->hash_whole && g->length == BODY_TO_END)) {
        m.keys |= WIRE_K_WHOLE;
        memcpy(m.whole, g->known ? g->whole : sum, DIGEST_LEN);
    }
    if (all && g->known) {
        m.keys |= WIRE_K_SHA256;
        memcpy(m.sha256, g->whole, DIGEST_LEN);
    } else if (!g->unhashed && (g->offset == 0 || !g->hash_whole)) {
        m.keys |= WIRE_K_SHA256;
        memcpy(m.sha256, sum, DIGEST_LEN);
    }
    if (g->hash_whole && !g->known && all)
        sums_learn(c->srv, g->fd, &g->st, sum, g->began);
    return chan_send(&c->ch, &m);
}

static int send_body(struct conn *c, struct get *g, struct op_result *res)
{
    bool aborted;
    struct body_send b = {.fd = g->fd,
                          .before = &g->st,
                          .offset = g->offset,
                          .length = g->length,
                          .digest = g->unhashed ? NULL : c->digest};

    int r = body_send(&c->ch, &b, &aborted);
    res->bytes = b.sent;
    if (r == 0)
        return reply_end(c, g, b.sent, res);
    res->err = r;
    return aborted ? 0 : r;
}

int op_get(struct conn *c, const struct wire_msg *req, const struct path *p, struct op_result *res)
{
    struct get g = {.fd = -1};

    int r = open_source(c, req, p, &g);
    if (r < 0) {
        r = c->ch.s.err ? r : conn_refuse(c, res, r, NULL);
    } else {
        res->size = (uint64_t)g.st.st_size;
        res->offset = g.offset;
        res->resumed = g.offset > 0 && g.length == BODY_TO_END;
        r = reply_head(c, req, &g);
        if (r == 0)
            r = send_body(c, &g, res);
    }
    if (g.fd >= 0)
        close(g.fd);
    return r;
}
