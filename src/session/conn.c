#include "config.h"

#include "session/conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/clock.h"
#include "session/batch.h"
#include "session/body.h"
#include "session/sums.h"

#define LINE_TIME (10 * CLOCK_SEC) /* for the hello, and for a request line from its first byte */
#define MIN_RATE 256               /* bytes a second */
#define LINGER_TIME (2 * CLOCK_SEC)
#define LINGER_BYTES (1024 * 1024)

static const struct op {
    enum wire_verb verb;
    bool writes;
    op_run run;
} ops[] = {
    {WIRE_GET, false, op_get}, {WIRE_PUT, true, op_put},     {WIRE_LIST, false, op_list},
    {WIRE_SUM, false, op_sum}, {WIRE_MKDIR, true, op_mkdir}, {WIRE_DISCARD, false, op_discard},
};

static const struct op *find_op(enum wire_verb verb)
{
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (ops[i].verb == verb)
            return &ops[i];
    return NULL;
}

int conn_refuse(struct conn *c, struct op_result *res, int err, const char *text)
{
    res->err = err;
    snprintf(res->text, sizeof res->text, "%s", text ? text : "");
    if (c->batch)
        batch_close(c); /* replies come in the order of the requests */
    return chan_refuse(&c->ch, false, err, text);
}

int conn_alive(void *arg, uint64_t n)
{
    struct conn *c = arg;
    int64_t now = clock_now();

    (void)n;
    if (now - c->alive_at < CHAN_KEEPALIVE)
        return 0;
    c->alive_at = now;
    int r = chan_reply(&c->ch, 102);
    return r < 0 ? r : stream_flush(&c->ch.s);
}

int conn_sum(struct conn *c, int fd, const struct stat *sb, bool fresh, uint8_t out[DIGEST_LEN])
{
    struct stat now;
    time_t began = time(NULL);

    if (!fresh && sums_known(c->srv, fd, sb, out))
        return 0;
    digest_reset(c->digest);
    c->alive_at = clock_now();
    int r = body_hash(&c->ch, fd, BODY_TO_END, c->digest, conn_alive, c);
    if (r < 0)
        return r;
    if (fstat(fd, &now) < 0)
        return -errno;
    if (!store_same_version(sb, &now))
        return -XFER_ECHANGED;
    if (!digest_peek(c->digest, out))
        return -ENOMEM;
    sums_learn(c->srv, fd, sb, out, began);
    return 0;
}

static bool has_body(const struct wire_msg *req)
{
    return req->verb == WIRE_PUT || req->verb == WIRE_DISCARD;
}

/* The options of a request, for its log line. */
static const char *show_options(const struct wire_msg *m, char *out, size_t cap)
{
    static const struct {
        uint32_t key;
        const char *text;
    } flags[] = {{WIRE_K_RESUME, "resume "},       {WIRE_K_MKPATH, "mkpath "},
                 {WIRE_K_RECURSIVE, "recursive "}, {WIRE_K_SELF, "self "},
                 {WIRE_K_SUMS, "sums "},           {WIRE_K_FRESH, "fresh "},
                 {WIRE_K_PREFIX, "prefix "}};
    static const char *const syncs[] = {"sync=none ", "sync=file ", "sync=batch "};
    struct wbuf w = wbuf_init(out, cap - 1);

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (m->keys & flags[i].key)
            wbuf_str(&w, flags[i].text);
    if (m->keys & WIRE_K_IF)
        wbuf_str(&w, m->if_kind == WIRE_IF_ABSENT ? "if=absent " : "if=sha256 ");
    if (m->keys & WIRE_K_SYNC)
        wbuf_str(&w, syncs[m->sync]);
    if (m->keys & WIRE_K_LENGTH) {
        wbuf_str(&w, "length=");
        wbuf_u64(&w, m->length);
        wbuf_ch(&w, ' ');
    }
    out[w.len ? w.len - 1 : 0] = '\0'; /* the last space */
    return w.len ? out : NULL;
}

static void log_result(struct conn *c, const struct wire_msg *req, const struct op_result *res,
                       int64_t began)
{
    struct tcp_facts tcp;
    char options[160];

    if (res->logged)
        return;
    tcp_facts(c->ch.s.fd, &tcp);
    struct xfer_request r = {.peer = c->peer,
                             .transport = "tcp",
                             .options = show_options(req, options, sizeof options),
                             .verb = wire_verb_name(req->verb),
                             .path = req->path,
                             .offset = res->offset,
                             .bytes = res->bytes,
                             .size = res->size,
                             .resent = tcp.retransmits - c->resent,
                             .seconds = clock_seconds_since(began),
                             .err = res->err,
                             .text = res->text[0] ? res->text : NULL,
                             .incoming = has_body(req),
                             .resumed = res->resumed};
    c->resent = tcp.retransmits;
    server_log(c->srv, &r);
}

/* A request that is refused before its own code runs. Its body is on its way all the same. */
static int refuse_request(struct conn *c, const struct wire_msg *req, struct op_result *res,
                          int err)
{
    int r = conn_refuse(c, res, err, NULL);
    if (r == 0 && has_body(req) && !(req->verb == WIRE_PUT && req->keys & WIRE_K_RESUME)) {
        r = stream_flush(&c->ch.s);
        if (r == 0)
            r = body_discard(&c->ch, UINT64_MAX);
    }
    return r;
}

/* The one place that asks for permission. */
static int permitted(const struct conn *c, const struct op *op)
{
    return op->writes && c->srv->o->write == XFER_WRITE_NO ? -XFER_EREADONLY : 0;
}

static int run_request(struct conn *c, const struct wire_msg *req)
{
    struct op_result res = {0};
    struct path path;
    bool slash;
    int64_t began = clock_now();
    const struct op *op = find_op(req->verb);

    if (!op && req->verb != WIRE_UNKNOWN && req->verb != WIRE_HELLO)
        return 0; /* what is left of a request that was refused */
    if (c->batch && (req->verb != WIRE_PUT || (req->keys & WIRE_K_RESUME)))
        batch_close(c); /* what it answers at once must not overtake what waits */
    stream_min_rate(&c->ch.s, c->min_rate);
    int err = op ? permitted(c, op) : -XFER_EUNKNOWN;
    if (err == 0)
        err = path_clean(req->path, req->path_len, &path, &slash);
    if (err == 0 && req->verb == WIRE_PUT && slash)
        err = -XFER_EISDIR;
    int r = err ? refuse_request(c, req, &res, err) : op->run(c, req, &path, &res);
    if (r < 0 && res.err == 0)
        res.err = r;
    stream_min_rate(&c->ch.s, 0);
    log_result(c, req, &res, began);
    return r;
}

/* Waits for a request. Silence before one is idle time; a line that has begun must come to its end,
 * or a byte a minute would hold the connection for ever. */
static int wait_request(struct conn *c, struct wire_msg *m)
{
    struct stream *s = &c->ch.s;
    int r = stream_has_input(s) ? 1 : stream_fill(s);

    if (r <= 0)
        return r;
    if (s->deadline == CLOCK_NEVER)
        s->deadline = clock_now() + LINE_TIME;
    r = chan_recv(&c->ch, m);
    s->deadline = CLOCK_NEVER;
    return r;
}

/* The next request; everything that is owed goes out before this waits. 1, 0 at the end, negative.
 */
static int next_request(struct conn *c, struct wire_msg *m)
{
    int r = chan_try_recv(&c->ch, m);

    if (r == 0) {
        if (c->batch)
            batch_close(c);
        r = stream_flush(&c->ch.s);
        c->ch.s.stop_fd =
            c->srv->stop_fd; /* only a connection at rest ends when the server stops */
        if (r == 0)
            r = wait_request(c, m);
        c->ch.s.stop_fd = -1;
    }
    return r;
}

static int hello(struct conn *c)
{
    struct wire_msg m;

    c->ch.s.deadline = clock_now() + LINE_TIME;
    int r = next_request(c, &m);
    c->ch.s.deadline = CLOCK_NEVER;
    if (r <= 0)
        return r;
    if (m.verb != WIRE_HELLO)
        return -XFER_EPROTO;
    c->min_rate = m.keys & WIRE_K_RATE ? 0 : MIN_RATE;
    c->ch.checks = c->ch.checked;
    m.keys = 0;
    m.version = WIRE_VERSION;
    r = chan_send(&c->ch, &m);
    return r < 0 ? r : 1;
}

static int serve_requests(struct conn *c)
{
    struct wire_msg m;
    int r = hello(c);

    while (r > 0) {
        r = next_request(c, &m);
        if (r > 0) {
            int k = run_request(c, &m);
            r = k < 0 ? k : 1;
        }
    }
    return r;
}

/* Closing with unread input would reset the connection and could take our last reply with it. */
static void linger(struct conn *c)
{
    struct stream *s = &c->ch.s;
    const uint8_t *p;

    s->err = 0;
    s->idle = LINGER_TIME;
    s->deadline = clock_now() + LINGER_TIME;
    if (stream_flush(s) < 0 || shutdown(s->fd, SHUT_WR) < 0)
        return;
    for (uint64_t end = s->bytes_in + LINGER_BYTES; s->bytes_in < end;)
        if (stream_span(s, SIZE_MAX, &p) <= 0)
            return;
}

/* Says why a connection is about to be closed, where the peer can still be told. */
static void last_words(struct conn *c, int err)
{
    const char *text = NULL;

    if (err == -XFER_ECANCELED) {
        err = -XFER_EBUSY;
        text = "the server is shutting down";
    } else if (err == -XFER_EDEADLINE || err == -ETIMEDOUT) {
        err = -XFER_ELOST;
        text = "too slow: closing";
    } else if (err == -XFER_EINTEGRITY) {
        text = "a line was damaged on its way";
    } else if (err != -XFER_EPROTO && err != -XFER_ETOOLONG && err != -XFER_ENAME) {
        return;
    }
    c->ch.s.err = 0;
    if (chan_refuse(&c->ch, false, err, text) == 0)
        linger(c);
}

/* What ended a connection, unless it was the peer's leaving, which its request has told of. */
static void log_end(struct conn *c, int err)
{
    if (err == -XFER_ECANCELED || err == -XFER_ELOST || err == -ECONNRESET || err == -EPIPE)
        return;
    struct xfer_request r = {
        .peer = c->peer, .transport = "tcp", .verb = "-", .path = "", .err = err};
    server_log(c->srv, &r);
}

void conn_run(struct server *srv, int fd, const struct addr *peer)
{
    struct conn c = {.srv = srv, .digest = digest_new()};

    addr_show(peer, c.peer);
    if (!c.digest || chan_init(&c.ch, fd, -1) < 0) {
        server_note(srv, "%s: no memory for a connection", c.peer);
        close(fd);
        digest_free(c.digest);
        return;
    }
    c.ch.s.idle = srv->idle;
    int r = serve_requests(&c);
    batch_free(&c);
    if (r < 0) {
        log_end(&c, r);
        last_words(&c, r);
    } else {
        stream_flush(&c.ch.s);
    }
    chan_free(&c.ch);
    digest_free(c.digest);
}
