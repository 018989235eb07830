#include "config.h"

#include "net/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <linux/errqueue.h>

#include "net/clock.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define RCVBUF_WANTED (4 << 20)
#define INBOX_BYTES (256 * 1024)
#define BATCH 64
/* What one send with segmentation may carry (udp(7)): the kernel's UDP_MAX_SEGMENTS, and a datagram
 * of IPv4. */
#define GSO_SEGMENTS 64
#define GSO_BYTES 65507

struct udp_inbox {
    unsigned slots; /* at most BATCH */
    size_t slot;    /* bytes of one */
    unsigned n, at; /* messages received; the one being handed out */
    unsigned used;  /* whose lengths the kernel has written to */
    size_t off;     /* in it, when GRO joined several */
    struct mmsghdr msg[BATCH];
    struct iovec iov[BATCH];
    struct addr from[BATCH];
    size_t segment[BATCH]; /* 0: one datagram */
    char control[BATCH][CMSG_SPACE(sizeof(int))];
    uint8_t bytes[];
};

/* ---- sockets ---- */

static int set_on(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* Needed by all who share a port while one of them binds, and an open door afterwards: then a
 * program of anybody could bind to it, too. */
static void set_shared(int fd, bool shared)
{
    set_on(fd, SOL_SOCKET, SO_REUSEADDR, shared);
}

static int new_socket(int family)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (family == AF_INET6)
        set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    return fd;
}

static int bind_to(int fd, const struct addr *a, struct addr *bound)
{
    if (bind(fd, (const struct sockaddr *)&a->ss, a->len) < 0)
        return -errno;
    if (!bound)
        return 0;
    memset(bound, 0, sizeof *bound);
    bound->len = sizeof bound->ss;
    return getsockname(fd, (struct sockaddr *)&bound->ss, &bound->len) < 0 ? -errno : 0;
}

/* ---- listening ---- */

int udp_listen(const struct addr *a, bool shared, struct addr *bound)
{
    int fd = new_socket(a->ss.ss_family);

    if (fd < 0)
        return fd;
    int r = a->ss.ss_family == AF_INET6 ? set_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                                        : set_on(fd, IPPROTO_IP, IP_PKTINFO, 1);
    if (r < 0)
        r = -errno;
    else
        r = bind_to(fd, a, bound); /* before it is shared: a second server must not come in */
    if (r < 0) {
        close(fd);
        return r;
    }
    if (shared)
        set_shared(fd, true);
    return fd;
}

/* The address that a datagram came to; len 0 when it is nobody's alone. */
static void take_local(struct cmsghdr *c, const struct addr *from, struct addr *local)
{
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        struct sockaddr_in *in = (struct sockaddr_in *)&local->ss;
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        in->sin_family = AF_INET;
        in->sin_addr = info.ipi_spec_dst;
        local->len = info.ipi_spec_dst.s_addr == info.ipi_addr.s_addr ? sizeof *in : 0;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&local->ss;
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        in6->sin6_family = AF_INET6;
        in6->sin6_addr = info.ipi6_addr;
        if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
            in6->sin6_scope_id = ((const struct sockaddr_in6 *)&from->ss)->sin6_scope_id;
        local->len = IN6_IS_ADDR_MULTICAST(&info.ipi6_addr) ? 0 : sizeof *in6;
    }
}

long udp_listen_recv(int fd, void *buf, size_t cap, struct addr *from, struct addr *local)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control;
    struct iovec iov = {buf, cap};
    struct msghdr m = {.msg_name = &from->ss,
                       .msg_namelen = sizeof from->ss,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};

    memset(from, 0, sizeof *from);
    memset(local, 0, sizeof *local);
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    from->len = m.msg_namelen;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        take_local(c, from, local);
    if (local->len) {
        struct addr bound = {.len = sizeof bound.ss};
        if (getsockname(fd, (struct sockaddr *)&bound.ss, &bound.len) == 0)
            addr_set_port(local, ntohs(((struct sockaddr_in *)&bound.ss)->sin_port));
    }
    return n;
}

void udp_listen_send(int fd, const struct addr *local, const struct addr *to, const void *p,
                     size_t n)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control = {0};
    struct iovec iov = {(void *)p, n};
    struct msghdr m = {.msg_name = (void *)&to->ss,
                       .msg_namelen = to->len,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control};
    struct cmsghdr *c = &control.align;

    if (local->ss.ss_family == AF_INET6) {
        struct in6_pktinfo info = {.ipi6_addr =
                                       ((const struct sockaddr_in6 *)&local->ss)->sin6_addr};
        *c = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IPV6, IPV6_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof info);
        m.msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        struct in_pktinfo info = {.ipi_spec_dst =
                                      ((const struct sockaddr_in *)&local->ss)->sin_addr};
        *c = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof info);
        m.msg_controllen = CMSG_SPACE(sizeof info);
    }
    sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL); /* what is lost is asked again */
}

/* ---- opening ---- */

/* What every socket of a transfer has. */
static void prepare(struct udp *u, int family)
{
    struct timeval soon = {.tv_usec = UDP_SOON / 1000};
    socklen_t n = sizeof u->rcvbuf;

    if (family == AF_INET6) {
        set_on(u->fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    } else {
        set_on(u->fd, IPPROTO_IP, IP_RECVERR, 1);
        /* routers may fragment: where one drops large blocks and its ICMP is filtered, none would
         * ever arrive */
        set_on(u->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    }
    set_on(u->fd, SOL_SOCKET, SO_RCVBUF, RCVBUF_WANTED);
    setsockopt(u->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    if (getsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &u->rcvbuf, &n) < 0)
        u->rcvbuf = 0;
    u->gso = true;
}

/* Binds to a free port of a range, beginning anywhere in it. */
static int bind_in_range(int fd, const struct addr *local, const struct udp_ports *ports,
                         struct addr *bound)
{
    unsigned n = ports->hi - ports->lo + 1, first = 0;
    struct addr a = *local;
    int r = -EADDRINUSE;

    if (getrandom(&first, sizeof first, GRND_NONBLOCK) < 0)
        first = (unsigned)clock_now();
    for (unsigned i = 0; i < n && r == -EADDRINUSE; i++) {
        addr_set_port(&a, ports->lo + (first % n + i) % n);
        r = bind_to(fd, &a, bound);
    }
    return r;
}

/* A second, unconnected socket on the same port. */
static int open_companion(struct udp *u, const struct addr *a)
{
    int fd = new_socket(a->ss.ss_family);

    if (fd < 0)
        return fd;
    set_shared(u->fd, true);
    set_shared(fd, true);
    int r = bind_to(fd, a, NULL);
    set_shared(u->fd, false);
    set_shared(fd, false);
    if (r < 0) {
        close(fd);
        return r;
    }
    u->companion = fd;
    return 0;
}

static int connect_to(struct udp *u, const struct addr *peer)
{
    if (connect(u->fd, (const struct sockaddr *)&peer->ss, peer->len) < 0)
        return -errno;
    u->peer = *peer;
    u->pinned = true;
    return 0;
}

int udp_open_server(struct udp *u, const struct addr *local, const struct addr *peer,
                    const struct udp_ports *ports)
{
    struct addr a = *local;
    int r;

    *u = (struct udp){.fd = new_socket(local->ss.ss_family), .companion = -1};
    if (u->fd < 0)
        return u->fd;
    prepare(u, local->ss.ss_family);
    if (ports->single) {
        set_shared(u->fd, true); /* and stays so: the next one has to bind, too */
        r = bind_to(u->fd, &a, &u->local);
    } else if (ports->lo) {
        r = bind_in_range(u->fd, local, ports, &u->local);
    } else {
        addr_set_port(&a, 0);
        r = bind_to(u->fd, &a, &u->local);
    }
    if (r == 0)
        r = connect_to(u, peer);
    if (r == 0 && !ports->single)
        r = open_companion(u, &u->local);
    if (r < 0)
        udp_close(u);
    return r;
}

int udp_open_client(struct udp *u, const struct addr *server, const struct addr *from)
{
    struct addr any = {.ss.ss_family = server->ss.ss_family, .len = server->len};

    *u = (struct udp){.fd = new_socket(server->ss.ss_family), .companion = -1, .peer = *server};
    if (u->fd < 0)
        return u->fd;
    prepare(u, server->ss.ss_family);
    int r = from && from->ss.ss_family != server->ss.ss_family ? -EADDRNOTAVAIL : 0;
    if (from)
        any = *from;
    addr_set_port(&any, 0);
    if (r == 0)
        r = bind_to(u->fd, &any, &u->local);
    if (r < 0)
        udp_close(u);
    return r;
}

int udp_pin(struct udp *u, const struct addr *peer)
{
    struct addr bound = u->local;
    int r = connect_to(u, peer);

    if (r < 0)
        return r;
    u->local.len = sizeof u->local.ss;
    if (getsockname(u->fd, (struct sockaddr *)&u->local.ss, &u->local.len) < 0)
        u->local = bound;
    return open_companion(u, &bound);
}

void udp_close(struct udp *u)
{
    if (u->fd >= 0)
        close(u->fd);
    if (u->companion >= 0)
        close(u->companion);
    free(u->inbox);
    u->inbox = NULL;
    u->fd = u->companion = -1;
}

/* ---- sizes ---- */

int udp_expect(struct udp *u, size_t payload, unsigned window)
{
    bool gro = window > 1 && set_on(u->fd, SOL_UDP, UDP_GRO, 1) == 0;
    size_t slot = gro || payload >= UDP_DATAGRAM_MAX ? UDP_DATAGRAM_MAX : payload + 1;
    size_t slots = window > 1 ? INBOX_BYTES / slot : 1;

    if (slots > BATCH)
        slots = BATCH;
    struct udp_inbox *in = malloc(sizeof *in + slots * slot);
    if (!in)
        return -ENOMEM;
    in->slots = (unsigned)slots;
    in->slot = slot;
    in->used = in->slots;
    in->n = in->at = 0;
    in->off = 0;
    for (size_t i = 0; i < slots; i++) {
        in->iov[i] = (struct iovec){in->bytes + i * slot, slot};
        in->msg[i].msg_hdr = (struct msghdr){.msg_name = &in->from[i].ss,
                                             .msg_iov = &in->iov[i],
                                             .msg_iovlen = 1,
                                             .msg_control = gro ? in->control[i] : NULL};
    }
    free(u->inbox);
    u->inbox = in;
    u->gro = gro;
    return 0;
}

/* A datagram costs its own bytes, headers and the kernel's bookkeeping, in a block whose size is a
 * power of two, or in pages where it is large. */
static size_t charged(size_t payload)
{
    const size_t bookkeeping = 256, around = 48 + 8 + 320;
    size_t bytes = payload + around, block = 1024;

    if (bytes > 16384)
        return bytes + bytes / 16 + bookkeeping;
    if (bytes <= 640) /* small ones have a size of their own */
        return 640 + bookkeeping;
    while (block < bytes)
        block *= 2;
    return block + bookkeeping;
}

unsigned udp_fits(const struct udp *u, size_t payload)
{
    size_t n = (size_t)(u->rcvbuf > 0 ? u->rcvbuf : 0) / charged(payload);

    return n > 0 ? (unsigned)n : 1;
}

size_t udp_path_payload(const struct udp *u)
{
    bool v6 = u->peer.ss.ss_family == AF_INET6;
    size_t headers = v6 ? 40 + 8 : 20 + 8;
    int mtu = 0, fd = new_socket(u->peer.ss.ss_family);
    socklen_t n = sizeof mtu;

    if (fd < 0)
        return UDP_DATAGRAM_MAX;
    if (connect(fd, (const struct sockaddr *)&u->peer.ss, u->peer.len) < 0 ||
        getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU, &mtu, &n) < 0)
        mtu = 0;
    close(fd);
    return mtu > (int)headers ? (size_t)mtu - headers : UDP_DATAGRAM_MAX;
}

/* ---- errors ---- */

/* Takes the errors off the queue, where they would keep poll from waiting, and says whether one of
 * them ends the transfer. */
static int drain_errors(const struct udp *u)
{
    char control[512], byte;
    struct addr to;
    int r = 0;

    for (;;) {
        struct iovec iov = {&byte, 1};
        struct msghdr m = {.msg_name = &to.ss,
                           .msg_namelen = sizeof to.ss,
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        if (recvmsg(u->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return r;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            struct sock_extended_err e;
            if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
                !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
                continue;
            memcpy(&e, CMSG_DATA(c), sizeof e);
            /* EMSGSIZE: the path's MTU is smaller than was known, the next one is fragmented */
            if (e.ee_errno && e.ee_errno != EMSGSIZE && addr_same_peer(&to, &u->peer))
                r = -(int)e.ee_errno;
        }
    }
}

/* What ICMP told waits until all that came before it was taken: a peer that has gone may have sent
 * its last ACK first. Whether there was anything. */
static bool take_errors(struct udp *u)
{
    int queued = drain_errors(u);

    if (queued < 0)
        u->told = queued;
    return queued < 0;
}

/* What a failed call means: 0 when it is a loss like any other, or told of by udp_recv. */
static int trouble(struct udp *u, int err)
{
    switch (err) {
    case EAGAIN:
    case EINTR:
    case ENOBUFS:
    case ENOMEM:
        return 0;
    default:
        break;
    }
    if (take_errors(u))
        return 0;
    /* ICMP errors that were not queued concern nobody of ours; what is ours alone is final */
    return err == EMSGSIZE || err == ECONNREFUSED ? 0 : -err;
}

/* ---- receiving ---- */

static size_t segment_size(const struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR((struct msghdr *)m, c))
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            return size > 0 ? (size_t)size : 0;
        }
    return 0;
}

static void reset_slot(struct udp_inbox *in, unsigned i)
{
    struct msghdr *m = &in->msg[i].msg_hdr;

    m->msg_namelen = sizeof in->from[i].ss;
    if (m->msg_control)
        m->msg_controllen = sizeof in->control[i];
}

/* How many messages, or -1 and errno. */
static int receive(const struct udp *u, bool wait)
{
    struct udp_inbox *in = u->inbox;

    if (in->slots > 1)
        return recvmmsg(u->fd, in->msg, in->slots, wait ? MSG_WAITFORONE : MSG_DONTWAIT, NULL);
    struct msghdr *m = &in->msg[0].msg_hdr; /* one alone is cheaper without it */
    ssize_t n =
        recvfrom(u->fd, in->bytes, in->slot, wait ? 0 : MSG_DONTWAIT, m->msg_name, &m->msg_namelen);
    in->msg[0].msg_len = n < 0 ? 0 : (unsigned)n;
    return n < 0 ? -1 : 1;
}

/* 1 when something was received. */
static int fill_inbox(struct udp *u, bool wait)
{
    struct udp_inbox *in = u->inbox;
    int n;

    for (unsigned i = 0; i < in->used; i++)
        reset_slot(in, i);
    in->n = in->at = in->used = 0;
    in->off = 0;
    n = receive(u, wait && !u->told);
    if (n < 0 && errno != EAGAIN) {
        int r = trouble(u, errno);
        if (r < 0 || !u->told)
            return r;
        n = receive(u, false); /* the error stood before what is queued */
    }
    if (n < 0) {
        int told = u->told;
        u->told = 0;
        return told;
    }
    in->n = in->used = (unsigned)n;
    for (unsigned i = 0; i < in->n; i++) {
        in->from[i].len = in->msg[i].msg_hdr.msg_namelen;
        in->segment[i] = u->gro ? segment_size(&in->msg[i].msg_hdr) : 0;
    }
    return n > 0;
}

static int next_datagram(struct udp *u, struct udp_datagram *d, bool wait)
{
    struct udp_inbox *in = u->inbox;

    if (in->at == in->n) {
        int r = fill_inbox(u, wait);
        if (r <= 0)
            return r;
    }
    size_t len = in->msg[in->at].msg_len, left = len - in->off;
    size_t step = in->segment[in->at] && in->segment[in->at] < left ? in->segment[in->at] : left;
    d->p = (const uint8_t *)in->iov[in->at].iov_base + in->off;
    d->n = step;
    d->from = &in->from[in->at];
    d->stranger = u->pinned && !addr_same_peer(d->from, &u->peer);
    in->off += step;
    if (in->off >= len) {
        in->at++;
        in->off = 0;
    }
    return 1;
}

bool udp_is_waiting(const struct udp *u)
{
    return u->inbox->at < u->inbox->n;
}

int udp_recv(struct udp *u, struct udp_datagram *d)
{
    return next_datagram(u, d, false);
}

int udp_recv_soon(struct udp *u, struct udp_datagram *d)
{
    return next_datagram(u, d, true);
}

long udp_recv_stranger(struct udp *u, void *buf, size_t cap, struct addr *from)
{
    if (u->companion < 0)
        return 0;
    memset(from, 0, sizeof *from);
    from->len = sizeof from->ss;
    ssize_t n =
        recvfrom(u->companion, buf, cap, MSG_DONTWAIT, (struct sockaddr *)&from->ss, &from->len);
    return n > 0 ? n : 0;
}

/* ---- sending ---- */

int udp_send(struct udp *u, const void *p, size_t n)
{
    ssize_t r = u->pinned ? send(u->fd, p, n, MSG_NOSIGNAL)
                          : sendto(u->fd, p, n, MSG_NOSIGNAL, (const struct sockaddr *)&u->peer.ss,
                                   u->peer.len);

    return r < 0 ? trouble(u, errno) : 0;
}

void udp_send_stranger(struct udp *u, const struct addr *to, const void *p, size_t n)
{
    int fd = u->companion >= 0 ? u->companion : u->fd;

    sendto(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&to->ss, to->len);
}

static unsigned gso_batch(size_t size, unsigned n)
{
    size_t max = GSO_BYTES / size;

    if (max > GSO_SEGMENTS)
        max = GSO_SEGMENTS;
    return n < max ? n : (unsigned)max;
}

static ssize_t send_segmented(const struct udp *u, const struct iovec *iov, unsigned n)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(uint16_t))];
    } control = {0};
    struct msghdr m = {.msg_iov = (struct iovec *)iov,
                       .msg_iovlen = n,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    uint16_t size = (uint16_t)iov[0].iov_len;

    control.align = (struct cmsghdr){CMSG_LEN(sizeof size), SOL_UDP, UDP_SEGMENT};
    memcpy(CMSG_DATA(&control.align), &size, sizeof size);
    return sendmsg(u->fd, &m, MSG_NOSIGNAL);
}

/* As many as go with segmentation offload; the rest is for others. Returns how many went. */
static int send_offloaded(struct udp *u, const struct iovec *iov, unsigned n)
{
    unsigned done = 0;

    while (u->gso && n - done > 1) {
        unsigned k = gso_batch(iov[0].iov_len, n - done);
        if (k < 2)
            break;
        if (send_segmented(u, iov + done, k) < 0) {
            int err = errno;
            int r = trouble(u, err == EINVAL || err == EIO || err == EOPNOTSUPP ? EMSGSIZE : err);
            if (r < 0)
                return r;
            if (err == EINVAL || err == EIO || err == EOPNOTSUPP || err == EMSGSIZE) {
                u->gso = false; /* no such kernel, no such device, or blocks above its MTU */
                break;
            }
        }
        done += k;
    }
    return (int)done;
}

static int send_batches(struct udp *u, const struct iovec *iov, unsigned n)
{
    struct mmsghdr m[BATCH];

    for (unsigned done = 0; done < n;) {
        unsigned k = n - done < BATCH ? n - done : BATCH;
        for (unsigned i = 0; i < k; i++)
            m[i] = (struct mmsghdr){
                .msg_hdr = {.msg_iov = (struct iovec *)&iov[done + i], .msg_iovlen = 1}};
        int sent = sendmmsg(u->fd, m, k, MSG_NOSIGNAL);
        int r = sent < 0 ? trouble(u, errno) : 0;
        if (r < 0)
            return r;
        done += sent > 0 ? (unsigned)sent : 1; /* the one that failed counts as lost */
    }
    return 0;
}

int udp_send_many(struct udp *u, const struct iovec *iov, unsigned n)
{
    int done = n > 1 ? send_offloaded(u, iov, n) : 0;

    if (done < 0)
        return done;
    n -= (unsigned)done;
    iov += done;
    if (n == 1)
        return udp_send(u, iov->iov_base, iov->iov_len);
    return n ? send_batches(u, iov, n) : 0;
}

/* ---- waiting ---- */

int udp_wait(struct udp *u, int stop_fd, int64_t until)
{
    struct pollfd p[3] = {{.fd = u->fd, .events = POLLIN},
                          {.fd = u->companion, .events = POLLIN},
                          {.fd = stop_fd, .events = POLLIN}};
    struct timespec ts = {0};
    int64_t left = until == CLOCK_NEVER ? 0 : until - clock_now();

    if (left > 0)
        ts = (struct timespec){left / CLOCK_SEC, left % CLOCK_SEC};
    if (u->told)
        return UDP_INPUT;
    if (ppoll(p, 3, until == CLOCK_NEVER ? NULL : &ts, NULL) <= 0)
        return UDP_TIME;
    /* sendmmsg keeps quiet about an error behind its first datagram: poll would never wait again */
    if (p[0].revents & POLLERR)
        take_errors(u);
    return (p[0].revents ? UDP_INPUT : 0) | (p[1].revents ? UDP_STRANGER : 0) |
           (p[2].revents ? UDP_STOP : 0);
}
