#include "config.h"

#include "session/tftp_drive.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/clock.h"

#define SPIN_MAX (CLOCK_SEC / 5000)     /* 200 us */
#define LOOK_EVERY (CLOCK_SEC / 50)     /* at strangers and at stop_fd, while it spins */
#define SPIN_ALONE (CLOCK_SEC / 50000)  /* 20 us of it, before others may have the core */
#define SWITCH_MIN (CLOCK_SEC / 250000) /* 4 us: what a yield takes if somebody else runs */
#define PATIENCE 256                    /* waits that are too long, before spinning is left */
#define IN_VAIN 32                      /* what one is worth that ends without an answer */
#define IN_VAIN_SHARED 64               /* and if others had the core */
#define SHARED_OFTEN 4                  /* waits that others had it in, until we go */
#define REST_MIN 256                    /* waits without spinning; twice as many each time, */
#define REST_MAX (64 * 1024)            /* up to here */
#define PROBE_FIRST (CLOCK_SEC / 500)   /* of a server that may be gone */
#define IOV_BATCH 64

static int carry_out(struct tftp_drive *d, const struct tftp_actions *acts,
                     const struct tftp_pkt *pkt);

unsigned tftp_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

void tftp_drive_init(struct tftp_drive *d, struct udp *u, const struct tftp_params *p,
                     const struct tftp_ops *ops, void *arg)
{
    memset(d, 0, sizeof *d);
    d->udp = u;
    d->ops = ops;
    d->arg = arg;
    d->stop_fd = -1;
    d->deadline = CLOCK_NEVER;
    d->cores = tftp_cores();
    d->patience = PATIENCE;
    d->rest = REST_MIN;
    d->looked_at = clock_now();
    tftp_sm_init(&d->sm, p, d->looked_at);
}

void tftp_drive_free(struct tftp_drive *d)
{
    free(d->blocks);
    d->blocks = NULL;
}

unsigned tftp_drive_window(const struct udp *u, bool sender, unsigned blksize, unsigned window)
{
    size_t most = TFTP_WINDOW_BYTES / (TFTP_HEADER + blksize);
    size_t fits = sender ? most : udp_fits(u, TFTP_HEADER + blksize);

    if (fits < most)
        most = fits;
    return window < most ? window : most > 1 ? (unsigned)most : 1;
}

/* ---- failing ---- */

static void note_failure(struct tftp_drive *d, int err, const char *text, size_t n)
{
    if (d->err)
        return;
    d->err = err;
    if (n > TFTP_TEXT_MAX)
        n = TFTP_TEXT_MAX;
    if (n)
        memcpy(d->text, text, n);
    d->text[n] = '\0';
}

/* Something failed here: the peer is told. ops may have said more in d->text. */
static int fail_here(struct tftp_drive *d, int err)
{
    struct tftp_actions acts;

    d->err = err;
    const char *text = d->text[0] ? d->text : err_row(err)->text;
    tftp_sm_abort(&d->sm, (enum tftp_error)err_row(err)->tftp_code, text, &acts);
    carry_out(d, &acts, NULL);
    return err;
}

static int unreachable(struct tftp_drive *d, int err)
{
    struct tftp_actions acts;

    if (d->sm.state != TFTP_S_LINGER) /* what is in its place stays so, whoever hears of it */
        note_failure(d, err, NULL, 0);
    tftp_sm_unreachable(&d->sm, &acts);
    return d->err;
}

static void take_error(struct tftp_drive *d, const struct tftp_pkt *pkt)
{
    if (d->sm.state != TFTP_S_LINGER && d->sm.state != TFTP_S_COMMIT)
        note_failure(d, err_from_tftp(pkt->code, pkt->text.p, pkt->text.n), pkt->text.p,
                     pkt->text.n);
}

/* What the machine calls a failure, as an error of ours. */
static int failure(const struct tftp_drive *d)
{
    if (d->sm.reason == TFTP_R_UNCONFIRMED)
        return -XFER_EUNCONFIRMED;
    if (d->err)
        return d->err;
    if (d->sm.reason == TFTP_R_TIMEOUT)
        return d->sm.counts.received ? -XFER_ELOST : -ETIMEDOUT;
    return d->sm.reason == TFTP_R_PROTOCOL ? -XFER_EPROTO : -XFER_ELOST;
}

/* ---- actions ---- */

static size_t stride(const struct tftp_drive *d)
{
    return TFTP_HEADER + d->sm.p.blksize;
}

static uint8_t *slot(const struct tftp_drive *d, uint64_t block)
{
    return d->blocks + block % d->slots * stride(d);
}

static size_t block_len(const struct tftp_drive *d, uint64_t block)
{
    return TFTP_HEADER + (block == d->made ? d->last_len : d->sm.p.blksize);
}

static int make_block(struct tftp_drive *d, uint64_t block)
{
    uint8_t *p = slot(d, block);

    /* the one place where the index becomes 16 bits */
    tftp_put_data_header(p, TFTP_HEADER, (uint16_t)block);
    long n = d->ops->read(d->arg, p + TFTP_HEADER, d->sm.p.blksize);
    if (n < 0)
        return (int)n;
    d->made = block;
    d->last_len = (size_t)n;
    return 0;
}

/* While the peer is busy: what it will be sent next, as far as there is room behind what it may
 * still need. */
static void make_ahead(struct tftp_drive *d)
{
    uint64_t end = d->sm.acked + d->slots;

    while (d->blocks && d->made < end && d->last_len == d->sm.p.blksize && d->read_err == 0)
        d->read_err = make_block(d, d->made + 1);
}

/* The block is there to be sent; the last one is told of as such. */
static int need_block(struct tftp_drive *d, uint64_t block)
{
    int r = block > d->made ? d->read_err : 0;

    if (r == 0 && block > d->made)
        r = make_block(d, block);
    if (r == 0 && block == d->made && d->last_len < d->sm.p.blksize)
        tftp_sm_last(&d->sm, block);
    return r;
}

static int send_blocks(struct tftp_drive *d, uint64_t from, uint64_t end)
{
    struct iovec iov[IOV_BATCH];
    unsigned n = 0;

    for (uint64_t b = from; b < end; b++)
        iov[n++] = (struct iovec){slot(d, b), block_len(d, b)};
    if (n == 1)
        return udp_send(d->udp, iov[0].iov_base, iov[0].iov_len);
    return n ? udp_send_many(d->udp, iov, n) : 0;
}

/* Room for two windows, or one block more than a window that is large. */
static unsigned slots_for(const struct tftp_drive *d)
{
    unsigned window = d->sm.p.window, most = (unsigned)(TFTP_WINDOW_BYTES / stride(d));

    return 2 * window <= most ? 2 * window : most > window ? most : window + 1;
}

static int do_data(struct tftp_drive *d, const struct tftp_action *a)
{
    if (!d->blocks) {
        d->slots = slots_for(d);
        d->blocks = malloc(d->slots * stride(d));
        if (!d->blocks)
            return -ENOMEM;
    }
    for (uint64_t b = a->block, end = b + a->count; b < end;) {
        uint64_t stop = b;
        while (stop < end && stop - b < IOV_BATCH && !(d->sm.last && stop > d->sm.last)) {
            int r = need_block(d, stop);
            if (r < 0)
                return r;
            stop++;
        }
        if (stop == b)
            break;
        d->sent = true;
        int r = send_blocks(d, b, stop);
        if (r < 0)
            return unreachable(d, r);
        b = stop;
    }
    return 0;
}

static int do_ack(struct tftp_drive *d, uint64_t block)
{
    uint8_t ack[TFTP_HEADER];
    size_t n = tftp_put_ack(ack, sizeof ack, (uint16_t)block);
    int r = udp_send(d->udp, ack, n);

    d->sent = true;
    return r < 0 ? unreachable(d, r) : 0;
}

static int do_control(struct tftp_drive *d)
{
    int r = udp_send(d->udp, d->control, d->control_len);

    return r < 0 ? unreachable(d, r) : 0;
}

static void do_error(struct tftp_drive *d, const struct tftp_action *a)
{
    uint8_t out[TFTP_HEADER + TFTP_TEXT_MAX + 1];
    size_t n = tftp_put_error(out, sizeof out, a->code, a->text);

    if (n)
        udp_send(d->udp, out, n);
    if (d->sm.reason == TFTP_R_PROTOCOL)
        note_failure(d, -XFER_EPROTO, a->text, strlen(a->text));
}

static int do_commit(struct tftp_drive *d)
{
    struct tftp_actions acts;
    int r = d->ops->commit(d->arg);

    if (r < 0)
        return r;
    tftp_sm_committed(&d->sm, clock_now(), &acts);
    return carry_out(d, &acts, NULL);
}

/* One action. A negative return is a failure of ours that the peer has not been told. */
static int do_action(struct tftp_drive *d, const struct tftp_action *a, const struct tftp_pkt *pkt)
{
    switch (a->what) {
    case TFTP_DO_REQUEST:
    case TFTP_DO_OACK:
        return do_control(d);
    case TFTP_DO_DATA:
        return do_data(d, a);
    case TFTP_DO_ACK:
        return do_ack(d, a->block);
    case TFTP_DO_WRITE:
        d->arrived += pkt->len;
        return d->ops->write(d->arg, pkt->data, pkt->len);
    case TFTP_DO_COMMIT:
        return do_commit(d);
    case TFTP_DO_ERROR:
        do_error(d, a);
        return 0;
    case TFTP_DO_DONE:
        return 0;
    case TFTP_DO_FAIL:
        note_failure(d, failure(d), NULL, 0);
        return 0;
    }
    return 0;
}

static int carry_out(struct tftp_drive *d, const struct tftp_actions *acts,
                     const struct tftp_pkt *pkt)
{
    for (unsigned i = 0; i < acts->n; i++) {
        int r = do_action(d, &acts->a[i], pkt);
        if (d->err)
            return d->err;
        if (r < 0)
            return fail_here(d, r);
    }
    return 0;
}

/* ---- packets ---- */

void tftp_reject_stranger(struct udp *u, const struct addr *from, const void *p, size_t n)
{
    uint8_t out[64];
    struct tftp_pkt pkt;

    if (tftp_decode(p, n, &pkt) < 0 || pkt.op == TFTP_ERROR)
        return;
    /* a port for all: it came here between bind and connect, and will be asked again over there */
    if (u->companion < 0 && (pkt.op == TFTP_RRQ || pkt.op == TFTP_WRQ))
        return;
    size_t len = tftp_put_error(out, sizeof out, TFTP_E_TID, "unknown transfer");
    udp_send_stranger(u, from, out, len);
}

static void reject_strangers(struct tftp_drive *d)
{
    uint8_t buf[TFTP_HEADER + 512];
    struct addr from;
    long n;

    for (int i = 0; i < IOV_BATCH && (n = udp_recv_stranger(d->udp, buf, sizeof buf, &from)) > 0;
         i++)
        tftp_reject_stranger(d->udp, &from, buf, (size_t)n);
}

/* Whether a datagram can be the server's first answer: then its port is the server's from now on.
 */
static bool is_first_answer(const struct tftp_drive *d, const struct udp_datagram *dg,
                            const struct tftp_pkt *pkt)
{
    if (!addr_same_host(dg->from, &d->udp->peer))
        return false;
    if (pkt->op == TFTP_OACK || pkt->op == TFTP_ERROR)
        return true;
    return d->sm.p.sender ? pkt->op == TFTP_ACK && pkt->block == 0
                          : pkt->op == TFTP_DATA && pkt->block == 1;
}

static int take_oack(struct tftp_drive *d, const struct tftp_pkt *pkt, struct tftp_actions *acts)
{
    struct tftp_opts got;
    const char *why;

    if (tftp_opts_answer(pkt, d->asked, &got, &why) < 0) {
        d->empty_oack = pkt->options.n == 0;
        tftp_sm_refuse(&d->sm, TFTP_E_OPTION, why, acts);
        return carry_out(d, acts, NULL);
    }
    int r = d->ops->agreed(d->arg, &got);
    if (r < 0) {
        /* nothing was transferred yet, but the server waits for our answer */
        const char *text = d->text[0] ? d->text : err_row(r)->text;
        d->err = r;
        tftp_sm_refuse(&d->sm, TFTP_E_OPTION, text, acts);
        return carry_out(d, acts, NULL);
    }
    tftp_sm_agree(&d->sm, got.blksize, got.window, (int64_t)got.timeout * CLOCK_SEC);
    d->resize = true;
    return 0;
}

/* Tells of octets that have arrived, here or over there. */
static int tell_moved(struct tftp_drive *d)
{
    const struct tftp_sm *sm = &d->sm;

    if (sm->p.sender && sm->last && sm->acked == sm->last)
        d->arrived = (sm->last - 1) * sm->p.blksize + d->last_len;
    else if (sm->p.sender)
        d->arrived = sm->acked * sm->p.blksize;
    uint64_t n = d->arrived - d->told;
    if (n == 0 || !d->ops->moved)
        return 0;
    d->told = d->arrived;
    return d->ops->moved(d->arg, n);
}

static int take_packet(struct tftp_drive *d, const struct tftp_pkt *pkt)
{
    struct tftp_actions acts;

    if (pkt->op == TFTP_OACK && d->sm.state == TFTP_S_REQUEST) {
        int r = take_oack(d, pkt, &acts);
        if (r < 0)
            return r;
    }
    if (pkt->op == TFTP_ERROR)
        take_error(d, pkt);
    tftp_sm_packet(&d->sm, pkt, clock_now(), &acts);
    int r = carry_out(d, &acts, pkt);
    if (r == 0 && d->sm.state == TFTP_S_TRANSFER && d->sent) {
        make_ahead(d);
        d->ops->idle(d->arg);
    }
    d->sent = false;
    return r;
}

/* For what the peer may send from now on. */
static int make_room(struct tftp_drive *d)
{
    const struct tftp_params *p = &d->sm.p;
    size_t payload = p->sender ? TFTP_BLKSIZE_DEFAULT : p->blksize;

    d->resize = false;
    return udp_expect(d->udp, TFTP_HEADER + payload, p->sender ? 1 : p->window);
}

static int take_datagram(struct tftp_drive *d, const struct udp_datagram *dg)
{
    struct tftp_pkt pkt;

    if (dg->stranger) {
        tftp_reject_stranger(d->udp, dg->from, dg->p, dg->n);
        return 0;
    }
    if (tftp_decode(dg->p, dg->n, &pkt) < 0)
        return 0;
    if (!d->udp->pinned) {
        struct addr from = *dg->from;
        if (!is_first_answer(d, dg, &pkt))
            return 0;
        int r = udp_pin(d->udp, &from);
        if (r < 0)
            return fail_here(d, r);
    }
    int r = take_packet(d, &pkt);
    if (r == 0 && d->resize) /* not before: the packet lies in the old memory */
        r = make_room(d);
    return r;
}

/* ---- waiting ---- */

/* Spinning pays while the answer is nearly there. Where it does not, it is left for some waits. */
static bool may_spin(struct tftp_drive *d)
{
    if (!d->spin || d->cores < 2 || d->sm.srtt == 0 || d->sm.srtt > 2 * SPIN_MAX)
        return false;
    if (d->crowd && atomic_load_explicit(d->crowd, memory_order_relaxed) > d->cores)
        return false;
    if (d->resting == 0)
        return true;
    if (--d->resting == 0)
        d->patience = PATIENCE;
    return false;
}

static void lose_patience(struct tftp_drive *d, int by)
{
    d->patience -= by;
    if (d->patience > 0)
        return;
    d->resting = d->rest;
    d->rest = d->rest < REST_MAX ? 2 * d->rest : REST_MAX;
}

static void gain_patience(struct tftp_drive *d)
{
    if (d->patience < PATIENCE)
        d->patience += 2;
    else
        d->rest = REST_MIN;
}

/* Off this core, if there are others; where to is left to the kernel, and so is all that follows.
 */
static void change_core(void)
{
    cpu_set_t all, others;
    int here = sched_getcpu();

    if (here < 0 || sched_getaffinity(0, sizeof all, &all) < 0)
        return;
    others = all;
    CPU_CLR(here, &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
        sched_setaffinity(0, sizeof all, &all);
}

/* The peer has the same core. The kernel would part the two in some ticks, which is as long as many
 * a transfer; one of them goes by itself, once in a while. */
static void share_core(struct tftp_drive *d)
{
    if (!d->sm.p.sender && ++d->shared % PATIENCE == SHARED_OFTEN)
        change_core();
    lose_patience(d, 1);
}

/* Lets others have the core; whether there were any. */
static bool step_aside(int64_t *now)
{
    int64_t before = clock_now();

    sched_yield();
    *now = clock_now();
    return *now - before > SWITCH_MIN;
}

/* What does not come soon may be waiting for this very core, which is then let go: both ends can
 * run at least, and the kernel sees two where it may have room for one elsewhere. */
static int spin(struct tftp_drive *d, struct udp_datagram *dg, int64_t until)
{
    int64_t now = clock_now(), soon = now + SPIN_ALONE;
    int64_t end = now + SPIN_MAX < until ? now + SPIN_MAX : until;
    bool shared = false;
    int r = udp_recv(d->udp, dg);

    while (r == 0 && now < end) {
        if (now < soon)
            now = clock_now();
        else if (step_aside(&now))
            shared = true;
        r = udp_recv(d->udp, dg);
    }
    if (r == 0)
        lose_patience(d, shared ? IN_VAIN_SHARED : IN_VAIN);
    else if (shared)
        share_core(d);
    else
        gain_patience(d);
    return r;
}

/* What is not looked at on the fast path. */
static int look_around(struct tftp_drive *d, int64_t until)
{
    int ready = udp_wait(d->udp, d->stop_fd, until);

    d->looked_at = clock_now();
    if (ready & UDP_STRANGER)
        reject_strangers(d);
    if (ready & UDP_STOP)
        return fail_here(d, -XFER_ECANCELED);
    if (d->looked_at >= d->deadline)
        return fail_here(d, -XFER_EDEADLINE);
    return 0;
}

/* Whether to wait for it alone: in one call, where looking around takes three. */
static bool comes_soon(const struct tftp_drive *d, int64_t until)
{
    return d->sm.srtt > 0 && d->sm.srtt < UDP_SOON / 2 && until - clock_now() > 2 * UDP_SOON;
}

/* The next datagram, or what there is to do without one: 1, 0, negative when it is over. */
static int next_datagram(struct tftp_drive *d, struct udp_datagram *dg)
{
    int64_t until = tftp_sm_deadline(&d->sm);

    if (d->deadline < until)
        until = d->deadline;
    int r = udp_is_waiting(d->udp) ? udp_recv(d->udp, dg) : may_spin(d) ? spin(d, dg, until) : 0;
    if (r == 0)
        r = comes_soon(d, until) ? udp_recv_soon(d->udp, dg) : udp_recv(d->udp, dg);
    if (r < 0)
        return unreachable(d, r);
    if (r > 0)
        return 1;
    return look_around(d, until);
}

static int tick(struct tftp_drive *d)
{
    struct tftp_actions acts;
    int64_t now = clock_now();

    if (now < tftp_sm_deadline(&d->sm))
        return 0;
    if (d->asked_again)
        tftp_sm_asked_again(&d->sm, atomic_exchange(d->asked_again, 0));
    if (d->ending && tftp_sm_is_silent(&d->sm) && atomic_load(d->ending))
        return unreachable(d, -ETIMEDOUT);
    tftp_sm_tick(&d->sm, now, &acts);
    return carry_out(d, &acts, NULL);
}

static bool is_settled(const struct tftp_drive *d)
{
    return tftp_sm_over(&d->sm) || d->sm.state == TFTP_S_LINGER || d->err;
}

static int begin(struct tftp_drive *d)
{
    struct tftp_actions acts;

    int r = make_room(d);
    if (r < 0)
        return fail_here(d, r);
    tftp_sm_begin(&d->sm, clock_now(), &acts);
    return carry_out(d, &acts, NULL);
}

int tftp_drive_run(struct tftp_drive *d)
{
    struct udp_datagram dg;
    int r = begin(d);

    while (!is_settled(d)) {
        r = next_datagram(d, &dg);
        if (r > 0)
            r = take_datagram(d, &dg);
        else if (r == 0)
            r = tick(d);
        if (r == 0)
            r = tell_moved(d);
        if (r < 0 && !d->err && !is_settled(d)) /* what has moved and is safe stays a success */
            r = fail_here(d, r);
        /* time passes even for a peer that never pauses */
        if (!is_settled(d) && clock_now() - d->looked_at > LOOK_EVERY && look_around(d, 0) == 0)
            tick(d);
    }
    if (d->err)
        d->err = failure(d);
    return d->err;
}

/* ---- lingering ---- */

static void end_linger(struct tftp_drive *d)
{
    struct tftp_actions acts;

    tftp_sm_unreachable(&d->sm, &acts);
}

bool tftp_drive_linger(struct tftp_drive *d, int64_t now)
{
    struct udp_datagram dg;
    struct tftp_actions acts;
    int r = 0;

    reject_strangers(d);
    for (int i = 0; i < IOV_BATCH && d->sm.state == TFTP_S_LINGER; i++) {
        r = udp_recv(d->udp, &dg);
        if (r <= 0)
            break;
        take_datagram(d, &dg);
    }
    if (r < 0)
        end_linger(d);
    tftp_sm_tick(&d->sm, now, &acts);
    return d->sm.state == TFTP_S_LINGER;
}

void tftp_drive_linger_out(struct tftp_drive *d)
{
    /* nothing is measured where the request went out twice and the file has one block */
    int64_t near = d->sm.srtt ? 8 * d->sm.srtt : PROBE_FIRST;
    int64_t probe = near < PROBE_FIRST ? near : PROBE_FIRST;
    int64_t probe_at = clock_now() + probe;

    while (d->sm.state == TFTP_S_LINGER) {
        int64_t now = clock_now(), until = tftp_sm_deadline(&d->sm);
        if (!tftp_drive_linger(d, now))
            break;
        /* the last ACK once more: a server that has gone answers it with an ICMP error, and one
         * that waits for it is helped */
        if (now >= probe_at && do_ack(d, d->sm.last) == 0) {
            probe *= 2;
            probe_at = now + probe;
        }
        int ready = udp_wait(d->udp, d->stop_fd, probe_at < until ? probe_at : until);
        if ((ready & UDP_STOP) || clock_now() >= d->deadline)
            end_linger(d);
    }
}
