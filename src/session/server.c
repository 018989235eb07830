#include "config.h"

#include "session/server.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/clock.h"
#include "session/conn.h"
#include "session/stop.h"
#include "session/tftp_server.h"
#include "session/turnaway.h"

#define LISTEN_MAX 64
#define CACHE_ENTRIES 65536
#define STACK_SIZE (256 * 1024)
#define DEFAULT_CONNECTIONS 1024
#define DEFAULT_TIMEOUT 60.0
#define BACK_OFF (CLOCK_SEC / 5) /* of accepting, when descriptors or memory ran out */

struct listeners {
    int n;
    int fd[LISTEN_MAX];
    struct addr bound[LISTEN_MAX];
    struct tftp_server *tftp;
};

struct newcomer {
    struct server *srv;
    int fd;
    struct addr peer;
};

void server_note(struct server *srv, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (!srv->o->on_note)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&srv->log_mutex);
    srv->o->on_note(srv->o->user, text);
    pthread_mutex_unlock(&srv->log_mutex);
}

void server_log(struct server *srv, const struct xfer_request *r)
{
    if (!srv->o->on_request)
        return;
    pthread_mutex_lock(&srv->log_mutex);
    srv->o->on_request(srv->o->user, r);
    pthread_mutex_unlock(&srv->log_mutex);
}

pthread_mutex_t *server_target_lock(struct server *srv, const struct store_writer *w)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (const char *s = w->name; *s; s++)
        h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    return &srv->target_locks[h % SERVER_TARGET_LOCKS];
}

/* ---- listening ---- */

/* UDP beside TCP, on the same port if none was named; where any port would do, so will another. */
static int listen_udp(struct server *srv, const struct addr *spec, struct listeners *l)
{
    const struct xfer_serve_opts *o = srv->o;
    struct addr a = o->no_tcp ? *spec : l->bound[l->n - 1];
    char text[ADDR_SHOW_MAX];

    if (o->udp_port)
        addr_set_port(&a, o->udp_port);
    int r = tftp_server_listen(l->tftp, &a);
    if (r == -EADDRINUSE && addr_port(spec) == 0 && !o->udp_port)
        r = tftp_server_listen(l->tftp, spec);
    if (r < 0)
        server_note(srv, "udp %s: %s (--no-udp serves TCP alone)", addr_show(&a, text),
                    xfer_strerror(r));
    return r;
}

static int listen_tcp(struct server *srv, const struct addr *a, struct listeners *l)
{
    int fd = addr_listen(a, &l->bound[l->n]), r;

    if (fd < 0)
        return fd;
    r = srv->o->congestion ? tcp_set_congestion(fd, srv->o->congestion) : 0;
    if (r < 0) {
        close(fd);
        return r;
    }
    l->fd[l->n++] = fd;
    return 0;
}

static int listen_on(struct server *srv, const char *spec, struct listeners *l)
{
    const struct xfer_serve_opts *o = srv->o;
    struct addr a[16];
    int got = 0, last = -XFER_EHOST;

    int n = addr_parse_listen(spec, XFER_PORT, a, 16);
    for (int i = 0; i < n && l->n < LISTEN_MAX; i++) {
        if (!o->insecure && !addr_is_loopback(&a[i])) {
            server_note(srv,
                        "%s: beyond loopback nothing is encrypted: add --insecure if that is meant",
                        spec);
            return -XFER_EUSAGE;
        }
        int r = o->no_tcp ? 0 : listen_tcp(srv, &a[i], l);
        if (r == 0 && !o->no_udp)
            r = listen_udp(srv, &a[i], l);
        if (r < 0) {
            last = r;
            /* a machine without IPv6 (or IPv4) still serves the other */
            if (n > 1 && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL))
                continue;
            return r;
        }
        got++;
    }
    if (n < 0)
        server_note(srv, "%s: %s", spec,
                    n == -XFER_EUSAGE ? "not an address to listen on" : xfer_strerror(n));
    return n < 0 ? n : got ? 0 : last;
}

static int listen_all(struct server *srv, struct listeners *l)
{
    const struct xfer_serve_opts *o = srv->o;

    if (o->n_listen == 0) {
        int r4 = listen_on(srv, "127.0.0.1", l);
        int r6 = listen_on(srv, "[::1]", l);
        if (r4 < 0 && r4 != -EAFNOSUPPORT)
            return r4;
        if (r6 < 0 && r6 != -EAFNOSUPPORT && r6 != -EADDRNOTAVAIL)
            return r6;
        return l->n || l->tftp->n ? 0 : r4;
    }
    for (size_t i = 0; i < o->n_listen; i++) {
        int r = listen_on(srv, o->listen[i], l);
        if (r < 0)
            return r;
    }
    return 0;
}

static void announce(const struct xfer_serve_opts *o, const struct listeners *l)
{
    char text[ADDR_SHOW_MAX];

    for (int i = 0; o->on_listening && i < l->n; i++)
        o->on_listening(o->user, "tcp", addr_show(&l->bound[i], text));
    for (int i = 0; o->on_listening && i < l->tftp->n; i++)
        o->on_listening(o->user, "udp", addr_show(&l->tftp->bound[i], text));
}

static void stop_listening(struct listeners *l)
{
    while (l->n)
        close(l->fd[--l->n]);
}

/* ---- set-up ---- */

static void raise_descriptor_limit(const struct xfer_serve_opts *o, unsigned connections)
{
    /* a socket, a file and its directory each; a batch holds two descriptors a file */
    rlim_t need = (rlim_t)connections * (o->sync == XFER_SYNC_NONE ? 8 : 520) + 256;
    struct rlimit rl;

    need += o->no_udp ? 0 : 2 * TFTP_LINGERING;
    if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur >= need)
        return;
    rl.rlim_cur = need < rl.rlim_max ? need : rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
}

static int drop_privileges(const char *name)
{
    struct passwd pw, *found;
    char buf[4096];

    if (!name)
        return 0;
    int r = getpwnam_r(name, &pw, buf, sizeof buf, &found);
    if (r || !found)
        return r ? -r : -XFER_EUSAGE;
    if (initgroups(pw.pw_name, pw.pw_gid) < 0 || setgid(pw.pw_gid) < 0 || setuid(pw.pw_uid) < 0)
        return -errno;
    return 0;
}

static int server_init(struct server *srv, const struct xfer_serve_opts *o)
{
    pthread_condattr_t a;

    *srv = (struct server){.o = o, .store = {.fd = -1}, .stop_fd = stop_fd(o->stop)};
    srv->idle = clock_from_seconds(o->timeout > 0 ? o->timeout : DEFAULT_TIMEOUT);
    pthread_mutex_init(&srv->mutex, NULL);
    pthread_mutex_init(&srv->log_mutex, NULL);
    for (size_t i = 0; i < SERVER_TARGET_LOCKS; i++)
        pthread_mutex_init(&srv->target_locks[i], NULL);
    pthread_condattr_init(&a);
    pthread_cond_init(&srv->changed, &a);
    pthread_condattr_destroy(&a);
    claims_init(&srv->claims);
    srv->cache = digest_cache_new(CACHE_ENTRIES);
    return srv->cache ? 0 : -ENOMEM;
}

static void server_free(struct server *srv)
{
    digest_cache_free(srv->cache);
    claims_destroy(&srv->claims);
    pthread_cond_destroy(&srv->changed);
    for (size_t i = 0; i < SERVER_TARGET_LOCKS; i++)
        pthread_mutex_destroy(&srv->target_locks[i]);
    pthread_mutex_destroy(&srv->log_mutex);
    pthread_mutex_destroy(&srv->mutex);
    store_close(&srv->store);
}

/* ---- connections ---- */

unsigned server_max(const struct server *srv)
{
    return srv->o->max_connections ? srv->o->max_connections : DEFAULT_CONNECTIONS;
}

void server_leave(struct server *srv)
{
    pthread_mutex_lock(&srv->mutex);
    srv->n_conns--;
    pthread_cond_signal(&srv->changed);
    pthread_mutex_unlock(&srv->mutex);
}

static void *conn_thread(void *arg)
{
    struct newcomer n = *(struct newcomer *)arg;

    free(arg);
    conn_run(n.srv, n.fd, &n.peer);
    digest_thread_done();
    server_leave(n.srv);
    return NULL;
}

bool server_enter(struct server *srv)
{
    pthread_mutex_lock(&srv->mutex);
    bool room = srv->n_conns < server_max(srv);
    if (room)
        srv->n_conns++;
    pthread_mutex_unlock(&srv->mutex);
    return room;
}

static int spawn(pthread_t *t, int detach_state, void *(*run)(void *), void *arg)
{
    pthread_attr_t a;
    sigset_t all, before;

    sigfillset(&all); /* the new thread inherits this: signals are for the caller's threads */
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, detach_state);
    pthread_attr_setstacksize(&a, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(t, &a, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&a);
    return r;
}

int server_start_thread(void *(*run)(void *arg), void *arg)
{
    pthread_t t;

    return spawn(&t, PTHREAD_CREATE_DETACHED, run, arg);
}

int server_spawn(pthread_t *t, void *(*run)(void *arg), void *arg)
{
    return spawn(t, PTHREAD_CREATE_JOINABLE, run, arg);
}

static void admit(struct server *srv, struct turnaway *t, int fd, const struct addr *peer)
{
    char text[ADDR_SHOW_MAX];

    if (!server_enter(srv)) {
        turnaway_add(t, fd, clock_now());
        server_note(srv, "%s: turned away, %u connections are open", addr_show(peer, text),
                    server_max(srv));
        return;
    }
    struct newcomer *n = malloc(sizeof *n);
    if (n)
        *n = (struct newcomer){srv, fd, *peer};
    if (!n || server_start_thread(conn_thread, n) != 0) {
        free(n);
        server_leave(srv);
        turnaway_add(t, fd, clock_now());
        server_note(srv, "%s: turned away, no thread to serve it", addr_show(peer, text));
    }
}

/* Takes all that waits on one listener. False when descriptors or memory ran out. */
static bool accept_all(struct server *srv, struct turnaway *t, int listener)
{
    for (;;) {
        struct addr peer = {.len = sizeof peer.ss};
        int fd =
            accept4(listener, (struct sockaddr *)&peer.ss, &peer.len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            addr_tune(fd);
            admit(srv, t, fd, &peer);
            continue;
        }
        switch (errno) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            server_note(srv, "cannot accept connections for a moment: %s", xfer_strerror(-errno));
            return false;
        case EINTR:
        case ECONNABORTED:
            continue;
        default: /* EAGAIN, and errors of the network that concern one newcomer (accept(2)) */
            return true;
        }
    }
}

/* Waiting itself failed: to end for that would end those that are served. */
static void pause_a_moment(struct server *srv, int err)
{
    server_note(srv, "cannot wait for connections for a moment: %s", xfer_strerror(err));
    nanosleep(&(struct timespec){.tv_nsec = BACK_OFF}, NULL);
}

static void accept_loop(struct server *srv, const struct listeners *l)
{
    struct pollfd p[1 + LISTEN_MAX + TURNAWAY_MAX];
    struct turnaway t = {0};
    int64_t resume_at = 0;

    for (;;) {
        bool waiting = clock_now() < resume_at;
        p[0] = (struct pollfd){.fd = srv->stop_fd, .events = POLLIN};
        for (int i = 0; i < l->n; i++)
            p[1 + i] = (struct pollfd){.fd = waiting ? -1 : l->fd[i], .events = POLLIN};
        int lingering = turnaway_poll(&t, p + 1 + l->n);
        int n = poll(p, (nfds_t)(1 + l->n + lingering), waiting || lingering ? 100 : -1);
        if (n < 0 && errno == ENOMEM)
            pause_a_moment(srv, -errno);
        else if (n < 0 && errno != EINTR)
            break;
        if (n > 0 && p[0].revents)
            break;
        if (n >= 0)
            turnaway_turn(&t, p + 1 + l->n, clock_now());
        for (int i = 0; n > 0 && i < l->n; i++)
            if (p[1 + i].revents && !accept_all(srv, &t, l->fd[i]))
                resume_at = clock_now() + BACK_OFF;
    }
    turnaway_close(&t);
}

static void wait_for_connections(struct server *srv)
{
    pthread_mutex_lock(&srv->mutex);
    while (srv->n_conns)
        pthread_cond_wait(&srv->changed, &srv->mutex);
    pthread_mutex_unlock(&srv->mutex);
}

static int serve(struct server *srv, struct listeners *l)
{
    const struct xfer_serve_opts *o = srv->o;

    int r = store_open(&srv->store, o->dir);
    if (r == 0)
        r = listen_all(srv, l);
    if (r == 0)
        r = drop_privileges(o->user_name);
    if (r == 0)
        r = tftp_server_start(l->tftp);
    if (r == 0) {
        announce(o, l);
        accept_loop(srv, l);
        stop_listening(l);
        wait_for_connections(srv);
    }
    stop_listening(l);
    return r;
}

int xfer_serve(const struct xfer_serve_opts *o)
{
    struct tftp_server tftp;
    struct listeners l = {.tftp = &tftp};
    struct server srv;

    if (o->no_tcp && o->no_udp)
        return -XFER_EUSAGE;
    raise_descriptor_limit(o, o->max_connections ? o->max_connections : DEFAULT_CONNECTIONS);
    int r = server_init(&srv, o);
    int t = tftp_server_init(&tftp, &srv);
    if (r == 0)
        r = t < 0 ? t : serve(&srv, &l);
    tftp_server_free(&tftp);
    server_free(&srv);
    return r;
}
