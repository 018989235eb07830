#include "config.h"

#include "session/tftp_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "net/clock.h"
#include "session/peer.h"
#include "session/stop.h"

#define TFTP_PORT 69

bool tftp_is_meant(const struct xfer_copy_opts *o, const struct remote *r)
{
    return o->udp || r->scheme == REMOTE_TFTP;
}

int tftp_check(const struct xfer_copy_opts *o, bool put, const char **why)
{
    *why = o->recursive                    ? "TFTP knows no directories: -r needs TCP"
           : o->update                     ? "TFTP tells no times and no digests: -u needs TCP"
           : o->jobs > 1                   ? "TFTP moves one file at a time: -j needs TCP"
           : put && o->no_clobber          ? "TFTP cannot ask what exists: see serve --write=new"
           : put && o->mkpath              ? "TFTP makes no directories: --mkpath needs TCP"
           : o->blksize > TFTP_BLKSIZE_MAX ? "the block size is 65464 at most"
           : o->blksize && o->blksize < TFTP_BLKSIZE_MIN ? "the block size is 8 at least"
           : o->window > TFTP_WINDOW_MAX                 ? "the window is 32767 at most"
                                                         : NULL;
    return *why ? -XFER_EUSAGE : 0;
}

/* ---- the server ---- */

int tftp_peer_init(struct tftp_peer *p, struct copy *c)
{
    const struct xfer_net_opts *o = &c->o->net;
    const struct remote *r = &c->remote;
    unsigned port = r->port ? r->port : r->scheme == REMOTE_TFTP ? TFTP_PORT : XFER_PORT;
    int64_t until = clock_now() + clock_from_seconds(o->timeout);

    *p = (struct tftp_peer){.copy = c, .has_from = o->bind_addr != NULL};
    if (o->bind_addr && addr_parse_numeric(o->bind_addr, &p->from) < 0)
        return -XFER_EUSAGE;
    int n =
        addr_lookup(r->host, port, o->family, stop_fd(o->stop),
                    until < c->deadline ? until : c->deadline, p->to, sizeof p->to / sizeof *p->to);
    if (n < 0)
        return n;
    p->n = (size_t)n;
    return 0;
}

char *tftp_remote_name(const struct remote *r, const char *path, char *out)
{
    snprintf(out, TFTP_NAME_MAX, "%s%s", r->absolute ? "/" : "", path);
    return out;
}

/* ---- trying again ---- */

/* That nobody is there, said at once. */
static bool is_nobody(int err)
{
    return err == -ECONNREFUSED || err == -EHOSTUNREACH || err == -ENETUNREACH ||
           err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT || err == -EACCES;
}

int tftp_again(struct tftp_peer *p, struct tftp_tries *t, int err, const struct tftp_exchange *x)
{
    const struct copy *c = p->copy;
    bool heard = x->drive.sm.counts.received > 0;

    if (err == -XFER_ECANCELED || err == -XFER_EDEADLINE ||
        err == -EPIPE) /* the reader of standard output, for good: UDP knows none */
        return err;
    if (tftp_exchange_refused_options(x)) {
        tally_note(c->tally, "the server refuses our options");
        t->plain = true;
        return 0;
    }
    if (!heard && is_nobody(err)) {
        if (p->at + 1 == p->n)
            return err;
        p->at++;
        return 0;
    }
    if (!heard && err == -ETIMEDOUT)
        p->at = (p->at + 1) % p->n;
    if (err == -XFER_ECHANGED)
        return ++t->changed < COPY_CHANGED_TRIES ? 0 : err;
    if (!err_is_transient(err) && !is_nobody(err))
        return err;
    if (x->drive.arrived > t->reached) {
        t->reached = x->drive.arrived;
        t->attempts = 0;
    }
    if (++t->attempts > c->o->net.retries)
        return err;
    tally_note(c->tally, "transfer: %s", xfer_strerror(err));
    return peer_back_off(&c->o->net, c->tally, t->attempts, c->deadline);
}

void tftp_report(struct tftp_exchange *x, struct job *j, uint64_t bytes, bool verified,
                 const uint8_t sha256[DIGEST_LEN])
{
    char server[ADDR_SHOW_MAX];
    struct xfer_udp_facts f;

    tftp_exchange_facts(x, server, &f);
    copy_report_udp(x->peer->copy, j, bytes, verified, sha256, &f);
}
