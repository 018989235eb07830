#include "config.h"

#include "session/body.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/hasher.h"
#include "store/store.h"

static int tick(body_tick fn, void *arg, uint64_t n)
{
    return fn ? fn(arg, n) : 0;
}

/* A pipe may stay silent for long: tell the peer that we live, and stop when asked. */
static int wait_for_pipe(struct chan *ch, struct body_send *b)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = b->fd, .events = POLLIN},
                              {.fd = ch->s.stop_fd, .events = POLLIN}};
        int n = poll(p, 2, (int)(CHAN_KEEPALIVE / 1000000));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && p[1].revents)
            return -XFER_ECANCELED;
        if (n > 0)
            return 0;
        int r = chan_send_data(ch, NULL, 0);
        if (r == 0)
            r = stream_flush(&ch->s);
        if (r == 0)
            r = tick(b->tick, b->arg, 0);
        if (r < 0)
            return r;
    }
}

static long read_chunk(struct chan *ch, struct body_send *b, void *buf, size_t n)
{
    if (b->length != BODY_TO_END && n > b->length - b->sent)
        n = (size_t)(b->length - b->sent);
    for (;;) {
        int r = b->before ? 0 : wait_for_pipe(ch, b);
        if (r < 0)
            return r;
        ssize_t k =
            b->before ? pread(b->fd, buf, n, (off_t)(b->offset + b->sent)) : read(b->fd, buf, n);
        if (k >= 0)
            return k;
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
    }
}

/* 0 when all was sent; a source that is not what it was is an error even if every read worked. */
static int check_version(const struct body_send *b)
{
    struct stat now;

    if (!b->before)
        return 0;
    if (fstat(b->fd, &now) < 0)
        return -errno;
    return store_same_version(b->before, &now) ? 0 : -XFER_ECHANGED;
}

/* A file that says its size has no more to read there; the version check sees it grow. */
static bool at_known_end(const struct body_send *b)
{
    return b->before && b->before->st_size > 0 &&
           b->offset + b->sent >= (uint64_t)b->before->st_size;
}

/* What the file, by the size it had, still has to send. */
static uint64_t remaining(const struct body_send *b)
{
    uint64_t size = (uint64_t)b->before->st_size;
    uint64_t at = b->offset + b->sent;
    uint64_t n = size > at ? size - at : 0;

    return n < b->length - b->sent ? n : b->length - b->sent;
}

static void hash(struct hasher *h, struct digest *d, const uint8_t *p, size_t n)
{
    if (h)
        hasher_feed(h, p, n);
    else if (d)
        digest_update(d, p, n);
}

/* Sends the next chunk. Returns its length, 0 at the end. */
static long send_chunk(struct chan *ch, struct body_send *b, struct hasher *h, size_t max)
{
    if (h)
        ch->scratch = hasher_exchange(h, ch->scratch);
    long n = read_chunk(ch, b, ch->scratch, max);
    if (n <= 0)
        return n;
    hash(h, b->digest, ch->scratch, (size_t)n);
    int r = chan_send_data(ch, ch->scratch, (size_t)n);
    return r < 0 ? r : n;
}

static int send_chunks(struct chan *ch, struct body_send *b, struct hasher *h)
{
    size_t max = b->chunk && b->chunk < CHAN_SCRATCH ? b->chunk : CHAN_SCRATCH;

    while (b->sent < b->length && !at_known_end(b)) {
        long n = send_chunk(ch, b, h, max);
        if (n <= 0)
            return (int)n;
        b->sent += (uint64_t)n;
        int r = tick(b->tick, b->arg, (uint64_t)n);
        if (r < 0)
            return r;
    }
    return 0;
}

int body_send(struct chan *ch, struct body_send *b, bool *aborted)
{
    struct hasher *h = NULL;

    *aborted = false;
    if (!chan_scratch(ch))
        return -ENOMEM;
    if (b->digest && b->before && remaining(b) >= HASHER_MIN)
        h = hasher_start(b->digest, CHAN_SCRATCH);
    int r = send_chunks(ch, b, h);
    hasher_finish(h);
    if (r == 0)
        r = check_version(b);
    if (r < 0 && !ch->s.err) {
        *aborted = true;
        if (chan_refuse(ch, true, r, NULL) < 0)
            *aborted = false;
    }
    return ch->s.err ? ch->s.err : r;
}

static uint8_t *exchange_in(void *h, uint8_t *in)
{
    return hasher_exchange(h, in);
}

static int take_payload(struct chan *ch, struct body_recv *b, struct hasher *h)
{
    const uint8_t *p;
    long n;

    while ((n = chan_payload(ch, &p)) > 0) {
        hash(h, b->digest, p, (size_t)n);
        int r = b->write(b->write_arg, p, (size_t)n);
        if (r == 0) {
            b->received += (uint64_t)n;
            r = tick(b->tick, b->arg, (uint64_t)n);
        }
        if (r < 0) {
            b->local = true;
            return r;
        }
    }
    return (int)n;
}

/* A message inside a body: 1 to go on, 0 at END, negative at ABORT or nonsense. */
static int body_message(struct chan *ch, struct body_recv *b, const struct wire_msg *m)
{
    switch (m->verb) {
    case WIRE_DATA:
        if (m->length == 0) /* a sign of life restarts the minimum rate */
            stream_min_rate(&ch->s, ch->s.min_rate);
        return 1;
    case WIRE_END:
        return 0;
    case WIRE_ABORT:
        snprintf(b->text, sizeof b->text, "%s", m->text);
        return m->error;
    case WIRE_REPLY:
        return m->code < 200 ? 1 : -XFER_EPROTO;
    default:
        return -XFER_EPROTO;
    }
}

/* From here on another thread hashes what arrives, in buffers that it lends to the stream. */
static void hash_apart(struct chan *ch, struct body_recv *b, struct hasher **h)
{
    *h = hasher_start(b->digest, ch->s.in_cap);
    if (!*h)
        return;
    ch->s.exchange = exchange_in;
    ch->s.exchange_arg = *h;
}

static int recv_chunks(struct chan *ch, struct body_recv *b, struct wire_msg *end,
                       struct hasher **h)
{
    bool asked = false;

    for (;;) {
        int r = chan_expect(ch, end);
        if (r < 0)
            return r;
        r = body_message(ch, b, end);
        if (r <= 0)
            return r;
        if (!asked && b->received >= HASHER_MIN) {
            asked = true;
            hash_apart(ch, b, h);
        }
        r = take_payload(ch, b, *h);
        if (r < 0)
            return r;
    }
}

int body_recv(struct chan *ch, struct body_recv *b, struct wire_msg *end)
{
    struct hasher *h = NULL;

    int r = recv_chunks(ch, b, end, &h);
    ch->s.exchange = NULL;
    hasher_finish(h);
    return r;
}

int body_check_end(const struct wire_msg *end, struct digest *d, uint64_t size,
                   uint8_t sum[DIGEST_LEN])
{
    if (!digest_peek(d, sum))
        return -ENOMEM;
    if (!(end->keys & WIRE_K_SHA256) || memcmp(end->sha256, sum, DIGEST_LEN) != 0)
        return -XFER_EINTEGRITY;
    return (end->keys & WIRE_K_SIZE) && end->size != size ? -XFER_EINTEGRITY : 0;
}

static int discard_payload(struct chan *ch, uint64_t *left)
{
    const uint8_t *p;
    long n;

    while ((n = chan_payload(ch, &p)) > 0) {
        if ((uint64_t)n > *left)
            return -XFER_ETOOLONG;
        *left -= (uint64_t)n;
    }
    return (int)n;
}

int body_discard(struct chan *ch, uint64_t max)
{
    struct wire_msg m;

    for (;;) {
        int r = discard_payload(ch, &max);
        if (r == 0)
            r = chan_expect(ch, &m);
        if (r < 0)
            return r;
        if (m.verb == WIRE_END || m.verb == WIRE_ABORT)
            return 0;
        if (m.verb != WIRE_DATA && m.verb != WIRE_REPLY)
            return -XFER_EPROTO;
    }
}

int body_hash(struct chan *ch, int fd, uint64_t n, struct digest *d, body_tick fn, void *arg)
{
    uint8_t *buf = chan_scratch(ch);
    uint64_t off = 0;

    if (!buf)
        return -ENOMEM;
    while (off < n) {
        size_t want = n - off < CHAN_SCRATCH ? (size_t)(n - off) : CHAN_SCRATCH;
        ssize_t k = pread(fd, buf, want, (off_t)off);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        if (k == 0)
            return n == BODY_TO_END ? 0 : -XFER_ECHANGED;
        digest_update(d, buf, (size_t)k);
        off += (uint64_t)k;
        int r = tick(fn, arg, 0);
        if (r < 0)
            return r;
    }
    return 0;
}
