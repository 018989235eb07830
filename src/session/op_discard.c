#include "config.h"

#include <string.h>

#include "session/body.h"
#include "session/conn.h"

static int drop(void *arg, const void *p, size_t n)
{
    (void)arg;
    (void)p;
    (void)n;
    return 0;
}

static int reply(struct conn *c, const struct op_result *res, const uint8_t sum[DIGEST_LEN])
{
    struct wire_msg m;

    m.verb = WIRE_REPLY;
    m.code = 200;
    m.keys = WIRE_K_SIZE | WIRE_K_SHA256;
    m.size = res->bytes;
    memcpy(m.sha256, sum, DIGEST_LEN);
    return chan_send(&c->ch, &m);
}

/* The path is for the log alone: no file is looked at, so that nothing can be learned of one. */
int op_discard(struct conn *c, const struct wire_msg *req, const struct path *p,
               struct op_result *res)
{
    struct body_recv b = {.write = drop, .digest = c->digest};
    uint8_t sum[DIGEST_LEN];
    struct wire_msg end;

    (void)req;
    (void)p;
    digest_reset(c->digest);
    int r = body_recv(&c->ch, &b, &end);
    res->bytes = res->size = b.received;
    if (r == -XFER_EPROTO && !b.text[0] && !c->ch.s.err)
        c->ch.s.err = r;
    if (c->ch.s.err)
        return c->ch.s.err;
    if (r == 0)
        r = body_check_end(&end, c->digest, b.received, sum);
    return r < 0 ? conn_refuse(c, res, r, NULL) : reply(c, res, sum);
}
