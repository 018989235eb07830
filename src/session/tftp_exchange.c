#include "config.h"

#include "session/tftp_exchange.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "net/clock.h"
#include "session/stop.h"

#define BLKSIZE_USUAL 1428     /* RFC 2348: what an Ethernet frame holds */
#define TELL_EVERY (64 * 1024) /* bytes between two words to the tally */

static void settle_sizes(struct tftp_exchange *x)
{
    const struct xfer_copy_opts *o = x->peer->copy->o;
    unsigned window = o->window ? o->window : 1;

    x->asked.blksize = o->blksize;
    if (!o->blksize) {
        size_t room = udp_path_payload(&x->udp) - TFTP_HEADER;
        x->asked.blksize = room < BLKSIZE_USUAL ? (unsigned)room : BLKSIZE_USUAL;
    }
    if (x->asked.blksize < TFTP_BLKSIZE_MIN)
        x->asked.blksize = TFTP_BLKSIZE_DEFAULT;
    x->asked.window = tftp_drive_window(&x->udp, x->write, x->asked.blksize, window);
    if (x->asked.window < window)
        tally_note(x->peer->copy->tally, "window %u instead of %u: the buffers hold no more",
                   x->asked.window, window);
    x->asked.have |= TFTP_O_BLKSIZE;
    if (x->asked.window > 1)
        x->asked.have |= TFTP_O_WINDOW;
}

static int make_request(struct tftp_exchange *x)
{
    struct tftp_drive *d = &x->drive;
    size_t cap = sizeof d->control;
    size_t n = tftp_put_request(d->control, cap, x->write ? TFTP_WRQ : TFTP_RRQ, x->name,
                                x->netascii ? TFTP_NETASCII : TFTP_OCTET);

    if (n)
        n = tftp_opts_put(&x->asked, d->control, n, cap);
    d->control_len = n;
    return n ? 0 : -XFER_ETOOLONG;
}

int tftp_exchange_open(struct tftp_exchange *x, const struct tftp_ops *ops, void *arg)
{
    const struct tftp_peer *p = x->peer;
    const struct xfer_copy_opts *o = p->copy->o;
    char text[ADDR_SHOW_MAX];

    int r = udp_open_client(&x->udp, &p->to[p->at], p->has_from ? &p->from : NULL);
    if (r < 0)
        return r;
    if (x->plain)
        tftp_opts_init(&x->asked);
    else
        settle_sizes(x);
    tftp_opts_init(&x->got);
    struct tftp_params sp = {.sender = x->write,
                             .client = true,
                             .blksize = TFTP_BLKSIZE_DEFAULT,
                             .window = 1,
                             .give_up = clock_from_seconds(o->net.timeout)};
    tftp_drive_init(&x->drive, &x->udp, &sp, ops, arg);
    x->drive.asked = &x->asked;
    x->drive.stop_fd = stop_fd(o->net.stop);
    x->drive.deadline = p->copy->deadline;
    x->drive.spin = !o->no_spin;
    r = make_request(x);
    if (r == 0)
        tally_note(p->copy->tally, "request to %s (udp)%s", addr_show(&p->to[p->at], text),
                   x->plain ? ", without options" : "");
    return r;
}

int tftp_exchange_run(struct tftp_exchange *x)
{
    int r = tftp_drive_run(&x->drive);

    if (x->pending)
        tally_moved(x->peer->copy->tally, x->pending, true);
    x->bytes += x->pending;
    x->pending = 0;
    return r;
}

void tftp_exchange_facts(const struct tftp_exchange *x, char *server, struct xfer_udp_facts *ret)
{
    const struct tftp_sm *sm = &x->drive.sm;

    *ret = (struct xfer_udp_facts){.server = addr_show(&x->udp.peer, server),
                                   .blksize = sm->p.blksize,
                                   .window = sm->p.window,
                                   .packets_sent = sm->counts.sent,
                                   .packets_received = sm->counts.received,
                                   .retransmits = sm->counts.resent,
                                   .timeouts = sm->counts.timeouts,
                                   .rtt = (double)sm->srtt / (double)CLOCK_SEC};
}

static void tell_packets(const struct tftp_exchange *x)
{
    struct tally *t = x->peer->copy->tally;
    char server[ADDR_SHOW_MAX];
    struct xfer_udp_facts f;

    tftp_exchange_facts(x, server, &f);
    if (x->question)
        tally_note(t, "%s asked for: %llu datagrams sent, %llu received",
                   x->asked.have & TFTP_O_SHA256 ? "digest" : "size",
                   (unsigned long long)f.packets_sent, (unsigned long long)f.packets_received);
    else
        tally_udp(t, &f);
}

void tftp_exchange_close(struct tftp_exchange *x)
{
    if (x->udp.fd >= 0)
        tell_packets(x);
    tftp_drive_free(&x->drive);
    udp_close(&x->udp);
}

int tftp_exchange_moved(struct tftp_exchange *x, uint64_t n)
{
    struct copy *c = x->peer->copy;

    x->pending += n;
    if (x->pending < TELL_EVERY && !c->o->limit_rate)
        return 0;
    n = x->pending;
    x->bytes += n;
    x->pending = 0;
    tally_moved(c->tally, n, true);
    return c->o->limit_rate ? copy_pace(c, n) : 0; /* the drive minds time and stop itself */
}

void tftp_exchange_unmoved(struct tftp_exchange *x)
{
    tally_unmoved(x->peer->copy->tally, x->bytes);
    x->bytes = 0;
}

static void note_agreed(const struct tftp_exchange *x, const struct tftp_opts *got)
{
    struct tally *t = x->peer->copy->tally;
    char server[ADDR_SHOW_MAX];

    addr_show(&x->udp.peer, server);
    if (got)
        tally_note(t, "%s answers; agreed: block size %u, window %u%s%s", server, got->blksize,
                   got->window, got->have & TFTP_O_TSIZE ? ", tsize" : "",
                   got->have & TFTP_O_SHA256 ? ", sha256" : "");
    else
        tally_note(t, "%s answers; no options: block size %u, window 1", server,
                   x->drive.sm.p.blksize);
}

int tftp_exchange_agreed(struct tftp_exchange *x, const struct tftp_opts *got)
{
    if (x->noted)
        return 0;
    x->noted = true;
    note_agreed(x, got);
    if (got)
        x->got = *got;
    const struct xfer_copy_opts *o = x->peer->copy->o;
    if (x->write && o->discard && !(x->got.have & TFTP_O_DISCARD))
        return -XFER_EUNKNOWN;
    return o->require_verified && !(x->got.have & TFTP_O_SHA256) ? -XFER_EUNVERIFIED : 0;
}

bool tftp_exchange_refused_options(const struct tftp_exchange *x)
{
    const struct tftp_sm *sm = &x->drive.sm;

    if (x->plain || x->noted)
        return false;
    /* atftpd with its options switched off sends an OACK with none */
    return x->drive.empty_oack || (sm->reason == TFTP_R_PEER && sm->peer_code == TFTP_E_OPTION);
}

/* ---- asking for a digest, or a size ---- */

struct question {
    struct tftp_exchange x;
    bool answered;
};

/* The answer is in the OACK: the transfer itself ends before it begins. */
static int hear_answer(void *arg, const struct tftp_opts *got)
{
    struct question *q = arg;

    q->answered = true;
    q->x.got = *got;
    snprintf(q->x.drive.text, sizeof q->x.drive.text, "the answer was all");
    return -XFER_EUNKNOWN;
}

static int hear_data(void *arg, const uint8_t *p, size_t n)
{
    (void)arg;
    (void)p;
    (void)n;
    return -XFER_EUNKNOWN; /* a server that does not tell after all */
}

static void stay_idle(void *arg)
{
    (void)arg;
}

static const struct tftp_ops question_ops = {
    .agreed = hear_answer, .write = hear_data, .idle = stay_idle};

static void init_question(struct question *q, const struct tftp_peer *peer, const char *name,
                          unsigned option)
{
    *q = (struct question){
        .x = {.peer = peer, .name = name, .question = true, .udp = {.fd = -1, .companion = -1}}};
    tftp_opts_init(&q->x.asked);
    q->x.asked.have = option;
}

/* 1: the option is in the answer. */
static int ask(struct question *q, unsigned option)
{
    int r = tftp_exchange_open(&q->x, &question_ops, q);

    if (r == 0)
        r = tftp_exchange_run(&q->x);
    tftp_exchange_close(&q->x);
    if (q->answered && (q->x.got.have & option))
        return 1;
    return r == -XFER_EUNKNOWN ? 0 : r;
}

int tftp_ask_size(const struct tftp_peer *peer, const char *name, uint64_t *ret)
{
    struct question q;

    init_question(&q, peer, name, TFTP_O_TSIZE);
    int r = ask(&q, TFTP_O_TSIZE);
    *ret = q.x.got.tsize;
    return r;
}

int tftp_ask_digest(const struct tftp_peer *peer, const char *name, const char *etag,
                    uint8_t out[DIGEST_LEN])
{
    struct question q;
    struct tftp_opts *asked = &q.x.asked;

    init_question(&q, peer, name, TFTP_O_SHA256);
    asked->sha_kind = etag ? TFTP_SHA_ETAG : TFTP_SHA_ASK;
    if (etag)
        snprintf(asked->etag, sizeof asked->etag, "%s", etag);
    int r = ask(&q, TFTP_O_SHA256);
    if (r != 1)
        return r;
    if (q.x.got.sha_kind != TFTP_SHA_KNOWN)
        return etag ? -XFER_ECHANGED : tftp_ask_digest(peer, name, q.x.got.etag, out);
    memcpy(out, q.x.got.sha256, DIGEST_LEN);
    return 1;
}
