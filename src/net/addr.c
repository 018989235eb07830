#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/addr.h"
#include "net/clock.h"

/* More addresses than this for one name are not tried. */
#define ADDRS_MAX 16
#define HOST_MAX 256
/* RFC 8305, 5: "Connection Attempt Delay ... recommended 250 milliseconds". */
#define ATTEMPT_DELAY (CLOCK_SEC / 4)

char *addr_show(const struct addr *a, char *out)
{
    char host[64], port[8];
    bool v6 = a->ss.ss_family == AF_INET6;

    if (getnameinfo((const struct sockaddr *)&a->ss, a->len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(out, ADDR_SHOW_MAX, "?");
    else
        snprintf(out, ADDR_SHOW_MAX, v6 ? "[%s]:%s" : "%s:%s", host, port);
    return out;
}

static bool is_loopback_v4(uint32_t host_order)
{
    return host_order >> 24 == 127;
}

bool addr_is_loopback(const struct addr *a)
{
    if (a->ss.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a->ss;

        return is_loopback_v4(ntohl(in->sin_addr.s_addr));
    }
    if (a->ss.ss_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)&a->ss)->sin6_addr;
        uint32_t last;

        if (!IN6_IS_ADDR_V4MAPPED(in6))
            return IN6_IS_ADDR_LOOPBACK(in6);
        memcpy(&last, in6->s6_addr + 12, sizeof last);
        return is_loopback_v4(ntohl(last));
    }
    return false;
}

bool addr_same_host(const struct addr *a, const struct addr *b)
{
    if (a->ss.ss_family != b->ss.ss_family)
        return false;
    if (a->ss.ss_family == AF_INET) {
        const struct sockaddr_in *x = (const void *)&a->ss, *y = (const void *)&b->ss;

        return x->sin_addr.s_addr == y->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *x = (const void *)&a->ss, *y = (const void *)&b->ss;

    return memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
}

bool addr_same_peer(const struct addr *a, const struct addr *b)
{
    return addr_port(a) == addr_port(b) && addr_same_host(a, b);
}

/* sin_port and sin6_port are at the same place (RFC 3493, 3.3). */
unsigned addr_port(const struct addr *a)
{
    return ntohs(((const struct sockaddr_in *)&a->ss)->sin_port);
}

void addr_set_port(struct addr *a, unsigned port)
{
    ((struct sockaddr_in *)&a->ss)->sin_port = htons((uint16_t)port);
}
/* What waits to be sent in the kernel has left the cache by the time it goes: this much is enough
 * to keep the line busy while we prepare more. */
#define UNSENT_MAX (128 * 1024)

void addr_tune(int fd)
{
    int on = 1, unsent = UNSENT_MAX;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

/* ---- names ---- */

static int err_of_gai(int rc)
{
    if (rc == EAI_MEMORY)
        return -ENOMEM;
    if (rc == EAI_SYSTEM && errno != 0)
        return -errno;
    return -XFER_EHOST;
}

static bool same_addr(const struct addr *a, const struct addr *b)
{
    return a->len == b->len && memcmp(&a->ss, &b->ss, a->len) == 0;
}

static size_t add_addr(const struct addrinfo *ai, struct addr *out, size_t n, size_t max)
{
    if (n == max || ai->ai_addrlen > sizeof out->ss)
        return n;
    memset(&out[n], 0, sizeof out[n]);
    memcpy(&out[n].ss, ai->ai_addr, ai->ai_addrlen);
    out[n].len = ai->ai_addrlen;
    /* A name that stands twice in /etc/hosts comes twice. */
    for (size_t i = 0; i < n; i++)
        if (same_addr(&out[i], &out[n]))
            return n;
    return n + 1;
}

/* Blocks while it asks the name service. host NULL: every address. Returns how many. */
static int resolve(const char *host, unsigned port, int family, int flags, struct addr *out,
                   size_t max)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char service[8];
    size_t n = 0;
    int rc;

    hints.ai_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
    snprintf(service, sizeof service, "%u", port & 0xffff);
    rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0)
        return err_of_gai(rc);
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
        n = add_addr(ai, out, n, max);
    freeaddrinfo(list);
    return n > 0 ? (int)n : -XFER_EHOST;
}

/* ---- listening ---- */

/* Splits "[v6]:PORT", "HOST:PORT", ":PORT", "HOST", a bare IPv6 address. *port stays where none is
 * given. */
static int split_listen(const char *spec, char host[HOST_MAX], unsigned *port)
{
    const char *colon = strrchr(spec, ':'), *h = spec;
    size_t n = strlen(spec);
    uint64_t v;

    if (spec[0] == '[') {
        const char *close = strchr(spec, ']');

        if (close == NULL || (close[1] != '\0' && close[1] != ':'))
            return -XFER_EUSAGE;
        h = spec + 1;
        n = (size_t)(close - h);
        colon = close[1] == ':' ? close + 1 : NULL;
        if (n == 0)
            return -XFER_EUSAGE;
    } else if (colon != NULL && strchr(spec, ':') != colon) {
        colon = NULL;
    } else if (colon != NULL) {
        n = (size_t)(colon - spec);
    }
    if (colon != NULL && !parse_u64(colon + 1, strlen(colon + 1), 65535, &v))
        return -XFER_EUSAGE;
    if (n >= HOST_MAX || (n == 0 && colon == NULL))
        return -XFER_EUSAGE;
    if (colon != NULL)
        *port = (unsigned)v;
    memcpy(host, h, n);
    host[n] = '\0';
    return 0;
}

int addr_parse_listen(const char *spec, unsigned default_port, struct addr *out, size_t max)
{
    char host[HOST_MAX];
    unsigned port = default_port;
    int rc = split_listen(spec, host, &port);

    if (rc != 0)
        return rc;
    if ((spec[0] == '[' || strchr(host, ':') != NULL) &&
        (rc = resolve(host, port, 6, AI_PASSIVE | AI_NUMERICHOST, out, max)) < 0)
        return rc == -XFER_EHOST ? -XFER_EUSAGE : rc;
    if (rc > 0)
        return rc;
    return resolve(host[0] != '\0' ? host : NULL, port, 0, AI_PASSIVE, out, max);
}

static int listen_on(int fd, const struct addr *a, struct addr *bound)
{
    int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ss.ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&a->ss, a->len) != 0 || listen(fd, SOMAXCONN) != 0)
        return -errno;
    if (bound != NULL) {
        memset(bound, 0, sizeof *bound);
        bound->len = sizeof bound->ss;
        if (getsockname(fd, (struct sockaddr *)&bound->ss, &bound->len) != 0)
            return -errno;
    }
    return 0;
}

int addr_listen(const struct addr *a, struct addr *bound)
{
    int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return -errno;
    rc = listen_on(fd, a, bound);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

/* ---- looking up under a deadline ---- */

/* getaddrinfo can neither be stopped nor given a deadline, so it runs in a thread of its own, which
 * is left behind when the caller gives up. Whoever lets go last frees. */
struct lookup {
    atomic_int refs;
    int done_fd;
    char host[HOST_MAX];
    unsigned port;
    int family;
    atomic_int result; /* set after found: who has read it may read that */
    struct addr found[ADDRS_MAX];
};

static void lookup_unref(struct lookup *l)
{
    if (atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    close(l->done_fd);
    free(l);
}

static void *lookup_run(void *arg)
{
    struct lookup *l = arg;

    atomic_store(&l->result, resolve(l->host, l->port, l->family, 0, l->found, ADDRS_MAX));
    eventfd_write(l->done_fd, 1);
    lookup_unref(l);
    return NULL;
}

static struct lookup *lookup_new(const char *host, unsigned port, int family)
{
    struct lookup *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->done_fd = eventfd(0, EFD_CLOEXEC);
    if (l->done_fd < 0) {
        free(l);
        return NULL;
    }
    atomic_init(&l->refs, 2);
    snprintf(l->host, sizeof l->host, "%s", host);
    l->port = port;
    l->family = family;
    return l;
}

/* Signals belong to the program's own threads. */
static int start_detached(void *(*run)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, old;
    pthread_t id;
    int rc;

    sigfillset(&all);
    rc = pthread_attr_init(&attr);
    if (rc != 0)
        return -rc;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&id, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return -rc;
}

/* Milliseconds for poll, rounded up so that it never wakes before its time. */
static int poll_ms(int64_t until)
{
    int64_t left;

    if (until == CLOCK_NEVER)
        return -1;
    left = until - clock_now();
    if (left <= 0)
        return 0;
    left = (left + 999999) / 1000000;
    return left > 3600000 ? 3600000 : (int)left;
}

static int lookup_wait(struct lookup *l, int stop_fd, int64_t deadline)
{
    struct pollfd p[2] = {{.fd = l->done_fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};

    for (;;) {
        int ready = poll(p, 2, poll_ms(deadline));

        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready > 0 && p[1].revents != 0)
            return -XFER_ECANCELED;
        if (ready > 0)
            return 0;
        if (clock_now() >= deadline)
            return -ETIMEDOUT;
    }
}

static int lookup_name(const char *host, unsigned port, int family, int stop_fd, int64_t deadline,
                       struct addr *out)
{
    struct lookup *l = lookup_new(host, port, family);
    int rc;

    if (l == NULL)
        return -ENOMEM;
    rc = start_detached(lookup_run, l);
    if (rc != 0) {
        lookup_unref(l);
        lookup_unref(l);
        return rc;
    }
    rc = lookup_wait(l, stop_fd, deadline);
    if (rc == 0) {
        rc = atomic_load(&l->result);
        memcpy(out, l->found, sizeof l->found);
    }
    lookup_unref(l);
    return rc;
}

/* RFC 8305, 4: the first address stays first, then the families take turns. */
static void interleave(struct addr *a, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t j = i;
        struct addr pick;

        while (j < n && a[j].ss.ss_family == a[i - 1].ss.ss_family)
            j++;
        if (j == n)
            return;
        pick = a[j];
        memmove(&a[i + 1], &a[i], (j - i) * sizeof *a);
        a[i] = pick;
    }
}

/* ---- connecting ---- */

struct dial {
    struct addr to[ADDRS_MAX];
    int fd[ADDRS_MAX]; /* -1: not begun, or failed */
    size_t n, begun;
    struct addr from; /* len 0: any */
    int64_t next_at;  /* when to begin the next */
    int err;          /* the most telling failure so far */
};

/* That a host refused says more than that a route to another of its addresses is missing. */
static void dial_failed(struct dial *d, int err)
{
    if (d->err == 0 || err == -ECONNREFUSED)
        d->err = err;
    d->next_at = 0;
}

static int dial_bind(int fd, const struct dial *d, int family)
{
    int on = 1;

    if (d->from.len == 0)
        return 0;
    if (d->from.ss.ss_family != family)
        return -EADDRNOTAVAIL;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, (const struct sockaddr *)&d->from.ss, d->from.len) == 0 ? 0 : -errno;
}

static int dial_begin(const struct dial *d, const struct addr *to, int *ret_fd)
{
    int fd = socket(to->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return -errno;
    rc = dial_bind(fd, d, to->ss.ss_family);
    if (rc == 0 && connect(fd, (const struct sockaddr *)&to->ss, to->len) != 0 &&
        errno != EINPROGRESS && errno != EINTR)
        rc = -errno;
    if (rc == 0)
        *ret_fd = fd;
    else
        close(fd);
    return rc;
}

/* Begins the next address when its time has come. */
static void dial_advance(struct dial *d)
{
    while (d->begun < d->n && clock_now() >= d->next_at) {
        size_t i = d->begun++;
        int rc = dial_begin(d, &d->to[i], &d->fd[i]);

        if (rc != 0)
            dial_failed(d, rc);
        else
            d->next_at = clock_now() + ATTEMPT_DELAY;
    }
}

/* A socket in the ephemeral range can, with no listener there, connect to itself. */
static bool is_self(int fd)
{
    struct addr a = {.len = sizeof a.ss}, b = {.len = sizeof b.ss};

    return getsockname(fd, (struct sockaddr *)&a.ss, &a.len) == 0 &&
           getpeername(fd, (struct sockaddr *)&b.ss, &b.len) == 0 && same_addr(&a, &b);
}

static int dial_result(int fd)
{
    int err = 0;
    socklen_t len = sizeof err;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        return -errno;
    if (err == 0 && is_self(fd))
        err = ECONNREFUSED;
    return -err;
}

/* Waits for the first answer, the next attempt's time or the deadline. The index that connected,
 * ADDRS_MAX for none yet, a negative error. */
static int dial_wait(struct dial *d, int stop_fd, int64_t deadline)
{
    struct pollfd p[ADDRS_MAX + 1];
    int64_t until = d->begun < d->n && d->next_at < deadline ? d->next_at : deadline;

    for (size_t i = 0; i < d->n; i++)
        p[i] = (struct pollfd){.fd = d->fd[i], .events = POLLOUT};
    p[d->n] = (struct pollfd){.fd = stop_fd, .events = POLLIN};
    if (poll(p, d->n + 1, poll_ms(until)) < 0)
        return errno == EINTR ? ADDRS_MAX : -errno;
    if (p[d->n].revents != 0)
        return -XFER_ECANCELED;
    for (size_t i = 0; i < d->n; i++) {
        int rc;

        if (d->fd[i] < 0 || p[i].revents == 0)
            continue;
        rc = dial_result(d->fd[i]);
        if (rc == 0)
            return (int)i;
        close(d->fd[i]);
        d->fd[i] = -1;
        dial_failed(d, rc);
    }
    return ADDRS_MAX;
}

static bool dial_pending(const struct dial *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->fd[i] >= 0)
            return true;
    return d->begun < d->n;
}

static int dial_run(struct dial *d, int stop_fd, int64_t deadline)
{
    int rc = ADDRS_MAX;

    while (rc == ADDRS_MAX) {
        dial_advance(d);
        if (!dial_pending(d))
            return d->err;
        rc = dial_wait(d, stop_fd, deadline);
        if (rc == ADDRS_MAX && clock_now() >= deadline)
            return -ETIMEDOUT;
    }
    return rc;
}

int addr_parse_numeric(const char *host, struct addr *out)
{
    return resolve(host, 0, 0, AI_NUMERICHOST, out, 1) < 0 ? -XFER_EUSAGE : 0;
}

int addr_lookup(const char *host, unsigned port, int family, int stop_fd, int64_t deadline,
                struct addr *out, size_t max)
{
    struct addr found[ADDRS_MAX];
    int rc = resolve(host, port, family, AI_NUMERICHOST, found, ADDRS_MAX);

    if (rc == -XFER_EHOST)
        rc = lookup_name(host, port, family, stop_fd, deadline, found);
    if (rc < 0)
        return rc;
    interleave(found, (size_t)rc);
    if ((size_t)rc > max)
        rc = (int)max;
    memcpy(out, found, (size_t)rc * sizeof *out);
    return rc;
}

static int find_addrs(struct dial *d, const char *host, unsigned port, int family,
                      const char *bind_addr, int stop_fd, int64_t deadline)
{
    int rc;

    if (bind_addr != NULL && addr_parse_numeric(bind_addr, &d->from) < 0)
        return -XFER_EUSAGE;
    rc = addr_lookup(host, port, family, stop_fd, deadline, d->to, ADDRS_MAX);
    if (rc < 0)
        return rc;
    d->n = (size_t)rc;
    return 0;
}

int addr_connect(const char *host, unsigned port, int family, const char *bind_addr, int stop_fd,
                 int64_t deadline, struct addr *peer)
{
    struct dial d = {.n = 0};
    int rc = find_addrs(&d, host, port, family, bind_addr, stop_fd, deadline), fd = -1;

    if (rc != 0)
        return rc;
    memset(d.fd, 0xff, sizeof d.fd);
    rc = dial_run(&d, stop_fd, deadline);
    if (rc >= 0) {
        fd = d.fd[rc];
        d.fd[rc] = -1;
        addr_tune(fd);
        if (peer != NULL)
            *peer = d.to[rc];
    }
    for (size_t i = 0; i < d.n; i++)
        if (d.fd[i] >= 0)
            close(d.fd[i]);
    return rc < 0 ? rc : fd;
}

void tcp_facts(int fd, struct tcp_facts *ret)
{
    struct tcp_info i = {0};
    socklen_t n = sizeof i;

    *ret = (struct tcp_facts){0};
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n) < 0)
        return;
    ret->segments = i.tcpi_segs_out; /* zero where an older kernel fills less of the struct */
    ret->retransmits = i.tcpi_total_retrans;
    ret->rtt = i.tcpi_rtt / 1e6;
    n = sizeof ret->congestion - 1;
    if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, ret->congestion, &n) < 0)
        ret->congestion[0] = '\0';
}

int tcp_set_congestion(int fd, const char *name)
{
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) == 0)
        return 0;
    return errno == ENOENT || errno == EPERM || errno == EINVAL ? -XFER_ECONGESTION : -errno;
}
