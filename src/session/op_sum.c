#include "config.h"

#include <string.h>
#include <unistd.h>

#include "session/conn.h"

static int sum_reply(struct conn *c, const struct stat *sb, const uint8_t sum[DIGEST_LEN])
{
    struct wire_msg m;

    m.verb = WIRE_REPLY;
    m.code = 200;
    m.keys = WIRE_K_SIZE | WIRE_K_SHA256 | WIRE_K_ETAG;
    m.size = (uint64_t)sb->st_size;
    memcpy(m.sha256, sum, DIGEST_LEN);
    store_etag(sb, m.etag);
    return chan_send(&c->ch, &m);
}

int op_sum(struct conn *c, const struct wire_msg *req, const struct path *p, struct op_result *res)
{
    uint8_t sum[DIGEST_LEN];
    char etag[STORE_ETAG_MAX + 1];
    struct stat sb;

    int fd = store_read_open(&c->srv->store, p->s, &sb);
    if (fd < 0)
        return conn_refuse(c, res, fd, NULL);
    res->size = (uint64_t)sb.st_size;
    store_etag(&sb, etag);
    int r = (req->keys & WIRE_K_ETAG) && strcmp(etag, req->etag) != 0 ? -XFER_ECHANGED : 0;
    if (r == 0)
        r = conn_sum(c, fd, &sb, (req->keys & WIRE_K_FRESH) != 0, sum);
    if (c->ch.s.err)
        r = c->ch.s.err;
    else
        r = r < 0 ? conn_refuse(c, res, r, NULL) : sum_reply(c, &sb, sum);
    close(fd);
    return r;
}
