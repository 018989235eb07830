/* port.h - one device of the forwarder: IPv4 packets in through a ring, out by a packet socket. */
#ifndef XFER_LINK_PORT_H
#define XFER_LINK_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_HEADER 14 /* of Ethernet, in front of each packet */

struct port {
    int fd;
    uint8_t *ring;
    size_t frame, frames, next;
};

/* A frame in the ring, valid until port_next. */
struct port_frame {
    const uint8_t *bytes; /* with its Ethernet header */
    uint32_t len;
    int64_t time; /* CLOCK_MONOTONIC: when it came to the device */
};

/* In the caller's network namespace. 0 or -errno. */
int port_open(struct port *p, const char *device, uint32_t mtu);
/* The first frame that waits; false when none does. real_to_mono: of the clocks, now. */
bool port_peek(const struct port *p, int64_t real_to_mono, struct port_frame *ret);
void port_next(struct port *p); /* done with it */
bool port_send(const struct port *p, const void *frame, size_t n);
/* Packets that the kernel dropped for want of room in the ring, since the last call. */
uint64_t port_hidden_drops(const struct port *p);

#endif
