#include "config.h"

#include "session/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/clock.h"
#include "session/stop.h"

#define BACK_OFF_FIRST (CLOCK_SEC / 4)
#define BACK_OFF_MAX (8 * CLOCK_SEC)

void peer_init(struct peer *p, const struct xfer_net_opts *o, const struct remote *remote,
               struct tally *t, int64_t deadline, uint64_t rate)
{
    *p = (struct peer){.o = o, .remote = remote, .tally = t, .deadline = deadline, .rate = rate};
    p->ch.s.fd = -1;
}

void peer_close(struct peer *p)
{
    struct tcp_facts tcp;

    if (!p->open)
        return;
    tcp_facts(p->ch.s.fd, &tcp);
    tally_tcp(p->tally, &tcp);
    chan_free(&p->ch);
    p->open = false;
}

void peer_progress(struct peer *p)
{
    p->attempts = 0;
}

static int send_hello(struct peer *p)
{
    struct wire_msg m;

    m.verb = WIRE_HELLO;
    m.version = WIRE_VERSION;
    m.keys = WIRE_K_AGENT;
    snprintf(m.agent, sizeof m.agent, "xfer-%s", xfer_version());
    if (p->rate) {
        m.keys |= WIRE_K_RATE;
        m.rate = p->rate;
    }
    return chan_send(&p->ch, &m);
}

static int connect_once(struct peer *p)
{
    char text[ADDR_SHOW_MAX];
    struct addr reached;
    unsigned port = p->remote->port ? p->remote->port : XFER_PORT;
    int64_t until = clock_now() + clock_from_seconds(p->o->timeout);

    if (until > p->deadline)
        until = p->deadline;
    int fd = addr_connect(p->remote->host, port, p->o->family, p->o->bind_addr, stop_fd(p->o->stop),
                          until, &reached);
    if (fd < 0)
        return clock_now() >= p->deadline ? -XFER_EDEADLINE : fd;
    int r = p->o->congestion ? tcp_set_congestion(fd, p->o->congestion) : 0;
    if (r == 0)
        r = chan_init(&p->ch, fd, stop_fd(p->o->stop));
    if (r < 0) {
        close(fd);
        return r;
    }
    p->open = true;
    p->greeted = p->served = false;
    p->ch.checks = true;
    p->ch.s.idle = clock_from_seconds(p->o->timeout);
    p->ch.s.deadline = p->deadline;
    tally_note(p->tally, "connected to %s (tcp)", addr_show(&reached, text));
    return send_hello(p);
}

int peer_back_off(const struct xfer_net_opts *o, struct tally *t, unsigned attempts,
                  int64_t deadline)
{
    int64_t wait = BACK_OFF_FIRST << (attempts < 8 ? attempts - 1 : 7);
    uint32_t jitter = 0;

    if (wait > BACK_OFF_MAX)
        wait = BACK_OFF_MAX;
    if (getrandom(&jitter, sizeof jitter, GRND_NONBLOCK) > 0) /* not all clients at once */
        wait += wait / 4 * (jitter % 256) / 256;
    if (deadline != CLOCK_NEVER && clock_now() + wait >= deadline)
        return -XFER_EDEADLINE;
    tally_note(t, "trying again in %.1f s (attempt %u of %u)", (double)wait / CLOCK_SEC, attempts,
               o->retries);
    int r = stop_sleep(o->stop, wait);
    if (r == 0)
        tally_retry(t);
    return r;
}

int peer_open(struct peer *p)
{
    while (!p->open) {
        int r = p->attempts ? peer_back_off(p->o, p->tally, p->attempts, p->deadline) : 0;
        if (r < 0)
            return r;
        r = connect_once(p);
        if (r == 0)
            return 0;
        peer_close(p);
        if (!p->ever && p->attempts == 0 && (r == -ECONNREFUSED || r == -XFER_EHOST))
            return r;
        r = peer_lost(p, r);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_final(int err)
{
    return err == -XFER_ECANCELED || err == -XFER_EDEADLINE || err == -XFER_EPROTO ||
           err == -XFER_ETOOLONG || err == -XFER_EUSAGE || err == -XFER_EHOST ||
           err == -XFER_ECONGESTION || err == -ENOMEM || err == -EMFILE;
}

int peer_lost(struct peer *p, int err)
{
    peer_close(p);
    if (is_final(err))
        return err == -XFER_ETOOLONG ? -XFER_EPROTO : err;
    p->attempts++;
    if (p->attempts > p->o->retries)
        return err == -ECONNRESET || err == -EPIPE || err == -ETIMEDOUT ? -XFER_ELOST : err;
    tally_note(p->tally, "connection: %s", xfer_strerror(err));
    return 0;
}

int peer_error(int err)
{
    switch (-err) {
    case XFER_EUSAGE:
    case XFER_EHOST:
    case XFER_ECANCELED:
    case XFER_EDEADLINE:
    case XFER_ESOME:
    case XFER_ESPECIAL:
    case XFER_ECOLLISION:
        return -XFER_EREMOTE;
    default:
        return err;
    }
}

/* 1: for the caller; 0: taken care of here; negative: the connection is of no more use, for good:
 * the answer is gone, and the next one belongs to another request. */
static int screen(struct peer *p, struct wire_msg *m)
{
    if (!p->greeted) {
        if (m->verb != WIRE_HELLO || m->version != WIRE_VERSION)
            return p->ch.s.err = -XFER_EPROTO;
        p->greeted = true;
        p->ever = true;
        return 0;
    }
    if (m->verb == WIRE_REPLY && m->code == 102)
        return 0;
    if (m->verb == WIRE_REPLY && (m->code == 421 || m->code == 425)) /* no room, or given up on */
        return p->ch.s.err = m->error;
    p->served = true;
    m->error = peer_error(m->error);
    return 1;
}

int peer_recv(struct peer *p, struct wire_msg *m)
{
    for (;;) {
        int r = chan_expect(&p->ch, m);
        if (r > 0)
            r = screen(p, m);
        if (r != 0)
            return r;
    }
}

int peer_try_recv(struct peer *p, struct wire_msg *m)
{
    for (;;) {
        int r = chan_try_recv(&p->ch, m);
        if (r <= 0)
            return r;
        r = screen(p, m);
        if (r != 0)
            return r;
    }
}

int peer_request(struct peer *p, enum wire_verb verb, const char *path, struct wire_msg *m)
{
    size_t n = strlen(path);

    if (n + 1 >= sizeof m->path)
        return -XFER_ETOOLONG;
    m->verb = verb;
    m->path[0] = '/';
    memcpy(m->path + 1, path, n + 1);
    m->path_len = n + 1;
    return chan_send(&p->ch, m);
}
