#include "config.h"

#include "session/tftp_server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"

#define LINGER_AT_STOP (CLOCK_SEC / 5) /* a server that ends does not wait longer */
#define REQUESTS_A_TURN 64             /* of one socket, so that none starves */
#define PER_HOST_MIN 64                /* transfers that one address may have at once; */
#define PER_HOST_SHARE 4               /* or one in so many of all */
#define UNHEARD_PER_HOST 8             /* transfers of one address that resend by time alone */

/* What belongs to the listening thread alone. */
struct watch {
    struct tftp_server *ts;
    struct tftp_transfer *lingering, **end;
    unsigned n_lingering;
    int64_t stop_at; /* CLOCK_NEVER: not told to stop yet; else when lingering ends */
    struct pollfd p[2 + TFTP_LISTEN_MAX + 2 * TFTP_LINGERING];
    uint8_t buf[UDP_DATAGRAM_MAX];
};

/* ---- digests of what was just sent ---- */

void tftp_recent_add(struct tftp_server *ts, const char *etag, const uint8_t sha256[DIGEST_LEN])
{
    pthread_mutex_lock(&ts->mutex);
    unsigned i = ts->recent_at++ % TFTP_RECENT;
    snprintf(ts->recent[i].etag, sizeof ts->recent[i].etag, "%s", etag);
    memcpy(ts->recent[i].sha256, sha256, DIGEST_LEN);
    pthread_mutex_unlock(&ts->mutex);
}

bool tftp_recent_get(struct tftp_server *ts, const char *etag, uint8_t sha256[DIGEST_LEN])
{
    bool found = false;

    pthread_mutex_lock(&ts->mutex);
    for (unsigned i = 0; i < TFTP_RECENT && !found; i++) {
        found = ts->recent[i].etag[0] && strcmp(ts->recent[i].etag, etag) == 0;
        if (found)
            memcpy(sha256, ts->recent[i].sha256, DIGEST_LEN);
    }
    pthread_mutex_unlock(&ts->mutex);
    return found;
}

/* ---- transfers ---- */

static void wake(struct tftp_server *ts)
{
    eventfd_write(ts->wake_fd, 1);
}

static void unlink_running(struct tftp_server *ts, struct tftp_transfer *t)
{
    struct tftp_transfer **at = &ts->running;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
}

/* The transfer has ended: it lingers in the listening thread, or is gone. */
static void end_transfer(struct tftp_transfer *t, bool lingers)
{
    struct tftp_server *ts = t->ts;

    pthread_mutex_lock(&ts->mutex);
    unlink_running(ts, t);
    if (lingers) {
        t->next = ts->landed;
        ts->landed = t;
    }
    atomic_fetch_sub(&ts->active, 1);
    wake(ts); /* within the lock: without it the server might be gone already */
    pthread_mutex_unlock(&ts->mutex);
    if (!lingers)
        free(t);
}

static void *transfer_thread(void *arg)
{
    struct tftp_transfer *t = arg;
    struct server *srv = t->ts->srv;
    bool lingers = tftp_transfer_run(t);

    digest_thread_done();
    end_transfer(t, lingers);
    server_leave(srv);
    return NULL;
}

/* ---- requests ---- */

static void reply_error(const struct tftp_server *ts, int i, const struct addr *local,
                        const struct addr *to, int err, const char *text)
{
    uint8_t out[TFTP_HEADER + TFTP_TEXT_MAX + 1];
    size_t n = tftp_put_error(out, sizeof out, (enum tftp_error)err_row(err)->tftp_code, text);

    udp_listen_send(ts->fd[i], local, to, out, n);
}

void tftp_server_turn_away(struct tftp_server *ts, int i, const struct addr *local,
                           const struct addr *to, const char *text)
{
    pthread_mutex_lock(&ts->mutex);
    if (ts->fd[i] >= 0)
        reply_error(ts, i, local, to, -XFER_EBUSY, text);
    pthread_mutex_unlock(&ts->mutex);
}

/* The same request from the same port again: it was answered, and is answered again in time. */
static bool is_duplicate(struct tftp_server *ts, const struct addr *from, const uint8_t *p,
                         size_t n, unsigned *same_host)
{
    bool found = false;

    *same_host = 0;
    pthread_mutex_lock(&ts->mutex);
    for (struct tftp_transfer *t = ts->running; t; t = t->next) {
        *same_host += addr_same_host(&t->peer, from);
        if (!found && addr_same_peer(&t->peer, from) && t->n == n &&
            memcmp(t->request, p, n) == 0) {
            found = true;
            atomic_fetch_add(&t->asked_again, 1);
        }
    }
    pthread_mutex_unlock(&ts->mutex);
    return found;
}

static int start_transfer(struct tftp_server *ts, int i, const struct addr *from,
                          const struct addr *local, const uint8_t *p, size_t n, unsigned unheard)
{
    struct tftp_transfer *t = calloc(1, sizeof *t + n);

    if (!t)
        return -ENOMEM;
    t->ts = ts;
    t->listener = i;
    t->peer = *from;
    t->local = *local;
    t->unheard = unheard;
    t->n = n;
    memcpy(t->request, p, n);
    pthread_mutex_lock(&ts->mutex);
    t->next = ts->running;
    ts->running = t;
    atomic_fetch_add(&ts->active, 1);
    pthread_mutex_unlock(&ts->mutex);
    int r = server_start_thread(transfer_thread, t);
    if (r)
        end_transfer(t, false);
    return -r;
}

static unsigned per_host(const struct server *srv)
{
    unsigned share = server_max(srv) / PER_HOST_SHARE;

    return share > PER_HOST_MIN ? share : PER_HOST_MIN;
}

/* Why a well-formed request gets no transfer; NULL when it has one, or had it. */
static const char *admit(struct tftp_server *ts, int i, const struct addr *from,
                         const struct addr *local, const uint8_t *p, size_t n)
{
    unsigned same_host;

    if (is_duplicate(ts, from, p, n, &same_host))
        return NULL;
    if (same_host >= per_host(ts->srv))
        return "peer is busy: too many transfers of one address, try again later";
    if (!server_enter(ts->srv))
        return "peer is busy: too many transfers, try again later";
    unsigned unheard = same_host < UNHEARD_PER_HOST ? TFTP_UNHEARD : 0;
    if (start_transfer(ts, i, from, local, p, n, unheard) == 0)
        return NULL;
    server_leave(ts->srv);
    return "peer is busy: no thread for a transfer, try again later";
}

static void take_request(struct tftp_server *ts, int i, const struct addr *from,
                         const struct addr *local, const uint8_t *p, size_t n)
{
    const char *text = "malformed request";
    struct tftp_pkt pkt, *known = NULL;
    int err = -XFER_EPROTO;

    if (local->len == 0 || addr_port(from) == 0) /* RFC 1123, 4.2.3.5: broadcasts are ignored */
        return;
    if (tftp_decode(p, n, &pkt) < 0) {
        if (n < 2 || p[0] != 0 || (p[1] != TFTP_RRQ && p[1] != TFTP_WRQ))
            return;
    } else if (pkt.op != TFTP_RRQ && pkt.op != TFTP_WRQ) {
        /* a stray, or, where transfers share this port, a stranger */
        if (ts->ports.single && pkt.op != TFTP_ERROR) {
            uint8_t out[64];
            size_t len = tftp_put_error(out, sizeof out, TFTP_E_TID, "unknown transfer");
            udp_listen_send(ts->fd[i], local, from, out, len);
        }
        return;
    } else {
        known = &pkt;
        text = pkt.mode_known ? NULL : "mode must be octet or netascii";
    }
    if (!text) {
        err = -XFER_EBUSY;
        text = admit(ts, i, from, local, p, n);
    }
    if (text) {
        reply_error(ts, i, local, from, err, text);
        tftp_log_refused(ts->srv, from, known, err, text);
    }
}

static void take_requests(struct watch *w, int i)
{
    struct addr from, local;

    for (int k = 0; k < REQUESTS_A_TURN; k++) {
        long n = udp_listen_recv(w->ts->fd[i], w->buf, sizeof w->buf, &from, &local);
        if (n == -EAGAIN)
            return;
        if (n >= 0)
            take_request(w->ts, i, &from, &local, w->buf, (size_t)n);
    }
}

/* ---- lingering ---- */

static void let_go(struct watch *w, struct tftp_transfer **at)
{
    struct tftp_transfer *t = *at;

    *at = t->next;
    if (w->end == &t->next)
        w->end = at;
    w->n_lingering--;
    udp_close(&t->udp);
    free(t);
}

static void take_over_landed(struct watch *w)
{
    struct tftp_server *ts = w->ts;

    pthread_mutex_lock(&ts->mutex);
    struct tftp_transfer *t = ts->landed;
    ts->landed = NULL;
    pthread_mutex_unlock(&ts->mutex);
    while (t) {
        struct tftp_transfer *next = t->next;
        t->next = NULL;
        *w->end = t;
        w->end = &t->next;
        w->n_lingering++;
        t = next;
    }
    while (w->n_lingering > TFTP_LINGERING)
        let_go(w, &w->lingering);
}

static void linger(struct watch *w)
{
    int64_t now = clock_now();

    for (struct tftp_transfer **at = &w->lingering; *at;) {
        if (now < w->stop_at && tftp_drive_linger(&(*at)->drive, now))
            at = &(*at)->next;
        else
            let_go(w, at);
    }
}

/* ---- the listening thread ---- */

static nfds_t prepare_poll(struct watch *w, int64_t *until)
{
    struct tftp_server *ts = w->ts;
    bool stopping = w->stop_at != CLOCK_NEVER;
    nfds_t n = 0;

    *until = w->lingering ? w->stop_at : CLOCK_NEVER; /* who is still at work wakes us */
    w->p[n++] = (struct pollfd){.fd = stopping ? -1 : ts->srv->stop_fd, .events = POLLIN};
    w->p[n++] = (struct pollfd){.fd = ts->wake_fd, .events = POLLIN};
    for (int i = 0; i < ts->n; i++)
        w->p[n++] = (struct pollfd){.fd = stopping ? -1 : ts->fd[i], .events = POLLIN};
    for (const struct tftp_transfer *t = w->lingering; t; t = t->next) {
        int64_t deadline = tftp_sm_deadline(&t->drive.sm);
        w->p[n++] = (struct pollfd){.fd = t->udp.fd, .events = POLLIN};
        if (t->udp.companion >= 0) /* poll counts them against the limit of descriptors */
            w->p[n++] = (struct pollfd){.fd = t->udp.companion, .events = POLLIN};
        *until = deadline < *until ? deadline : *until;
    }
    return n;
}

static void wait_for_work(struct watch *w)
{
    int64_t until, left;
    nfds_t n = prepare_poll(w, &until);
    struct timespec ts = {0};

    left = until == CLOCK_NEVER ? 0 : until - clock_now();
    if (left > 0)
        ts = (struct timespec){left / CLOCK_SEC, left % CLOCK_SEC};
    if (ppoll(w->p, n, until == CLOCK_NEVER ? NULL : &ts, NULL) <= 0)
        for (nfds_t i = 0; i < n; i++)
            w->p[i].revents = 0;
}

/* What has landed since is still to linger. */
static bool is_idle(struct watch *w)
{
    struct tftp_server *ts = w->ts;

    pthread_mutex_lock(&ts->mutex);
    bool idle = !ts->running && !ts->landed && !w->lingering;
    pthread_mutex_unlock(&ts->mutex);
    return idle;
}

static void stop_listening(struct watch *w)
{
    struct tftp_server *ts = w->ts;

    w->stop_at = clock_now() + LINGER_AT_STOP;
    atomic_store(&ts->ending, true);
    pthread_mutex_lock(&ts->mutex);
    for (int i = 0; i < ts->n; i++) {
        close(ts->fd[i]);
        ts->fd[i] = -1;
    }
    pthread_mutex_unlock(&ts->mutex);
}

static void *listen_thread(void *arg)
{
    struct watch *w = arg;
    struct tftp_server *ts = w->ts;
    eventfd_t ended;

    while (w->stop_at == CLOCK_NEVER || !is_idle(w)) {
        wait_for_work(w);
        if (w->p[1].revents)
            eventfd_read(ts->wake_fd, &ended);
        for (int i = 0; i < ts->n; i++)
            if (w->p[2 + i].revents)
                take_requests(w, i);
        if (w->p[0].revents)
            stop_listening(w);
        take_over_landed(w);
        linger(w);
    }
    free(w);
    return NULL;
}

/* ---- set-up ---- */

int tftp_server_init(struct tftp_server *ts, struct server *srv)
{
    const struct xfer_serve_opts *o = srv->o;

    memset(ts, 0, sizeof *ts);
    ts->srv = srv;
    ts->ports = (struct udp_ports){o->udp_port_lo, o->udp_port_hi, o->udp_single_port};
    ts->cores = tftp_cores();
    pthread_mutex_init(&ts->mutex, NULL);
    ts->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return ts->wake_fd < 0 ? -errno : 0;
}

int tftp_server_listen(struct tftp_server *ts, const struct addr *a)
{
    if (ts->n == TFTP_LISTEN_MAX)
        return -EMFILE;
    int fd = udp_listen(a, ts->ports.single, &ts->bound[ts->n]);
    if (fd < 0)
        return fd;
    ts->fd[ts->n++] = fd;
    return 0;
}

int tftp_server_start(struct tftp_server *ts)
{
    struct watch *w;

    if (ts->n == 0)
        return 0;
    w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->ts = ts;
    w->end = &w->lingering;
    w->stop_at = CLOCK_NEVER;
    int r = server_spawn(&ts->thread, listen_thread, w);
    if (r) {
        free(w);
        return -r;
    }
    ts->started = true;
    return 0;
}

void tftp_server_free(struct tftp_server *ts)
{
    if (ts->started)
        pthread_join(ts->thread, NULL);
    for (int i = 0; i < ts->n; i++)
        if (ts->fd[i] >= 0)
            close(ts->fd[i]);
    if (ts->wake_fd >= 0)
        close(ts->wake_fd);
    pthread_mutex_destroy(&ts->mutex);
}
