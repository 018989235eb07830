/* addr.h - socket addresses: parse what --listen takes, resolve, connect, listen, show. */
#ifndef XFER_NET_ADDR_H
#define XFER_NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDR_SHOW_MAX 80 /* "[ffff:...%interface]:65535" */

struct addr {
    struct sockaddr_storage ss;
    socklen_t len;
};

/* "127.0.0.1:7069", "[::1]:7069". Returns out (ADDR_SHOW_MAX bytes). */
char *addr_show(const struct addr *a, char *out);
bool addr_is_loopback(const struct addr *a);
/* The same host; the same host and port. Scopes are not looked at. */
bool addr_same_host(const struct addr *a, const struct addr *b);
bool addr_same_peer(const struct addr *a, const struct addr *b);
unsigned addr_port(const struct addr *a);
void addr_set_port(struct addr *a, unsigned port);

/* "[ADDR]:PORT", "ADDR", "ADDR:PORT", ":PORT" (every address, IPv6 and IPv4 both), "[v6]:PORT", a
 * bare IPv6 address, or a host name, to up to max addresses. Returns their number, -XFER_EUSAGE
 * when malformed, -XFER_EHOST when the name is unknown. */
int addr_parse_listen(const char *spec, unsigned default_port, struct addr *out, size_t max);

/* A nonblocking listening TCP socket (close-on-exec, IPV6_V6ONLY, SO_REUSEADDR), or -errno. `bound`
 * (may be NULL) gets the address with the real port. */
int addr_listen(const struct addr *a, struct addr *bound);

/* A connected nonblocking TCP socket to host:port, or a negative error: -XFER_EHOST for an unknown
 * name, -ECONNREFUSED, -ETIMEDOUT, -XFER_ECANCELED when stop_fd (-1: none) becomes readable. Tries
 * the addresses in turn, beginning the next after 250 ms of silence (RFC 8305, 5). family 0, 4, 6;
 * bind_addr may be NULL. Sets TCP_NODELAY and SO_KEEPALIVE. `peer` gets the address reached.
 * deadline: clock_now time. */
int addr_connect(const char *host, unsigned port, int family, const char *bind_addr, int stop_fd,
                 int64_t deadline, struct addr *peer);

/* The addresses of a host (a numeric one is not asked of anybody), families in turn, with this
 * port. Their number, -XFER_EHOST, -XFER_ECANCELED, -ETIMEDOUT. */
int addr_lookup(const char *host, unsigned port, int family, int stop_fd, int64_t deadline,
                struct addr *out, size_t max);
/* A numeric address without port; -XFER_EUSAGE. */
int addr_parse_numeric(const char *host, struct addr *out);

/* What the kernel counted on a connection (tcp(7), TCP_INFO); zeros where it does not tell. */
struct tcp_facts {
    uint64_t segments, retransmits; /* sent */
    double rtt;                     /* smoothed, seconds */
    char congestion[16];            /* congestion control */
};
void tcp_facts(int fd, struct tcp_facts *ret);

/* Sets the congestion control of a connection, or of those that a listening socket will take.
 * -XFER_ECONGESTION when the kernel has none of this name, or not for us. */
int tcp_set_congestion(int fd, const char *name);

/* TCP_NODELAY, TCP_NOTSENT_LOWAT and SO_KEEPALIVE. */
void addr_tune(int fd);

#endif
