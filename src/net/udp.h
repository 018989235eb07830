/* udp.h - datagram sockets: one that listens for requests, and that of one transfer.
 *
 * The socket of a transfer is connected: the kernel then hands it its peer's datagrams alone, keeps
 * the route, and reports ICMP errors. An unconnected companion on the same port takes what
 * strangers send there. A client's socket has neither before it knows its peer's port (udp_pin).
 *
 * Invariants
 *  - Nothing here blocks but udp_wait, udp_recv_soon, and a send while the send buffer is full.
 *  - A datagram that was queued before the socket was connected is never taken for the peer's.
 *  - Loss is no error: what the network or a full queue drops is sent again by those above.
 */
#ifndef XFER_NET_UDP_H
#define XFER_NET_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/addr.h"
#include "net/clock.h"

#define UDP_DATAGRAM_MAX 65536 /* more than any has, so that none is cut */
#define UDP_SOON (8 * CLOCK_SEC / 1000)

/* ---- listening ---- */

/* Which ports transfers get. */
struct udp_ports {
    unsigned lo, hi; /* 0: any */
    bool single;     /* that of the listening socket */
};

/* A nonblocking listening socket (close-on-exec, IPV6_V6ONLY), or -errno; it tells with each
 * datagram what address it came to. shared: transfers will share its port. */
int udp_listen(const struct addr *a, bool shared, struct addr *bound);

/* The next datagram of a listening socket: its length, at most cap; -EAGAIN when none is there.
 * local: the address and port it came to; local->len 0 when that was a broadcast or multicast. */
long udp_listen_recv(int fd, void *buf, size_t cap, struct addr *from, struct addr *local);

/* Answers from the listening socket, with the address `local`. */
void udp_listen_send(int fd, const struct addr *local, const struct addr *to, const void *p,
                     size_t n);

/* ---- one transfer ---- */

struct udp_inbox; /* datagrams received and not yet handed out */

struct udp {
    int fd, companion; /* -1: none */
    bool pinned;
    struct addr peer; /* before udp_pin: where the request goes */
    struct addr local;
    bool gso, gro; /* the kernel can, as far as we know */
    int rcvbuf;    /* as the kernel gave it */
    int told;      /* an error that ICMP told of and udp_recv has not yet; 0: none */
    struct udp_inbox *inbox;
};

/* Server: a connected socket on `local` (its port is that of the listening socket) to `peer`.
 * Negative: -errno; -EADDRINUSE when all of `ports` are taken. On failure nothing is left open. */
int udp_open_server(struct udp *u, const struct addr *local, const struct addr *peer,
                    const struct udp_ports *ports);
/* Client: a socket that sends to `server`; from: local address, or NULL. */
int udp_open_client(struct udp *u, const struct addr *server, const struct addr *from);
/* Client: from now on the peer is this one and no other. */
int udp_pin(struct udp *u, const struct addr *peer);
void udp_close(struct udp *u); /* safe twice, and on fds of -1 */

/* Memory for what arrives: datagrams up to `payload` bytes at window `window`. With a window, GRO
 * is asked for. -ENOMEM leaves the old. Nothing must be waiting in the inbox. */
int udp_expect(struct udp *u, size_t payload, unsigned window);
/* How many datagrams of so many bytes the receive buffer holds, as the kernel charges them; at
 * least 1. */
unsigned udp_fits(const struct udp *u, size_t payload);
/* Bytes that a datagram to the peer can carry without being fragmented, as far as is known here. */
size_t udp_path_payload(const struct udp *u);

struct udp_datagram {
    const uint8_t *p; /* valid until the next udp_recv */
    size_t n;
    const struct addr *from;
    bool stranger; /* pinned, and not from the peer */
};

/* The next datagram, without waiting: 1, 0 when there is none, or an error that ends the transfer
 * (ICMP: -ECONNREFUSED, -EHOSTUNREACH, ...), which comes after all that was received before. */
int udp_recv(struct udp *u, struct udp_datagram *d);
/* Whether one is at hand already: then udp_recv calls nobody. */
bool udp_is_waiting(const struct udp *u);
/* The same as udp_recv, but waits for it, UDP_SOON at most. */
int udp_recv_soon(struct udp *u, struct udp_datagram *d);
/* What came to the companion: its length (at most cap), or 0. */
long udp_recv_stranger(struct udp *u, void *buf, size_t cap, struct addr *from);

/* One datagram to the peer. 0, or an error of this host: what ICMP tells is left to udp_recv. */
int udp_send(struct udp *u, const void *p, size_t n);
/* Many, an iovec each; all but the last have as many bytes as the first. */
int udp_send_many(struct udp *u, const struct iovec *iov, unsigned n);
void udp_send_stranger(struct udp *u, const struct addr *to, const void *p, size_t n);

enum udp_ready { UDP_TIME = 0, UDP_INPUT = 1, UDP_STRANGER = 2, UDP_STOP = 4 };

/* Waits for input, a stranger, stop_fd (-1: none) or the time `until`. A set of enum udp_ready. */
int udp_wait(struct udp *u, int stop_fd, int64_t until);

#endif
